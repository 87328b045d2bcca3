"""The servers of `bertops up`, a worker, deployments, schedules, and what happens when things die.

Real processes on loopback: PostgreSQL where installed, Prefect, MLflow, a worker.
"""

import base64
import os
import re
import stat
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from bertops import services, versioning
from bertops.cli import doctor
from bertops.storage import read_json
from tests.services.ask import PLANTED, flow_runs, prefect, server, wait_for, worker_processes
from tests.toy import bertops

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]


def test_all_of_it_runs(project: Path):
    assert {"mlflow", "prefect", "worker"} <= set(services.running(project))


@pytest.mark.parametrize(
    ("variable", "place"),
    [("PREFECT_API_URL", doctor.PREFECT_DATA), ("MLFLOW_TRACKING_URI", doctor.MLFLOW_DATA)],
)
def test_nobody_comes_in_without_a_password(project: Path, variable: str, place: str):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(os.environ[variable] + place)
    assert refused.value.code == 401


def test_a_request_without_a_csrf_token_changes_nothing(project: Path):
    """The password alone, which a browser sends by itself, is not enough."""
    account = base64.b64encode(os.environ["PREFECT_API_AUTH_STRING"].encode()).decode()
    request = urllib.request.Request(
        os.environ["PREFECT_API_URL"] + "/flows/",
        data=b'{"name": "forged"}',
        headers={"Authorization": f"Basic {account}", "Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403
    assert "CSRF" in refused.value.read().decode()


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


@pytest.mark.fault
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


def stored(name: str, ports: services.Ports, folder: Path) -> bytes:
    """Everything in the database of a server: runs, logs, artifacts, parameters, tags."""
    if not (folder / "postgres").exists():
        return (folder / f"{name}.db").read_bytes()
    program = services.postgres_program("pg_dump")
    assert program is not None
    where = ["-h", "127.0.0.1", "-p", str(ports.postgres), "-U", "bertops", name]
    password = {"PGPASSWORD": (folder / "password").read_text()}
    ran = subprocess.run([program, *where], env={**os.environ, **password}, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_no_secret_comes_up_where_it_does_not_belong(project: Path, ports: services.Ports):
    """After whole runs, and during one: logs, databases, files of the project, arguments."""
    folder = project / ".bertops/services"
    secrets = {"password": (folder / "password").read_text(), **PLANTED}
    secrets["BERTOPS_NOTIFY"] = "planted-token"
    arguments: set[str] = set()

    def ended() -> bool:
        for process in psutil.process_iter(["cmdline"]):
            arguments.update(process.info["cmdline"] or ())
        return all(run.state.is_final() for run in flow_runs("pipeline"))

    prefect(project, "deployment", "run", "pipeline/pipeline")
    wait_for(ended, seconds=300)
    own = [folder / name for name in ("password", "env", "mlflow-auth.ini")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in own} == {0o600}
    files = [path for path in project.rglob("*") if path.is_file() and path not in own
             and folder / "postgres" not in path.parents]  # fmt: skip
    places = {str(path.relative_to(project)): path.read_bytes() for path in files}
    places |= {f"database {name}": stored(name, ports, folder) for name in ("prefect", "mlflow")}
    places["ps"] = "\n".join(arguments).encode()

    assert b"could not be sent" in places[".bertops/services/worker.log"]
    assert b"Finished in state" in places["database prefect"]
    assert b"bertops.git_commit" in places["database mlflow"]
    assert "reports/report.html" in places
    assert b"worker" in places["ps"]
    found = [(name, place) for place, content in places.items()
             for name, secret in secrets.items() if secret.encode() in content]  # fmt: skip
    assert found == []


def test_prefect_takes_the_pool_of_kubernetes(project: Path, repository: Path):
    template = repository / "infra/k8s/base/gpu-pool.json"
    create = ["work-pool", "create", "gpu-jobs", "--type", "kubernetes", "--overwrite"]
    for _ in range(2):  # every start of the worker does it
        prefect(project, *create, "--base-job-template", str(template))
        prefect(project, "work-pool", "set-concurrency-limit", "gpu-jobs", "1")
    with server() as client:
        pool = client.read_work_pool("gpu-jobs")
    assert pool.concurrency_limit == 1
    assert pool.type == "kubernetes"
    assert pool.base_job_template == read_json(template)


def test_down_stops_all_of_it(project: Path):
    assert services.down(project)
    assert services.running(project) == []
