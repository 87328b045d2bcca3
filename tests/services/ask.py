"""Questions to the servers of a topology, and waiting for what they do."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bertops.storage import read_json

PLANTED = {
    "AWS_ACCESS_KEY_ID": "planted-access-key",
    "AWS_SECRET_ACCESS_KEY": "planted-secret-key",
    "BERTOPS_NOTIFY": "json://planted-user:planted-token@127.0.0.1:9",  # where nobody listens
}
"""Secrets as a team has them in the environment; test_topology looks where they come up."""


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def prefect(project: Path, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        cwd=project, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def server() -> Any:
    """Client of the Prefect server of now: Prefect itself asks the environment once a process."""
    from prefect.client.orchestration import SyncPrefectClient

    address, account = (os.environ[f"PREFECT_API_{name}"] for name in ("URL", "AUTH_STRING"))
    return SyncPrefectClient(address, auth_string=account)


def flow_runs(name: str) -> list[Any]:
    """Runs of one flow, newest first."""
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName
    from prefect.client.schemas.sorting import FlowRunSort

    with server() as client:
        return client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[name])),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        )


def worker_processes(project: Path) -> list[psutil.Process]:
    """The worker of a project, and after it everything that its flow runs have started."""
    record = read_json(project / ".bertops/services/worker.process.json")
    worker = psutil.Process(record["pid"])
    return [worker, *worker.children(recursive=True)]


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still does anything; one that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(what: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(1)
    raise AssertionError(f"did not happen within {seconds} s")


def train_losses(experiment: str) -> list[list[tuple[int, float]]]:
    """Steps and losses of every run of an experiment in MLflow, in the order they were kept."""
    from mlflow import MlflowClient

    client = MlflowClient()
    found = client.get_experiment_by_name(experiment)
    assert found is not None, experiment
    runs = client.search_runs([found.experiment_id])
    histories = (client.get_metric_history(run.info.run_id, "loss") for run in runs)
    return [[(m.step, m.value) for m in history] for history in histories]
