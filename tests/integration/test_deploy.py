"""Deploying to a server: it holds what the file says, no more, and a dry run changes nothing."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)

from flows.deploy import FILE, ZOMBIES, DeployReport, deploy
from tests.conftest import ROOT

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.service]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the flows; `prefect deploy` runs as a process and finds the same server."""
    shutil.copytree(ROOT / "flows", tmp_path / "flows")
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    keep(tmp_path, "monitor", "promotion")
    return tmp_path


def keep(project: Path, *names: str) -> None:
    """Leave only these deployments in the file."""
    declared = yaml.safe_load((ROOT / FILE).read_text())
    declared["deployments"] = [one for one in declared["deployments"] if one["name"] in names]
    (project / FILE).write_text(yaml.safe_dump(declared))


def on_the_server() -> tuple[set[str], timedelta | None]:
    """Names of the deployments, and how long a run may be silent."""
    with get_client(sync_client=True) as client:
        names = {one.name for one in client.read_deployments()}
        automations: list[Automation] = client.read_automations_by_name(ZOMBIES)
    return names, automations[0].trigger.within if automations else None  # type: ignore[union-attr]


def run_deploy(project: Path, heartbeat_s: int, *, dry_run: bool = False) -> DeployReport:
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: heartbeat_s}):
        return deploy(project, dry_run=dry_run)


def test_the_server_follows_the_file(project: Path):
    would = run_deploy(project, 30, dry_run=True)
    assert would.pools_created == ("cpu",)
    assert would.automation_renewed
    assert on_the_server() == (set(), None)

    assert run_deploy(project, 30) == replace(would, dry_run=False)
    first = ({"monitor", "promotion"}, timedelta(seconds=3 * 30 + 120))
    assert on_the_server() == first

    again = run_deploy(project, 30)
    assert (again.pools_created, again.removed, again.automation_renewed) == ((), (), False)
    assert on_the_server() == first

    keep(project, "monitor")
    would = run_deploy(project, 60, dry_run=True)
    assert (would.removed, would.automation_renewed) == (("promotion",), True)
    assert str(would).startswith("would apply 1 deployments (monitor); would remove promotion")
    assert on_the_server() == first

    assert run_deploy(project, 60).removed == ("promotion",)
    assert on_the_server() == ({"monitor"}, timedelta(seconds=3 * 60 + 120))
