"""A real MLflow server over HTTP, on SQLite or on a PostgreSQL that is begun for the test."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
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
def postgres() -> Iterator[str]:
    """A PostgreSQL with an empty database; its address. Skips where none is installed."""
    pytest.importorskip("psycopg", reason="needs psycopg (extra: services)")
    programs = {name: _postgres_program(name) for name in ("initdb", "pg_ctl")}
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    # Not in pytest's folder, which nobody but its owner may enter.
    with tempfile.TemporaryDirectory(prefix="bertops-postgres-") as folder:
        if user is not None:
            os.chown(folder, user, user)
        port = free_port()

        def run(*command: str) -> None:
            done = subprocess.run(
                command, user=user, group=user, cwd=folder, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr

        data = f"{folder}/data"
        run(programs["initdb"], "-D", data, "-U", "bertops", "--auth=trust", "-E", "UTF8")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
        control = (programs["pg_ctl"], "-D", data, "-w")
        run(*control, "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://bertops@127.0.0.1:{port}/postgres"
        finally:
            run(*control, "-m", "immediate", "stop")


def _postgres_program(name: str) -> str:
    """Where a program of PostgreSQL lies; Debian keeps the servers' ones off the PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(versions[-1]) if versions else None)
    if found is None:
        pytest.skip(f"needs PostgreSQL's {name} (apt-get install postgresql)")
    return found


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
        wait_for(f"{address}/health", process, folder / "server.log")
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    """Wait until a server answers 200; fails the test with its log when it ends or never does."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the server ended with {process.returncode}: {log.read_text()[-2000:]}")
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(url, timeout=5).status == 200:
                return
        time.sleep(0.5)
    pytest.fail(f"no answer from {url}: {log.read_text()[-2000:]}")
