"""The servers of `bertops up`, a worker, deployments, schedules, and what happens when things die.

Real processes on loopback: PostgreSQL where installed, Prefect, MLflow, a worker.
"""

import os
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from bertops import services, versioning
from tests.services.ask import flow_runs, prefect, wait_for, worker_processes
from tests.toy import bertops

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]


def test_all_of_it_runs(project: Path):
    assert {"mlflow", "prefect", "worker"} <= set(services.running(project))


@pytest.mark.parametrize(
    ("variable", "place"),
    [("PREFECT_API_URL", "/flows/filter"), ("MLFLOW_TRACKING_URI", "/api/2.0/mlflow/users/get")],
)
def test_nobody_comes_in_without_a_password(project: Path, variable: str, place: str):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(os.environ[variable] + place, data=b"{}"))
    assert refused.value.code in (401, 405)


def test_the_password_stands_in_no_log(project: Path):
    folder = project / ".bertops/services"
    password = (folder / "password").read_text()
    assert len(password) > 20
    for log in folder.glob("*.log"):
        assert password not in log.read_text(errors="replace"), log.name


def test_doctor_finds_the_servers(project: Path):
    told = bertops(project, "doctor").stdout
    assert re.search(r"ok +mlflow +http://127", told)
    assert re.search(r"ok +prefect +http://127", told)


def test_deploying_twice_does_no_more_than_once(project: Path):
    before = prefect(project, "deployment", "ls")
    assert bertops(project, "deploy").returncode == 0
    assert prefect(project, "deployment", "ls") == before


def test_a_schedule_fires_and_ends_when_it_is_gone_from_the_file(project: Path):
    path = project / "flows/prefect.yaml"
    before = path.read_text()
    every_minute = '    schedules: [{cron: "* * * * *", timezone: UTC}]\n'
    head, _, tail = before.rpartition("    parameters: {}\n")
    path.write_text(head + "    parameters: {revisions: []}\n" + every_minute + tail)
    try:
        assert bertops(project, "deploy").returncode == 0
        fired = wait_for(
            lambda: [r for r in flow_runs("backfill") if r.state.is_completed()], seconds=240
        )
        assert fired[0].auto_scheduled
    finally:
        path.write_text(before)
    ended = bertops(project, "deploy")
    assert "1 schedules that are gone" in ended.stdout


def test_a_run_that_is_killed_is_marked_and_the_next_one_carries_on(project: Path):
    prefect(project, "deployment", "run", "pipeline/pipeline")
    wait_for(lambda: any((project / ".bertops/checkpoints").glob("*/*")), seconds=900)
    for process in worker_processes(project)[1:]:
        process.kill()
    killed = wait_for(
        lambda: [r for r in flow_runs("pipeline") if r.state.is_crashed()], seconds=120
    )
    assert len(killed) == 1
    assert "pretrain" not in versioning.locked(project)
    prefect(project, "deployment", "run", "pipeline/pipeline")
    wait_for(lambda: [r for r in flow_runs("pipeline") if r.state.is_completed()], seconds=900)
    assert versioning.status(project) == {}
    listed = bertops(project, "registry", "list", "--json").stdout
    assert listed.count('"version": 1') == 2


def test_down_stops_all_of_it(project: Path):
    assert services.down(project)
    assert services.running(project) == []
