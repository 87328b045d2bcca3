"""Scores as functions of sums over documents.

Each score says what a document contributes (a row of numbers) and what follows from the sum of
the rows. Then one matrix product resamples any of them thousands of times, and a paired
bootstrap of macro F1 costs as little as one of accuracy. The values are those of scikit-learn;
tests compare.

Key: n documents, K classes, S numbers a document contributes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertops.evaluation.answers import Answers

ECE_BINS = 15  # the usual number since Guo et al. 2017, "On calibration of modern neural networks"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A number between models and documents that can be resampled."""

    name: str
    contributions: Callable[[Answers], Floats]
    """Answers → [n, S]: what each document adds."""
    value: Callable[[Floats], Floats]
    """Sums [..., S] → the score [...]."""
    higher_is_better: bool = True

    def of(self, answers: Answers) -> float:
        """The score on all documents."""
        return float(self.value(self.contributions(answers).sum(axis=0)))


def _with_count(values: NDArray) -> Floats:
    """[n] values → [n, 2]: the value, and 1 for the document itself."""
    return np.stack([values.astype(float), np.ones(len(values))], axis=1)


def _mean(sums: Floats) -> Floats:
    return sums[..., 0] / sums[..., 1]


def _confusion_rows(answers: Answers) -> Floats:
    """One-hot of (gold, predicted), [n, K*K]."""
    classes = answers.probabilities.shape[1]
    return np.eye(classes * classes)[answers.gold * classes + answers.predicted]


def _confusion(sums: Floats) -> Floats:
    """[..., K*K] → [..., K, K]: gold by predicted."""
    classes = round(sums.shape[-1] ** 0.5)
    return sums.reshape(*sums.shape[:-1], classes, classes)


def _f1_by_class(sums: Floats) -> Floats:
    """F1 of each class, [..., K]; 0 where a class is neither gold nor predicted."""
    confusion = _confusion(sums)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    total = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    return 2 * hits / np.maximum(total, 1)


def _macro_f1(sums: Floats) -> Floats:
    """Mean of F1 over the classes that are gold or predicted anywhere, as scikit-learn has it."""
    confusion = _confusion(sums)
    present = (confusion.sum(axis=-1) + confusion.sum(axis=-2)) > 0
    return _f1_by_class(sums).sum(axis=-1) / present.sum(axis=-1)


def _mcc(sums: Floats) -> Floats:
    """Matthews correlation of K classes (Gorodkin 2004); 0 where it is undefined."""
    confusion = _confusion(sums)
    gold, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    n = gold.sum(axis=-1)
    hits = np.trace(confusion, axis1=-2, axis2=-1)
    spread = (n**2 - (gold**2).sum(-1)) * (n**2 - (predicted**2).sum(-1))
    agreement = hits * n - (gold * predicted).sum(-1)
    return np.where(spread > 0, agreement / np.sqrt(np.where(spread > 0, spread, 1)), 0.0)


def _log_loss_rows(answers: Answers) -> Floats:
    likelihood = answers.probabilities[np.arange(len(answers)), answers.gold]
    return _with_count(-np.log(np.maximum(likelihood, 1e-12)))


def _brier_rows(answers: Answers) -> Floats:
    one_hot = np.eye(answers.probabilities.shape[1])[answers.gold]
    return _with_count(((answers.probabilities - one_hot) ** 2).sum(axis=1))


def _ece_rows(answers: Answers) -> Floats:
    """Confidence less correctness of each document, in the column of its confidence bin."""
    confidence = answers.probabilities.max(axis=1)
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    gaps = np.zeros((len(answers), ECE_BINS + 1))
    gaps[np.arange(len(answers)), bins] = confidence - answers.correct
    gaps[:, -1] = 1
    return gaps


def _ece(sums: Floats) -> Floats:
    return np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1]


ACCURACY = Score("accuracy", lambda answers: _with_count(answers.correct), _mean)
F1_MACRO = Score("f1_macro", _confusion_rows, _macro_f1)
F1 = Score("f1", _confusion_rows, lambda sums: _f1_by_class(sums)[..., 1])
"""F1 of the last of two classes."""
MCC = Score("mcc", _confusion_rows, _mcc)
LOG_LOSS = Score("log_loss", _log_loss_rows, _mean, higher_is_better=False)
BRIER = Score("brier", _brier_rows, _mean, higher_is_better=False)
"""Squared distance to the one-hot truth summed over classes, 0 to 2 (Brier 1950)."""
ECE = Score("ece", _ece_rows, _ece, higher_is_better=False)
"""Expected calibration error, 0 to 1, with 15 bins of equal width."""

SCORES = {score.name: score for score in (ACCURACY, F1_MACRO, F1, MCC, LOG_LOSS, BRIER, ECE)}


def scores_for(labels: Sequence[str]) -> tuple[Score, ...]:
    """The scores that make sense for these classes; the first decides comparisons."""
    return tuple(s for s in SCORES.values() if s is not F1 or len(labels) == 2)
