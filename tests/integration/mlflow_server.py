"""A real MLflow server over HTTP, on SQLite or on a PostgreSQL that is begun for the test."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

UNPRIVILEGED = 65534  # nobody; PostgreSQL refuses to run as root


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL with an empty database; its address. Skips where none is installed."""
    pytest.importorskip("psycopg", reason="needs psycopg (extra: services)")
    programs = {name: _postgres_program(name) for name in ("initdb", "pg_ctl")}
    home = folder / "postgres"
    home.mkdir()
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    if user is not None:
        _open_way_to(home, user)
    port = free_port()

    def run(*command: str) -> None:
        subprocess.run(command, check=True, user=user, group=user, cwd=home, capture_output=True)

    run(programs["initdb"], "-D", str(home / "data"), "-U", "bertops", "--auth=trust", "-E", "UTF8")
    options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c max_connections=200"
    control = [programs["pg_ctl"], "-D", str(home / "data"), "-w"]
    run(*control, "-l", str(home / "log"), "-o", options, "start")
    try:
        yield f"postgresql://bertops@127.0.0.1:{port}/postgres"
    finally:
        run(*control, "-m", "immediate", "stop")


def _postgres_program(name: str) -> str:
    """Where a program of PostgreSQL lies; Debian keeps the servers' ones off the PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(versions[-1]) if versions else None)
    if found is None:
        pytest.skip(f"needs PostgreSQL's {name} (apt-get install postgresql)")
    return found


def _open_way_to(home: Path, user: int) -> None:
    """Give a folder to another user, who may then also pass through the folders above it."""
    os.chown(home, user, user)
    for parent in home.parents:
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)


@contextlib.contextmanager
def mlflow_server(folder: Path, backend: str, workers: int = 2) -> Iterator[str]:
    """An MLflow server that stores in `backend` and proxies artifacts; its address."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", backend),
        *("--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)),
    ]
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/health", process, folder / "server.log")
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the server ended with {process.returncode}: {log.read_text()[-2000:]}")
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(url, timeout=5).status == 200:
                return
        time.sleep(0.5)
    pytest.fail(f"no answer from {url}: {log.read_text()[-2000:]}")
