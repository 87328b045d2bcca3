"""Documents on which two models differ: where a number becomes something to read."""

from dataclasses import dataclass

import numpy as np

from bertops.evaluation.answers import Answers

EXCERPT = 280  # characters: enough to judge most reviews by


@dataclass(frozen=True)
class Flip:
    """A document that one model gets right and the other wrong."""

    document_id: str
    excerpt: str
    gold: str
    wrong: str
    """What the model that errs says."""
    confidence: float
    """How sure that model is."""


@dataclass(frozen=True)
class Flips:
    """Examples in both directions; those where the erring model is surest."""

    against: str
    gained: tuple[Flip, ...]
    """The first model is right, the second wrong."""
    lost: tuple[Flip, ...]


def find_flips(first: Answers, second: Answers, labels: tuple[str, ...], limit: int = 3) -> Flips:
    """Documents flipped both ways. Both must be answers about the same documents in order."""
    return Flips(
        second.model,
        _surest(first, second, labels, limit),
        _surest(second, first, labels, limit),
    )


def _surest(
    right: Answers, wrong: Answers, labels: tuple[str, ...], limit: int
) -> tuple[Flip, ...]:
    confidence = wrong.probabilities.max(axis=1)
    places = np.flatnonzero(right.correct & ~wrong.correct)
    order = sorted(places.tolist(), key=lambda i: (-confidence[i], wrong.ids[i]))
    texts = wrong.columns.get("text")
    return tuple(
        Flip(
            str(wrong.ids[i]),
            _excerpt(str(texts[i])) if texts is not None else "",
            labels[int(wrong.gold[i])],
            labels[int(wrong.predicted[i])],
            round(float(confidence[i]), 3),
        )
        for i in order[:limit]
    )


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1].rstrip() + "…"
