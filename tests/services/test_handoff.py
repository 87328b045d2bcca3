"""A pipeline hands its training to a worker on another machine: two checkouts, one remote."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bertops import git, versioning
from tests.services.ask import flow_runs, prefect, wait_for
from tests.toy import environment

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def other_machine(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clone with a worker of the pool gpu; it shares the DVC remote with the project, no more."""
    store = tmp_path_factory.mktemp("store")
    add = ["remote", "add", "--default", "team", str(store)]
    subprocess.run([sys.executable, "-m", "dvc", *add], cwd=project, check=True)
    me = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    git.run(project, *me, "commit", "-qam", "Share data")
    clone = tmp_path_factory.mktemp("other") / "project"
    subprocess.run(["git", "clone", "-q", project, clone], check=True)
    home = {"BERTOPS_PROJECT": str(clone), "PREFECT_HOME": str(clone.parent / "prefect")}
    with (clone.parent / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", "gpu",
             "--type", "process", "--limit", "1"],
            cwd="/", env=environment(clone) | home, stdout=log, stderr=log,
        )  # fmt: skip
    yield clone
    worker.terminate()
    try:
        worker.wait(60)
    finally:
        worker.kill()


def test_a_stage_runs_on_the_other_machine_and_comes_back(project: Path, other_machine: Path):
    commits = git.head(project), git.head(other_machine)
    elsewhere = json.dumps({"elsewhere": {"pretrain": "stage/stage-gpu"}})
    prefect(project, "deployment", "run", "pipeline/pipeline", "--params", elsewhere)
    wait_for(lambda: any(run.state.is_final() for run in flow_runs("pipeline")), seconds=1200)
    (run,) = flow_runs("pipeline")
    assert run.state.is_completed(), run.state.message
    (stage,) = flow_runs("stage")
    assert stage.state.is_completed()

    assert not (project / ".bertops/checkpoints").exists()
    (checkout,) = (other_machine / ".bertops/checkouts").iterdir()
    assert list((checkout / ".bertops/checkpoints").glob("*/step-*"))
    assert versioning.status(project) == {}
    here, there = (versioning.locked(place)["pretrain"] for place in (project, checkout))
    assert here == there
    assert (git.head(project), git.head(other_machine)) == commits
    assert "finetune@sentiment" not in versioning.locked(checkout)


def test_what_is_up_to_date_is_handed_to_nobody(project: Path, other_machine: Path):
    elsewhere = json.dumps({"elsewhere": {"pretrain": "stage/stage-gpu"}})
    prefect(project, "deployment", "run", "pipeline/pipeline", "--params", elsewhere)
    wait_for(
        lambda: [run.state.is_completed() for run in flow_runs("pipeline")] == [True, True],
        seconds=300,
    )
    assert len(flow_runs("stage")) == 1


def test_an_empty_disk_restores_everything_and_computes_nothing(
    project: Path, other_machine: Path, tmp_path: Path
):
    versioning.transfer(project, "push")
    clone = tmp_path / "new"
    subprocess.run(["git", "clone", "-q", project, clone], check=True)
    (clone / "dvc.lock").write_bytes((project / "dvc.lock").read_bytes())
    versioning.transfer(clone, "pull")
    assert versioning.status(clone) == {}
    run = subprocess.run(
        [sys.executable, "-m", "bertops", "stages", "--json"],
        cwd=clone, env=environment(clone) | {"PREFECT_API_URL": ""}, capture_output=True, text=True,
    )  # fmt: skip
    assert {one["state"] for one in json.loads(run.stdout)} == {"up to date"}
    assert (clone / "models/encoder/model.safetensors").exists()
