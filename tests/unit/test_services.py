"""What `bertops up` refuses before it starts anything, and who may see its secrets."""

import os
import stat
from pathlib import Path

import pytest

from bertops import services
from bertops.errors import BertopsError


def test_no_empty_database_is_begun_beside_a_full_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when PostgreSQL was installed last time, and is not today."""
    (tmp_path / ".bertops/services/postgres").mkdir(parents=True)
    monkeypatch.setattr(services, "postgres_program", lambda name: None)
    with pytest.raises(BertopsError, match="not on the PATH"):
        services.up(tmp_path, services.Ports())
    assert services.running(tmp_path) == []


def test_a_secret_is_readable_by_its_owner_alone_from_its_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a mode that is set afterwards comes too late")

    monkeypatch.setattr(Path, "chmod", refuse)
    before = os.umask(0)
    try:
        services.write_secret(tmp_path / "password", "a secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o600
    assert (tmp_path / "password").read_text() == "a secret"


def test_no_argument_of_a_server_holds_a_password(tmp_path: Path) -> None:
    """`ps` shows arguments to everybody on the machine."""
    pytest.importorskip("flask_wtf", reason="needs the extra servers")
    ports, database = services.Ports(), "postgresql://bertops:a-secret@127.0.0.1/x"
    started = (
        services._prefect(tmp_path, ports, database, "a-secret"),
        services._mlflow(tmp_path, ports, database, "a-secret", "s3://bertops/mlflow"),
    )
    for service in started:
        assert "a-secret" in str(service.environment)
        assert "a-secret" not in " ".join(service.command)
