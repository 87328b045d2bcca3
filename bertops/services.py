"""Servers on this machine as real processes: PostgreSQL where installed, MLflow, Prefect, a worker.

The same topology as infra/compose, for one machine without containers: loopback only; passwords
are made at the first start and kept in .bertops/services, readable by the owner alone.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bertops.environment import PROJECT
from bertops.errors import BertopsError
from bertops.extras import require
from bertops.storage import read_json, write_json, write_whole

LEASES = "prefect.server.concurrency.lease_storage.filesystem"
START_S = 300.0
STOP_S = 60.0


@dataclass(frozen=True)
class Ports:
    """Loopback ports of the servers."""

    prefect: int = 4200
    mlflow: int = 5000
    postgres: int = 54329


@dataclass(frozen=True)
class Service:
    """One process to start, and how to know that it is ready."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    health: str | None = None
    """Address that answers 200 when it is ready; None: it is ready when it still runs after 3 s."""
    user: str | None = None


class ServiceFailed(BertopsError):
    """A server did not come up."""

    def __init__(self, name: str, log: Path) -> None:
        self.name, self.log = name, log
        last = log.read_text(errors="replace").strip().splitlines()[-5:] if log.exists() else []
        super().__init__(
            f"{name} did not start; the end of {log}:\n  " + "\n  ".join(last or ["(nothing)"])
        )


def up(
    root: Path, ports: Ports, *, worker: bool = True, artifacts: str | None = None
) -> dict[str, str]:
    """Start what does not run yet and wait until it answers.

    Args:
        root: the project.
        ports: where they listen.
        worker: also start a worker for the pool `cpu`.
        artifacts: where MLflow keeps files, such as s3://bucket/mlflow (its key and endpoint come
            from the environment, AWS_*); a folder in `.bertops/services` if None.

    Returns:
        Environment that points bertops, MLflow and Prefect at the servers; also written to
        `.bertops/services/env`, for `. .bertops/services/env`.

    Raises:
        ServiceFailed: with the end of its log; what was started before keeps running.
        BertopsError: the database of an earlier start cannot be begun again.
        PackageMissing: the extra `servers` is not installed.
    """
    folder = _folder(root)
    password = _password(folder)
    databases = _databases(folder, ports, password)
    environment = {
        "PREFECT_API_URL": f"http://127.0.0.1:{ports.prefect}/api",
        "PREFECT_API_AUTH_STRING": f"bertops:{password}",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports.mlflow}",
        "MLFLOW_TRACKING_USERNAME": "bertops",
        "MLFLOW_TRACKING_PASSWORD": password,
    }
    _start(folder, _prefect(folder, ports, databases["prefect"], password))
    kept = artifacts or str(folder / "artifacts")
    _start(folder, _mlflow(folder, ports, databases["mlflow"], password, kept))
    if worker:
        _start(folder, _worker(folder, environment))
    lines = "".join(f"export {name}='{value}'\n" for name, value in environment.items())
    write_secret(folder / "env", lines)
    return environment


def down(root: Path) -> list[str]:
    """Stop what `up` started, last first; names of what was stopped."""
    folder = root / ".bertops/services"
    records = [(read_json(path), path) for path in folder.glob("*.process.json")]
    stopped = []
    for record, path in sorted(records, key=lambda pair: -pair[0]["started"]):
        if _running(record):
            _stop(record["pid"])
            stopped.append(record["name"])
        path.unlink()
    return stopped


def running(root: Path) -> list[str]:
    """Names of the services that run."""
    records = [read_json(p) for p in (root / ".bertops/services").glob("*.process.json")]
    return sorted(record["name"] for record in records if _running(record))


def _folder(root: Path) -> Path:
    folder = root / ".bertops/services"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # PostgreSQL, under its own user, passes through and lists nothing
    return folder


def _password(folder: Path) -> str:
    place = folder / "password"
    if not place.exists():
        write_secret(place, secrets.token_urlsafe(24))
    return place.read_text()


def write_secret(target: Path, text: str) -> None:
    """Write a file that nobody but its owner could read at any moment, whole or not at all."""
    with write_whole(target) as partial:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


# ── the services ──


def _databases(folder: Path, ports: Ports, password: str) -> dict[str, str]:
    """Addresses of the databases: PostgreSQL where it is installed, else SQLite files.

    What was begun with one of them stays with it.
    """
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    data = folder / "postgres"
    initdb = postgres_program("initdb")
    possible = initdb is not None and _can_enter(folder, user)
    if data.exists() and not possible:
        raise BertopsError(
            f"the servers' data are in a PostgreSQL database, {data}, which cannot be begun: "
            "initdb and postgres are not on the PATH, or the user postgres may not pass "
            f"through the folders above it (chmod a+x {folder} and each of its parents)"
        )
    if not possible or ((folder / "prefect.db").exists() and not data.exists()):
        return {
            "prefect": f"sqlite+aiosqlite:///{folder}/prefect.db",
            "mlflow": f"sqlite:///{folder}/mlflow.db",
        }
    if not (data / "PG_VERSION").exists():
        _init_postgres(str(initdb), data, password, user)
    server = str(postgres_program("postgres"))
    command = [server, "-D", str(data), "-p", str(ports.postgres), "-k", "",
               "-c", "listen_addresses=127.0.0.1"]  # fmt: skip
    _start(folder, Service("postgres", command, user=user))
    for name in ("prefect", "mlflow"):
        _create_database(name, ports.postgres, password)
    there = f"bertops:{password}@127.0.0.1:{ports.postgres}"
    return {
        "prefect": f"postgresql+asyncpg://{there}/prefect",
        "mlflow": f"postgresql+psycopg://{there}/mlflow",
    }


def _can_enter(folder: Path, user: str | None) -> bool:
    """Whether a user reaches the folder: root's home, for one, lets nobody else pass."""
    try:
        return subprocess.run(["test", "-x", str(folder)], user=user, cwd="/").returncode == 0
    except (KeyError, PermissionError):  # no such user
        return False


def postgres_program(name: str) -> str | None:
    """A program of PostgreSQL on the PATH, or where Debian puts those of its newest version."""
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    newest = sorted(versions, key=lambda folder: folder.parent.name.zfill(4), reverse=True)
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, newest)]))


def _init_postgres(initdb: str, data: Path, password: str, user: str | None) -> None:
    data.mkdir(mode=0o700)
    secret = data.with_name("postgres.secret")
    write_secret(secret, password)
    if user:
        for path in (data, secret):
            shutil.chown(path, user)
    ran = subprocess.run(
        [initdb, "-D", str(data), "-U", "bertops", "--auth=scram-sha-256",
         f"--pwfile={secret}", "--encoding=UTF8", "--locale=C"],
        capture_output=True, text=True, user=user, cwd="/",
    )  # fmt: skip
    secret.unlink()
    if ran.returncode != 0:
        shutil.rmtree(data)
        raise BertopsError(f"initdb failed: {ran.stderr.strip()}")


def _create_database(name: str, port: int, password: str) -> None:
    require("servers", "psycopg", reason="MLflow needs it for PostgreSQL")
    import psycopg

    where = {"host": "127.0.0.1", "port": port, "user": "bertops", "password": password}
    deadline = time.monotonic() + START_S
    while True:
        try:
            with psycopg.connect(dbname="postgres", autocommit=True, **where) as connection:  # type: ignore[arg-type]
                connection.execute(f'CREATE DATABASE "{name}"')
            return
        except psycopg.errors.DuplicateDatabase:
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _prefect(folder: Path, ports: Ports, database: str, password: str) -> Service:
    return Service(
        "prefect",
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1",
         "--port", str(ports.prefect)],
        {
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_DATABASE_CONNECTION_URL": database,
            "PREFECT_SERVER_API_AUTH_STRING": f"bertops:{password}",
            "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            # In memory, a restart of the server would take the slots away from runs that hold
            # them, and Prefect crashes such runs.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES,
        },
        f"http://127.0.0.1:{ports.prefect}/api/health",
    )  # fmt: skip


def _mlflow(folder: Path, ports: Ports, database: str, password: str, artifacts: str) -> Service:
    require("servers", "flask_wtf", reason="MLflow needs it for accounts")
    config = folder / "mlflow-auth.ini"
    write_secret(
        config,
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{folder}/mlflow-auth.db\n"
        f"admin_username = bertops\nadmin_password = {password}\n",
    )
    return Service(
        "mlflow",
        [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth",
         "--host", "127.0.0.1", "--port", str(ports.mlflow), "--workers", "1"],
        {
            # Addresses of databases hold passwords, and `ps` shows arguments to everybody.
            "MLFLOW_BACKEND_STORE_URI": database,
            "MLFLOW_ARTIFACTS_DESTINATION": artifacts,
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": password,
            "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{ports.mlflow},localhost:{ports.mlflow}",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        },
        f"http://127.0.0.1:{ports.mlflow}/health",
    )  # fmt: skip


def _worker(folder: Path, environment: Mapping[str, str]) -> Service:
    return Service(
        "worker",
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "cpu", "--type", "process",
         "--limit", "1"],  # one writer in a checkout
        {
            **environment,
            "PREFECT_HOME": str(folder / "worker"),
            PROJECT: str(folder.parents[1]),
        },
    )  # fmt: skip


# ── processes ──


def _start(folder: Path, service: Service) -> None:
    """Start a service unless it runs, and wait until it is ready."""
    place, log = folder / f"{service.name}.process.json", folder / f"{service.name}.log"
    if place.exists() and _running(read_json(place)):
        return
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(service.command),
            cwd="/" if service.user else folder.parents[1],
            env={**os.environ, **service.environment, "PATH": path},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            user=service.user,
        )
    record = {"name": service.name, "pid": process.pid, "started": _born(process.pid)}
    write_json(place, record)
    _await(service, process, log)


def _await(service: Service, process: "subprocess.Popen[bytes]", log: Path) -> None:
    began = time.monotonic()
    while time.monotonic() - began < START_S:
        if process.poll() is not None:
            raise ServiceFailed(service.name, log)
        if service.health is None:
            if time.monotonic() - began > 3:
                return
        elif _answers(service.health):
            return
        time.sleep(0.5)
    raise ServiceFailed(service.name, log)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refused:
        return refused.code in (401, 403)  # it is there, and asks who we are
    except (urllib.error.URLError, OSError):
        return False


def _born(pid: int) -> float:
    return float(psutil.Process(pid).create_time())


def _running(record: Mapping[str, Any]) -> bool:
    """Whether it is the same process still: ids are used again, times of birth are not."""
    try:
        return (
            psutil.Process(record["pid"]).status() != psutil.STATUS_ZOMBIE
            and _born(record["pid"]) == record["started"]
        )
    except psutil.NoSuchProcess:
        return False


def _stop(pid: int) -> None:
    """Ask the whole group to stop; after a while, make it."""
    # PostgreSQL takes SIGINT as "now, orderly", and SIGTERM as "when all clients are gone".
    for number, patience in ((signal.SIGINT, STOP_S / 2), (signal.SIGTERM, STOP_S / 2),
                             (signal.SIGKILL, STOP_S)):  # fmt: skip
        try:
            os.killpg(pid, number)
            psutil.Process(pid).wait(timeout=patience)
        except (ProcessLookupError, psutil.NoSuchProcess):
            return
        except psutil.TimeoutExpired:
            continue
