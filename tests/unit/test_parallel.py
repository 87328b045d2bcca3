"""Engines and numbers of workers change how long it takes and nothing else."""

import os
import time
from pathlib import Path

import pytest

from bertops.parallel import ParallelParams, WorkerLost, Workers, run_tasks


def square(number: int) -> int:
    return number * number


def fail(number: int) -> int:
    raise ValueError(f"cannot do {number}")


def die(_: int) -> None:
    os._exit(1)


def meet(folder: Path, number: int, of: int) -> int:
    """The process that does this task; it waits for the other tasks, so each has its own."""
    folder.mkdir(exist_ok=True)
    (folder / str(number)).touch()
    deadline = time.monotonic() + 120
    while len(list(folder.iterdir())) < of and time.monotonic() < deadline:
        time.sleep(0.01)
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    tasks = [(i,) for i in range(7)]
    found = run_tasks(square, tasks, ParallelParams(workers=workers), "square")
    assert found == [i * i for i in range(7)]


def test_no_tasks_need_no_workers() -> None:
    assert run_tasks(square, [], ParallelParams(workers=2), "square") == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_task_comes_out_as_it_is(workers: int) -> None:
    with pytest.raises(ValueError, match="cannot do 0"):
        run_tasks(fail, [(0,), (1,)], ParallelParams(workers=workers), "fail")


def test_a_worker_that_dies_is_told_with_its_likely_cause() -> None:
    with pytest.raises(WorkerLost, match="want of memory"):
        run_tasks(die, [(0,), (1,)], ParallelParams(workers=2), "judge")


def test_processes_stay_for_the_next_list_of_tasks(tmp_path: Path) -> None:
    with Workers(ParallelParams(workers=3)) as workers:
        first, second, third = (
            set(workers.run(meet, [(tmp_path / name, i, of) for i in range(of)], name))
            for name, of in (("first", 2), ("second", 2), ("third", 3))
        )
    assert first == second
    assert os.getpid() not in first
    assert [len(first), len(third)] == [2, 3]


@pytest.mark.slow
def test_ray_gives_the_same_results() -> None:
    pytest.importorskip("ray", reason="needs the extra ray")
    tasks = [(i,) for i in range(5)]
    params = ParallelParams(engine="ray", workers=2)
    assert run_tasks(square, tasks, params, "square") == [i * i for i in range(5)]
