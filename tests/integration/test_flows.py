"""What the flows decide, on a small project: promotion with a person, monitoring, notifications."""

from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import yaml
from prefect.exceptions import Pause
from typer.testing import CliRunner

from bertops.asking import open_registry
from bertops.cli.app import app
from bertops.errors import BertopsError, GateRefused, UsageError
from bertops.inference.load import load
from bertops.inference.readers import ask
from bertops.paths import Paths
from bertops.registry.history import read_state
from bertops.registry.register import Facts, register
from bertops.registry.smoke import SmokeTestFailed
from bertops.storage import hash_tree
from examples.promotion import add_noise
from flows import promotion as promotion_flow
from flows.__main__ import _exit_code, _parse
from flows.monitor import monitor
from flows.notify import notify
from flows.pipeline import PipelineReport
from flows.promotion import NotApproved, promotion
from flows.retrain import RetrainReport
from tests.integration.mlflow_models import fresh_store
from tests.integration.tiny_project import TASK, predictions, texts, tiny_project, write

pytestmark = pytest.mark.usefixtures("prefect_server")

FOREIGN = "an entirely different kind of text that goes on for much longer than any seen before "


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Version 1 is today's model and the champion; 2 is hardly changed; 3 is much worse."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tiny_project(tmp_path)
    fresh_store(Paths(folder).mlflow_store)
    models = [Paths(folder).task_model(TASK), folder / "alike", folder / "bad"]
    add_noise(models[0], models[1], 0.01, seed=1)
    add_noise(models[0], models[2], 2.0, seed=1)
    facts = Facts({"bertops.data.corpus": hash_tree(Paths(folder).corpus)})
    for model in models:
        register(open_registry(Paths(folder)), TASK, model, facts)
    promotion.fn(TASK, 1, root=folder)
    return folder


def champion(project: Path) -> int | None:
    return read_state(open_registry(Paths(project)), TASK).champion


def answered(monkeypatch: pytest.MonkeyPatch, state: str) -> list[int]:
    """A run that is past its suspension, after a state of that name; gets the times to answer."""
    asked: list[int] = []
    monkeypatch.setattr(
        promotion_flow, "suspend_flow_run", lambda timeout, key: asked.append(timeout)
    )
    monkeypatch.setattr(promotion_flow, "was_resumed", lambda: state == "Resuming")
    return asked


def test_gates_and_a_person_that_agrees_make_a_champion(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = answered(monkeypatch, "Resuming")
    done = promotion.fn(TASK, 2, ask=True, root=project, timeout_s=60)
    assert done.changed
    assert asked == [60]
    state = read_state(open_registry(Paths(project)), TASK)
    assert state.champion == 2
    assert 2 in state.approved
    assert not promotion.fn(TASK, 2, ask=True, root=project).changed
    assert asked == [60], "a champion needs no second word"


def test_where_approval_is_asked_for_the_word_of_the_person_is_the_approval(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    params = yaml.safe_load((project / "params.yaml").read_text())
    params.setdefault("registry", {})["approval"] = True
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    answered(monkeypatch, "Resuming")
    assert promotion.fn(TASK, 2, ask=True, root=project).changed
    assert champion(project) == 2


def test_a_run_that_is_tried_again_was_not_approved(project: Path, monkeypatch: pytest.MonkeyPatch):
    answered(monkeypatch, "AwaitingRetry")
    with pytest.raises(NotApproved, match="nobody said yes while its run waited, which means no"):
        promotion.fn(TASK, 2, ask=True, root=project)
    assert champion(project) == 1


def test_only_the_run_of_a_deployment_can_ask(project: Path):
    with pytest.raises(UsageError, match=r"nobody can be asked .* prefect deployment run"):
        promotion(TASK, 2, ask=True, root=project)
    assert champion(project) == 1


def test_who_is_asked_is_told_until_when(
    project: Path, monkeypatch: pytest.MonkeyPatch, inbox: list[dict[str, str]]
):
    def suspended(timeout: int, key: str) -> None:
        raise Pause

    monkeypatch.setattr(promotion_flow, "suspend_flow_run", suspended)
    with pytest.raises(Pause):
        promotion.fn(TASK, 2, ask=True, root=project)
    (message,) = inbox
    assert message["title"] == f"promotion of {TASK} 2: waiting"
    assert "no answer means no" in message["message"]
    assert champion(project) == 1


def test_every_end_of_a_promotion_is_told(project: Path, inbox: list[dict[str, str]]):
    promotion.fn(TASK, 2, root=project)
    with pytest.raises(GateRefused):
        promotion.fn(TASK, 3, root=project)
    assert [message["title"] for message in inbox] == [
        f"promotion of {TASK} 2: success",
        f"promotion of {TASK} 3: refused",
    ]


def test_a_refused_version_is_not_even_asked_about(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(promotion_flow, "suspend_flow_run", lambda **_: pytest.fail("asked"))
    with pytest.raises(GateRefused, match="against_champion: worse"):
        promotion.fn(TASK, 3, ask=True, root=project)
    assert champion(project) == 1


def test_a_champion_that_fails_its_smoke_test_is_taken_back(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    def fails(registry: object, name: str, version: int, cache: Path) -> None:
        raise SmokeTestFailed(name, version, float("nan"))

    monkeypatch.setattr(promotion_flow, "smoke_test", fails)
    with pytest.raises(BertopsError, match="not usable: nan"):
        promotion.fn(TASK, 2, root=project)
    assert champion(project) == 1
    last = read_state(open_registry(Paths(project)), TASK).accepted[-1].event
    assert (last.kind, last.to_version) == ("rolled_back", 1)
    assert "smoke test failed" in last.why


@pytest.fixture
def reference(project: Path) -> Path:
    """The project with the splits that batches are compared with."""
    write(Paths(project).task_data(TASK) / "train.parquet", texts("train", 600))
    rows = texts("validation", 300)
    answers = ask(load(Paths(project).task_model(TASK)), rows.to_dicts())
    write(Paths(project).task_data(TASK) / "validation.parquet", rows)
    write(Paths(project).predictions(TASK) / "validation.parquet", predictions(rows, answers))
    return project


def scored(project: Path, some: list[str], suffix: str = ".jsonl") -> Path:
    """A batch, written by `bertops predict`."""
    source, target = project / "texts.jsonl", project / f"batch{suffix}"
    pl.DataFrame({"text": some}).write_ndjson(source)
    model = ["--model", str(Paths(project).task_model(TASK))]
    asked = CliRunner().invoke(
        app, ["predict", *model, "--input", str(source), "--output", str(target)]
    )
    assert asked.exit_code == 0, asked.output
    return target


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_batch_like_the_reference_has_not_drifted(
    reference: Path, inbox: list[dict[str, str]], suffix: str
):
    batch = scored(reference, texts("today", 300)["text"].to_list(), suffix)
    report = monitor.fn(batch, TASK, root=reference)
    assert not report.drifted, report.sentence
    assert set(report.index) == {"words", "length", "confidence", "labels"}
    assert [message["title"] for message in inbox] == [f"monitor {TASK}: no drift"]
    assert (reference / f"reports/monitor/{TASK}.json").exists()


def test_monitor_does_without_the_test_set(reference: Path):
    """Each look at it would have to be recorded, and a batch is scored every day."""
    batch = scored(reference, texts("today", 300)["text"].to_list())
    for place in (Paths(reference).task_data(TASK), Paths(reference).predictions(TASK)):
        (place / "test.parquet").unlink()
    assert not monitor.fn(batch, TASK, root=reference).drifted


def test_drift_is_told_and_asks_for_a_retrain(
    reference: Path, inbox: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
):
    started = []
    monkeypatch.setattr("flows.monitor.run_deployment", lambda name, timeout: started.append(name))
    server = SimpleNamespace(value=lambda: "http://server")
    monkeypatch.setattr("flows.monitor.PREFECT_API_URL", server)
    report = monitor.fn(scored(reference, [FOREIGN * 2] * 150), TASK, root=reference)
    assert report.drifted
    assert "words, length" in report.sentence
    assert [message["title"] for message in inbox] == [f"monitor {TASK}: drifted"]
    assert started == ["retrain/retrain"]


def test_a_task_that_was_never_trained_is_told(reference: Path):
    batch = scored(reference, ["good movie"] * 5)
    with pytest.raises(UsageError, match="task 'moods' was not fine-tuned here"):
        monitor.fn(batch, "moods", root=reference)


def test_a_batch_that_is_too_small_says_nothing(reference: Path):
    with pytest.raises(UsageError, match="at least 100"):
        monitor.fn(scored(reference, ["good movie"] * 5), TASK, root=reference)


def test_a_message_that_cannot_be_sent_fails_no_flow_and_tells_no_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("BERTOPS_NOTIFY", "json://user:a-secret-token@127.0.0.1:9/")
    assert not notify("title", "body")
    told = capsys.readouterr()
    assert "could not be sent" in told.err
    assert "a-secret-token" not in told.err + told.out


def test_parameters_of_a_flow_are_json_where_they_are_json():
    given = ['revisions=["v1", "v2"]', "version=3", "why=better, and smaller", "ask=true"]
    assert _parse(given) == {
        "revisions": ["v1", "v2"], "version": 3, "why": "better, and smaller", "ask": True,
    }  # fmt: skip
    with pytest.raises(UsageError, match="'version' is no parameter; write key=value"):
        _parse(["version"])


def test_a_gates_no_ends_every_flow_with_its_exit_code():
    refused = PipelineReport((), (SimpleNamespace(refused=True),))
    fine = PipelineReport((), (SimpleNamespace(refused=False),))
    assert [_exit_code(report) for report in (refused, fine)] == [3, 0]
    assert _exit_code(RetrainReport("trained", "new data", refused)) == 3
    assert _exit_code(RetrainReport("trained", "new data", fine)) == 0
    assert _exit_code(RetrainReport("data refused", "too few rows")) == 3
    assert _exit_code(RetrainReport("nothing new", "as before")) == 0
