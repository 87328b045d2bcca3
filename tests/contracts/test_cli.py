"""The command line keeps its promises: fast help, --json, verbs, documented."""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from bertops.cli.app import app


def commands(command: Any = None, path: str = "bertops") -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""
    command = command or typer.main.get_command(app)
    for name, below in getattr(command, "commands", {}).items():
        if getattr(below, "commands", None):
            yield from commands(below, f"{path} {name}")
        else:
            yield f"{path} {name}", below


ALL = dict(commands())


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_help_that_begins_with_a_verb(name: str):
    first = (ALL[name].help or "").split(" ")[0]
    assert re.fullmatch(r"[A-Z][a-z-]+", first), name
    assert not first.endswith("s") or first in {"Pass"}, f"{name}: {first} is no imperative"


@pytest.mark.parametrize("name", ALL)
def test_every_option_and_argument_is_explained(name: str):
    for parameter in ALL[name].params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name}"


@pytest.mark.parametrize("name", ALL)
def test_what_alters_the_world_can_be_tried_dry(name: str):
    last = name.split(" ")[-1]
    if last in {"promote", "rollback", "use", "deploy"}:
        assert "dry_run" in {p.name for p in ALL[name].params}


def test_help_answers_in_under_a_second():
    """Processor time, so that a busy machine does not decide. Measured: 0.4 s."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "bertops", "--help"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 1


@pytest.mark.parametrize(
    "heavy", ["torch", "transformers", "mlflow", "prefect", "polars", "pandas"]
)
def test_help_loads_nothing_heavy(heavy: str):
    script = f"import sys, bertops.cli.app; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("stage nope", "no stage 'nope'"),
        ("stage ingest", "wants a name after it"),
        ("stage clean x", "takes no name after it"),
        ("stage ingest nope", "corpus.sources has no 'nope'"),
        ("params show trainin", "did you mean 'training'"),
        ("params use nope", "no preset 'nope'"),
        ("--project /nowhere params check", "no such file"),
        ("stag clean", "Did you mean"),
        ("stage", "Missing argument"),
    ],
)
def test_wrong_use_gives_one_paragraph_and_exit_code_2(arguments: str, told: str, repository: Path):
    ran = subprocess.run(
        [sys.executable, "-m", "bertops", *arguments.split()],
        cwd=repository, capture_output=True, text=True,
        env={key: value for key, value in os.environ.items() if key != "BERTOPS_TRACEBACK"},
    )  # fmt: skip
    assert ran.returncode == 2
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
