"""Score: a number between models and documents that can be resampled."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertops.evaluation.answers import Answers

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """What a document adds, and what follows from the sum. n documents, S numbers of each."""

    name: str
    contributions: Callable[[Answers], Floats]
    """Answers → [n, S]: what each document adds."""
    value: Callable[[Floats], Floats]
    """Sums [..., S] → the score [...]."""
    higher_is_better: bool = True
    scale: float = 1
    """What a perfect score is; a hundredth of it is a point."""

    def of(self, answers: Answers) -> float:
        """The score on all documents."""
        return float(self.value(self.contributions(answers).sum(axis=0)))


def with_count(values: NDArray) -> Floats:
    """[n] values → [n, 2]: the value, and 1 for the document itself."""
    return np.stack([values.astype(float), np.ones(len(values))], axis=1)


def mean(sums: Floats) -> Floats:
    """The mean of what `with_count` laid out."""
    return sums[..., 0] / sums[..., 1]


def f1_of(hits: Floats, predicted: Floats, gold: Floats) -> Floats:
    """F1 from counts; 0 where nothing is gold and nothing predicted."""
    return 2 * hits / np.maximum(predicted + gold, 1)
