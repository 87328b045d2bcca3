"""Fifty writers at once, on each kind of store: one ordering, every loser told, history linear."""

import json
import subprocess
import sys
import threading

import pytest
from sqlalchemy.exc import TimeoutError

from bertops.registry.client import Registry
from bertops.registry.events import START
from bertops.registry.history import read_state
from tests.integration.mlflow_models import fresh_store
from tests.integration.mlflow_server import mlflow_server, postgres

WRITERS = 50
PROCESSES = 3


@pytest.fixture(params=["sqlite behind a server", "postgresql behind a server", "postgresql"])
def service_address(request, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if request.param == "sqlite behind a server":
        with mlflow_server(tmp_path, f"sqlite:///{tmp_path}/server.db") as server:
            yield server
        return
    with postgres() as database:
        if request.param == "postgresql":
            yield database
            return
        with mlflow_server(tmp_path, database) as server:
            yield server


def make_versions(address, name):
    registry = Registry(address)
    registry.client.create_registered_model(name)
    for _ in range(WRITERS):
        registry.client.create_model_version(name, "bertops:/none")
    return registry


def race(address, name, champion, versions, tmp_path):
    """Each version promoted by a writer of its own, all begun at once; outcome by version."""
    start = tmp_path / f"start-{champion}"
    command = [sys.executable, "-m", "tests.integration.race_worker"]
    command += [address, name, str(champion or 0), str(start)]
    processes = [
        subprocess.Popen(
            [*command, *map(str, versions[i::PROCESSES])], stdout=subprocess.PIPE, text=True
        )
        for i in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    start.touch()
    outcomes = {}
    for process in processes:
        outcomes |= json.loads(process.communicate()[0].splitlines()[-1])
    return {int(version): outcome for version, outcome in outcomes.items()}


def check(address, tmp_path, rounds):
    registry = make_versions(address, "m")
    versions = list(range(1, WRITERS + 1))
    champion = None
    for round_ in range(1, rounds + 1):
        outcomes = race(address, "m", champion, versions, tmp_path)
        winners = [version for version, outcome in outcomes.items() if outcome == "won"]
        assert sorted(outcomes.values()) == ["lost"] * (len(versions) - 1) + ["won"]
        champion = winners[0]
        versions.remove(champion)
        state = read_state(registry, "m")
        assert len(state.champions) == round_
        assert registry.aliases("m")["champion"] == state.champion == champion
    chain = [START, *(entry.event.digest for entry in state.accepted)]
    assert [entry.event.builds_on for entry in state.accepted] == chain[:-1]
    assert state.settled
    assert registry.aliases("m").get("previous_champion") == state.previous_champion


def test_fifty_concurrent_promotions_on_sqlite(tmp_path):
    check(fresh_store(tmp_path / "mlflow.db").address, tmp_path, rounds=1)


@pytest.mark.service
def test_fifty_concurrent_promotions_on_servers(service_address, tmp_path):
    check(service_address, tmp_path, rounds=3)


@pytest.fixture
def crowded(tmp_path):
    """A registry whose pool of connections is in use, and the function that lets go of them."""
    registry = Registry(fresh_store(tmp_path / "mlflow.db").address)
    registry.client.create_registered_model("m")
    pool = registry.client._get_registry_client().store.engine.pool
    pool._timeout = 0.05
    held = [pool.connect() for _ in range(pool.size() + pool._max_overflow)]
    with pytest.raises(TimeoutError, match="QueuePool limit"):
        pool.connect()
    yield registry, lambda: [connection.close() for connection in held]
    pool.dispose()


@pytest.mark.parametrize(
    "ask",
    [
        lambda registry: registry.names(),
        lambda registry: registry.versions("m"),
        lambda registry: registry.aliases("m"),
        lambda registry: registry.entries("m"),
        lambda registry: registry.set_alias("m", "champion", None),
    ],
)
def test_a_reader_waits_its_turn_behind_many_writers(crowded, ask):
    registry, let_go = crowded
    timer = threading.Timer(0.3, let_go)
    timer.start()
    ask(registry)
    timer.join()
