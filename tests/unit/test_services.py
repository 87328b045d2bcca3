"""What `bertops up` refuses before it starts anything."""

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
