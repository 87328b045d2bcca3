"""Package: a model directory as an MLflow model that serves offline, from safetensors alone.

MLmodel, requirements.txt, …   what MLflow needs to serve it
data/model/                    the model directory, byte for byte as it was trained
README.md, LICENSE             model card and licence
evaluation.json, report.html   what was measured, where the caller has it
sbom.cdx.json                  what it is made of (CycloneDX)
model.sig, export.sig          signatures of the package and of its export, with a key
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bertops.inference.card import TaskCard, read_card
from bertops.registry.params import license_text
from bertops.registry.safety import check_model, check_package
from bertops.registry.sbom import write_sbom
from bertops.storage import write_text

LOADER = "bertops.registry.serving"
MODEL = "data/model"

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
class Contents:
    """What goes into a package besides the model directory."""

    name: str
    """Registered name."""
    license: str
    """SPDX id."""
    model_id: str | None = None
    run_id: str | None = None
    """Where MLflow keeps it; written into the MLmodel file."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files to lay at its top, by name: README.md, evaluation.json, params.yaml."""


def build_package(target: Path, model_dir: Path, contents: Contents) -> None:
    """Write the MLflow model of `model_dir` to `target`.

    Raises:
        ModelRefused: the directory holds more than a model in safetensors needs.
    """
    check_model(model_dir)
    card = read_card(model_dir)
    _save(target, model_dir, contents, card)
    write_sbom(target / "sbom.cdx.json", contents.name, model_dir, contents.license, ["bertops"])
    write_text(target / "README.md", _plain_card(contents, card))
    if text := license_text(contents.license):
        write_text(target / "LICENSE", text)
    for name, file in contents.files.items():
        (target / name).write_bytes(file.read_bytes())
    check_package(target, MODEL, LOADER)


def _save(target: Path, model_dir: Path, contents: Contents, card: TaskCard | None) -> None:
    """What MLflow itself writes."""
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models.model import Model

    with TemporaryDirectory() as folder:
        link = Path(folder) / Path(MODEL).name
        link.symlink_to(model_dir.absolute())  # MLflow copies a folder under its own name
        mlflow.pyfunc.save_model(
            target,
            loader_module=LOADER,
            data_path=str(link),
            mlflow_model=Model(model_id=contents.model_id, run_id=contents.run_id),
            signature=_signature(card),
            input_example=pd.DataFrame([_example(card, model_dir)]),
            pip_requirements=requirements(),
            metadata={"license": contents.license, "bertops.task": card.task if card else ""},
        )


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
    if card is not None and _reads_two(card):
        asked.append(ColSpec("string", "text_b"))
    answered: list[ColSpec | TensorSpec] = [
        ColSpec(AnyType(), "prediction"),
        ColSpec(AnyType(), "probabilities" if card else "probability"),
    ]
    return ModelSignature(inputs=Schema(asked), outputs=Schema(answered))


def _example(card: TaskCard | None, model_dir: Path) -> dict[str, Any]:
    """A request that the model can answer."""
    if card is not None:
        return {"text": EXAMPLE} | ({"text_b": EXAMPLE} if _reads_two(card) else {})
    from transformers import AutoTokenizer

    mask = AutoTokenizer.from_pretrained(model_dir).mask_token
    return {"text": f"One of the best {mask} I have seen this year."}


def _reads_two(card: TaskCard) -> bool:
    """Whether a request needs `text_b` beside `text`."""
    from bertops.inference.readers import READERS

    return card.pair or "text_b" in READERS[card.kind].needs


def _plain_card(contents: Contents, card: TaskCard | None) -> str:
    """A card with the bare facts, for a version that comes without one."""
    pipeline = "text-classification" if card else "fill-mask"
    about = f"Fine-tuned for `{card.task}`" if card else "Pretrained with masked tokens"
    return (
        f"---\nlicense: {contents.license}\nlibrary_name: transformers\n"
        f"pipeline_tag: {pipeline}\n---\n\n# {contents.name}\n\n{about} with bertops.\n"
    )
