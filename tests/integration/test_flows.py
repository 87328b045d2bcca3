"""What the flows decide, on a small project: promotion with a person, monitoring, notifications."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import polars as pl
import pytest
import yaml

from bertops.errors import BertopsError, GateRefused, UsageError
from bertops.inference.load import load
from bertops.inference.readers import ask
from bertops.paths import Paths
from bertops.registry.history import read_state
from bertops.registry.register import Facts, register
from bertops.registry.smoke import SmokeTestFailed
from bertops.release import open_registry
from examples.promotion import add_noise
from flows import promotion as promotion_flow
from flows.__main__ import _parse
from flows.monitor import monitor
from flows.notify import notify
from flows.promotion import NotApproved, promotion
from tests.integration.mlflow_models import fresh_store
from tests.integration.tiny_project import TASK, predictions, texts, tiny_project, write

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
    for model in models:
        register(open_registry(Paths(folder)), TASK, model, Facts({}))
    promotion.fn(TASK, 1, root=folder)
    return folder


def champion(project: Path) -> int | None:
    return read_state(open_registry(Paths(project)), TASK).champion


def test_gates_and_a_person_that_agrees_make_a_champion(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = []
    monkeypatch.setattr(promotion_flow, "pause_flow_run", lambda timeout: asked.append(timeout))
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
    monkeypatch.setattr(promotion_flow, "pause_flow_run", lambda timeout: None)
    assert promotion.fn(TASK, 2, ask=True, root=project).changed
    assert champion(project) == 2


def test_no_answer_means_no(project: Path, monkeypatch: pytest.MonkeyPatch):
    def nobody(timeout: int) -> None:
        raise promotion_flow.FlowPauseTimeout("late")

    monkeypatch.setattr(promotion_flow, "pause_flow_run", nobody)
    with pytest.raises(NotApproved, match="within 5 s, which means no"):
        promotion.fn(TASK, 2, ask=True, root=project, timeout_s=5)
    assert champion(project) == 1


def test_a_refused_version_is_not_even_asked_about(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(promotion_flow, "pause_flow_run", lambda timeout: pytest.fail("asked"))
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
def inbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """Messages that came to the address in BERTOPS_NOTIFY."""
    found: list[dict[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("BERTOPS_NOTIFY", f"json://127.0.0.1:{server.server_port}/")
    yield found
    server.shutdown()


@pytest.fixture
def reference(project: Path) -> Path:
    """The project with the validation split that batches are compared with."""
    rows = texts("validation", 300)
    answers = ask(load(Paths(project).task_model(TASK)), rows.to_dicts())
    write(Paths(project).task_data(TASK) / "validation.parquet", rows)
    write(Paths(project).predictions(TASK) / "validation.parquet", predictions(rows, answers))
    return project


def scored(project: Path, some: list[str]) -> Path:
    """A batch as `bertops predict --out` writes it."""
    answers = ask(load(Paths(project).task_model(TASK)), [{"text": text} for text in some])
    rows = [
        {"text": t, "prediction": a["prediction"], "confidence": max(a["probabilities"])}
        for t, a in zip(some, answers, strict=True)
    ]
    target = project / "batch.jsonl"
    pl.DataFrame(rows).write_ndjson(target)
    return target


def test_a_batch_like_the_reference_has_not_drifted(reference: Path, inbox: list[dict[str, str]]):
    batch = scored(reference, texts("today", 300)["text"].to_list())
    report = monitor.fn(batch, TASK, root=reference)
    assert not report.drifted
    assert inbox == []
    assert (reference / f"reports/monitor/{TASK}.json").exists()


def test_drift_is_told_and_asks_for_a_retrain(
    reference: Path, inbox: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
):
    started = []
    monkeypatch.setattr("flows.monitor.run_deployment", lambda name, timeout: started.append(name))
    monkeypatch.setattr("flows.monitor.PREFECT_API_URL.value", lambda: "http://server")
    report = monitor.fn(scored(reference, [FOREIGN * 2] * 150), TASK, root=reference)
    assert report.drifted
    assert "length" in report.sentence
    assert [message["title"] for message in inbox] == [f"{TASK} has drifted"]
    assert started == ["retrain/retrain"]


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
