"""Deploy: make a Prefect server hold exactly what prefect.yaml says. Twice does no more than once.

`prefect deploy` alone leaves a schedule running that was taken out of the file, and never removes
a deployment; both are settled here. A killed worker leaves its run `Running` for ever (Prefect
issue 16746), so the automation that crashes such runs is part of it.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, get_current_settings

from bertops.errors import BertopsError, UsageError

FILE = Path("flows/prefect.yaml")
TAG = "bertops"
DEFAULT_HEARTBEAT_S = 180
MISSED_HEARTBEATS = 3
"""Signs of life in a row that a dead run misses; with fewer, runs that are alive are crashed."""
OUTAGE_S = 120
"""How long servers may be away besides: what a live run sends meanwhile, and until it has connected
again, never arrives. Three signs of life, 30 s apart, were seen to be lost in one restart."""
ZOMBIES = "bertops: crash runs whose worker is gone"


@dataclass(frozen=True)
class DeployReport:
    """What was done, or would be."""

    deployments: tuple[str, ...]
    removed: tuple[str, ...]
    schedules_removed: int
    pools_created: tuple[str, ...]
    automation_renewed: bool
    dry_run: bool

    def __str__(self) -> str:
        apply, remove = ("would apply", "would remove") if self.dry_run else ("applied", "removed")
        gone = f"; {remove} {', '.join(self.removed)}" if self.removed else ""
        return (
            f"{apply} {len(self.deployments)} deployments ({', '.join(self.deployments)}){gone}; "
            f"{remove} {self.schedules_removed} schedules that are gone from {FILE}"
        )


def deploy(root: Path, *, dry_run: bool = False) -> DeployReport:
    """Bring the server at PREFECT_API_URL in line with flows/prefect.yaml.

    Raises:
        UsageError: no server is set.
        BertopsError: `prefect deploy` failed; its words are in the message.
    """
    if not PREFECT_API_URL.value():
        raise UsageError("no Prefect server is set: PREFECT_API_URL=http://127.0.0.1:4200/api")
    wanted = read(root)
    with get_client(sync_client=True) as client:
        pools = _missing_pools(client, wanted)
        if not dry_run:
            for pool in pools:
                client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
            _prefect_deploy(root)
        renewed = _renew_zombie_automation(dry_run)
        removed = _remove_strangers(client, set(wanted), dry_run)
        schedules = _remove_schedules(client, wanted, dry_run)
    return DeployReport(tuple(wanted), tuple(removed), schedules, tuple(pools), renewed, dry_run)


def read(root: Path) -> dict[str, dict[str, Any]]:
    """Deployments of flows/prefect.yaml by name."""
    declared = yaml.safe_load((root / FILE).read_text(encoding="utf-8"))["deployments"]
    return {one["name"]: one for one in declared}


def _missing_pools(client: SyncPrefectClient, wanted: dict[str, dict[str, Any]]) -> list[str]:
    missing = []
    for pool in sorted({one["work_pool"]["name"] for one in wanted.values()}):
        try:
            client.read_work_pool(pool)
        except ObjectNotFound:
            missing.append(pool)
    return missing


def _prefect_deploy(root: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all",
         "--prefect-file", str(FILE)],
        cwd=root, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    if ran.returncode != 0:
        raise BertopsError(f"prefect deploy failed: {ran.stdout.strip()} {ran.stderr.strip()}")


def _ours(client: SyncPrefectClient) -> list[Any]:
    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    return list(client.read_deployments(deployment_filter=tagged))


def _remove_strangers(client: SyncPrefectClient, wanted: set[str], dry_run: bool) -> list[str]:
    strangers = [one for one in _ours(client) if one.name not in wanted]
    for one in strangers if not dry_run else ():
        client.delete_deployment(one.id)
    return [one.name for one in strangers]


def _remove_schedules(
    client: SyncPrefectClient, wanted: dict[str, dict[str, Any]], dry_run: bool
) -> int:
    """Schedules on the server that the file does not have any more."""
    removed = 0
    for one in _ours(client):
        declared = wanted.get(one.name, {}).get("schedules", [])
        keep = {(s.get("cron"), s.get("timezone")) for s in declared}
        for schedule in one.schedules:
            found = schedule.schedule
            if (getattr(found, "cron", None), getattr(found, "timezone", None)) not in keep:
                removed += 1
                if not dry_run:
                    client.delete_deployment_schedule(one.id, schedule.id)
    return removed


def _renew_zombie_automation(dry_run: bool) -> bool:
    """Make the automation, or bring it up to date; whether it had to be."""
    wanted, known = _zombie_automation(), _known(ZOMBIES)
    if known is not None and _rule(known) == _rule(wanted):
        return False  # writing it anew would forget the runs that are silent already
    if dry_run:
        return True
    if known is None:
        wanted.create()
    else:
        wanted.id = known.id
        wanted.update()
    return True


def _zombie_automation() -> Automation:
    """Crash a run that was heard of and then fell silent, unless it waits for a person."""
    heartbeat_s = get_current_settings().flows.heartbeat_frequency or DEFAULT_HEARTBEAT_S
    return Automation(
        name=ZOMBIES,
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={
                "prefect.flow-run.heartbeat",
                "prefect.flow-run.Suspended",
                "prefect.flow-run.Completed",
                "prefect.flow-run.Failed",
                "prefect.flow-run.TimedOut",
                "prefect.flow-run.Cancelled",
                "prefect.flow-run.Crashed",
            },
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=MISSED_HEARTBEATS * heartbeat_s + OUTAGE_S),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="its worker is gone")],
    )


def _rule(automation: Automation) -> Any:
    """What an automation does, without the ids that the server gives."""
    return automation.trigger.model_dump(exclude={"id"}), automation.actions


def _known(name: str) -> Automation | None:
    try:
        found: Any = Automation.read(name=name)
    except ValueError:
        return None
    return found if isinstance(found, Automation) else None
