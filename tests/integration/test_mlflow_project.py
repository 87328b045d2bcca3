"""The registry's commands and the demo, on a small project that was run."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from bertops.asking import open_registry
from bertops.cli.app import app
from bertops.errors import GateRefused, UsageError
from bertops.evaluation.reads import count_reads
from bertops.paths import Paths
from bertops.registry.client import VersionMissing
from bertops.registry.register import Facts, register
from bertops.storage import hash_tree
from examples.promotion import add_noise
from tests.conftest import ROOT
from tests.integration.mlflow_models import fresh_store
from tests.integration.tiny_project import TASK, tiny_project

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Three versions: today's model, a bad copy of it, and one that is hardly changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        folder = tiny_project(tmp_path_factory.mktemp("project"))
        paths = Paths(folder)
        fresh_store(paths.mlflow_store)
        registry = open_registry(paths)
        models = [paths.task_model(TASK), folder / "bad", folder / "alike"]
        add_noise(models[0], models[1], 2.0, seed=1)
        add_noise(models[0], models[2], 0.01, seed=1)
        corpus = {"bertops.data.corpus": hash_tree(paths.corpus)}
        for model in models:
            register(registry, TASK, model, Facts({"bertops.dvc_lock": model.name} | corpus))
        yield folder


def run(project, *arguments):
    """The JSON that a command prints."""
    done = RUNNER.invoke(
        app,
        ["--project", str(project), "registry", *map(str, arguments), "--json"],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def say(project, *arguments):
    """What a command prints for people."""
    done = RUNNER.invoke(
        app, ["--project", str(project), "registry", *map(str, arguments)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_commands_tell_one_story(project):
    assert "would promote" in say(project, "promote", TASK, 1, "--dry-run")
    assert run(project, "history", TASK)[-1]["kind"] == "registered"
    assert run(project, "promote", TASK, 1, "--why", "first")["changed"]
    assert "champion already" in say(project, "promote", TASK, 1)
    rows = run(project, "list", TASK)
    assert [row["aliases"] for row in rows] == [["champion"], [], ["challenger"]]

    compared = run(project, "compare", TASK, 2, 1)
    assert compared["comparison"]["verdict"] == "worse"
    assert compared["flips"]["lost"]
    told = say(project, "compare", TASK, 2, 1)
    assert "exact McNemar" in told
    assert "only version 1 is right" in told
    assert compared["flips"]["lost"][0]["excerpt"] in told
    with pytest.raises(GateRefused, match=r"would not promote.*against_champion: worse"):
        say(project, "promote", TASK, 2, "--dry-run")
    with pytest.raises(GateRefused, match=r"not promoted.*against_champion: worse"):
        say(project, "promote", TASK, 2)
    assert run(project, "promote", TASK, 2, "--mode", "off")["changed"] is False

    assert run(project, "promote", TASK, 3)["changed"]
    assert "would roll back" in say(project, "rollback", TASK, "--why", "x", "--dry-run")
    assert run(project, "rollback", TASK, "--why", "a slip")["to_version"] == 1
    kinds = [event["kind"] for event in run(project, "history", TASK)]
    assert kinds == ["registered"] * 3 + ["promoted", "refused", "promoted", "rolled_back"]
    assert "a slip" in say(project, "history", TASK)
    assert {event["name"] for event in run(project, "history")} == {TASK}
    assert say(project, "history") == say(project, "history", TASK)

    assert run(project, "approve", TASK, 3, "--why", "read it")["approved"] == [3]
    tags = run(project, "show", TASK, 1)["tags"]
    assert len(tags["bertops.content"]) == 64
    assert "content" in say(project, "show", TASK, 1)


def test_export_writes_a_directory_once(project, tmp_path):
    made = run(project, "export", TASK, 1, tmp_path / "hub")
    assert "model.safetensors" in made["files"]
    with pytest.raises(UsageError, match="there already"):
        run(project, "export", TASK, 1, tmp_path / "hub")


@pytest.mark.parametrize(
    "arguments", [("show", TASK, 99), ("promote", TASK, 99), ("compare", TASK, 1, 99)]
)
def test_a_version_that_is_not_there_is_named(project, arguments):
    with pytest.raises(VersionMissing, match="version 99"):
        run(project, *arguments)


def test_the_answers_of_a_version_are_kept_and_not_asked_again(project):
    run(project, "compare", TASK, 2, 1)
    kept = list((project / ".bertops/answers").rglob("*.parquet"))
    before = {path: path.stat().st_mtime_ns for path in kept}
    run(project, "compare", TASK, 2, 1)
    assert before == {path: path.stat().st_mtime_ns for path in kept}
    assert kept


def test_the_demo_shows_all_four_outcomes_and_touches_nothing(project):
    before = sorted(path for path in project.rglob("*") if ".bertops" not in path.parts)
    looks = count_reads(Paths(project).state).get(TASK, {})
    command = [sys.executable, "-m", "examples.promotion", str(project)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    for said in ("promoted: ", "against_champion: worse", "against_champion: inconclusive"):
        assert said in done.stdout
    kinds = ("registered", "promoted", "refused", "rolled_back")
    told = done.stdout.split("The history:")[1]
    assert [told.count(f" {kind} ") for kind in kinds] == [4, 2, 2, 1]
    assert before == sorted(path for path in project.rglob("*") if ".bertops" not in path.parts)
    assert count_reads(Paths(project).state)[TASK] == looks | {"promote-demo": 1}
