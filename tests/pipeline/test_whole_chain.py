"""The whole pipeline on a toy project, through the command line, as a person runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bertops import graph, versioning
from tests.toy import bertops, environment, toy_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.xdist_group("whole chain")]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy project after its first run."""
    project = toy_project(tmp_path_factory.mktemp("finished"))
    ran = bertops(project, "run")
    assert ran.returncode == 0, ran.stderr
    (project / "stdout.txt").write_text(ran.stdout)
    (project / "stderr.txt").write_text(ran.stderr)
    (project / "lock-of-first-run").write_bytes((project / "dvc.lock").read_bytes())
    return project


def versions(project: Path) -> list[dict[str, object]]:
    return json.loads(bertops(project, "registry", "list", "--json").stdout)


def test_a_run_ends_with_models_reports_and_champions(finished: Path):
    for made in ("models/encoder/model.safetensors", "models/tasks/sentiment/model.safetensors",
                 "reports/report.html", "reports/evaluation/metrics.json"):  # fmt: skip
        assert (finished / made).exists(), made
    assert {(v["name"], v["version"], *v["aliases"]) for v in versions(finished)} == {
        ("encoder", 1, "champion"), ("sentiment", 1, "champion"),
    }  # fmt: skip
    kept_with_versions = list((finished / ".bertops/mlflow").rglob("report.html"))
    assert len(kept_with_versions) == 2


def test_the_end_of_a_run_tells_results_places_and_next_steps(finished: Path):
    told = (finished / "stdout.txt").read_text()
    for word in ("sentiment accuracy", "TF-IDF", "not pretrained", "reports/report.html",
                 "bertops fill-mask", "95 % intervals"):  # fmt: skip
        assert word in told
    assert "Traceback" not in (finished / "stderr.txt").read_text()


def test_the_report_has_the_verdict_on_every_model_and_all_hashes(finished: Path):
    page = (finished / "reports/report.html").read_text()
    for told in ("encoder, version 1", "sentiment, version 1", "bertops.data.corpus",
                 "bertops.data.tokenizer", "bertops.data.encoder"):  # fmt: skip
        assert told in page


def test_no_test_document_is_pretraining_text(finished: Path):
    import polars as pl

    trained = pl.read_parquet(sorted((finished / "data/corpus/train").glob("*.parquet")))
    tested = pl.read_parquet(finished / "data/tasks/sentiment/test.parquet")
    assert len(tested) > 20
    assert not set(trained["doc_id"]) & set(tested["document_id"])


def test_dvc_shows_metrics_and_draws_plots(finished: Path):
    shown = dvc(finished, "metrics", "show", "--json")
    assert "sentiment" in shown
    assert "heldout" in shown
    dvc(finished, "plots", "show", "-o", "plots")
    drawn = (finished / "plots/index.html").read_text()
    for kind in ("confusion", "seeds", "calibration"):
        assert f"{kind}_sentiment_csv" in drawn
    for spec in re.findall(r"var spec = (\{.*?\});\n", drawn, re.DOTALL):
        points = json.loads(spec)["data"]["values"]
        assert points
        drawn_fields = [point.get("dvc_inferred_y_value", "there") for point in points]
        assert "" not in drawn_fields, "an empty field is drawn as 0"
    changed = dvc(finished, "metrics", "diff", "--json", "--all")
    assert "sentiment" in changed


def dvc(project: Path, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_models_answer(finished: Path):
    masked = bertops(finished, "fill-mask", "the movie was [MASK] .", "--json")
    assert len(json.loads(masked.stdout)[0]["masks"][0]) == 5
    asked = bertops(
        finished, "predict", "--model", "models:/sentiment@champion", "I loved it.", "--json"
    )
    assert json.loads(asked.stdout)["predictions"][0]["prediction"] in {"negative", "positive"}


def test_a_second_run_trains_nothing_and_registers_nothing(finished: Path):
    before = versions(finished)
    lock = (finished / "dvc.lock").read_bytes()
    again = bertops(finished, "run")
    assert again.returncode == 0, again.stderr
    stages = graph.read(finished).stages
    assert again.stderr.count(": up to date") == len(stages)
    assert f"all {len(stages)} stages are up to date" in again.stdout
    assert versions(finished) == before
    assert (finished / "dvc.lock").read_bytes() == lock


def test_a_worse_candidate_is_refused_with_its_own_exit_code(finished: Path):
    params = finished / "params.yaml"
    before = params.read_text()
    strict = before.replace("beats_majority: false", "beats_majority: true")
    params.write_text(strict.replace("learning_rates: [1.0e-3]", "learning_rates: [1.0e-9]"))
    try:
        ran = bertops(finished, "run")
        assert ran.returncode == 3, ran.stderr
        assert "beats_majority" in ran.stdout + ran.stderr
        champions = [v["version"] for v in versions(finished) if "champion" in v["aliases"]]
        assert champions == [1, 1]
    finally:
        params.write_text(before)


@pytest.mark.torture  # two kills and a whole chain: minutes on a busy machine
def test_killed_in_training_the_next_run_finishes_with_the_same_lock_file(
    finished: Path, tmp_path_factory: pytest.TempPathFactory
):
    """Killed twice, and finished by `dvc repro`: the bytes of an untouched `bertops run`."""
    project = toy_project(tmp_path_factory.mktemp("killed"))
    kill_when(project, lambda: any((project / ".bertops/checkpoints").glob("*/*")))
    assert "pretrain" not in versioning.locked(project)
    kill_when(project, lambda: any((project / ".bertops/finetuning").glob("*/*")))
    assert "finetune@task0" not in versioning.locked(project)
    dvc(project, "repro")
    assert (project / "dvc.lock").read_text() == (finished / "lock-of-first-run").read_text()


def kill_when(project: Path, ready: Callable[[], bool]) -> None:
    """Start a run and kill every process of it, without warning, once `ready` says so."""
    run = subprocess.Popen(
        [sys.executable, "-m", "bertops", "run"],
        cwd=project,
        env=environment(project),
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 600
        while not ready():
            assert run.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        doomed = descendants(run.pid)
        for pid in doomed:
            os.kill(pid, signal.SIGKILL)
        run.wait()
        # DVC takes a lock for held as long as its holder's number is in use, dying ones too.
        while any(psutil.pid_exists(pid) for pid in doomed) and time.monotonic() < deadline:
            time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """The process and all below it, parents first."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]
