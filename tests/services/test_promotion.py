"""A promotion that waits for a person, on real servers, with a worker that takes one run."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bertops.asking import open_registry
from bertops.paths import Paths
from bertops.registry.history import read_state
from bertops.registry.register import Facts, register
from bertops.release import promote_version
from bertops.storage import hash_tree
from examples.promotion import add_noise
from tests.integration.tiny_project import TASK, tiny_project
from tests.services.ask import flow_runs, prefect, server, wait_for

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]

DEAD_AFTER_S = (
    3 * 30 + 120
)  # three signs of life, as the fixture `project` sets them, and an outage


@pytest.fixture(scope="module")
def registered(project: Path) -> Path:
    """Version 1 is the champion; 2 and 3 are hardly changed."""
    tiny_project(project)
    paths = Paths(project)
    registry, first = open_registry(paths), paths.task_model(TASK)
    facts = Facts({"bertops.data.corpus": hash_tree(paths.corpus)})
    register(registry, TASK, first, facts)
    promote_version(project, TASK, 1, why="the first")
    for seed in (1, 2):
        add_noise(first, project / f"alike{seed}", 0.01, seed=seed)
        register(registry, TASK, project / f"alike{seed}", facts)
    return project


def champion(project: Path) -> int | None:
    return read_state(open_registry(Paths(project)), TASK).champion


def start_promotion(project: Path, version: int, timeout_s: int) -> UUID:
    asked = {"model": TASK, "version": version, "ask": True, "timeout_s": timeout_s}
    prefect(project, "deployment", "run", "promotion/promotion", "--params", json.dumps(asked))
    found: UUID = flow_runs("promotion")[0].id
    return found


def state_of(run_id: UUID) -> Any:
    (state,) = (run.state for run in flow_runs("promotion") if run.id == run_id)
    return state


def wait_for_state(run_id: UUID, *names: str) -> None:
    def there() -> bool:
        state = state_of(run_id)
        assert state.name in names or not state.is_final(), state.message
        return state.name in names

    wait_for(there, seconds=300)


def test_a_person_resumes_the_run_and_the_version_becomes_champion(registered: Path):
    """Meanwhile the only slot of the worker is free, and the silent run counts as no dead one."""
    run_id = start_promotion(registered, 2, timeout_s=1200)
    wait_for_state(run_id, "Suspended")
    began = time.monotonic()
    prefect(registered, "deployment", "run", "backfill/backfill", "--param", "revisions=[]")
    wait_for(lambda: [r for r in flow_runs("backfill") if r.state.is_completed()], seconds=300)
    time.sleep(max(0, DEAD_AFTER_S + 20 - (time.monotonic() - began)))
    assert state_of(run_id).name == "Suspended", state_of(run_id).message
    assert champion(registered) == 1
    with server() as client:
        client.resume_flow_run(run_id)
    wait_for_state(run_id, "Completed")
    assert champion(registered) == 2


def test_nobody_answers_and_the_champion_stays(registered: Path):
    before = champion(registered)
    run_id = start_promotion(registered, 3, timeout_s=10)
    wait_for_state(run_id, "Suspended", "Failed")
    wait_for_state(run_id, "Failed")
    assert "never resumed" in state_of(run_id).message
    with server() as client:
        client.resume_flow_run(run_id)  # too late
    time.sleep(20)
    assert state_of(run_id).is_failed()
    assert champion(registered) == before
