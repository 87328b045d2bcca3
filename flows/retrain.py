"""Retrain: is there new data, and is it good? Then the pipeline; otherwise it says why not."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prefect import flow, task

from bertops import graph, versioning
from bertops.errors import GateRefused
from flows.account import Account, account, alone
from flows.pipeline import PipelineReport, bring_up_to_date, make_and_release
from flows.tasks import SERVED, TIMEOUT_S, StageResult, say

LAST_GATE = "validate_corpus"
"""The stage up to which data is prepared and judged, before anything is trained."""


@dataclass(frozen=True)
class RetrainReport:
    """What a scheduled retrain came to."""

    outcome: Literal["nothing new", "data refused", "trained"]
    why: str
    pipeline: PipelineReport | None = None
    branch: str | None = None
    """Where the new dvc.lock waits for review; never the branch that is checked out."""


@flow(name="retrain", timeout_seconds=TIMEOUT_S)
def retrain(
    root: Path = Path(), publish: bool = True, elsewhere: dict[str, str] | None = None
) -> RetrainReport:
    """Bring the data up to date, and train on it if it is new and passes its gates.

    Args:
        publish: put the new dvc.lock on a branch of its own, and push what was made when a DVC
            remote is set.
        elsewhere: which stages run on other machines, as in `pipeline`.

    Raises:
        StageFailed: a stage failed, and not because a gate on the data said no.
    """
    root = root.resolve()
    with account("retrain") as told, alone(root):
        report = _retrain(root, told, publish, elsewhere)
        refused = ", model refused" if told.ending == "refused" else ""
        told.ending = report.outcome + refused
        told.said = "; ".join(filter(None, [report.why, told.said]))
    say(f"retrain: {report.outcome}: {report.why}")
    return report


def _retrain(
    root: Path, told: Account, publish: bool, elsewhere: dict[str, str] | None
) -> RetrainReport:
    news = what_is_new(root)
    if not news:
        stages = graph.read(root).stages
        told.stages += [StageResult(one.label, "up to date", 0, 0) for one in stages]
        return RetrainReport("nothing new", "every stage is up to date with its inputs")
    try:
        bring_up_to_date(root, told.stages, until=LAST_GATE)
    except versioning.StageFailed as failure:
        if failure.exit_code != GateRefused.exit_code:
            raise
        return RetrainReport("data refused", str(failure))
    report = make_and_release(root, told, elsewhere)
    branch = keep(root) if publish else None
    return RetrainReport("trained", "; ".join(news), report, branch)


def what_is_new(root: Path) -> list[str]:
    """Why a run has something to do, one reason per stage; empty when it has not."""
    found = graph.states(graph.read(root), versioning.status(root), versioning.locked(root))
    return [
        f"{one.stage.label} {'; '.join(one.why) or one.state}"
        for one in found
        if one.state in ("stale", "never run")
    ]


@task(name="keep", **SERVED)
def keep(root: Path) -> str | None:
    """Put dvc.lock on a branch for review, and push outputs where there is a remote."""
    if versioning.remotes(root):
        versioning.transfer(root, "push")
    return versioning.commit_lock(root)
