"""The task that runs one stage of dvc.yaml."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from bertops import versioning


@dataclass(frozen=True)
class StageResult:
    """What became of one stage."""

    stage: str
    outcome: versioning.Outcome
    seconds: float


def worth_retrying(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Only what may heal by itself is tried again: a killed process, not a bad input."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, versioning.StageFailed) and error.killed


@task(
    name="reproduce",
    task_run_name="{label}",
    cache_policy=NO_CACHE,  # DVC knows what is up to date; Prefect's cache knows values, not files
    retries=1,
    retry_delay_seconds=5,
    retry_condition_fn=worth_retrying,
    timeout_seconds=7 * 24 * 3600,
)
def reproduce(root: Path, address: str, label: str, *, needed: bool) -> StageResult:
    """Bring one stage up to date; `needed=False` records that it is, without asking DVC again."""
    began = time.monotonic()
    outcome: versioning.Outcome = "up to date"
    if needed:
        say(f"{label} ...")
        outcome = versioning.reproduce(root, address, label)
    result = StageResult(label, outcome, time.monotonic() - began)
    say(f"{label}: " + (f"done in {result.seconds:.0f} s" if outcome == "ran" else outcome))
    return result


def say(line: str) -> None:
    """Tell the person who waits how far it is."""
    print(line, file=sys.stderr, flush=True)
