"""Models from directories, the hub or a registry, checked before they are used."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertops import runtime
from bertops.errors import BertopsError, UsageError
from bertops.extras import require
from bertops.inference.card import TaskCard, read_card
from bertops.inference.markup import strip_html
from bertops.inference.onnx_model import INT8_NAME, ONNX_NAME, OnnxModel
from bertops.inference.quiet import quiet_transformers
from bertops.inference.readers import READERS, predict

Resolver = Callable[[str], Path]
"""From `models:/name@alias` to a directory; registry/ has the one that asks MLflow."""

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")


class ModelRefused(BertopsError):
    """A model directory is not one that is safe and fit to load."""

    def __init__(self, reference: str, reason: str) -> None:
        self.reference, self.reason = reference, reason
        super().__init__(f"{reference}: {reason}")


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to be asked."""

    reference: str
    directory: Path
    model: Any
    tokenizer: Any
    card: TaskCard | None

    def __call__(
        self, texts: Sequence[str], second: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """One prediction for each text, or each pair of texts; see `readers.predict`."""
        return predict(self, texts, second)

    def task_card(self) -> TaskCard:
        """The card of its task.

        Raises:
            UsageError: the model was trained for no task.
        """
        if self.card is None:
            raise UsageError(
                f"{self.reference} is an encoder without a task: it has no bertops.json"
            )
        return self.card

    def clean(self, text: str) -> str:
        """The text as the task's training rows were cleaned."""
        return strip_html(text) if self.card and self.card.strip_html else text


def load(
    reference: str | Path,
    resolve: Resolver | None = None,
    *,
    masked_lm: bool = False,
    device: Any = None,
) -> Loaded:
    """Open a fine-tuned model, or with `masked_lm` a pretrained one.

    Args:
        reference: a directory, or `models:/name@alias` when `resolve` is given.

    Raises:
        UsageError: there is no such directory, or no resolver for a registry address.
        ModelRefused: the directory holds pickles, asks for remote code, or its weights and its
            configuration do not fit each other or are not finite.
    """
    quiet_transformers()
    directory = locate(reference, resolve)
    check_files(directory)
    card = read_card(directory)
    model, tokenizer = _open(directory, _model_class(card, masked_lm))
    if masked_lm and isinstance(model, OnnxModel):
        raise UsageError(f"{reference} is an export, which fills no masks; give an encoder")
    _check_weights(str(reference), model)
    where = device or runtime.device()
    return Loaded(str(reference), directory, model.to(where).eval(), tokenizer, card)


def locate(reference: str | Path, resolve: Resolver | None = None) -> Path:
    """The directory behind a reference.

    Raises:
        UsageError: none is there.
    """
    text = str(reference)
    if text.startswith("models:/"):
        if resolve is None:
            raise UsageError(f"{text} needs the registry; give the directory of a model here")
        return resolve(text)
    path = Path(text)
    if not (path / "config.json").is_file():
        raise UsageError(
            f"{text} is no model directory: it has no config.json. "
            "Give a directory that `bertops run` wrote, or models:/name@alias."
        )
    return path


def check_files(directory: Path) -> None:
    """Refuse what could run code when it is loaded: pickles, and remote code however nested.

    Raises:
        ModelRefused: one of them is there.
    """
    for pattern in _PICKLES:
        for path in sorted(directory.rglob(pattern)):
            name = path.relative_to(directory)
            raise ModelRefused(str(directory), f"holds a pickle, {name}; only safetensors load")
    for path in sorted(directory.rglob("*.json")):
        name = path.relative_to(directory)
        try:
            described = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelRefused(str(directory), f"{name} is no JSON: {error}") from error
        if _asks_for_code(described):
            raise ModelRefused(str(directory), f"{name} asks for remote code (auto_map)")


def _asks_for_code(value: Any) -> bool:
    if isinstance(value, dict):
        wanted = "auto_map" in value or value.get("trust_remote_code") is True
        return wanted or any(map(_asks_for_code, value.values()))
    return isinstance(value, list) and any(map(_asks_for_code, value))


def _model_class(card: TaskCard | None, masked_lm: bool) -> str:
    if masked_lm:
        return "AutoModelForMaskedLM"
    return READERS[card.kind].model_class if card else "AutoModel"


def _open(directory: Path, class_name: str) -> tuple[Any, Any]:
    """Model and tokenizer; sentence-transformers brings its own pooling."""
    import transformers

    if class_name != "SentenceTransformer" and not (directory / "model.safetensors").exists():
        for name in (INT8_NAME, ONNX_NAME):
            if (directory / name).exists():
                return OnnxModel(directory / name), transformers.AutoTokenizer.from_pretrained(
                    directory
                )
    if class_name == "SentenceTransformer":
        require("tasks", "sentence_transformers", reason="models of sentence embeddings need it")
        from sentence_transformers import SentenceTransformer

        try:
            model = SentenceTransformer(str(directory), device="cpu")
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelRefused(str(directory), f"does not load: {error}") from error
        _check_names(directory, model.transformers_model)
        return model, model.tokenizer
    return _open_transformer(directory, getattr(transformers, class_name))


def _open_transformer(directory: Path, model_class: Any) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(directory)
        model, info = model_class.from_pretrained(
            directory, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelRefused(str(directory), f"does not load: {error}") from error
    # A masked-LM has no pooler; nothing here reads what it would give.
    missing = [key for key in sorted(info["missing_keys"]) if not key.startswith("pooler.")]
    if missing or info["mismatched_keys"]:
        lacking = missing or sorted(map(str, info["mismatched_keys"]))
        raise ModelRefused(str(directory), f"weights lack {', '.join(lacking[:3])} …")
    # Without its head, an encoder leaves the weights of the head unread.
    if info["unexpected_keys"] and model_class.__name__ != "AutoModel":
        _refuse_unknown(directory, info["unexpected_keys"])
    return model, tokenizer


def _check_names(directory: Path, model: Any) -> None:
    """Weights by their names alone, where the library that loads them tells nothing of it."""
    from safetensors import safe_open

    with safe_open(directory / "model.safetensors", framework="pt") as file:
        there = set(file.keys())
    wanted = set(model.state_dict())
    if lacking := sorted(wanted - there):
        raise ModelRefused(str(directory), f"weights lack {', '.join(lacking[:3])} …")
    if unknown := there - wanted:
        _refuse_unknown(directory, unknown)


def _refuse_unknown(directory: Path, names: Iterable[str]) -> None:
    listed = ", ".join(sorted(names)[:3])
    raise ModelRefused(str(directory), f"weights hold {listed} …, which the model does not know")


def _check_weights(reference: str, model: Any) -> None:
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if not bool(value.isfinite().all()):
            raise ModelRefused(reference, f"{name} holds NaN or infinity")
