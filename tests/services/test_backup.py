"""The nightly backup and the runbook's restore, by their own commands, on a real PostgreSQL."""

import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bertops import services
from tests.integration.mlflow_server import postgres

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

DATABASES = ("prefect", "mlflow", "mlflow-auth")
OWNER = "owner"


@pytest.fixture
def environment(repository: Path) -> Iterator[dict[str, str]]:
    """A shell's environment with a PostgreSQL that holds the three databases of the servers.

    They belong to a user with the rights that infra/README.md gives it, and no more.
    """
    with postgres() as address:
        where = urlsplit(address)
        server = {"PGHOST": str(where.hostname), "PGPORT": str(where.port), "PGUSER": OWNER}
        program = services.postgres_program("pg_dump")
        if program is None:
            pytest.skip("needs PostgreSQL's pg_dump (apt-get install postgresql)")
        path = f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"
        found = {**os.environ, **server, "PATH": path}
        told = re.search(r"createuser (.*) bertops", (repository / "infra/README.md").read_text())
        assert told is not None
        options = [option for option in told[1].split() if option != "--pwprompt"]
        superuser = {**found, "PGUSER": "bertops"}
        subprocess.run(["createuser", *options, OWNER], env=superuser, check=True)
        for name in DATABASES:
            psql(superuser, "postgres", f'CREATE DATABASE "{name}" OWNER {OWNER}')
            psql(found, name, "CREATE TABLE kept (it text)")
            psql(found, name, f"INSERT INTO kept VALUES ('{name} as it was')")
        yield found


def psql(environment: dict[str, str], database: str, command: str) -> str:
    ran = subprocess.run(
        ["psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-Atc", command, database],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def back_up(repository: Path, environment: dict[str, str], folder: Path) -> None:
    script = repository / "infra/systemd/backup.sh"
    subprocess.run([script, folder], env=environment, check=True)


def restore_by_the_runbook(repository: Path, environment: dict[str, str], folder: Path) -> None:
    page = (repository / "infra/runbooks/database-restore.md").read_text()
    (block,) = (b for b in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "createdb" in b)
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    commands = block.replace("/var/lib/bertops/backups", str(folder)).replace("DAY", day)
    ran = subprocess.run(["sh", "-eu", "-c", commands], env=environment, capture_output=True)
    assert ran.returncode == 0, ran.stderr


def test_what_the_night_dumped_the_runbook_restores(
    repository: Path, environment: dict[str, str], tmp_path: Path
):
    folder = tmp_path / "backups"
    back_up(repository, environment, folder)
    psql(environment, "prefect", "DROP TABLE kept")
    psql(environment, "mlflow", "UPDATE kept SET it = 'spoilt'")
    psql(environment, "postgres", 'DROP DATABASE "mlflow-auth"')
    restore_by_the_runbook(repository, environment, folder)
    for name in DATABASES:
        assert psql(environment, name, "SELECT it FROM kept") == f"{name} as it was"


def test_a_backup_that_fails_leaves_no_dump_that_looks_whole(
    repository: Path, environment: dict[str, str], tmp_path: Path
):
    psql(environment, "postgres", 'DROP DATABASE "mlflow-auth"')
    with pytest.raises(subprocess.CalledProcessError):
        back_up(repository, environment, tmp_path)
    assert {path.name.rsplit("-", 3)[0] for path in tmp_path.glob("*.dump")} == {
        "prefect", "mlflow",
    }  # fmt: skip


def test_dumps_are_nobody_elses_and_old_ones_go(
    repository: Path, environment: dict[str, str], tmp_path: Path
):
    old = tmp_path / "mlflow-2020-01-01.dump"
    old.touch()
    os.utime(old, (0, 0))
    back_up(repository, environment, tmp_path)
    dumps = list(tmp_path.glob("*.dump"))
    assert len(dumps) == len(DATABASES)
    assert old not in dumps
    assert {path.stat().st_mode & 0o777 for path in dumps} == {0o600}
