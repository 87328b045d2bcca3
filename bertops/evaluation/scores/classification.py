"""Scores of classification: from the confusion matrix, and from probabilities.

Key: n documents, K classes.
"""

from collections.abc import Callable

import numpy as np

from bertops.evaluation.answers import Answers
from bertops.evaluation.scores.base import Floats, Score, mean, with_count

ECE_BINS = 15  # the usual number since Guo et al. 2017, "On calibration of modern neural networks"


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


def _share_of(axis: int) -> Callable[[Floats], Floats]:
    """Hits of the last class as a share of its sum over an axis; 0 where it never occurs."""

    def value(sums: Floats) -> Floats:
        confusion = _confusion(sums)
        return confusion[..., -1, -1] / np.maximum(confusion.sum(axis=axis)[..., -1], 1)

    return value


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
    return with_count(-np.log(np.maximum(likelihood, 1e-12)))


def _brier_rows(answers: Answers) -> Floats:
    one_hot = np.eye(answers.probabilities.shape[1])[answers.gold]
    return with_count(((answers.probabilities - one_hot) ** 2).sum(axis=1))


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


ACCURACY = Score("accuracy", lambda answers: with_count(answers.correct), mean)
F1_MACRO = Score("f1_macro", _confusion_rows, _macro_f1)
F1 = Score("f1", _confusion_rows, lambda sums: _f1_by_class(sums)[..., 1])
"""F1 of the last of two classes."""
PRECISION = Score("precision", _confusion_rows, _share_of(-2))
RECALL = Score("recall", _confusion_rows, _share_of(-1))
MCC = Score("mcc", _confusion_rows, _mcc)
LOG_LOSS = Score("log_loss", _log_loss_rows, mean, higher_is_better=False)
BRIER = Score("brier", _brier_rows, mean, higher_is_better=False)
"""Squared distance to the one-hot truth summed over classes, 0 to 2 (Brier 1950)."""
ECE = Score("ece", _ece_rows, _ece, higher_is_better=False)
"""Expected calibration error, 0 to 1, with 15 bins of equal width."""

MANY_CLASSES = (ACCURACY, F1_MACRO, MCC, LOG_LOSS, BRIER, ECE)
TWO_CLASSES = (ACCURACY, F1_MACRO, F1, PRECISION, RECALL, MCC, LOG_LOSS, BRIER, ECE)
