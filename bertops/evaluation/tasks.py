"""Evaluate one task from its cached predictions: values, intervals, comparisons, weak spots."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertops.evaluation.answers import Answers, PredictionTable
from bertops.evaluation.behaviour import CaseResult, find_file, read_cases, try_cases
from bertops.evaluation.bias import GroupGap, group_gaps
from bertops.evaluation.calibration import Calibration, calibrate
from bertops.evaluation.compare import Comparison, compare, explain
from bertops.evaluation.contamination import Contamination, Overlap
from bertops.evaluation.flips import Flips, find_flips
from bertops.evaluation.measure import Measured, confusion_matrix, measure, representative_first
from bertops.evaluation.params import EvaluationParams
from bertops.evaluation.scores.base import Score
from bertops.evaluation.scores.table import score_named, scores_for
from bertops.evaluation.slices import Slice, slice_gaps

CANDIDATE = "pretrained"
"""Among the models that were predicted with, the one that ships."""
NO_SEED = -1
"""The seed that ships, of models that do not."""
CLAIMS = {
    "control": ("pretraining pays", "pretraining does not pay"),
    "tfidf": ("beats TF-IDF + linear model", "does not reach TF-IDF + linear model"),
    "majority": ("beats the majority class", "does not reach the majority class"),
}
"""By baseline, what the verdicts "better" and "worse" than it mean."""

FLOORS = ("majority", "mean", "frequent_tag", "copy", "lead", "tfidf")
"""Baselines that know the least, by the kind of task; the first that was predicted counts."""


def floor_model(models: Sequence[str]) -> str | None:
    """The baseline that knows the least; None where there is none."""
    return next((name for name in FLOORS if name in models), None)


def claims(baseline: str) -> tuple[str, str]:
    """What the verdicts "better" and "worse" than a baseline mean."""
    name = baseline.replace("_", " ")
    return CLAIMS.get(baseline, (f"beats {name}", f"does not reach {name}"))


@dataclass(frozen=True)
class TaskInput:
    """Where the results of one task lie, and what fine-tuning decided."""

    name: str
    kind: str
    """classification, regression, tagging, ..."""
    predictions: Path
    data: Path
    """The splits that were predicted on."""
    labels: tuple[str, ...]
    metric: str
    """The score that decides comparisons."""
    seed: int
    """The seed that ships; validation chose it, never the test set."""
    failed_runs: int = 0
    """Runs of fine-tuning that gave no model."""
    model: Path | None = None
    """The shipped model, in Hugging Face form; None: behaviour is not tried."""


@dataclass(frozen=True)
class CleanScore:
    """The deciding score on all test documents, and on those that the corpus does not touch."""

    documents: int
    overlapping: int
    leaked: int
    value: float
    clean_value: float | None
    """None where no document is clean."""
    examples: tuple[Overlap, ...]


@dataclass(frozen=True)
class TaskResult:
    """What was found about one task."""

    kind: str
    labels: tuple[str, ...]
    metric: str
    seed: int
    failed_runs: int
    measured: tuple[Measured, ...]
    comparisons: dict[str, tuple[Comparison, ...]]
    """By split: the shipped model's architecture and training against each baseline."""
    findings: dict[str, str]
    """By baseline: the comparison on the test set as a sentence."""
    confusion: dict[str, list[list[int]]]
    """By split: gold by predicted, of the shipped seed."""
    slices: tuple[Slice, ...]
    """Of the test set."""
    calibration: Calibration | None
    """None without predictions on a validation split."""
    contamination: dict[str, CleanScore]
    """By split."""
    bias: tuple[GroupGap, ...]
    behaviour: tuple[CaseResult, ...]
    flips: tuple[Flips, ...]
    """Examples from the test set, against each baseline."""

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
            if m.model == CANDIDATE:
                prefix = "" if m.split == "test" else f"{m.split}_"
                values[f"{prefix}{m.score}"] = m.value
                if m.score == self.metric:
                    values |= {f"{prefix}{m.score}_low": m.low, f"{prefix}{m.score}_high": m.high}
        for comparison in self.comparisons["test"]:
            values[f"{self.metric}_over_{comparison.second}"] = comparison.difference
        values["leaked"] = sum(found.leaked for found in self.contamination.values())
        return values

    def confusion_rows(self) -> list[dict[str, str]]:
        """One row for each test document: `gold` and `predicted`, as `dvc plots` wants them."""
        return [
            {"gold": gold, "predicted": predicted}
            for gold, counts in zip(self.labels, self.confusion.get("test", ()), strict=False)
            for predicted, count in zip(self.labels, counts, strict=True)
            for _ in range(count)
        ]

    def seed_rows(self) -> list[dict[str, Any]]:
        """The deciding score on the test set by model and seed; `which` names both."""
        chosen = [m for m in self.measured if m.split == "test" and m.score == self.metric]
        return [
            {
                "which": f"{m.model} {seed}" if seed else m.model,
                "model": m.model,
                "seed": seed,
                "score": round(value, 5),
            }
            for m in chosen
            for seed, value in m.by_seed.items()
        ]

    def calibration_rows(self) -> list[dict[str, float]]:
        """The bins of the reliability diagram."""
        bins = self.calibration.bins if self.calibration else ()
        return [
            {"confidence": round(b.confidence, 5), "accuracy": round(b.accuracy, 5)} for b in bins
        ]


def evaluate_task(
    task: TaskInput, contamination: Mapping[str, Contamination], params: EvaluationParams
) -> TaskResult:
    """Score every model on every split, and compare the candidate with each baseline.

    Args:
        contamination: by split, what its documents share with the pretraining corpus.

    Raises:
        PredictionsBroken: the shards do not hold what they should.
        NotTheSameDocuments: models were predicted on different documents.
    """
    table = PredictionTable.read(
        task.predictions, task.data, task.labels, task.kind == "classification"
    )
    scores = scores_for(task.kind, table.answers(CANDIDATE, task.seed, "test"))
    score = score_named(task.metric, scores)
    splits = ["test", *(split for split in table.splits if split not in ("validation", "test"))]
    answers = {split: _answers(table, split, score, task.seed) for split in splits}
    shipped = {split: models[CANDIDATE][0] for split, models in answers.items()}
    comparisons = {
        split: _against_baselines(models, score, params) for split, models in answers.items()
    }
    classified = shipped["test"].classes > 0
    return TaskResult(
        kind=task.kind,
        labels=task.labels,
        metric=task.metric,
        seed=task.seed,
        failed_runs=task.failed_runs,
        measured=tuple(
            measured
            for models in answers.values()
            for measured in measure(list(models.values()), scores, params.compare)
        ),
        comparisons=comparisons,
        findings={c.second: explain(c, *claims(c.second)) for c in comparisons["test"]},
        confusion={s: confusion_matrix(a).tolist() for s, a in shipped.items() if classified},
        slices=tuple(
            slice_gaps(shipped["test"], params.slices, params.compare) if classified else ()
        ),
        calibration=_calibrate(table, shipped["test"], params) if classified else None,
        contamination={
            split: _clean_score(a, contamination[split], score)
            for split, a in shipped.items()
            if split in contamination
        },
        bias=tuple(group_gaps(shipped["test"], params.bias, params.compare)),
        behaviour=tuple(_behave(task, params)),
        flips=tuple(
            find_flips(shipped["test"], answers["test"][c.second][0], task.labels)
            for c in comparisons["test"]
            if classified
        ),
    )


def _behave(task: TaskInput, params: EvaluationParams) -> Iterator[CaseResult]:
    """Results of the task's behaviour cases, on the shipped model."""
    files = params.behaviour.cases.get(task.name, ())
    if task.model is None or not files or task.kind != "classification":
        return
    from bertops.inference.load import load
    from bertops.inference.readers import predict

    loaded = load(task.model)

    def classify(texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array([found["probabilities"] for found in predict(loaded, texts)])

    for file in files:
        yield from try_cases(read_cases(find_file(file)), classify, task.labels)


def _answers(
    table: PredictionTable, split: str, score: Score, shipped: int
) -> dict[str, list[Answers]]:
    """By model, the answers of all its seeds; the one that stands for the model first."""
    return {
        model: representative_first(
            table.of_all_seeds(model, split), score, shipped if model == CANDIDATE else NO_SEED
        )
        for model in table.models
    }


def _against_baselines(
    models: Mapping[str, Sequence[Answers]], score: Score, params: EvaluationParams
) -> tuple[Comparison, ...]:
    baselines = sorted(set(models) - {CANDIDATE}, key=lambda name: (name != "control", name))
    return tuple(
        compare(models[CANDIDATE], models[name], score, params.compare) for name in baselines
    )


def _calibrate(
    table: PredictionTable, test: Answers, params: EvaluationParams
) -> Calibration | None:
    if "validation" not in table.splits:
        return None
    validation = table.answers(CANDIDATE, test.seed, "validation")
    return calibrate(validation, test, params.compare)


def _clean_score(answers: Answers, found: Contamination, score: Score) -> CleanScore:
    clean: NDArray[np.bool_] = found.clean
    return CleanScore(
        documents=found.documents,
        overlapping=found.overlapping,
        leaked=found.leaked,
        value=score.of(answers),
        clean_value=score.of(answers.where(clean)) if clean.any() else None,
        examples=found.examples,
    )
