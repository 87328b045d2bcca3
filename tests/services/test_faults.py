"""What dies, and what must not: servers, workers and their machines, in the middle of training.

The counts of a run of this file are told at its end: faults injected, survived, data lost.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from bertops import services, versioning
from bertops.params import load
from bertops.paths import Paths
from bertops.storage import read_json
from bertops.tracker import NullTracker
from bertops.training.pretrain import pretrain
from tests.services.ask import flow_runs, prefect, train_losses, wait_for
from tests.toy import bertops

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]

STEPS = 3000
SAVED_EVERY = LOGGED_EVERY = 100


@pytest.fixture(scope="module", autouse=True)
def counts() -> Iterator[dict[str, int]]:
    """Faults that were injected; told at the end."""
    found = {"injected": 0, "survived": 0, "steps lost or doubled": 0}
    yield found
    print(f"\nfaults: {found}")


def set_training(project: Path, seed: int) -> None:
    """Parameters of a training that lasts long enough to be hit; another seed, another run."""
    path = project / "params.yaml"
    values = yaml.safe_load(path.read_text())
    values["training"] |= {
        "budget": {"steps": STEPS}, "seed": seed, "save_every_steps": SAVED_EVERY,
        "log_every_steps": LOGGED_EVERY, "validate_every_steps": STEPS,
    }  # fmt: skip
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    commit = ["commit", "-qam", f"Train with seed {seed}"]
    me = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *me, *commit], cwd=project, check=True)


def checkpoints(project: Path) -> set[Path]:
    return set((project / ".bertops/checkpoints").glob("*/step-*"))


def wait_for_training(project: Path, before: set[Path]) -> None:
    wait_for(lambda: checkpoints(project) - before, seconds=900)


def start_pipeline() -> None:
    prefect(Path.cwd(), "deployment", "run", "pipeline/pipeline")


def completed(count: int) -> bool:
    return sum(run.state.is_completed() for run in flow_runs("pipeline")) >= count


def untouched_weights(project: Path, work: Path) -> str:
    """sha256 of the weights that the same training gives when nobody disturbs it."""
    paths = Paths(project)
    params = load(project / "params.yaml").pretrain
    places = {"tokens": paths.tokens, "tokenizer": paths.tokenizer}
    report = pretrain(
        **places, target=work / "encoder", checkpoints=work / "checkpoints", params=params,
        tracker=NullTracker(),
    )  # fmt: skip
    return report.weights_sha256


def kill_service(project: Path, name: str) -> None:
    record = read_json(project / f".bertops/services/{name}.process.json")
    os.killpg(record["pid"], signal.SIGKILL)


def engines(project: Path) -> list[psutil.Process]:
    """Processes of flow runs of this project, with all they started."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        engine = "prefect.flow_engine" in " ".join(process.info["cmdline"] or ())
        if engine and process.environ().get("PYTHONPATH", "").startswith(str(project)):
            found += [process, *process.children(recursive=True)]
    return found


def test_servers_die_one_after_the_other_and_training_goes_on(
    project: Path, ports: services.Ports, tmp_path: Path, counts: dict[str, int]
):
    set_training(project, seed=1)
    before = checkpoints(project)
    start_pipeline()
    wait_for_training(project, before)
    for name in ("mlflow", "prefect", "postgres"):
        if name in services.running(project):
            kill_service(project, name)
            counts["injected"] += 1
            time.sleep(2)
            services.up(project, ports)
    wait_for(lambda: completed(1), seconds=900)
    counts["survived"] = counts["injected"]
    (losses,) = train_losses("bertops-pretraining")
    steps = [step for step, _ in losses]
    expected = list(range(LOGGED_EVERY, STEPS + 1, LOGGED_EVERY))
    doubled = len(steps) - len(set(steps))
    counts["steps lost or doubled"] += len(set(expected) ^ set(steps)) + doubled
    assert steps == expected
    made = read_json(project / "reports/pretrain.json")["weights_sha256"]
    assert made == untouched_weights(project, tmp_path)
    assert versioning.status(project) == {}


def test_a_worker_that_is_told_to_stop_saves_and_the_next_run_carries_on(
    project: Path, ports: services.Ports, tmp_path: Path, counts: dict[str, int]
):
    set_training(project, seed=2)
    before = checkpoints(project)
    start_pipeline()
    wait_for_training(project, before)
    record = read_json(project / ".bertops/services/worker.process.json")
    os.kill(record["pid"], signal.SIGTERM)
    counts["injected"] += 1
    wait_for(lambda: not engines(project), seconds=90)
    (latest,) = {path.parent for path in checkpoints(project) - before}
    saved = max(int(path.name.removeprefix("step-")) for path in latest.glob("step-*"))
    assert 0 < saved < STEPS
    services.up(project, ports)
    start_pipeline()
    wait_for(lambda: completed(2), seconds=900)
    made = read_json(project / "reports/pretrain.json")["weights_sha256"]
    assert made == untouched_weights(project, tmp_path)
    counts["survived"] += 1


def test_a_machine_that_is_gone_frees_its_slot_and_the_next_run_carries_on(
    project: Path, ports: services.Ports, tmp_path: Path, counts: dict[str, int]
):
    """SIGKILL of the worker and of all it started, as when the power goes."""
    set_training(project, seed=3)
    before = checkpoints(project)
    start_pipeline()
    wait_for_training(project, before)
    ended = sum(run.state.is_final() for run in flow_runs("pipeline"))
    kill_service(project, "worker")
    for process in engines(project):
        process.kill()
    counts["injected"] += 1
    wait_for(
        lambda: sum(run.state.is_final() for run in flow_runs("pipeline")) > ended, seconds=900
    )
    assert flow_runs("pipeline")[0].state.is_crashed()
    services.up(project, ports)
    start_pipeline()
    wait_for(lambda: completed(3), seconds=900)
    made = read_json(project / "reports/pretrain.json")["weights_sha256"]
    assert made == untouched_weights(project, tmp_path)
    counts["survived"] += 1


def test_two_schedules_that_fire_at_once_do_the_work_once(project: Path, counts: dict[str, int]):
    listed = bertops(project, "registry", "list", "--json").stdout
    for name in ("pipeline/pipeline", "retrain/retrain", "pipeline/pipeline"):
        prefect(project, "deployment", "run", name)
    counts["injected"] += 1
    wait_for(lambda: completed(5), seconds=900)
    wait_for(lambda: flow_runs("retrain")[0].state.is_completed(), seconds=300)
    assert bertops(project, "registry", "list", "--json").stdout == listed
    assert versioning.status(project) == {}
    counts["survived"] += 1
