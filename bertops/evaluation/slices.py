"""Where does a model fail? Slices of the test set, and whether chance can explain the gap.

Many slices are looked at together, so p-values are corrected by Holm's method: with all models
alike, one false alarm in twenty evaluations, however many slices there are.

Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, hypergeom
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from bertops.evaluation.answers import Answers
from bertops.evaluation.bootstrap import interval, resampled_sums
from bertops.evaluation.compare import mcnemar
from bertops.evaluation.params import CompareParams, SliceParams
from bertops.evaluation.scores.base import Score
from bertops.evaluation.scores.classification import ACCURACY
from bertops.finetuning.data import SLICE

Standing = Literal["worse", "no difference shown", "too small"]


@dataclass(frozen=True)
class Slice:
    """How a model does on a part of the test set."""

    column: str
    value: str
    documents: int
    score: str
    """Name of what is measured: accuracy where there are classes, else the score that decides."""
    measured: float
    low: float
    high: float
    """Bounds of its interval: Wilson's for accuracy, the bootstrap's for other scores."""
    other: float
    """The score on the rest of the test set, or of the other model on this slice."""
    p_value: float | None = None
    """Holm-corrected, one-sided for "worse"; None where the slice is too small."""
    standing: Standing = "too small"


Tested = tuple[Slice, float]
"""A slice that is not judged yet, with its own p-value, one-sided for "worse"."""


def slice_gaps(answers: Answers, slices: SliceParams, params: CompareParams) -> list[Slice]:
    """Each slice against the rest of the test set, one-sided exact Fisher test."""
    found = []
    for column, value, inside in cut(answers, slices):
        right, rest = answers.correct[inside], answers.correct[~inside]
        # The exact test is a draw without replacement: so many right ones among so few.
        drawn = (len(answers), int(answers.correct.sum()), len(right))
        p_value = float(hypergeom.cdf(right.sum(), *drawn))
        found.append(_of_right(column, value, right, float(rest.mean()), p_value, params))
    return _judge(found, slices, params)


def compare_slices(
    first: Answers, second: Answers, score: Score, slices: SliceParams, params: CompareParams
) -> list[Slice]:
    """Each slice under the first model against the same under the second.

    By the exact McNemar test where answers are right or wrong, else by the paired bootstrap of
    the score. Both must be answers about the same documents in the same order.
    """
    found = []
    for column, value, inside in cut(first, slices):
        mine, theirs = first.where(inside), second.where(inside)
        if first.classes:
            worse = _mcnemar_worse(mine, theirs)
            rival = float(theirs.correct.mean())
            found.append(_of_right(column, value, mine.correct, rival, worse, params))
        else:
            found.append(_of_score(column, value, mine, theirs, score, params))
    return _judge(found, slices, params)


def _mcnemar_worse(mine: Answers, theirs: Answers) -> float:
    test = mcnemar(mine, theirs)
    discordant = test.only_first_right + test.only_second_right
    if not discordant:
        return 1.0
    return float(binomtest(test.only_first_right, discordant, alternative="less").pvalue)


def _of_right(
    column: str,
    value: str,
    right: NDArray[np.bool_],
    other: float,
    p_value: float,
    params: CompareParams,
) -> Tested:
    """A slice by accuracy; `right` tells which answers are."""
    hits = int(right.sum())
    low, high = proportion_confint(hits, len(right), 1 - params.confidence, "wilson")
    values = (float(right.mean()), float(low), float(high), other)
    return Slice(column, value, len(right), ACCURACY.name, *values), p_value


def _of_score(
    column: str, value: str, mine: Answers, theirs: Answers, score: Score, params: CompareParams
) -> Tested:
    """A slice by any score; p is the share of bootstrap rounds without a loss."""
    sides = np.concatenate([score.contributions(mine), score.contributions(theirs)], axis=1)
    sums = resampled_sums(sides, params.rounds, params.seed)
    ours, other = (score.value(half) for half in np.split(sums, 2, axis=1))
    low, high = interval(ours, params.confidence)
    gains = ours - other if score.higher_is_better else other - ours
    p_value = (1 + int((gains >= 0).sum())) / (1 + params.rounds)
    values = (score.of(mine), low, high, score.of(theirs))
    return Slice(column, value, len(mine), score.name, *values), p_value


def cut(answers: Answers, params: SliceParams) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Column, value and members of every slice; none that holds all documents or no document."""
    for column, values in answers.columns.items():
        if not column.startswith(SLICE):
            continue
        names = np.array(["" if v is None else str(v) for v in values])
        for name in np.unique(names):
            if 0 < (names == name).sum() < len(names):
                yield column.removeprefix(SLICE), name or "(none)", names == name
    for low, high in zip((0, *params.lengths), (*params.lengths, None), strict=True):
        characters = answers.columns.get("length")
        if characters is None:
            return
        inside = (characters >= low) & (characters < (high or np.inf))
        if 0 < inside.sum() < len(inside):
            name = f"{low:,} characters or more" if high is None else f"{low:,} to {high - 1:,}"
            yield "length", name if low else f"under {high:,} characters", inside


def _judge(found: Sequence[Tested], slices: SliceParams, params: CompareParams) -> list[Slice]:
    """The slices in their order; those that are too small stay as they are."""
    large = [p_value for one, p_value in found if one.documents >= slices.min_documents]
    corrected = iter(multipletests(large, method="holm")[1] if large else ())
    judged = []
    for one, _ in found:
        if one.documents >= slices.min_documents:
            p_value = float(next(corrected))
            worse = p_value < 1 - params.confidence
            one = replace(
                one, p_value=p_value, standing="worse" if worse else "no difference shown"
            )
        judged.append(one)
    return judged
