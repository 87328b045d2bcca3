"""What goes into the registry with a version, and what speaks for it."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from bertops import presets, release, stages
from bertops.evaluation.answers import Answers
from bertops.evaluation.reads import count_reads
from bertops.evidence import LabelsChanged, count_leaked, read_answers
from bertops.params import load
from bertops.paths import Paths
from bertops.registry.gates import Evidence
from bertops.registry.params import RegistryParams
from bertops.registry.register import Registered
from bertops.release import decide_all, intervals, promote_all, register_all, write_report
from bertops.storage import hash_tree, write_json
from bertops.tracker import NullTracker
from tests.unit.registry.comparisons import comparison
from tests.unit.registry.memory_ledger import MemoryLedger


def measured(model, split, score):
    return {"model": model, "split": split, "score": score, "value": 0.8, "low": 0.7, "high": 0.9}


def test_every_number_of_a_version_has_its_interval():
    held = {"loss": 4.1, "loss_low": 4.0, "loss_high": 4.2, "accuracy": 0.3}
    rows = [
        measured("pretrained", "test", "accuracy"),
        measured("pretrained", "test", "f1"),
        measured("pretrained", "shops", "accuracy"),
        measured("control", "test", "accuracy"),
    ]
    found = {"encoder": {"heldout": {"all": held}}, "tasks": {"sentiment": {"measured": rows}}}
    assert intervals(found, "encoder") == {"bertops.metric.loss": "4.1 [4.0, 4.2]"}
    assert intervals(found, "sentiment") == {
        "bertops.metric.accuracy": "0.8 [0.7, 0.9]",
        "bertops.metric.f1": "0.8 [0.7, 0.9]",
        "bertops.metric.shops_accuracy": "0.8 [0.7, 0.9]",
    }


def test_a_licence_goes_with_its_text_or_is_refused():
    assert RegistryParams().license == "apache-2.0"
    with pytest.raises(ValidationError, match="no text of the licence 'mit'"):
        RegistryParams(license="mit")
    RegistryParams(license="mit", license_file="LICENSE-models")


@pytest.fixture
def project(tmp_path):
    """A task whose test set has the document `leak`, which is in the corpus too."""
    paths = Paths(tmp_path)
    (paths.corpus / "train").mkdir(parents=True)
    texts = pl.DataFrame({"doc_id": ["leak", "other"], "text": ["a", "b"]})
    texts.write_parquet(paths.corpus / "train/part-00000.parquet")
    paths.task_data("t").mkdir(parents=True)
    tests = pl.DataFrame({"document_id": ["leak", "fine"]})
    tests.write_parquet(paths.task_data("t") / "test.parquet")
    contamination = {"test": {"leaked": 0}}
    tasks = {"t": {"contamination": contamination}}
    write_json(paths.evaluation / "evaluation.json", {"tasks": tasks})
    return paths


@pytest.mark.parametrize("enabled", [True, False])
def test_leaked_documents_are_counted_whether_or_not_they_were_to_be_removed(project, enabled):
    params = SimpleNamespace(
        corpus=SimpleNamespace(decontaminate=SimpleNamespace(enabled=enabled)),
        tasks=[SimpleNamespace(name="t")],
    )
    ours = SimpleNamespace(tags={"bertops.data.corpus": hash_tree(project.corpus)})
    assert count_leaked(project, params, "t", ours) == 1
    older = SimpleNamespace(tags={"bertops.data.corpus": "a" * 64})
    assert count_leaked(project, params, "t", older) is None


def test_fine_tuning_looks_at_the_test_set_and_that_is_written_down(
    project, repository, monkeypatch
):
    params = load(repository / "params.yaml")
    task = params.tasks[0].model_copy(update={"name": "t"})
    monkeypatch.setattr("bertops.finetuning.run.finetune_task", lambda **given: {})
    monkeypatch.setattr(stages, "_tracked", lambda *given: nullcontext(NullTracker()))
    monkeypatch.setattr(stages, "_write", lambda *given, **more: None)
    stages.finetune(params.model_copy(update={"tasks": (task,)}), project, "t")
    assert count_reads(project.state) == {"t": {"finetune": 1}}


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (("bad", "good"), "sentiment version 1 answers negative, positive, and the labels"),
        (("negative", "neutral", "positive"), "has another number of labels"),
    ],
)
def test_answers_of_other_labels_are_not_compared(tmp_path, labels, told):
    kept = tmp_path / "kept.parquet"
    rows = {"prediction": ["negative", "positive"], "probabilities": [[0.9, 0.1], [0.2, 0.8]]}
    pl.DataFrame(rows).write_parquet(kept)
    shipped = Answers(
        model="today", seed=1, split="test", ids=np.array(["a", "b"]), gold=np.array([0, 1]),
        predicted=np.array([0, 1]), probabilities=np.eye(2),
    )  # fmt: skip
    exam = SimpleNamespace(task="sentiment", table=SimpleNamespace(labels=labels), shipped=shipped)
    with pytest.raises(LabelsChanged, match=told):
        read_answers(kept, "version 1", exam)
    exam.table.labels = ("negative", "positive")
    assert read_answers(kept, "version 1", exam).predicted.tolist() == [0, 1]


class Shelf(MemoryLedger):
    """A registry where version N of every model was fine-tuned from version N of the encoder.

    Args:
        held: the versions of a model, where it is not version 1 alone.
    """

    public_key = None

    def __init__(self, **held):
        super().__init__()
        self.held = held

    def version(self, name, number):
        made_from = {"bertops.data.encoder": f"encoder{number}"}
        return SimpleNamespace(number=number, content=f"{name}{number}", tags=made_from)

    def versions(self, name):
        return [self.version(name, number) for number in self.held.get(name, [1])]


@pytest.fixture
def asked(monkeypatch):
    """Task, version and champion of the evidence asked for; all of it is good, and every version
    answers."""
    tasks = []

    def gather(params, paths, registry, task, version, champion):
        tasks.append((task, version, champion))
        return Evidence(
            "accuracy", 0.82, 0.80, 0.84, 1000, 0.5, against_control=comparison("not worse"),
            against_champion=comparison("better"), slices=(), leaked=0,
        )  # fmt: skip

    monkeypatch.setattr(release, "gather_evidence", gather)
    monkeypatch.setattr(release, "smoke_test", lambda *given: None)
    return tasks


def of_tasks(params, *starts):
    """The parameters with a task for each `init_from`: task0, task1, …"""
    tasks = tuple(
        params.tasks[0].model_copy(update={"name": f"task{place}", "init_from": start})
        for place, start in enumerate(starts)
    )
    return params.model_copy(update={"tasks": tasks})


def test_the_encoder_is_judged_by_the_first_task_that_starts_from_it(repository, tmp_path, asked):
    params = of_tasks(load(repository / "params.yaml"), "another", None, None)
    new = Registered("encoder", 1, True, "encoder", None)
    (found,) = decide_all(params, Paths(tmp_path), Shelf(), [new])
    assert (asked, found.passed) == ([("task1", 1, None)], True)


def judged(params, paths, shelf, version):
    """What became of a version of the encoder, promoted if it may be."""
    new = [Registered("encoder", version, True, "encoder", None)]
    (found,) = promote_all(params, paths, shelf, new, decide_all(params, paths, shelf, new))
    return found


def test_a_task_that_the_champion_never_had_leaves_the_judging_to_one_that_it_had(
    repository, tmp_path, asked
):
    params, paths = of_tasks(load(repository / "params.yaml"), None, None), Paths(tmp_path)
    shelf = Shelf(encoder=[1, 2], task0=[2], task1=[1, 2])
    assert [judged(params, paths, shelf, version).promoted for version in (1, 2)] == [True, True]
    assert asked == [("task1", 1, None), ("task1", 2, 1)]


def test_encoders_without_a_task_in_common_are_not_compared(repository, tmp_path, asked):
    both, paths = of_tasks(load(repository / "params.yaml"), None, None), Paths(tmp_path)
    shelf = Shelf(encoder=[1, 2], task0=[2], task1=[1])
    assert judged(both, paths, shelf, 1).promoted
    found = judged(both, paths, shelf, 2)
    assert (found.refused, shelf.aliases("encoder")["champion"], len(asked)) == (True, 1, 1)
    told = "none of task0, task1 was fine-tuned from encoder version 2 and from the champion"
    assert told in found.sentence
    assert "keep a task of the champion's in params.yaml" in found.sentence


@pytest.mark.parametrize("preset", ["glue", "kinds"])
def test_an_encoder_that_no_task_starts_from_is_refused_and_the_tasks_are_not(
    repository, tmp_path, asked, monkeypatch, preset
):
    file, shelf, verdicts = tmp_path / "params.yaml", Shelf(), []
    file.write_bytes((repository / "params.yaml").read_bytes())
    presets.use(file, repository / f"params/{preset}.yaml", dry_run=False)
    params, paths = load(file), Paths(tmp_path)
    names = ["encoder", *(task.name for task in params.tasks)]
    new = [Registered(name, 1, True, name, None) for name in names]
    encoder, *tasks = promote_all(params, paths, shelf, new, decide_all(params, paths, shelf, new))
    assert encoder.refused
    assert "no task starts from the encoder, so nothing judges it" in encoder.sentence
    assert "NobodyJudges" not in encoder.sentence
    assert shelf.aliases("encoder") == {}
    assert [one.standing for one in tasks] == ["promoted"] * len(names[1:])

    monkeypatch.setattr(release, "render_report", lambda root, told: verdicts.extend(told))
    write_report(params, paths, shelf, [encoder, *tasks])
    assert [told["judged_by"] for told in verdicts] == ["no task", *[None] * len(tasks)]


def test_a_model_that_never_saw_our_encoder_does_not_say_so(repository, tmp_path, monkeypatch):
    params, paths = of_tasks(load(repository / "params.yaml"), "another", None), Paths(tmp_path)
    names = ("heldout", "task0", "task1")
    write_json(paths.evaluation / "metrics.json", {name: {} for name in names})
    write_json(paths.evaluation / "evaluation.json", {})
    told = {"bertops.data.corpus": "c", "bertops.data.encoder": "e"}
    cards = {}
    monkeypatch.setattr(release, "lineage_tags", lambda paths: told)
    monkeypatch.setattr(release, "intervals", lambda *given: {})
    monkeypatch.setattr(release, "render_report", lambda root: root / "report.html")
    monkeypatch.setattr(
        release, "write_card", lambda inputs, name, *given: cards.update({name: inputs.lineage})
    )
    monkeypatch.setattr(
        release, "register", lambda registry, name, folder, facts, **more: (name, facts.lineage)
    )
    stamped = dict(register_all(params, paths, None))
    elsewhere = {"bertops.data.corpus": "c"}
    assert stamped == cards == {"encoder": told, "task0": elsewhere, "task1": told}
