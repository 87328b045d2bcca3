"""Flows on real servers: retrain on new data, refuse bad data, fill in the past."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bertops import git, versioning
from tests.services.ask import flow_runs, prefect, wait_for
from tests.toy import bertops, environment

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]

REVIEWS = Path("texts/reviews.csv")


def run_flow(project: Path, name: str, *parameters: str, codes: tuple[int, ...] = (0, 3)) -> Any:
    """What a flow returns, run by a process of its own against the servers.

    Args:
        codes: exit codes that are expected; by default that of a gate's no is one.
    """
    ran = subprocess.run(
        [sys.executable, "-m", "flows", name, *parameters, "--json"],
        cwd=project, env=environment(project), capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert ran.returncode in codes, ran.stderr[-3000:]
    return json.loads(ran.stdout[ran.stdout.index("{") :])


def champion(project: Path) -> int:
    listed = json.loads(bertops(project, "registry", "list", "sentiment", "--json").stdout)
    (found,) = (row["version"] for row in listed if "champion" in row["aliases"])
    return int(found)


@pytest.fixture(scope="module")
def trained(project: Path) -> Path:
    """The project after a whole run that a worker did."""
    prefect(project, "deployment", "run", "pipeline/pipeline")
    wait_for(lambda: any(run.state.is_final() for run in flow_runs("pipeline")), seconds=900)
    (run,) = flow_runs("pipeline")
    assert run.state.is_completed(), run.state.message
    return project


def test_retrain_finds_nothing_new(trained: Path):
    report = run_flow(trained, "retrain")
    assert report["outcome"] == "nothing new"
    assert report["branch"] is None


def test_data_that_fails_its_gates_is_not_trained_on(trained: Path):
    good, before = (trained / REVIEWS).read_text(), champion(trained)
    (trained / REVIEWS).write_text("\n".join(good.splitlines()[:8]) + "\n")
    try:
        report = run_flow(trained, "retrain", codes=(3,))
    finally:
        (trained / REVIEWS).write_text(good)
    assert report["outcome"] == "data refused"
    assert report["pipeline"] is None
    assert champion(trained) == before
    assert run_flow(trained, "retrain")["outcome"] != "data refused"


def test_new_data_is_trained_on_and_its_lock_waits_on_a_branch(trained: Path):
    before = git.head(trained)
    with (trained / REVIEWS).open("a", encoding="utf-8") as file:
        file.write("A new review of a film that nobody had seen before this morning at all.,1\n")
    report = run_flow(trained, "retrain")
    assert report["outcome"] == "trained"
    assert git.head(trained) == before
    lock = git.run(trained, "show", f"{report['branch']}:dvc.lock")
    assert lock == (trained / "dvc.lock").read_text().strip()
    assert run_flow(trained, "retrain")["outcome"] == "nothing new"


def test_backfill_restores_what_was_computed_before(trained: Path):
    """The commit that is checked out has the texts of the first run, whose outputs are cached."""
    results = run_flow(trained, "backfill", 'revisions=["HEAD"]')
    assert {one["outcome"] for one in results["HEAD"]} == {"restored"}
    (checkout,) = (trained / ".bertops/checkouts").iterdir()
    assert versioning.status(checkout) == {}
