"""How flows end: tables, messages, retries, timeouts, one writer; on a graph of shell commands."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import ArtifactSort

from bertops import versioning
from bertops.errors import GateRefused
from bertops.quality.gate import QualityFailed
from bertops.registry.client import FilesNotMoved
from flows import pipeline as pipeline_module
from flows.account import alone
from flows.backfill import backfill
from flows.pipeline import pipeline
from flows.retrain import retrain
from flows.tasks import worth_retrying
from tests.conftest import begin_repository

pytestmark = pytest.mark.usefixtures("prefect_server")

REFUSE = (
    "from bertops.versioning import leave_ending; "
    "leave_ending('validate_corpus: 1 of 9 rules failed', {code}); raise SystemExit({code})"
)

RAN = f"""{sys.executable} -c "from bertops.versioning import leave_ending; leave_ending('', 0)" """
"""What `bertops stage` does at its end, by which a run is told from an output of the cache."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two stages, the second of them the last gate on data; models are left out."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (tmp_path / ".gitignore").write_text("*.txt\n")
    (tmp_path / "params.yaml").write_text("size: 1\n")
    write_graph(tmp_path, f"echo good > gate.txt && {RAN}")
    begin_repository(tmp_path)
    for name in ("user.name", "user.email"):
        subprocess.run(["git", "config", name, "test"], cwd=tmp_path, check=True)
    for name in ("register_all", "decide_all", "promote_all"):
        monkeypatch.setattr(pipeline_module.release, name, lambda *_: ())
    monkeypatch.setattr(pipeline_module.release, "write_report", lambda *_: tmp_path / "r.html")
    monkeypatch.setattr(pipeline_module, "open_registry", lambda _: None)
    monkeypatch.setattr(pipeline_module, "load", lambda _: None)
    monkeypatch.setenv("BERTOPS_PRICE_PER_HOUR", "3600")
    return tmp_path


def write_graph(project: Path, gate: str) -> None:
    stages = {
        "make": {"cmd": f"echo made > made.txt && {RAN}", "outs": ["made.txt"]},
        "validate_corpus": {"cmd": gate, "deps": ["made.txt"], "outs": ["gate.txt"]},
    }
    (project / "dvc.yaml").write_text(json.dumps({"stages": stages}))


def refusing(code: int) -> str:
    return f'{sys.executable} -c "{REFUSE.format(code=code)}"'


def outcomes() -> dict[str, str]:
    """What the newest table says of the stages."""
    return {row["stage"]: row["outcome"] for row in json.loads(newest("stages").data)}


def newest(key: str) -> Any:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(sort=ArtifactSort.UPDATED_DESC)
    return next(one for one in found if one.key == key)


def titles(inbox: list[dict[str, str]]) -> list[str]:
    return [message["title"] for message in inbox]


def test_a_run_leaves_its_stages_with_times_and_costs_and_a_link(
    project: Path, inbox: list[dict[str, str]]
):
    pipeline(project)
    rows = json.loads(newest("stages").data)
    assert [row["outcome"] for row in rows] == ["ran", "ran"]
    assert all(row["seconds"] > 0 for row in rows)
    assert all(row["cost"] == pytest.approx(row["seconds"], abs=0.01) for row in rows)
    assert (project / "r.html").as_uri() in newest("report").data
    pipeline(project)
    assert outcomes() == {"make": "up to date", "validate_corpus": "up to date"}
    assert titles(inbox) == ["pipeline: success"] * 2


def test_a_run_that_fails_leaves_the_same(project: Path, inbox: list[dict[str, str]]):
    write_graph(project, refusing(1))
    with pytest.raises(versioning.StageFailed):
        pipeline(project)
    assert outcomes() == {"make": "ran", "validate_corpus": "failed"}
    assert "1 of 9 rules failed" in newest("stages").description
    assert titles(inbox) == ["pipeline: failed"]


@pytest.mark.service  # its timeout is longer than a slow machine takes to begin
def test_a_run_that_takes_too_long_is_stopped_and_told(project: Path, inbox: list[dict[str, str]]):
    write_graph(project, "sleep 300")
    state: State[Any] = pipeline.with_options(timeout_seconds=40)(project, return_state=True)
    assert state.name == "TimedOut"
    assert outcomes()["validate_corpus"] == "failed"
    assert titles(inbox) == ["pipeline: timed out"]


def test_a_gate_that_says_no_is_an_end_and_any_other_failure_is_one(
    project: Path, inbox: list[dict[str, str]]
):
    assert QualityFailed.exit_code == GateRefused.exit_code
    write_graph(project, refusing(GateRefused.exit_code))
    report = retrain(project)
    assert (report.outcome, report.pipeline) == ("data refused", None)
    assert "1 of 9 rules failed" in report.why
    write_graph(project, refusing(1))  # as of a full disk
    with pytest.raises(versioning.StageFailed, match="1 of 9"):
        retrain(project)
    assert titles(inbox) == ["retrain: data refused", "retrain: failed"]


def test_new_data_is_trained_on_and_told_once(project: Path, inbox: list[dict[str, str]]):
    report = retrain(project)
    assert report.outcome == "trained"
    assert outcomes() == {"make": "ran", "validate_corpus": "ran"}
    assert retrain(project).outcome == "nothing new"
    assert outcomes() == {"make": "up to date", "validate_corpus": "up to date"}
    assert titles(inbox) == ["retrain: trained", "retrain: nothing new"]


def test_a_stage_that_was_killed_is_tried_again(project: Path):
    """It kills itself the first time."""
    mark = project / "tried"
    once = f"test -e {mark} || {{ touch {mark}; kill -9 $$; }}"
    write_graph(project, f"{once}; echo > gate.txt && {RAN}")
    pipeline(project)
    assert mark.exists()
    assert outcomes() == {"make": "ran", "validate_corpus": "ran"}


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (versioning.StageFailed("s", "killed", 1, killed=True), True),
        (versioning.StageFailed("s", "bad input", 1), False),
        (versioning.DvcError(["push"], "ERROR: connection refused"), True),
        (versioning.DvcError(["repro"], "ERROR: bad dvc.yaml"), False),
        (ConnectionRefusedError(), True),
        (FilesNotMoved("fetching m version 1", "s3://team/m", OSError("gone")), True),
        (GateRefused("no"), False),
    ],
)
def test_only_what_may_heal_is_tried_again(error: Exception, again: bool):
    state: Any = SimpleNamespace(result=lambda raise_on_failure: error)
    nothing: Any = None
    assert worth_retrying(nothing, nothing, state) is again


def test_a_tracking_server_that_is_away_is_asked_again():
    from mlflow.exceptions import MlflowException

    for code, again in ((1, True), (1001, False)):  # INTERNAL_ERROR, and one that stays
        state: Any = SimpleNamespace(result=lambda raise_on_failure, c=code: MlflowException("", c))
        nothing: Any = None
        assert worth_retrying(nothing, nothing, state) is again


def test_backfill_takes_dates_and_tells_every_stage(project: Path, inbox: list[dict[str, str]]):
    found = backfill(["2099-01-01"], project)
    assert [one.outcome for one in found["2099-01-01"]] == ["ran", "ran"]
    assert outcomes() == {"make at 2099-01-01": "ran", "validate_corpus at 2099-01-01": "ran"}
    assert titles(inbox) == ["backfill: success"]


HOLD = """
import sys, time
from pathlib import Path
from flows.account import alone
with alone(Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(300)
"""


def test_a_second_writer_waits_until_the_first_is_gone_however_it_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "in\n"
    killer = subprocess.Popen(["sh", "-c", f"sleep 2; kill -9 {holder.pid}"])
    began = time.monotonic()
    with alone(tmp_path):
        assert time.monotonic() - began > 1
    assert f"another run is at work in {tmp_path} (process {holder.pid})" in capsys.readouterr().err
    killer.wait()
    holder.wait()
