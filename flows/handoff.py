"""Hand a stage to a worker on another machine, as a flow run of its own.

Inputs and outputs travel through the DVC remote. What was made is told by the stage's entry of
dvc.lock, which the worker leaves with its run; nothing is committed or pushed by git.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, task
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterType,
)
from prefect.deployments import run_deployment

from bertops import git, graph, versioning
from bertops.errors import UsageError
from bertops.problems import did_you_mean
from bertops.storage import write_text
from flows.account import account, alone
from flows.tasks import SERVED, TIMEOUT_S, StageResult, finished, reproduce, say

LOCK_ENTRY = "dvc-lock-entry"
"""Type of the artifact that a worker leaves: {"entry": of dvc.lock, "cost": what it took}."""


@flow(name="stage", timeout_seconds=TIMEOUT_S)
def stage(address: str, commit: str, lock: str, root: Path = Path()) -> None:
    """Run one stage here for somebody else: restore its inputs, run it, push what it made.

    A run that was killed carries on from its checkpoint when it is tried again on this machine.

    Args:
        address: what DVC calls the stage.
        commit: of the code and parameters; checked out under .bertops/checkouts.
        lock: dvc.lock of whoever asks: it names the inputs.
    """
    with account(f"stage {address}") as told:
        checkout = versioning.check_out(root.resolve(), commit)
        with alone(checkout):
            result = _make(checkout, address, lock)
        told.stages.append(result)
        told.said = f"{result.stage}: {result.outcome} at {commit[:12]}"


def _make(checkout: Path, address: str, lock: str) -> StageResult:
    write_text(checkout / "dvc.lock", lock)
    plan = graph.read(checkout)
    asked = plan.stage(address)
    transfer(checkout, "pull", [one.address for one in plan.upstream(asked)])
    result = reproduce(checkout, address, asked.label, needed=True)
    transfer(checkout, "push", [address])
    made = {"entry": versioning.locked(checkout)[address], "cost": result.cost}
    Artifact(type=LOCK_ENTRY, data=made).create()
    return result


@task(name="transfer", task_run_name="{direction}", **SERVED)
def transfer(root: Path, direction: str, targets: Sequence[str] = ()) -> None:
    """Pull or push, and try again when the remote was away."""
    versioning.transfer(root, direction, targets)


def refuse_unfit(root: Path, plan: graph.Graph, elsewhere: Mapping[str, str]) -> None:
    """See, before anything runs, that the stages can be handed over.

    Raises:
        UsageError: dvc.yaml has no such stage; code or parameters are not committed, so no other
            machine can have them; or there is no DVC remote to send inputs to.
    """
    known = {one.name for one in plan.stages}
    for name in elsewhere:
        if name not in known:
            near = did_you_mean(name, known)
            raise UsageError(f"elsewhere: dvc.yaml has no stage {name!r}{near}")
        if changes := [path for path in git.changed_files(root) if path != "dvc.lock"]:
            raise UsageError(
                f"{name} is to run elsewhere, and {', '.join(changes[:3])} differ from the last "
                "commit, which is all that another machine can have: commit and push"
            )
        if not versioning.remotes(root):
            raise UsageError(f"{name} is to run elsewhere, and {versioning.NO_REMOTE}")


@task(name="hand over", task_run_name="{label}", **SERVED)
def hand_over(root: Path, address: str, label: str, deployment: str) -> StageResult:
    """Have a deployment of `stage` bring one stage up to date, and take over what it made.

    Raises:
        StageFailed: the run elsewhere did not complete.
    """
    began = time.monotonic()
    if address in versioning.locked(root) and address not in versioning.status(root):
        say(f"{label}: up to date")
        return finished(label, "up to date", began)
    say(f"{label} ... by {deployment}")
    plan = graph.read(root)
    versioning.transfer(root, "push", [one.address for one in plan.upstream(plan.stage(address))])
    lock = (root / "dvc.lock").read_text(encoding="utf-8")
    parameters = {"address": address, "commit": git.head(root), "lock": lock}
    run: Any = run_deployment(deployment, parameters=parameters, timeout=None)
    if not run.state.is_completed():
        message = f"by {deployment}: {run.state.message}"
        raise versioning.StageFailed(label, message, 1, killed=run.state.is_crashed())
    made = _what_was_made(run.id)
    versioning.adopt(root, address, made["entry"])
    say(f"{label}: ran, by {deployment}")
    # The hours are those of the other machine, and so is their price.
    return replace(finished(label, "ran", began), cost=made["cost"])


def _what_was_made(run_id: UUID) -> Any:
    """What the run left: its entry of dvc.lock, and its cost."""
    wanted = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]),
        type=ArtifactFilterType(any_=[LOCK_ENTRY]),
    )
    with get_client(sync_client=True) as client:
        (found,) = client.read_artifacts(artifact_filter=wanted)
    return json.loads(str(found.data))  # Prefect keeps what it is given as JSON
