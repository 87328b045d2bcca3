"""Scores of models on one set of documents, each with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertops.evaluation.answers import Answers
from bertops.evaluation.bootstrap import interval, resampled_sums
from bertops.evaluation.params import CompareParams
from bertops.evaluation.scores.base import Score


@dataclass(frozen=True)
class Measured:
    """One score of one model on one split."""

    model: str
    split: str
    score: str
    documents: int
    value: float
    """Of the seed that stands for the model: the shipped one, or the median one."""
    low: float
    high: float
    """Bounds of the bootstrap interval of `value` over documents."""
    seed: int
    by_seed: dict[int, float]
    median: float


def measure(
    models: Sequence[Sequence[Answers]], scores: Sequence[Score], params: CompareParams
) -> list[Measured]:
    """Every score of every model with its interval, all on the same documents.

    Args:
        models: answers of each seed of each model; the first seed stands for the model.
    """
    wanted = [(seeds, score) for seeds in models for score in scores]
    parts = [score.contributions(seeds[0]) for seeds, score in wanted]
    # All at once: drawing documents costs more than summing over them.
    sums = resampled_sums(np.concatenate(parts, axis=1), params.rounds, params.seed)
    bounds = np.cumsum([part.shape[1] for part in parts])[:-1]
    drawn = zip(wanted, np.split(sums, bounds, axis=1), strict=True)
    return [
        _measured(seeds, score, interval(score.value(sums_of_one), params.confidence))
        for (seeds, score), sums_of_one in drawn
    ]


def _measured(seeds: Sequence[Answers], score: Score, bounds: tuple[float, float]) -> Measured:
    by_seed = {a.seed: score.of(a) for a in sorted(seeds, key=lambda a: a.seed)}
    return Measured(
        model=seeds[0].model,
        split=seeds[0].split,
        score=score.name,
        documents=len(seeds[0]),
        value=score.of(seeds[0]),
        low=bounds[0],
        high=bounds[1],
        seed=seeds[0].seed,
        by_seed=by_seed,
        median=float(np.median(list(by_seed.values()))),
    )


def representative_first(answers: Sequence[Answers], score: Score, shipped: int) -> list[Answers]:
    """The seed that stands for a model in front: the shipped one where it is, else the median.

    The lower median, so that it is one of the seeds; of equals the first.
    """
    seeds = [a.seed for a in answers]
    values = [score.of(a) for a in answers]
    median = values.index(sorted(values)[(len(values) - 1) // 2])
    first = seeds.index(shipped) if shipped in seeds else median
    return [answers[first], *answers[:first], *answers[first + 1 :]]


def confusion_matrix(answers: Answers) -> NDArray[np.int64]:
    """[K, K] counts, gold by predicted."""
    classes = answers.probabilities.shape[1]
    flat = answers.gold * classes + answers.predicted
    return np.bincount(flat, minlength=classes**2).reshape(classes, classes)
