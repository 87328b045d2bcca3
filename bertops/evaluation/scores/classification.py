"""Scores of classification: from what is gold, predicted and hit, and from probabilities.

Key: n documents, K classes.
"""

import numpy as np

from bertops.evaluation.answers import Answers
from bertops.evaluation.scores.base import Floats, Score, mean, with_count

ECE_BINS = 15  # the usual number since Guo et al. 2017, "On calibration of modern neural networks"


def _counted_rows(answers: Answers) -> Floats:
    """One-hot of gold, of predicted, and of gold where it was hit, [n, 3K].

    Enough for all scores below, and 3K columns where a confusion matrix has K².
    """
    one_hot = np.eye(answers.probabilities.shape[1])
    gold, predicted = one_hot[answers.gold], one_hot[answers.predicted]
    return np.concatenate([gold, predicted, gold * predicted], axis=1)


def _counts(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Gold, predicted and hits of each class, each [..., K]."""
    gold, predicted, hits = np.split(sums, 3, axis=-1)
    return gold, predicted, hits


def _f1_by_class(sums: Floats) -> Floats:
    """F1 of each class, [..., K]; 0 where a class is neither gold nor predicted."""
    gold, predicted, hits = _counts(sums)
    return 2 * hits / np.maximum(gold + predicted, 1)


def _precision(sums: Floats) -> Floats:
    """Hits of the last class as a share of what was called so; 0 where nothing was."""
    _, predicted, hits = _counts(sums)
    return hits[..., -1] / np.maximum(predicted[..., -1], 1)


def _recall(sums: Floats) -> Floats:
    """Hits of the last class as a share of what is so; 0 where nothing is."""
    gold, _, hits = _counts(sums)
    return hits[..., -1] / np.maximum(gold[..., -1], 1)


def _macro_f1(sums: Floats) -> Floats:
    """Mean of F1 over the classes that are gold or predicted anywhere, as scikit-learn has it."""
    gold, predicted, _ = _counts(sums)
    return _f1_by_class(sums).sum(axis=-1) / (gold + predicted > 0).sum(axis=-1)


def _mcc(sums: Floats) -> Floats:
    """Matthews correlation of K classes (Gorodkin 2004); 0 where it is undefined."""
    gold, predicted, hits = _counts(sums)
    n = gold.sum(axis=-1)
    spread = (n**2 - (gold**2).sum(-1)) * (n**2 - (predicted**2).sum(-1))
    agreement = hits.sum(axis=-1) * n - (gold * predicted).sum(-1)
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
F1_MACRO = Score("f1_macro", _counted_rows, _macro_f1)
F1 = Score("f1", _counted_rows, lambda sums: _f1_by_class(sums)[..., 1])
"""F1 of the last of two classes."""
PRECISION = Score("precision", _counted_rows, _precision)
RECALL = Score("recall", _counted_rows, _recall)
MCC = Score("mcc", _counted_rows, _mcc)
LOG_LOSS = Score("log_loss", _log_loss_rows, mean, higher_is_better=False)
BRIER = Score("brier", _brier_rows, mean, higher_is_better=False)
"""Squared distance to the one-hot truth summed over classes, 0 to 2 (Brier 1950)."""
ECE = Score("ece", _ece_rows, _ece, higher_is_better=False)
"""Expected calibration error, 0 to 1, with 15 bins of equal width."""

MANY_CLASSES = (ACCURACY, F1_MACRO, MCC, LOG_LOSS, BRIER, ECE)
TWO_CLASSES = (ACCURACY, F1_MACRO, F1, PRECISION, RECALL, MCC, LOG_LOSS, BRIER, ECE)
