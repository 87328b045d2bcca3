"""Where does a model fail? Slices of the test set, and whether chance can explain the gap.

Many slices are looked at together, so p-values are corrected by Holm's method: with all models
alike, one false alarm in twenty evaluations, however many slices there are.

Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, hypergeom
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from bertops.evaluation.answers import Answers
from bertops.evaluation.compare import mcnemar
from bertops.evaluation.params import CompareParams, SliceParams

Standing = Literal["worse", "no difference shown", "too small"]


@dataclass(frozen=True)
class Slice:
    """Accuracy on a part of the test set, against something."""

    column: str
    value: str
    documents: int
    accuracy: float
    low: float
    high: float
    """Bounds of the Wilson interval of `accuracy`."""
    other: float
    """Accuracy on the rest of the test set, or of the other model on this slice."""
    p_value: float | None
    """Holm-corrected, one-sided for "worse"; None where the slice is too small."""
    standing: Standing


def slice_gaps(answers: Answers, slices: SliceParams, params: CompareParams) -> list[Slice]:
    """Each slice against the rest of the test set, one-sided exact Fisher test."""
    found, p_values = [], []
    for column, value, inside in cut(answers, slices):
        right, rest = answers.correct[inside], answers.correct[~inside]
        # The exact test is a draw without replacement: so many right ones among so few.
        drawn = (len(answers), int(answers.correct.sum()), len(right))
        p_values.append(float(hypergeom.cdf(right.sum(), *drawn)))
        found.append((column, value, right, float(rest.mean())))
    return _judge(found, p_values, slices, params)


def compare_slices(
    first: Answers, second: Answers, slices: SliceParams, params: CompareParams
) -> list[Slice]:
    """Each slice under the first model against the same under the second, exact McNemar test.

    Both must be answers about the same documents in the same order.
    """
    found, p_values = [], []
    for column, value, inside in cut(first, slices):
        mine, theirs = first.where(inside), second.where(inside)
        test = mcnemar(mine, theirs)
        discordant = test.only_first_right + test.only_second_right
        worse = (
            binomtest(test.only_first_right, discordant, alternative="less").pvalue
            if discordant
            else 1.0
        )
        p_values.append(float(worse))
        found.append((column, value, mine.correct, float(theirs.correct.mean())))
    return _judge(found, p_values, slices, params)


def cut(answers: Answers, params: SliceParams) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Column, value and members of every slice; none that holds all documents or no document."""
    for column in params.columns:
        values = answers.columns.get(column)
        if values is None:
            continue
        names = np.array(["" if v is None else str(v) for v in values])
        for name in np.unique(names):
            if 0 < (names == name).sum() < len(names):
                yield column, name or "(none)", names == name
    for low, high in zip((0, *params.lengths), (*params.lengths, None), strict=True):
        characters = answers.columns.get("length")
        if characters is None:
            return
        inside = (characters >= low) & (characters < (high or np.inf))
        if 0 < inside.sum() < len(inside):
            name = f"{low:,} characters or more" if high is None else f"{low:,} to {high - 1:,}"
            yield "length", name if low else f"under {high:,} characters", inside


def _judge(
    found: list[tuple[str, str, NDArray[np.bool_], float]],
    p_values: list[float],
    slices: SliceParams,
    params: CompareParams,
) -> list[Slice]:
    enough = [len(right) >= slices.min_documents for _, _, right, _ in found]
    tested = [p for p, ok in zip(p_values, enough, strict=True) if ok]
    corrected = iter(multipletests(tested, method="holm")[1] if tested else ())
    judged = []
    for (column, value, right, other), ok in zip(found, enough, strict=True):
        p_value = float(next(corrected)) if ok else None
        low, high = proportion_confint(
            int(right.sum()), len(right), 1 - params.confidence, "wilson"
        )
        judged.append(
            Slice(
                column, value, len(right), float(right.mean()), float(low), float(high), other,
                p_value, _standing(p_value, 1 - params.confidence),
            )
        )  # fmt: skip
    return judged


def _standing(p_value: float | None, alpha: float) -> Standing:
    if p_value is None:
        return "too small"
    return "worse" if p_value < alpha else "no difference shown"
