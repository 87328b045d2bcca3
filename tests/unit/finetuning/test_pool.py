import contextlib
from dataclasses import replace

import psutil
import pytest

from bertops import runtime
from bertops.document import SplitParams
from bertops.finetuning.bench import open_bench
from bertops.finetuning.data import prepare_task
from bertops.finetuning.pool import open_pool
from bertops.parallel import WorkerLost
from bertops.tracker import MemoryTracker

JOBS = [("pretrained", 1, 5e-3), ("control", 1, 5e-3)]


@pytest.fixture
def bench(task, project, encoder, quick):
    prepare_task(task, SplitParams(), project / "data", project)
    return open_bench(task, project / "data", str(encoder), quick)


@pytest.mark.slow
def test_two_processes_give_the_results_of_one(bench, project, quick, monkeypatch):
    results = {}
    for processes in (1, 2):
        monkeypatch.setattr(runtime, "threads", lambda n=processes: n)
        tracker, epochs = MemoryTracker(), []
        with open_pool(bench, project / f"work{processes}", tracker, epochs.append, 2) as pool:
            found = pool.run(JOBS)
        results[processes] = found
        assert sum(epochs) == 2 * quick.epochs
        assert {name for _, values in tracker.metrics for name in values} >= {
            "pretrained-seed1-lr0.005.validation_accuracy",
            "control-seed1-lr0.005.validation_accuracy",
        }
    assert [run.curve for run in results[1]] == [run.curve for run in results[2]]
    assert [run.metrics for run in results[1]] == [run.metrics for run in results[2]]


def workers():
    """The processes that a pool of this process has started."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it was killed, and is gone or a zombie
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


@pytest.mark.slow
def test_a_killed_worker_is_told_and_ends_the_pool(bench, project, quick, monkeypatch):
    monkeypatch.setattr(runtime, "threads", lambda: 2)
    long = replace(bench, params=quick.model_copy(update={"epochs": 500}))

    def kill_one(epochs):
        for worker in workers()[:1]:
            worker.kill()

    with (
        pytest.raises(WorkerLost, match=r"fine-tuning reviews: a worker .*finished attempts"),
        open_pool(long, project / "work", MemoryTracker(), kill_one, 2) as pool,
    ):
        pool.run(JOBS)
    assert not workers()


@pytest.mark.slow
def test_an_error_in_the_block_ends_the_workers_at_once(bench, project, quick, monkeypatch):
    monkeypatch.setattr(runtime, "threads", lambda: 2)
    long = replace(bench, params=quick.model_copy(update={"epochs": 500}))

    def interrupt(epochs):
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        open_pool(long, project / "work", MemoryTracker(), interrupt, 2) as pool,
    ):
        pool.run(JOBS)
    assert not workers()
