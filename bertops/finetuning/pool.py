"""Several runs side by side: one process with one thread each.

Small models spend much of a step in operations that two threads cannot share, so two processes of
one thread finish more runs than one process of two. It also makes a result independent of the
number of cores. On a GPU, and for a single run, everything happens in this process.
"""

import contextlib
import multiprocessing
import os
import pickle
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bertops import runtime
from bertops.finetuning.attempt import Attempt, Model, attempt
from bertops.finetuning.bench import Bench
from bertops.parallel import WorkerLost
from bertops.tracker import NullTracker, Tracker

Job = tuple[Model, int, float]
"""Model, seed, learning rate."""

_POLL_S = 0.2
_REMEDY = (
    "Run it again: finished attempts are kept. `taskset -c 0` before the command gives one attempt "
    "at a time."
)
_here: dict[str, Any] = {}
"""What a worker process was given at its start."""


@dataclass(frozen=True)
class Pool:
    """Runs attempts; hands on their metrics and epochs as they come."""

    bench: Bench
    work: Path
    tracker: Tracker
    on_epoch: Callable[[int], None]
    _workers: int = 1
    _processes: Any = None
    _events: Any = None

    def run(self, jobs: Sequence[Job]) -> list[Attempt]:
        """The results of the jobs, in their order.

        Raises:
            WorkerLost: a process died; the attempts that were finished are kept in `work`.
        """
        if self._processes is None:
            return [attempt(self.bench, self.work, *j, self.tracker, self.on_epoch) for j in jobs]
        try:
            futures = [self._processes.submit(_attempt_here, *job) for job in jobs]
            while wait(futures, _POLL_S).not_done:
                self._hand_on()
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            what = f"fine-tuning {self.bench.task.name}"
            raise WorkerLost(what, self._workers, _REMEDY) from error

    def _hand_on(self) -> None:
        while not self._events.empty():
            values, step = self._events.get()
            if values is None:
                self.on_epoch(step)
            else:
                self.tracker.log_metrics(values, step)


@contextlib.contextmanager
def open_pool(
    bench: Bench, work: Path, tracker: Tracker, on_epoch: Callable[[int], None], runs: int
) -> Iterator[Pool]:
    """A pool for at most `runs` runs at a time. Its processes end with the block, or with us."""
    workers = min(runs, runtime.threads())
    if workers == 1 or runtime.device().type != "cpu":
        with _one_thread():
            yield Pool(bench, work, tracker, on_epoch)
        return
    context = multiprocessing.get_context("spawn")
    events = context.SimpleQueue()
    end, ours = context.Pipe(duplex=False)
    # Through a file: a process that is killed before it has read its arguments keeps us writing for
    # ever, where they are more than a pipe holds.
    with tempfile.NamedTemporaryFile() as file:
        pickle.dump(bench, file)
        file.flush()
        start = (_start_worker, (file.name, work, events, end))
        with _without_main(), ProcessPoolExecutor(workers, context, *start) as processes, ours:
            pool = Pool(bench, work, tracker, on_epoch, workers, processes, events)
            yield pool
            pool._hand_on()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keep new processes from importing the caller's script.

    They need nothing of it, and a script without `if __name__ == "__main__"` would run again in
    every one of them, for ever.
    """
    main = sys.modules["__main__"]
    kept = {
        name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if hasattr(main, name)
    }
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(kept)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread within the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class _EventTracker(NullTracker):
    """Sends metrics to the parent."""

    events: Any

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Send."""
        self.events.put((dict(values), step))


def _start_worker(bench: str, work: Path, events: Any, end: Connection) -> None:
    import torch

    from bertops.inference.quiet import quiet_transformers

    torch.set_num_threads(1)
    quiet_transformers()
    _here.update(bench=pickle.loads(Path(bench).read_bytes()), work=work, events=events)
    threading.Thread(target=_end_with, args=(end,), daemon=True).start()


def _end_with(pool: Connection) -> None:
    """End this process, whatever it does, when the pool has closed its pipe or was killed."""
    pool.poll(None)
    os._exit(1)


def _attempt_here(model: Model, seed: int, learning_rate: float) -> Attempt:
    events = _here["events"]
    return attempt(
        _here["bench"],
        _here["work"],
        model,
        seed,
        learning_rate,
        _EventTracker(events),
        lambda epochs: events.put((None, epochs)),
    )
