"""Package: a model directory as an MLflow model that serves offline, from safetensors alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bertops.inference.card import TaskCard, read_card
from bertops.inference.load import check_files

LOADER = "bertops.registry.serving"
MODEL = "data/model"
"""Where the model directory lies in the package, byte for byte as it was trained."""

REQUIREMENTS = (
    "mlflow",
    "numpy",
    "pandas",
    "pydantic",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)
"""What serving needs besides bertops itself."""

EXAMPLE = "One of the best films I have seen this year."


@dataclass(frozen=True)
class Identity:
    """What the MLmodel file says about where it came from."""

    model_id: str
    run_id: str
    license: str


def build_package(
    target: Path, model_dir: Path, identity: Identity, files: Mapping[str, Path]
) -> None:
    """Write the MLflow model of `model_dir` to `target`.

    Args:
        files: further files to lay at its top, by name: report, evaluation.

    Raises:
        ModelRefused: the directory holds pickles or asks for remote code.
    """
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models.model import Model

    check_files(model_dir)
    card = read_card(model_dir)
    with TemporaryDirectory() as folder:
        link = Path(folder) / Path(MODEL).name
        link.symlink_to(model_dir.absolute())  # MLflow copies a folder under its own name
        mlflow.pyfunc.save_model(
            target,
            loader_module=LOADER,
            data_path=str(link),
            mlflow_model=Model(model_id=identity.model_id, run_id=identity.run_id),
            signature=_signature(card),
            input_example=pd.DataFrame([_example(card, model_dir)]),
            pip_requirements=requirements(),
            metadata={"license": identity.license, "bertops.task": card.task if card else ""},
        )
    for name, file in files.items():
        (target / name).write_bytes(file.read_bytes())


def requirements() -> list[str]:
    """Pinned requirements of serving, without the local part of a version (2.13.0+cpu).

    Given to MLflow outright: finding them out by itself it asks the network, and hangs where
    there is none (mlflow#22880).
    """
    pinned = [f"{name}=={version(name).split('+')[0]}" for name in REQUIREMENTS]
    return [f"bertops=={version('bertops')}", *pinned]


def _signature(card: TaskCard | None) -> Any:
    """Columns that a request must have and an answer has; a missing one is refused with 400."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    asked: list[ColSpec | TensorSpec] = [ColSpec("string", "text")]
    if card is not None and card.pair:
        asked.append(ColSpec("string", "second"))
    answered: list[ColSpec | TensorSpec] = [
        ColSpec(AnyType(), "prediction"),
        ColSpec(AnyType(), "probabilities" if card else "probability"),
    ]
    return ModelSignature(inputs=Schema(asked), outputs=Schema(answered))


def _example(card: TaskCard | None, model_dir: Path) -> dict[str, Any]:
    """A request that the model can answer."""
    if card is not None:
        return {"text": EXAMPLE} | ({"second": EXAMPLE} if card.pair else {})
    from transformers import AutoTokenizer

    mask = AutoTokenizer.from_pretrained(model_dir).mask_token
    return {"text": f"One of the best {mask} I have seen this year."}
