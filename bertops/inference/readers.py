"""The reader of each kind, by the name the kind has in params.yaml."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bertops.errors import UsageError
from bertops.inference.answer import AnswerReader
from bertops.inference.predict import SequenceReader
from bertops.inference.reader import Example, Prediction, Reader
from bertops.inference.retrieve import EmbeddingReader
from bertops.inference.summarize import SummaryReader
from bertops.inference.tag import TagReader
from bertops.inference.translate import TranslationReader

if TYPE_CHECKING:
    from bertops.inference.load import Loaded

READERS: Mapping[str, type[Reader]] = {
    "classification": SequenceReader,
    "regression": SequenceReader,
    "tagging": TagReader,
    "answering": AnswerReader,
    "summarization": SummaryReader,
    "translation": TranslationReader,
    "embedding": EmbeddingReader,
}


def reader_of(loaded: "Loaded", precision: str = "auto") -> Reader:
    """The reader for what a model was trained on.

    Raises:
        UsageError: the model has no task.
    """
    card = loaded.task_card()
    return READERS[card.kind](loaded.tokenizer, card, precision)


def ask(loaded: "Loaded", examples: Sequence[Example]) -> list[Prediction]:
    """One prediction for each example, in their order; see the reader of the kind.

    Raises:
        UsageError: the model has no task, or an example lacks what the task reads, or has a second
            text that it does not.
    """
    card = loaded.task_card()
    reader = reader_of(loaded)
    needs = (*reader.needs, "text_b") if card.pair else reader.needs
    for number, example in enumerate(examples):
        if "text_b" in example and "text_b" not in needs:
            raise UsageError(f"example {number} has a second text, and {card.task!r} reads one")
        missing = [key for key in needs if not str(example.get(key) or "").strip()]
        if missing:
            raise UsageError(f"example {number} has no {missing[0]}, which {card.task!r} reads")
    if not examples:
        return []
    return reader.predict(loaded.model, reader.encode(complete(loaded, examples)))


def complete(loaded: "Loaded", examples: Sequence[Example]) -> list[Example]:
    """Examples with cleaned texts, and words or sentences where the reader wants them."""
    reader = reader_of(loaded)
    cleaned = (
        {k: loaded.clean(v) if k in ("text", "text_b") else v for k, v in example.items()}
        for example in examples
    )
    return [reader.complete(example) for example in cleaned]


def predict(
    loaded: "Loaded", texts: Sequence[str], second: Sequence[str] | None = None
) -> list[Prediction]:
    """One prediction for each text, or each pair of texts."""
    if second is None:
        return ask(loaded, [{"text": text} for text in texts])
    pairs = zip(texts, second, strict=True)
    return ask(loaded, [{"text": text, "text_b": other} for text, other in pairs])
