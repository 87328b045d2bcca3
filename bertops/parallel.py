"""The same function over many tasks: in this process, in a pool of processes, as Ray tasks, or a
share of the tasks in each process that a scheduler like Slurm starts.

The engine and the number of workers change how long it takes and nothing else: functions write
files whose names depend on what is in them, and results come back in the order of the tasks.
"""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, Self, TypeVar

from pydantic import Field

from bertops.errors import BertopsError, UsageError
from bertops.progress import progress
from bertops.runtime import threads
from bertops.section import Section

T = TypeVar("T")
Task = tuple[Any, ...]
"""Arguments of one call; they travel to another process, so they are small and picklable."""

ONE_THREAD = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}


class ParallelParams(Section):
    """Where shards are worked on. Changes no result."""

    engine: Literal["local", "ray"] = Field(
        "local", description="local: processes of this machine; ray: Ray core tasks."
    )
    workers: int = Field(0, ge=0, description="Processes at once; 0: one for each processor.")
    ray_address: str | None = Field(
        None, description="Address of a Ray cluster; default: one is started on this machine."
    )
    task_retries: int = Field(
        3, ge=0, description="How often Ray repeats a task whose node was lost."
    )


@dataclass(frozen=True)
class Share:
    """The part of the tasks that is this process's own, where a scheduler starts many of them."""

    task: int = 0
    """Which of them this is, from 0."""
    of: int = 1
    """How many there are."""

    def __post_init__(self) -> None:
        if not 0 <= self.task < self.of:
            raise UsageError(
                f"task {self.task} of {self.of}: tasks are counted from 0, so the last one is "
                f"{self.of - 1}; a Slurm array of this size is --array=0-{max(self.of, 1) - 1}"
            )

    def pick(self, tasks: Iterable[T]) -> list[T]:
        """Every `of`-th task: shares do not overlap, and together they are all tasks."""
        return list(islice(tasks, self.task, None, self.of))


ALL = Share()
"""The share of a process that works alone."""


class WorkerLost(BertopsError):
    """A worker process died: most often the system killed it for want of memory."""

    def __init__(self, what: str, workers: int, remedy: str) -> None:
        self.what, self.workers = what, workers
        super().__init__(
            f"{what}: a worker process died, most often for want of memory ({workers} workers). "
            f"{remedy}"
        )


class Workers:
    """Who works on lists of tasks, one list after the other; to be used in a `with` block.

    What a list of tasks needs, processes or Ray, is started with it and stays for the lists after
    it: a process imports for a second or two before it can work.
    """

    def __init__(self, params: ParallelParams) -> None:
        """Nothing is started yet."""
        self._params = params
        self._started = contextlib.ExitStack()
        self._pool: ProcessPoolExecutor | None = None
        self._processes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def run(
        self, function: Callable[..., Any], tasks: Sequence[Task], what: str, unit: str = "shards"
    ) -> list[Any]:
        """Call `function(*task)` for every task; results in the order of the tasks.

        Args:
            function: a module-level function; with more than one worker it runs in other processes.
            tasks: arguments of each call; begun in this order.
            what: name of the work, for the progress bar and errors.
            unit: what the progress bar counts.

        Raises:
            WorkerLost: a local worker died. Errors of `function` come out as they are.
        """
        workers = min(self._params.workers or threads(), len(tasks))
        if self._params.engine == "ray" and tasks:
            results = self._with_ray(function, tasks)
        elif workers <= 1:
            results = (function(*task) for task in tasks)
        else:
            results = self._with_processes(function, tasks, workers, what)
        return list(progress(results, what=what, total=len(tasks), unit=unit))

    def _with_processes(
        self, function: Callable[..., Any], tasks: Sequence[Task], workers: int, what: str
    ) -> Iterator[Any]:
        pool = self._pool_of(workers)
        futures = [pool.submit(function, *task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        except BrokenProcessPool as error:
            remedy = "Set corpus.parallel.workers lower; finished shards are kept."
            raise WorkerLost(what, workers, remedy) from error
        finally:
            for future in futures:
                future.cancel()

    def _pool_of(self, workers: int) -> ProcessPoolExecutor:
        """At least so many spawned processes of one thread each; those of before, if enough.

        Spawned, since forking a process that has threads can deadlock.
        """
        if self._pool is None or self._processes < workers:
            self._started.close()
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(workers, context, initializer=_one_thread)
            self._processes = workers
            self._started.callback(self._pool.shutdown, cancel_futures=True)
        return self._pool

    def _with_ray(self, function: Callable[..., Any], tasks: Sequence[Task]) -> Iterator[Any]:
        """Ray core tasks, a processor each. A task whose node is lost runs again on another.

        Core tasks and not Ray Data, which took two to three times as long for the same work. All
        nodes must see the same files.
        """
        import ray

        if not ray.is_initialized():
            address = self._params.ray_address
            ray.init(
                address=address,
                num_cpus=None if address else self._params.workers or threads(),
                include_dashboard=False,
                log_to_driver=False,
            )
            self._started.callback(ray.shutdown)
        retries = self._params.task_retries
        remote = ray.remote(num_cpus=1, max_retries=retries, runtime_env={"env_vars": ONE_THREAD})(
            function
        )
        references = [remote.remote(*task) for task in tasks]
        for reference in references:
            yield ray.get(reference)


def run_tasks(
    function: Callable[..., Any], tasks: Sequence[Task], params: ParallelParams, what: str
) -> list[Any]:
    """One list of tasks, by workers of its own; arguments and errors as in `Workers.run`."""
    with Workers(params) as workers:
        return workers.run(function, tasks, what)


def _one_thread() -> None:
    """Keep a worker to one processor; libraries read these when they are first imported."""
    os.environ.update(ONE_THREAD)
