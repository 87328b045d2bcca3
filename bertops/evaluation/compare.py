"""Is A better than B? The same documents, the interval of the difference, and an honest verdict.

Pure: answers in, comparison out. Both sides are scored on the same documents, never by numbers
stored elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from bertops.errors import BertopsError
from bertops.evaluation.answers import Answers
from bertops.evaluation.bootstrap import interval, resampled_sums
from bertops.evaluation.params import CompareParams
from bertops.evaluation.scores.base import Score

Verdict = Literal["better", "worse", "not worse", "inconclusive"]


class NotTheSameDocuments(BertopsError):
    """Two models were scored on different documents, or against different labels."""

    def __init__(self, first: Answers, second: Answers) -> None:
        self.first, self.second = first, second
        super().__init__(
            f"{first.model} ({len(first)} documents of split {first.split}) and {second.model} "
            f"({len(second)} of {second.split}) were not scored on the same documents and labels. "
            "Predict both on today's test set, then compare."
        )


@dataclass(frozen=True)
class McNemar:
    """Exact McNemar test of two classifiers on the same documents (McNemar 1947)."""

    only_first_right: int
    only_second_right: int
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """A against B in one score. Differences are A - B, turned so that above 0 A is better."""

    first: str
    second: str
    score: str
    documents: int
    first_value: float
    second_value: float
    """Values are means over the seeds of each side."""
    difference: float
    low: float
    high: float
    """Bounds of the interval of the difference, over documents and seeds."""
    detectable: float
    """Minimum detectable effect: a smaller true difference is likelier missed than allowed."""
    verdict: Verdict
    mcnemar: McNemar | None
    """Of the first seed given on each side; only where answers are right or wrong."""
    scale: float = 1
    """A hundredth of it is a point."""
    seeds: tuple[int, int] = (1, 1)
    """How many seeds each value is the mean of."""


def compare(
    first: Sequence[Answers], second: Sequence[Answers], score: Score, params: CompareParams
) -> Comparison:
    """Compare two models by one score, each with one or more seeds.

    Each bootstrap round draws documents (the same for both sides and all seeds) and, on each
    side, seeds: so the interval covers other documents of this kind and other seeds. Deterministic
    for the same answers and params.

    Args:
        first, second: answers of each seed; the seed that ships stands first.

    Raises:
        NotTheSameDocuments: ids or gold labels differ.
    """
    for other in (*first[1:], *second):
        if not (np.array_equal(first[0].ids, other.ids) and _same_gold(first[0], other)):
            raise NotTheSameDocuments(first[0], other)
    sign = 1 if score.higher_is_better else -1
    values = [np.mean([score.of(answers) for answers in side]) for side in (first, second)]
    differences = sign * _resampled_differences(first, second, score, params)
    low, high = interval(differences, params.confidence)
    difference = sign * float(values[0] - values[1])
    detectable = minimum_detectable_effect(float(differences.std()), params)
    return Comparison(
        first=first[0].model,
        second=second[0].model,
        score=score.name,
        documents=len(first[0]),
        first_value=float(values[0]),
        second_value=float(values[1]),
        difference=difference,
        low=low,
        high=high,
        detectable=detectable,
        verdict=judge(difference, low, high, detectable, params, score.scale),
        mcnemar=mcnemar(first[0], second[0]) if first[0].classes else None,
        scale=score.scale,
        seeds=(len(first), len(second)),
    )


def _same_gold(a: Answers, b: Answers) -> bool:
    return bool(np.array_equal(a.gold, b.gold))


def _resampled_differences(
    first: Sequence[Answers], second: Sequence[Answers], score: Score, params: CompareParams
) -> NDArray[np.float64]:
    """[rounds] differences of the mean over drawn seeds, on drawn documents."""
    sides = [score.contributions(answers) for answers in (*first, *second)]
    width = sides[0].shape[1]
    sums = resampled_sums(np.concatenate(sides, axis=1), params.rounds, params.seed)
    values = score.value(sums.reshape(params.rounds, len(sides), width))
    generator = np.random.default_rng([params.seed, 1])
    means = []
    for side in (values[:, : len(first)], values[:, len(first) :]):
        drawn = generator.integers(0, side.shape[1], size=side.shape)
        means.append(np.take_along_axis(side, drawn, axis=1).mean(axis=1))
    return means[0] - means[1]


def minimum_detectable_effect(standard_error: float, params: CompareParams) -> float:
    """The true difference that a comparison with this standard error finds with `params.power`."""
    return float(norm.ppf((1 + params.confidence) / 2) + norm.ppf(params.power)) * standard_error


def judge(
    difference: float,
    low: float,
    high: float,
    detectable: float,
    params: CompareParams,
    scale: float = 1,
) -> Verdict:
    """What may be said of a difference; `scale` is what a perfect score would be.

    A comparison is underpowered for a difference that is smaller than the smallest effect it can
    find, where that effect is larger than `params.detectable`. Such a win is likelier luck, and too
    large where it is true (Gelman and Carlin 2014, "type M error"), so it is inconclusive, never
    better. A loss is called by its name whatever the power.
    """
    if high < 0:
        return "worse"
    underpowered = detectable > params.detectable * scale and difference < detectable
    if underpowered:
        return "inconclusive"
    if low > 0:
        return "better"
    return "not worse" if low > -params.margin * scale else "inconclusive"


def mcnemar(first: Answers, second: Answers) -> McNemar:
    """Exact two-sided McNemar test on the documents where one is right and the other wrong."""
    only_first = int((first.correct & ~second.correct).sum())
    only_second = int((second.correct & ~first.correct).sum())
    discordant = only_first + only_second
    p_value = binomtest(only_first, discordant).pvalue if discordant else 1.0
    return McNemar(only_first, only_second, float(p_value))


def explain(comparison: Comparison, what: str, otherwise: str) -> str:
    """The comparison as a sentence: "pretraining pays: +1.8 points [0.4, 3.1]; smallest effect …".

    Args:
        what: the claim that a verdict of "better" confirms.
        otherwise: what "worse" shows instead.
    """
    c = comparison
    difference, low, high, detectable = (
        100 * x / c.scale for x in (c.difference, c.low, c.high, c.detectable)
    )
    said = {
        "better": f"{what}: ",
        "worse": f"{otherwise}: ",
        "not worse": f"not '{what}', but no loss: ",
        "inconclusive": f"not yet '{what}': inconclusive, ",
    }[c.verdict]
    return (
        f"{said}{difference:+.1f} points [{low:.1f}, {high:.1f}]; "
        f"smallest effect this test can find: {detectable:.1f} points"
    )
