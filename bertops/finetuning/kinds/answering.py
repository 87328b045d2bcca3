"""Extractive question answering: the answer is a piece of the passage, or there is none."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bertops.finetuning.baselines import TfidfFeatures
from bertops.finetuning.kinds.base import (
    BadRow,
    Baseline,
    Feature,
    TaskKind,
    read_label,
    read_pair,
)
from bertops.inference.reader import Encoded, Example, Features, Prediction
from bertops.inference.summarize import split_sentences


class Answering(TaskKind):
    """`text` is the passage, `text_b` the question, `label` the list of accepted answers."""

    def read(self, values: Mapping[str, Any]) -> Example:
        """Passage, question and answers; answers with a wrong offset are put right or left out."""
        example = read_pair(values, self.task)
        raw = _answers(read_label(values, self.task))
        answers = [found for found in (_place(*a, example["text"]) for a in raw) if found]
        if raw and not answers:
            text, start = raw[0]
            detail = f"{text[:60]!r} is said to begin at {start}"
            raise BadRow("answer not in passage", detail, fatal=False)
        if not answers and not self.task.unanswerable:
            raise BadRow("no answer", "set unanswerable: true to train on such", fatal=False)
        return example | {"label": answers}

    def training_rows(self, encoded: Encoded, tokenizer: Any) -> list[Feature]:
        """First and last token of the first answer; [CLS] where the window does not hold it."""
        rows = []
        for feature in encoded.features:
            answers = encoded.examples[feature.row]["label"]
            first, last = answer_tokens(feature, answers)
            rows.append(feature.inputs() | {"start_positions": first, "end_positions": last})
        return rows

    def gold(self, example: Example) -> Any:
        """The accepted answers; none for an unanswerable question."""
        return [answer["text"] for answer in example["label"]]

    def baselines(
        self, train: Sequence[Example], validation: Sequence[Example]
    ) -> Mapping[str, Baseline]:
        """The sentence most like the question."""
        return {"tfidf": NearestSentence(train)}


def _answers(raw: Any) -> list[tuple[str, int]]:
    """Text and start of each answer: SQuAD's own list of both, or Hugging Face's two lists.

    Raises:
        BadRow: it is neither.
    """
    try:
        if isinstance(raw, Mapping):
            pairs = list(zip(raw["text"], raw["answer_start"], strict=True))
        else:
            pairs = [(answer["text"], answer["answer_start"]) for answer in raw or ()]
        return [(str(text), int(start)) for text, start in pairs]
    except (KeyError, TypeError, ValueError):
        detail = f"{str(raw)[:60]!r} has no lists of text and answer_start"
        raise BadRow("unknown answers", detail) from None


def _place(text: str, start: int, passage: str) -> dict[str, Any] | None:
    """An answer with its true start; None when the passage does not hold it.

    An offset that is off is mended where the text stands only once.
    """
    if text and start >= 0 and passage[start : start + len(text)] == text:
        return {"text": text, "start": start}
    if text and passage.count(text) == 1:
        return {"text": text, "start": passage.index(text)}
    return None


def answer_tokens(feature: Features, answers: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """First and last token of the first answer within a window; (0, 0) when it is not all there."""
    if not answers:
        return 0, 0
    start = answers[0]["start"]
    end = start + len(answers[0]["text"])
    inside = [
        token
        for token, place in enumerate(feature.places)
        if place is not None and place[0] < end and place[1] > start
    ]
    whole = (
        inside and feature.places[inside[0]][0] <= start and feature.places[inside[-1]][1] >= end
    )
    return (inside[0], inside[-1]) if whole else (0, 0)


class NearestSentence:
    """The sentence of the passage that shares most with the question, by TF-IDF."""

    def __init__(self, train: Sequence[Example]) -> None:
        self._features = TfidfFeatures([{"text": example["text"]} for example in train])

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Whole sentences."""
        return [{"prediction": self._best(e), "probabilities": None} for e in examples]

    def _best(self, example: Example) -> str:
        sentences = split_sentences(example["text"]) or [example["text"]]
        question = self._features([{"text": example["text_b"]}])
        shared = (self._features([{"text": s} for s in sentences]) @ question.T).toarray()[:, 0]
        return re.sub(r"\s+", " ", sentences[int(shared.argmax())]).strip()
