"""The pipeline: every stage of dvc.yaml, then register, gate, promote and report."""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from bertops import graph, stages, versioning
from bertops.errors import BertopsError
from flows.tasks import StageResult, reproduce, say


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
    releases: tuple[stages.Release, ...]
    """What was registered, or found registered, and what the gates said; by model."""


@flow(name="pipeline")
def pipeline(root: Path = Path()) -> PipelineReport:
    """Bring every stage up to date, then register and promote what it made."""
    root = root.resolve()
    results = bring_up_to_date(root)
    releases = release(root)
    render(root, releases)
    return PipelineReport(tuple(results), releases)


def bring_up_to_date(root: Path) -> list[StageResult]:
    """Run the stages in the order of dvc.yaml; ends by asking DVC whether all is up to date."""
    plan = graph.read(root)
    stale, locked = versioning.status(root), versioning.locked(root)
    moved: set[str] = set()
    results = []
    for stage in plan.stages:
        fed = any(other.address in moved for other in plan.upstream(stage))
        needed = fed or stage.address in stale or stage.address not in locked
        results.append(reproduce(root, stage.address, stage.label, needed=needed))
        if results[-1].outcome == "ran":
            moved.add(stage.address)
    if moved and (left := versioning.status(root)):
        raise StillStale(left)
    return results


@task(name="release", cache_policy=NO_CACHE)
def release(root: Path) -> tuple[stages.Release, ...]:
    """Register each model once, ask the gates, move the aliases; the second time nothing moves."""
    releases = stages.release(root)
    for found in releases:
        say(f"release {found.model}: {found.sentence}")
    return releases


@task(name="report", cache_policy=NO_CACHE)
def render(root: Path, releases: tuple[stages.Release, ...]) -> Path:
    """Write reports/report.html, the verdict of the gates included."""
    return stages.render_report(root, releases)
