"""The pipeline: every stage of dvc.yaml, then register, gate, promote and report."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from bertops import graph, release, versioning
from bertops.asking import open_registry
from bertops.errors import BertopsError
from bertops.params import load
from bertops.paths import Paths
from bertops.registry.decide import Decision
from bertops.registry.register import Registered
from bertops.release import Release
from flows.account import Account, account, alone
from flows.handoff import hand_over, refuse_unfit
from flows.tasks import SERVED, TIMEOUT_S, StageResult, finished, reproduce, say


class StillStale(BertopsError):
    """After every stage ran, DVC still finds something to do."""

    def __init__(self, stale: dict[str, list[str]]) -> None:
        self.stale = stale
        shown = "; ".join(f"{name}: {', '.join(why)}" for name, why in stale.items())
        super().__init__(
            f"after the run dvc still finds stale stages ({shown}). Something changed an input "
            "while the pipeline ran, or a stage changes its own inputs. Run it again; "
            "`bertops stages` tells more."
        )


@dataclass(frozen=True)
class PipelineReport:
    """What a run of the pipeline did."""

    stages: tuple[StageResult, ...]
    releases: tuple[Release, ...]
    """What was registered, or found registered, and what the gates said; by model."""


@flow(name="pipeline", timeout_seconds=TIMEOUT_S)
def pipeline(root: Path = Path(), elsewhere: dict[str, str] | None = None) -> PipelineReport:
    """Bring every stage up to date, then register and promote what it made.

    Args:
        elsewhere: which stages run on other machines: {"pretrain": "stage/stage-gpu"}, a stage of
            dvc.yaml and the deployment of the flow `stage` that it is handed to.
    """
    root = root.resolve()
    with account("pipeline") as told, alone(root):
        return make_and_release(root, told, elsewhere)


def make_and_release(
    root: Path, told: Account, elsewhere: dict[str, str] | None = None
) -> PipelineReport:
    """What the pipeline does, for flows that do more; `told` gets it as it goes."""
    bring_up_to_date(root, told.stages, elsewhere=elsewhere)
    registered = register(root)
    releases = promote(root, registered, gate(root, registered))
    told.tables["releases"] = [
        {"model": one.model, "version": one.version, "standing": one.standing, "said": one.sentence}
        for one in releases
    ]
    told.ending = "refused" if any(one.refused for one in releases) else "success"
    told.said = "; ".join(f"{one.model}: {one.sentence}" for one in releases)
    told.report = address_of(report(root, releases), releases)
    return PipelineReport(tuple(told.stages), releases)


def bring_up_to_date(
    root: Path,
    results: list[StageResult],
    until: str | None = None,
    elsewhere: dict[str, str] | None = None,
) -> None:
    """Run the stages in the order of dvc.yaml; ends by asking DVC whether all is up to date.

    Args:
        results: gets what became of each stage, also of the one that fails; those that it tells of
            already are done.
        until: name of the last stage to run; all when left out.
        elsewhere: deployments by the names of stages that they take over.

    Raises:
        StageFailed: a stage failed; those before it are done and need not run again.
        StillStale: something changed while the stages ran.
    """
    plan, elsewhere = graph.read(root), elsewhere or {}
    refuse_unfit(root, plan, elsewhere)
    stale, locked = versioning.status(root), versioning.locked(root)
    done = {one.stage for one in results}
    moved = {one.stage for one in results if one.outcome != "up to date"}
    for stage in plan.stages:
        if stage.label not in done:
            fed = any(other.label in moved for other in plan.upstream(stage))
            needed = fed or stage.address in stale or stage.address not in locked
            results.append(_bring(root, stage, needed, elsewhere.get(stage.name), results))
            if results[-1].outcome != "up to date":
                moved.add(stage.label)
        if stage.name == until:
            return
    if moved and (left := versioning.status(root)):
        raise StillStale(left)


def _bring(
    root: Path, stage: graph.Stage, needed: bool, deployment: str | None, results: list[StageResult]
) -> StageResult:
    """One stage, here or elsewhere; a failure goes into the results before it is raised."""
    began = time.monotonic()
    try:
        if needed and deployment:
            return hand_over(root, stage.address, stage.label, deployment)
        return reproduce(root, stage.address, stage.label, needed=needed)
    except BaseException:
        results.append(finished(stage.label, "failed", began))
        raise


@task(name="register", **SERVED)
def register(root: Path) -> tuple[Registered, ...]:
    """Make each model a version, unless the same thing was registered before."""
    params, paths = load(root / "params.yaml"), Paths(root)
    found = release.register_all(params, paths, open_registry(paths))
    for one in found:
        say(f"register {one.name}: {one.sentence}")
    return found


@task(name="gate", **SERVED)
def gate(root: Path, registered: tuple[Registered, ...]) -> tuple[Decision, ...]:
    """Ask the gates about each version."""
    params, paths = load(root / "params.yaml"), Paths(root)
    return release.decide_all(params, paths, open_registry(paths), registered)


@task(name="promote", **SERVED)
def promote(
    root: Path, registered: tuple[Registered, ...], decisions: tuple[Decision, ...]
) -> tuple[Release, ...]:
    """Move the champions that may move."""
    params, paths = load(root / "params.yaml"), Paths(root)
    registry = open_registry(paths)
    found = release.promote_all(params, paths, registry, registered, decisions)
    for one in found:
        say(f"promote {one.model}: {one.sentence}")
    return found


@task(name="report", cache_policy=NO_CACHE)
def report(root: Path, releases: tuple[Release, ...]) -> Path:
    """Write reports/report.html, the verdict on every model included."""
    params, paths = load(root / "params.yaml"), Paths(root)
    return release.write_report(params, paths, open_registry(paths), releases)


def address_of(report: Path, releases: tuple[Release, ...]) -> str:
    """Where the report is read: beside the version on a tracking server, else on this machine."""
    server = os.environ.get("MLFLOW_TRACKING_URI", "")
    if server.startswith("http") and releases:
        return f"{server}/#/models/{releases[-1].model}/versions/{releases[-1].version}"
    return report.resolve().as_uri()
