"""The task that runs one stage of dvc.yaml, and what all tasks share: retries, costs, timeout."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from bertops import versioning
from bertops.registry.client import FilesNotMoved
from bertops.tracking.store import did_not_answer

PRICE = "BERTOPS_PRICE_PER_HOUR"
"""Environment variable: what an hour of this machine costs, for the table of stages."""

TIMEOUT = "BERTOPS_FLOW_TIMEOUT_S"
"""Environment variable: how long a flow may take, in seconds."""

# Of flows alone, not of tasks: Prefect has one alarm clock, and an inner timeout that ends sets
# the outer one back to what was left when the inner one began.
TIMEOUT_S = float(os.environ.get(TIMEOUT, 7 * 24 * 3600))


@dataclass(frozen=True)
class StageResult:
    """What became of one stage."""

    stage: str
    outcome: versioning.Outcome | Literal["failed"]
    seconds: float
    cost: float
    """By the price of the machine that did it."""


def finished(
    stage: str, outcome: versioning.Outcome | Literal["failed"], began: float
) -> StageResult:
    """Result of a stage that began at a time of `time.monotonic()` on this machine."""
    seconds = time.monotonic() - began
    price = float(os.environ.get(PRICE, "0"))
    return StageResult(stage, outcome, round(seconds, 2), round(seconds / 3600 * price, 4))


def worth_retrying(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Only what may heal by itself is tried again: a killed process or a network, no bad input."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, versioning.StageFailed):
        return error.killed
    if isinstance(error, versioning.DvcError):
        return error.arguments[0] in ("pull", "push")
    network = (ConnectionError, TimeoutError, httpx.TransportError)
    moved = (versioning.RemoteDamaged, FilesNotMoved)
    return isinstance(error, network + moved) or did_not_answer(error)


SERVED: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "retries": 3,
    "retry_delay_seconds": [5, 30, 120],
    "retry_condition_fn": worth_retrying,
}
"""Options of tasks that need a server or a remote: it may be away for some minutes."""


@task(
    name="reproduce",
    task_run_name="{label}",
    cache_policy=NO_CACHE,  # DVC knows what is up to date; Prefect's cache knows values, not files
    retries=1,
    retry_delay_seconds=5,
    retry_condition_fn=worth_retrying,
)
def reproduce(root: Path, address: str, label: str, *, needed: bool) -> StageResult:
    """Bring one stage up to date; `needed=False` records that it is, without asking DVC again."""
    began = time.monotonic()
    outcome: versioning.Outcome = "up to date"
    if needed:
        say(f"{label} ...")
        outcome = versioning.reproduce(root, address, label)
    result = finished(label, outcome, began)
    say(f"{label}: " + (f"done in {result.seconds:.0f} s" if outcome == "ran" else outcome))
    return result


def say(line: str) -> None:
    """Tell the person who waits how far it is."""
    print(line, file=sys.stderr, flush=True)
