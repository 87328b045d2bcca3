"""Where does a model fail? Slices of the test set, and whether chance can explain the gap.

Many slices are looked at together, so p-values are corrected by Holm's method: with all models
alike, one false alarm in twenty evaluations, however many slices there are.

Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
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
from bertops.finetuning.data import SLICE

Standing = Literal["worse", "no difference shown", "too small"]


@dataclass(frozen=True)
class Slice:
    """The score that decides, accuracy where there are classes, on a part of the test set."""

    column: str
    value: str
    documents: int
    accuracy: float
    low: float
    high: float
    """Bounds of the interval of `accuracy`: Wilson's, of other scores the bootstrap's."""
    other: float
    """The score on the rest of the test set, or of the other model on this slice."""
    p_value: float | None
    """Holm-corrected, one-sided for "worse"; None where the slice is too small."""
    standing: Standing
    score: str = "accuracy"


@dataclass(frozen=True)
class _Found:
    """A slice before it is judged."""

    column: str
    value: str
    documents: int
    accuracy: float
    low: float
    high: float
    other: float
    p_value: float
    """One-sided for "worse", of this slice alone."""


def slice_gaps(answers: Answers, slices: SliceParams, params: CompareParams) -> list[Slice]:
    """Each slice against the rest of the test set, one-sided exact Fisher test."""
    found = []
    for column, value, inside in cut(answers, slices):
        right, rest = answers.correct[inside], answers.correct[~inside]
        # The exact test is a draw without replacement: so many right ones among so few.
        drawn = (len(answers), int(answers.correct.sum()), len(right))
        p_value = float(hypergeom.cdf(right.sum(), *drawn))
        found.append(_of_right(column, value, right, float(rest.mean()), p_value, params))
    return _judge(found, "accuracy", slices, params)


def compare_slices(
    first: Answers, second: Answers, score: Score, slices: SliceParams, params: CompareParams
) -> list[Slice]:
    """Each slice under the first model against the same under the second.

    By the exact McNemar test where answers are right or wrong, else by the paired bootstrap of
    the score. Both must be answers about the same documents in the same order.
    """
    name = "accuracy" if first.classes else score.name
    found = []
    for column, value, inside in cut(first, slices):
        mine, theirs = first.where(inside), second.where(inside)
        if first.classes:
            worse = _mcnemar_worse(mine, theirs)
            rival = float(theirs.correct.mean())
            found.append(_of_right(column, value, mine.correct, rival, worse, params))
        else:
            found.append(_of_score(column, value, mine, theirs, score, params))
    return _judge(found, name, slices, params)


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
) -> _Found:
    """A slice in which `right` tells which answers are."""
    hits = int(right.sum())
    low, high = proportion_confint(hits, len(right), 1 - params.confidence, "wilson")
    mean = float(right.mean())
    return _Found(column, value, len(right), mean, float(low), float(high), other, p_value)


def _of_score(
    column: str, value: str, mine: Answers, theirs: Answers, score: Score, params: CompareParams
) -> _Found:
    """A slice by any score; p is the share of bootstrap rounds without a loss."""
    sides = np.concatenate([score.contributions(mine), score.contributions(theirs)], axis=1)
    sums = resampled_sums(sides, params.rounds, params.seed)
    ours, other = (score.value(half) for half in np.split(sums, 2, axis=1))
    low, high = interval(ours, params.confidence)
    gains = ours - other if score.higher_is_better else other - ours
    p_value = (1 + int((gains >= 0).sum())) / (1 + params.rounds)
    values = (score.of(mine), low, high, score.of(theirs), p_value)
    return _Found(column, value, len(mine), *values)


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


def _judge(
    found: Sequence[_Found], score: str, slices: SliceParams, params: CompareParams
) -> list[Slice]:
    tested = [one.p_value for one in found if one.documents >= slices.min_documents]
    corrected = iter(multipletests(tested, method="holm")[1] if tested else ())
    judged = []
    for one in found:
        p_value = float(next(corrected)) if one.documents >= slices.min_documents else None
        standing = _standing(p_value, 1 - params.confidence)
        values = asdict(one) | {"p_value": p_value}
        judged.append(Slice(**values, standing=standing, score=score))
    return judged


def _standing(p_value: float | None, alpha: float) -> Standing:
    if p_value is None:
        return "too small"
    return "worse" if p_value < alpha else "no difference shown"
