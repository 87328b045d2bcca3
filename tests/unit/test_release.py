"""What goes into the registry with a version, and what speaks for it."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from bertops import stages
from bertops.evaluation.answers import Answers
from bertops.evaluation.reads import count_reads
from bertops.evidence import LabelsChanged, count_leaked, read_answers
from bertops.params import load
from bertops.paths import Paths
from bertops.registry.params import RegistryParams
from bertops.release import intervals
from bertops.storage import hash_tree, write_json
from bertops.tracker import NullTracker


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
