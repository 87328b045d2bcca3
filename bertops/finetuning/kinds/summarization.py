"""Extractive summarization: which sentences of a document are its summary."""

from collections.abc import Mapping, Sequence
from typing import Any

from bertops.finetuning.kinds.base import (
    IGNORED,
    BadRow,
    Baseline,
    Feature,
    TaskKind,
    read_column,
)
from bertops.inference.reader import Encoded, Example, Prediction
from bertops.inference.summarize import summary
from bertops.inference.tag import first_tokens


class Summarization(TaskKind):
    """Sentences with a 0/1 each; scored by the words shared with the given summary (ROUGE)."""

    packages = ("rouge_score",)

    def read(self, values: Mapping[str, Any]) -> Example:
        """`sentences`, `kept`, `text` (the sentences joined) and `label`, the kept ones joined."""
        columns = self.task.columns
        sentences = [str(sentence) for sentence in _list(values, columns.sentences)]
        kept = [_kept(value) for value in _list(values, columns.kept)]
        if len(sentences) != len(kept):
            raise BadRow("unequal lists", f"{len(sentences)} and {len(kept)}", fatal=False)
        if not any(kept):
            raise BadRow("no summary", "no sentence is kept", fatal=False)
        chosen = " ".join(s for s, keep in zip(sentences, kept, strict=True) if keep)
        label = chosen if columns.label is None else str(values.get(columns.label) or chosen)
        return {"text": " ".join(sentences), "sentences": sentences, "kept": kept, "label": label}

    def identity(self, values: Mapping[str, Any]) -> str:
        """The sentences."""
        return " ".join(map(str, values.get(self.task.columns.sentences) or ()))

    def training_rows(self, encoded: Encoded, tokenizer: Any) -> list[Feature]:
        """The first token of a sentence learns whether it is kept."""
        rows = []
        for feature in encoded.features:
            labels = [IGNORED] * len(feature.input_ids)
            for token, sentence in first_tokens(feature.places):
                labels[token] = encoded.examples[feature.row]["kept"][sentence]
            rows.append(feature.inputs() | {"labels": labels})
        return rows

    def baselines(
        self, train: Sequence[Example], validation: Sequence[Example]
    ) -> Mapping[str, Baseline]:
        """The first sentences: three of them, and as many as the model may keep."""
        return {"lead3": Lead(3), "lead": Lead(self.task.summary_share)}


def _list(values: Mapping[str, Any], column: str) -> list[Any]:
    value = read_column(values, column)
    if not isinstance(value, list):
        raise BadRow("no list", f"{str(value)[:60]!r} in column {column!r}")
    return value


def _kept(value: Any) -> int:
    if value not in (0, 1, "0", "1"):
        raise BadRow("unknown label", f"{value!r} is not 0 or 1")
    return int(value)


class Lead:
    """The beginning of a document: a number of sentences, or a share of them."""

    def __init__(self, size: float) -> None:
        self._size = size

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Summaries."""
        return [self._lead(example["sentences"]) for example in examples]

    def _lead(self, sentences: Sequence[str]) -> dict[str, Any]:
        share = self._size if self._size <= 1 else min(1.0, self._size / len(sentences))
        scores = [-float(position) for position in range(len(sentences))]
        return summary(sentences, scores, share) | {"probabilities": None}
