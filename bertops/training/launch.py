"""Several devices: pretraining once per device under torchrun, watched by the process that asked.

The parent keeps the tracker, the children train. The leading child writes what it would track to
a file, line by line, and the parent passes it on; so services and their libraries are needed in
one process only, and a machine that only trains needs none of them.

On several machines each has such a parent. `BERTOPS_NODE` tells it which machine it is on: that of
number 0 leads, and tracks and writes the model; the others work on the same files and report what
came of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bertops.errors import BertopsError, Interrupted, UsageError
from bertops.storage import read_json, write_json
from bertops.tracker import NullTracker, Tracker
from bertops.training.params import DistributedParams, PretrainParams

if TYPE_CHECKING:
    from bertops.training.pretrain import PretrainReport

POLL_S = 0.5
NODE = "BERTOPS_NODE"
"""Environment variable: number of this machine among those that train together, from 0."""


class WorkersFailed(BertopsError):
    """Training on several devices ended with an error."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message or f"torchrun ended with code {code}; its output is above.")


def processes_wanted(params: DistributedParams) -> int:
    """Processes to start on this machine: those asked for, else one per GPU; 1 without any."""
    if params.processes is not None:
        return params.processes
    import torch

    return max(1, torch.cuda.device_count())


def starts_processes(params: DistributedParams) -> bool:
    """Whether training is done by other processes; never inside one that torchrun started."""
    return "WORLD_SIZE" not in os.environ and params.nodes * processes_wanted(params) > 1


def this_node(params: DistributedParams) -> int:
    """Number of this machine among those that train together; 0 leads.

    Raises:
        UsageError: there are several, and BERTOPS_NODE does not say which of them this is.
    """
    if params.nodes == 1:
        return 0
    given = os.environ.get(NODE, "")
    if given not in map(str, range(params.nodes)):
        raise UsageError(
            f"training.distributed.nodes is {params.nodes}, and {NODE} is {given or 'not set'}. "
            f"Start the stage on every machine, with {NODE}=0 on that of the rendezvous and the "
            f"numbers up to {params.nodes - 1} on the others."
        )
    return int(given)


def pretrain_distributed(
    places: Mapping[str, str | Path | None], params: PretrainParams, tracker: Tracker
) -> PretrainReport:
    """What `pretrain` does, on several processes.

    Args:
        places: the arguments of `pretrain` that are paths, by name.

    Raises:
        Interrupted: SIGTERM or Ctrl-C came; a checkpoint is written.
        UsageError: it is not told which of several machines this is.
        WorkersFailed: with the message of the leading process.
    """
    from bertops.training.pretrain import PretrainReport

    with tempfile.TemporaryDirectory(prefix="bertops-") as name:
        folder = Path(name)
        given = {name: str(place) for name, place in places.items() if place is not None}
        write_json(folder / "task.json", {"places": given, "params": params.model_dump()})
        (folder / "tracked.jsonl").touch()
        code = _watch(_command(folder, params.training.distributed), folder, tracker)
        outcome = read_json(folder / "outcome.json") if (folder / "outcome.json").exists() else {}
    if code == 0:
        return PretrainReport(**outcome["report"])
    if outcome.get("exit_code") == Interrupted.exit_code:
        raise Interrupted(outcome["error"])
    raise WorkersFailed(code, outcome.get("error", ""))


def _command(folder: Path, params: DistributedParams) -> list[str]:
    where = ["--standalone"]
    if params.rendezvous is not None:
        endpoint = ["--rdzv-backend=static", f"--rdzv-endpoint={params.rendezvous}"]
        where = [*endpoint, f"--node-rank={this_node(params)}"]
    count = [f"--nnodes={params.nodes}", f"--nproc-per-node={processes_wanted(params)}"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *where, *count]
    return [*torchrun, "-m", "bertops.training.launch", str(folder)]


def _watch(command: list[str], folder: Path, tracker: Tracker) -> int:
    """Run the command, pass on what its leader tracks and the signals that come; its exit code."""
    with (folder / "tracked.jsonl").open() as tracked, subprocess.Popen(command) as child:
        with _signals_to(child):
            while child.poll() is None:
                _pass_on(tracked, tracker)
                time.sleep(POLL_S)
        _pass_on(tracked, tracker)
    return child.returncode


def _pass_on(tracked: IO[str], tracker: Tracker) -> None:
    for line in iter(tracked.readline, ""):
        method, arguments = json.loads(line)
        getattr(tracker, method)(*arguments)


@contextlib.contextmanager
def _signals_to(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Signals that ask this process to stop go to the child, which saves first."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {n: signal.signal(n, lambda *_: child.send_signal(signal.SIGTERM)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class FileTracker(NullTracker):
    """Writes parameters and metrics down for the parent."""

    path: Path

    def log_params(self, params: Any) -> None:
        """Write them down."""
        self._write("log_params", params)

    def log_metrics(self, values: Any, step: int) -> None:
        """Write them down."""
        self._write("log_metrics", values, step)

    def _write(self, method: str, *arguments: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps([method, arguments]) + "\n")


def work(folder: Path) -> int:
    """One of the processes: train; the first one of a machine writes down what came of it."""
    from bertops.training.pretrain import pretrain

    task, leads = read_json(folder / "task.json"), os.environ["RANK"] == "0"
    places = {name: Path(place) for name, place in task["places"].items()}
    tracker = FileTracker(folder / "tracked.jsonl") if leads else NullTracker()
    params = PretrainParams.model_validate(task["params"])
    try:
        report = pretrain(**places, params=params, tracker=tracker)
    except BertopsError as error:
        outcome: dict[str, Any] = {"error": str(error), "exit_code": error.exit_code}
    else:
        outcome = {"report": report.to_dict(), "exit_code": 0}
    if os.environ["LOCAL_RANK"] == "0":
        write_json(folder / "outcome.json", outcome)
    return int(outcome["exit_code"])


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1])))
