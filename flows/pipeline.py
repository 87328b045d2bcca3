"""The pipeline: every stage of dvc.yaml, then register, gate, promote and report."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from bertops import graph, release, versioning
from bertops.errors import BertopsError
from bertops.params import load
from bertops.paths import Paths
from bertops.registry.decide import Decision
from bertops.registry.register import Registered
from bertops.release import Release
from flows.handoff import hand_over, refuse_unfit
from flows.tasks import StageResult, reproduce, say

PRICE = "BERTOPS_PRICE_PER_HOUR"
"""Environment variable: what an hour of this machine costs, for the table of stages."""


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


@flow(name="pipeline")
def pipeline(root: Path = Path(), elsewhere: dict[str, str] | None = None) -> PipelineReport:
    """Bring every stage up to date, then register and promote what it made.

    Args:
        elsewhere: which stages run on other machines: {"pretrain": "stage/stage-gpu"}, a stage of
            dvc.yaml and the deployment of the flow `stage` that it is handed to.
    """
    root = root.resolve()
    results = bring_up_to_date(root, elsewhere=elsewhere)
    registered = register(root)
    releases = promote(root, registered, gate(root, registered))
    report(root, releases)
    record(results, releases)
    return PipelineReport(tuple(results), releases)


def bring_up_to_date(
    root: Path, until: str | None = None, elsewhere: dict[str, str] | None = None
) -> list[StageResult]:
    """Run the stages in the order of dvc.yaml; ends by asking DVC whether all is up to date.

    Args:
        until: name of the last stage to run; all when left out.
        elsewhere: deployments by the names of stages that they take over.

    Raises:
        StageFailed: a stage failed; those before it are done and need not run again.
        StillStale: something changed while the stages ran.
    """
    plan, elsewhere = graph.read(root), elsewhere or {}
    refuse_unfit(root, plan, elsewhere)
    stale, locked = versioning.status(root), versioning.locked(root)
    moved: set[str] = set()
    results = []
    for stage in plan.stages:
        fed = any(other.address in moved for other in plan.upstream(stage))
        needed = fed or stage.address in stale or stage.address not in locked
        if needed and (deployment := elsewhere.get(stage.name)):
            results.append(hand_over(root, stage.address, stage.label, deployment))
        else:
            results.append(reproduce(root, stage.address, stage.label, needed=needed))
        if results[-1].outcome != "up to date":
            moved.add(stage.address)
        if stage.name == until:
            return results
    if moved and (left := versioning.status(root)):
        raise StillStale(left)
    return results


@task(name="register", cache_policy=NO_CACHE)
def register(root: Path) -> tuple[Registered, ...]:
    """Make each model a version, unless the same thing was registered before."""
    params, paths = load(root / "params.yaml"), Paths(root)
    found = release.register_all(params, paths, release.open_registry(paths))
    for one in found:
        say(f"register {one.name}: {one.sentence}")
    return found


@task(name="gate", cache_policy=NO_CACHE)
def gate(root: Path, registered: tuple[Registered, ...]) -> tuple[Decision, ...]:
    """Ask the gates about each version."""
    params, paths = load(root / "params.yaml"), Paths(root)
    return release.decide_all(params, paths, release.open_registry(paths), registered)


@task(name="promote", cache_policy=NO_CACHE)
def promote(
    root: Path, registered: tuple[Registered, ...], decisions: tuple[Decision, ...]
) -> tuple[Release, ...]:
    """Move the champions that may move."""
    params, paths = load(root / "params.yaml"), Paths(root)
    registry = release.open_registry(paths)
    found = release.promote_all(params, registry, registered, decisions)
    for one in found:
        say(f"promote {one.model}: {one.sentence}")
    return found


@task(name="report", cache_policy=NO_CACHE)
def report(root: Path, releases: tuple[Release, ...]) -> Path:
    """Write reports/report.html, the verdict on every model included."""
    params, paths = load(root / "params.yaml"), Paths(root)
    return release.write_report(params, paths, release.open_registry(paths), releases)


@task(name="record", cache_policy=NO_CACHE)
def record(results: list[StageResult], releases: tuple[Release, ...]) -> None:
    """Leave two tables in Prefect's UI: what ran, how long and for how much; what was released."""
    price = float(os.environ.get(PRICE, "0"))
    rows = [asdict(one) | {"cost": round(one.seconds / 3600 * price, 4)} for one in results]
    create_table_artifact(rows, key="stages", description="What ran, was restored or skipped.")
    create_table_artifact(
        [{"model": one.model, "version": one.version, "said": one.sentence} for one in releases],
        key="releases",
        description="What the gates said. The whole report: reports/report.html",
    )
