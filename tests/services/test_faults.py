"""What dies, and what must not: servers, workers and their machines, in the middle of training.

Their number is told at the end of a run of tests, with those of the other tests marked `fault`.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from bertops import services, versioning
from bertops.params import load
from bertops.paths import Paths
from bertops.storage import read_json
from bertops.tracker import NullTracker
from bertops.training.pretrain import pretrain
from tests.services.ask import (
    flow_runs,
    is_alive,
    prefect,
    train_losses,
    wait_for,
    worker_processes,
)
from tests.toy import bertops

RecordProperty = Callable[[str, object], None]

pytestmark = [pytest.mark.service, pytest.mark.fault, pytest.mark.timeout(1800)]

STEPS = 3000
SAVED_EVERY = 300
LOGGED_EVERY = 100


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


def saves(project: Path) -> set[tuple[int, int]]:
    """When each checkpoint that is there was written, in ns, and its step."""
    found = set()
    for path in checkpoints(project):
        with contextlib.suppress(FileNotFoundError):  # an old one that was removed meanwhile
            found.add((path.stat().st_mtime_ns, step_of(path)))
    return found


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


@contextlib.contextmanager
def watched_saves(project: Path) -> Iterator[list[int]]:
    """Steps of the checkpoints that are written while the block runs, in their order."""
    known, ended = saves(project), threading.Event()
    steps: list[int] = []

    def watch() -> None:
        while not ended.wait(0.05):
            new = saves(project) - known
            known.update(new)
            steps.extend(step for _, step in sorted(new))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield steps
    finally:
        ended.set()
        watcher.join()


def start_pipeline(project: Path, seed: int) -> None:
    """Begin a run that trains, and wait until it has saved a first checkpoint."""
    set_training(project, seed)
    before = checkpoints(project)
    prefect(project, "deployment", "run", "pipeline/pipeline")
    wait_for(lambda: checkpoints(project) - before, seconds=900)


def count(state: str, flow: str = "pipeline") -> int:
    """How many runs of a flow are in a state: COMPLETED, CRASHED."""
    return sum(run.state.type == state for run in flow_runs(flow))


def wait_for_end(project: Path, done: int) -> None:
    """Wait until one more run is completed, with everything up to date."""
    wait_for(lambda: count("COMPLETED") > done, seconds=900)
    assert versioning.status(project) == {}


def carry_on(project: Path, ports: services.Ports, saved_before: int) -> None:
    """Begin what is down, and a second run; wait until it is done, resumed and not begun afresh."""
    done = count("COMPLETED")
    with watched_saves(project) as saved:
        services.up(project, ports)
        prefect(project, "deployment", "run", "pipeline/pipeline")
        wait_for_end(project, done)
    assert saved, "nothing was trained"
    assert saved[0] > saved_before, "training began afresh"


def assert_weights_as_if_untouched(project: Path, work: Path) -> None:
    """The weights are those that the same training gives when nobody disturbs it."""
    paths = Paths(project)
    params = load(project / "params.yaml").pretrain
    places = {"tokens": paths.tokens, "tokenizer": paths.tokenizer}
    report = pretrain(
        **places, target=work / "encoder", checkpoints=work / "checkpoints", params=params,
        tracker=NullTracker(),
    )  # fmt: skip
    made = read_json(project / "reports/pretrain.json")["weights_sha256"]
    assert made == report.weights_sha256


def kill_service(project: Path, name: str) -> None:
    record = read_json(project / f".bertops/services/{name}.process.json")
    os.killpg(record["pid"], signal.SIGKILL)


def test_servers_die_one_after_the_other_and_training_goes_on(
    project: Path, ports: services.Ports, tmp_path: Path, record_property: RecordProperty
):
    done = count("COMPLETED")
    start_pipeline(project, seed=1)
    servers = [name for name in ("mlflow", "prefect", "postgres")
               if name in services.running(project)]  # fmt: skip
    record_property("faults", len(servers))
    for name in servers:
        kill_service(project, name)
        time.sleep(2)
        assert name not in services.running(project)
        services.up(project, ports)
    wait_for_end(project, done)
    (losses,) = train_losses("bertops-pretraining")
    steps = [step for step, _ in losses]
    expected = list(range(LOGGED_EVERY, STEPS + 1, LOGGED_EVERY))
    record_property("lost", len(set(expected) - set(steps)))
    assert steps == expected, "values are lost or doubled"
    assert_weights_as_if_untouched(project, tmp_path)


def test_a_worker_that_is_told_to_stop_saves_and_the_next_run_carries_on(
    project: Path, ports: services.Ports, tmp_path: Path
):
    start_pipeline(project, seed=2)
    worker, *runs = worker_processes(project)
    with watched_saves(project) as saved:
        worker.terminate()
        wait_for(lambda: not any(map(is_alive, runs)), seconds=90)
    # The last one was written because of the signal, not because its turn had come.
    assert saved[-1] % SAVED_EVERY != 0
    assert 0 < saved[-1] < STEPS
    carry_on(project, ports, saved[-1])
    assert_weights_as_if_untouched(project, tmp_path)


def test_a_machine_that_is_gone_frees_its_slot_and_the_next_run_carries_on(
    project: Path, ports: services.Ports, tmp_path: Path
):
    """SIGKILL of the worker and of all it started, as when the power goes."""
    crashed, before = count("CRASHED"), checkpoints(project)
    start_pipeline(project, seed=3)
    for process in worker_processes(project):
        process.kill()
    last = max(step_of(path) for path in checkpoints(project) - before)
    assert 0 < last < STEPS
    wait_for(lambda: count("CRASHED") > crashed, seconds=900)
    carry_on(project, ports, last)
    assert_weights_as_if_untouched(project, tmp_path)


def test_two_schedules_that_fire_at_once_do_the_work_once(project: Path):
    listed = bertops(project, "registry", "list", "--json").stdout
    done, retrained = count("COMPLETED"), count("COMPLETED", "retrain")
    for name in ("pipeline/pipeline", "retrain/retrain", "pipeline/pipeline"):
        prefect(project, "deployment", "run", name)
    wait_for(lambda: count("COMPLETED") >= done + 2, seconds=900)
    wait_for(lambda: count("COMPLETED", "retrain") > retrained, seconds=300)
    assert bertops(project, "registry", "list", "--json").stdout == listed
    assert versioning.status(project) == {}
