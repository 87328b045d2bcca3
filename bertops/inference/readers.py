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
        UsageError: the model has no task, or an example lacks what the task reads.
    """
    card, needs = loaded.task_card(), _needs(loaded)
    for number, example in enumerate(examples):
        missing = [key for key in needs if not str(example.get(key) or "").strip()]
        if missing:
            raise UsageError(f"example {number} has no {missing[0]}, which {card.task!r} reads")
    if not examples:
        return []
    reader = reader_of(loaded)
    return reader.predict(loaded.model, reader.encode(complete(loaded, examples)))


def _needs(loaded: "Loaded") -> tuple[str, ...]:
    needs = READERS[loaded.task_card().kind].needs
    return (*needs, "text_b") if loaded.task_card().pair else needs


def check_second(loaded: "Loaded") -> None:
    """Raise UsageError where a model would not read the second texts that it is given."""
    if "text_b" not in _needs(loaded):
        raise UsageError(f"{loaded.task_card().task!r} reads one text; a second would be ignored")


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
    """One prediction for each text, or each pair of texts.

    Raises:
        UsageError: as `ask`; there are second texts and the task reads one; or a text stands where
            a list of them is wanted.
    """
    if isinstance(texts, str) or isinstance(second, str):
        raise UsageError("give a list of texts, not one text: each of its letters would be asked")
    if second is None:
        return ask(loaded, [{"text": text} for text in texts])
    check_second(loaded)
    pairs = zip(texts, second, strict=True)
    return ask(loaded, [{"text": text, "text_b": other} for text, other in pairs])
