"""Scores of numbers: correlations and squared error."""

import numpy as np
from scipy.stats import rankdata

from bertops.evaluation.answers import Answers
from bertops.evaluation.scores.base import Floats, Score, mean, with_count


def _moments(x: Floats, y: Floats) -> Floats:
    """[n, 6]: what a correlation is made of. Centred first, so that no digits are lost."""
    x, y = x - x.mean(), y - y.mean()
    return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)


def _correlation(sums: Floats) -> Floats:
    """Pearson's correlation; 0 where a side is constant."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = np.maximum(n * xx - x * x, 0) * np.maximum(n * yy - y * y, 0)
    safe = np.where(spread > 1e-12, spread, 1)
    return np.where(spread > 1e-12, (n * xy - x * y) / np.sqrt(safe), 0.0)


def _value_rows(answers: Answers) -> Floats:
    return _moments(answers.gold.astype(float), answers.predicted.astype(float))


def _rank_rows(answers: Answers) -> Floats:
    """Ranks are those among all documents; a resample would rank a little differently."""
    return _moments(rankdata(answers.gold), rankdata(answers.predicted))


def _error_rows(answers: Answers) -> Floats:
    return with_count(-((answers.gold.astype(float) - answers.predicted.astype(float)) ** 2))


PEARSON = Score("pearson", _value_rows, _correlation)
SPEARMAN = Score("spearman", _rank_rows, _correlation)
NEGATIVE_MSE = Score("negative_mse", _error_rows, mean)
NUMBERS = (PEARSON, SPEARMAN, NEGATIVE_MSE)
