"""Evaluate one task from its cached predictions: values, intervals, comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertops.evaluation.answers import Answers, PredictionTable
from bertops.evaluation.bootstrap import interval, resampled_sums
from bertops.evaluation.compare import Comparison, compare, explain
from bertops.evaluation.params import CompareParams, EvaluationParams
from bertops.evaluation.scores import SCORES, Score, scores_for

CANDIDATE = "pretrained"
CLAIMS = {
    "control": "pretraining pays",
    "tfidf": "beats TF-IDF + logistic regression",
    "majority": "beats the majority class",
}
"""What a verdict of "better" than each baseline means."""


@dataclass(frozen=True)
class TaskInput:
    """Where the results of one task lie, and what fine-tuning decided."""

    name: str
    predictions: Path
    data: Path
    """The splits that were predicted on."""
    labels: tuple[str, ...]
    metric: str
    """The score that decides comparisons."""
    seed: int
    """The seed that ships; validation chose it, never the test set."""


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


@dataclass(frozen=True)
class TaskResult:
    """What was found about one task."""

    labels: tuple[str, ...]
    metric: str
    seed: int
    measured: tuple[Measured, ...]
    comparisons: dict[str, tuple[Comparison, ...]]
    """By split: the shipped model's architecture and training against each baseline."""
    findings: dict[str, str]
    """By baseline: the comparison on the test set as a sentence."""
    confusion: dict[str, list[list[int]]]
    """By split: gold by predicted, of the shipped seed."""

    def value(self, model: str, split: str, score: str) -> Measured:
        """One measurement.

        Raises:
            KeyError: it was not made.
        """
        for measured in self.measured:
            if (measured.model, measured.split, measured.score) == (model, split, score):
                return measured
        raise KeyError((model, split, score))

    def metrics(self) -> dict[str, Any]:
        """The numbers one watches, flat."""
        values: dict[str, Any] = {}
        for m in self.measured:
            if m.model == CANDIDATE and m.split != "validation":
                prefix = "" if m.split == "test" else f"{m.split}_"
                values[f"{prefix}{m.score}"] = m.value
                if m.score == self.metric:
                    values |= {f"{prefix}{m.score}_low": m.low, f"{prefix}{m.score}_high": m.high}
        for comparison in self.comparisons["test"]:
            values[f"{self.metric}_over_{comparison.second}"] = comparison.difference
        return values

    def confusion_rows(self) -> list[dict[str, str]]:
        """One row for each test document: `gold` and `predicted`, as `dvc plots` wants them."""
        return [
            {"gold": gold, "predicted": predicted}
            for gold, counts in zip(self.labels, self.confusion["test"], strict=True)
            for predicted, count in zip(self.labels, counts, strict=True)
            for _ in range(count)
        ]

    def seed_rows(self) -> list[dict[str, Any]]:
        """The deciding score on the test set by model and seed."""
        chosen = [m for m in self.measured if m.split == "test" and m.score == self.metric]
        return [
            {"model": m.model, "seed": seed, self.metric: round(value, 5)}
            for m in chosen
            for seed, value in m.by_seed.items()
        ]


def evaluate_task(task: TaskInput, params: EvaluationParams) -> TaskResult:
    """Score every model on every split, and compare the candidate with each baseline.

    Raises:
        PredictionsBroken: the shards do not hold what they should.
        NotTheSameDocuments: models were predicted on different documents.
    """
    table = PredictionTable.read(task.predictions, task.data, task.labels)
    slices = [split for split in table.splits if split not in ("validation", "test")]
    score = SCORES[task.metric]
    measured = []
    comparisons = {}
    confusion = {}
    for split in ("test", *slices):
        answers = {
            model: _shipped_first(table.of_all_seeds(model, split), score, task.seed)
            for model in table.models
        }
        measured += measure(list(answers.values()), scores_for(task.labels), params.compare)
        comparisons[split] = tuple(
            compare(answers[CANDIDATE], answers[other], score, params.compare)
            for other in CLAIMS
            if other in answers
        )
        confusion[split] = confusion_matrix(answers[CANDIDATE][0]).tolist()
    findings = {c.second: explain(c, what=CLAIMS[c.second]) for c in comparisons["test"]}
    return TaskResult(
        task.labels,
        task.metric,
        task.seed,
        tuple(measured),
        comparisons,
        findings,
        confusion,
    )


def _shipped_first(answers: list[Answers], score: Score, shipped: int) -> list[Answers]:
    """The seed that stands for a model in front: the shipped one; for others the median one."""
    if answers[0].model == CANDIDATE:
        return sorted(answers, key=lambda a: a.seed != shipped)
    values = [score.of(a) for a in answers]
    median = sorted(values)[(len(values) - 1) // 2]
    first = values.index(median)
    return [answers[first], *answers[:first], *answers[first + 1 :]]


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


def confusion_matrix(answers: Answers) -> np.ndarray:
    """[K, K] counts, gold by predicted."""
    classes = answers.probabilities.shape[1]
    flat = answers.gold * classes + answers.predicted
    return np.bincount(flat, minlength=classes**2).reshape(classes, classes)
