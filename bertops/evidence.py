"""Evidence: what a version is worth on today's test set, beside control, majority and champion.

Nobody's stored metrics are believed: a version that is not today's model is fetched and asked
again. Its answers are kept under `.bertops/answers/`, by the hash of its files and of the test
set, so that each version is asked once about each test set.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from bertops.errors import BertopsError
from bertops.evaluation.answers import Answers, PredictionTable, as_values
from bertops.evaluation.bias import group_gaps
from bertops.evaluation.compare import Comparison, compare
from bertops.evaluation.flips import Flips, find_flips
from bertops.evaluation.measure import measure
from bertops.evaluation.reads import log_read
from bertops.evaluation.scores.base import Score
from bertops.evaluation.scores.table import score_named, scores_for
from bertops.evaluation.slices import Slice, compare_slices
from bertops.evaluation.tasks import floor_model
from bertops.inference.load import load as load_model
from bertops.inference.readers import ask
from bertops.params import Params
from bertops.paths import Paths
from bertops.registry.client import Registry, Version
from bertops.registry.gates import Evidence
from bertops.registry.package import MODEL
from bertops.registry.resolve import fetch
from bertops.storage import hash_file, hash_tree, read_json, write_whole

ANSWERED = ("prediction", "probabilities")


@dataclass(frozen=True)
class Exam:
    """Today's test set of a task, and what fine-tuning answered to it."""

    task: str
    test: Path
    """The rows that are asked: test.parquet."""
    score: Score
    """The score that decides."""
    table: PredictionTable
    shipped: Answers
    """Answers of today's model."""
    content: str
    """Hash of today's model."""

    @classmethod
    def read(cls, paths: Paths, task: str, why: str) -> "Exam":
        """The exam of a task, from what fine-tuning left; the look at it is recorded.

        Args:
            why: what it is read for, for the record of looks at test sets.
        """
        report = read_json(paths.report("finetune", task))
        test = paths.task_data(task) / "test.parquet"
        log_read(paths.state, task, hash_file(test), why)
        table = PredictionTable.read(
            paths.predictions(task),
            paths.task_data(task),
            tuple(report["labels"]),
            classified=report["kind"] == "classification",
        )
        shipped = table.answers("pretrained", report["best_seed"], "test")
        return cls(
            task=task,
            test=test,
            score=score_named(report["metric"], scores_for(report["kind"], shipped)),
            table=table,
            shipped=shipped,
            content=hash_tree(paths.task_model(task)),
        )


@dataclass(frozen=True)
class HeadToHead:
    """Two versions of a task's model on today's test set."""

    comparison: Comparison
    slices: tuple[Slice, ...] = ()
    """Of the first, judged against the second."""
    flips: Flips | None = None
    """Documents that one gets right and the other wrong; None where the task has no classes."""


def gather_evidence(
    params: Params, paths: Paths, registry: Registry, task: str, version: int, champion: int | None
) -> Evidence:
    """What a version of a task's model is worth on today's test set.

    Args:
        champion: the version of the same task to compare with; None on the first run.
    """
    exam = Exam.read(paths, task, "gates")
    judged = registry.version(task, version)
    candidate = answers_of(paths, registry, judged, exam)
    (measured,) = measure([[candidate]], [exam.score], params.evaluation.compare)
    floor = floor_model(exam.table.models)
    duel = None
    if champion is not None:
        rival = answers_of(paths, registry, registry.version(task, champion), exam)
        duel = _head_to_head(candidate, rival, exam, params)
    return Evidence(
        score=exam.score.name,
        value=measured.value,
        low=measured.low,
        high=measured.high,
        documents=measured.documents,
        floor=exam.score.of(exam.table.answers(floor, 0, "test")) if floor else None,
        higher_is_better=exam.score.higher_is_better,
        against_control=_against_control(exam, candidate, params),
        against_champion=duel.comparison if duel else None,
        slices=duel.slices if duel else None,
        gaps=tuple(group_gaps(candidate, params.evaluation.bias, params.evaluation.compare)),
        leaked=count_leaked(paths, params, task, judged),
    )


def head_to_head(
    params: Params,
    paths: Paths,
    registry: Registry,
    task: str,
    versions: tuple[int, int],
    why: str,
) -> HeadToHead:
    """Two versions of a task's model on today's test set.

    Args:
        why: for the record of looks at test sets.

    Raises:
        VersionMissing: one of them does not exist.
    """
    exam = Exam.read(paths, task, why)
    first, second = (
        replace(answers_of(paths, registry, registry.version(task, n), exam), model=f"version {n}")
        for n in versions
    )
    return _head_to_head(first, second, exam, params)


def _head_to_head(first: Answers, second: Answers, exam: Exam, params: Params) -> HeadToHead:
    """One model against one model: what is promoted is the shipped seed alone."""
    rules = params.evaluation
    return HeadToHead(
        _compare([first], [second], exam, params),
        tuple(compare_slices(first, second, exam.score, rules.slices, rules.compare)),
        find_flips(first, second, exam.table.labels) if first.classes else None,
    )


def answers_of(paths: Paths, registry: Registry, version: Version, exam: Exam) -> Answers:
    """What a version answers to an exam: kept already, or asked now."""
    if version.content == exam.content:
        return exam.shipped
    name = f"{version.content[:32]}-{hash_file(exam.test)[:32]}.parquet"
    kept = paths.state / "answers" / exam.task / name
    if not kept.exists():
        model = fetch(registry, version, paths.state / "models") / MODEL
        write_answers(kept, model, exam)
    return read_answers(kept, f"version {version.number}", exam)


def write_answers(kept: Path, model: Path, exam: Exam) -> None:
    """Ask a model every row of the test set; one row each of `prediction`, `probabilities`."""
    found = ask(load_model(model), pl.read_parquet(exam.test).to_dicts())
    with write_whole(kept) as partial:
        pl.DataFrame({key: [row[key] for row in found] for key in ANSWERED}).write_parquet(partial)


class LabelsChanged(BertopsError):
    """A version answers with other labels than today's task has, so they cannot be compared."""

    def __init__(
        self, task: str, model: str, unknown: Sequence[str], labels: Sequence[str]
    ) -> None:
        self.unknown, self.labels = tuple(unknown), tuple(labels)
        other = f"answers {', '.join(unknown)}" if unknown else "has another number of labels"
        super().__init__(
            f"{task} {model} {other}, and the labels of the task are {', '.join(labels)} now: the "
            "two cannot be compared. Give the task another name in params.yaml, which begins a "
            "history of its own, or give it back its labels."
        )


def read_answers(kept: Path, model: str, exam: Exam) -> Answers:
    """The answers that `write_answers` kept, under a name for the model.

    Raises:
        LabelsChanged: they are labels of another time.
    """
    found = pl.read_parquet(kept)
    if not exam.shipped.classes:
        return replace(exam.shipped, model=model, predicted=as_values(found["prediction"]))
    labels = exam.table.labels
    ids = {label: i for i, label in enumerate(labels)}
    unknown = sorted({str(label) for label in found["prediction"]} - set(ids))
    probabilities = np.array(found["probabilities"].to_list())
    if unknown or probabilities.shape[1] != len(labels):
        raise LabelsChanged(exam.task, model, unknown, labels)
    return replace(
        exam.shipped,
        model=model,
        predicted=np.array([ids[str(label)] for label in found["prediction"]]),
        probabilities=probabilities,
    )


def _against_control(exam: Exam, candidate: Answers, params: Params) -> Comparison | None:
    """Against the same architecture without pretraining; today's model with all its seeds."""
    if "control" not in exam.table.models:
        return None
    seeds = [candidate]
    if candidate is exam.shipped:
        others = exam.table.of_all_seeds("pretrained", "test")
        seeds += [answers for answers in others if answers.seed != candidate.seed]
    return _compare(seeds, exam.table.of_all_seeds("control", "test"), exam, params)


def _compare(
    first: Sequence[Answers], second: Sequence[Answers], exam: Exam, params: Params
) -> Comparison:
    return compare(first, second, exam.score, params.evaluation.compare)


def count_leaked(paths: Paths, params: Params, task: str, version: Version) -> int | None:
    """Test documents that are pretraining text; None for a version of another corpus than today's,
    which is not there to be searched.

    Two searches in what was really written, neither of which rests on the step that was to remove
    them: by identity for the test sets of all tasks, and by shared 13-grams for this one's.
    """
    if version.tags.get("bertops.data.corpus") != hash_tree(paths.corpus):
        return None
    trained = pl.scan_parquet(paths.corpus / "train/part-*.parquet").select("doc_id").collect()
    tests = [pl.read_parquet(paths.task_data(t.name) / "test.parquet") for t in params.tasks]
    ids = {found for table in tests for found in table["document_id"]}
    overlap = read_json(paths.evaluation / "evaluation.json")["tasks"][task]["contamination"]
    return max(len(ids & set(trained["doc_id"])), overlap["test"]["leaked"])
