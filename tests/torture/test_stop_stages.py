"""Every stage is stopped in the middle of its work, and what it leaves is not taken for good."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bertops import graph
from bertops.storage import hash_tree, remove
from tests.toy import bertops, environment, toy_project

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]

STAGES = (
    "fetch",
    "ingest toy",
    "validate_raw",
    "task_data sentiment",
    "clean",
    "validate_corpus",
    "tokenizer",
    "tokenize",
    "pretrain",
    "finetune sentiment",
    "evaluate",
)
WORK = ("checkpoints", "finetuning", "corpus", "answers")
"""Folders of `.bertops` in which stages keep what they have done so far."""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy project whose stages have all run."""
    project = toy_project(tmp_path_factory.mktemp("stopped"))
    for stage in graph.read(project).stages:
        ran = bertops(project, "stage", *stage.label.split())
        assert ran.returncode == 0, ran.stderr
    return project


def outputs(project: Path, stage: str) -> dict[str, str]:
    """Hash of each output of a stage that is there."""
    (found,) = (s for s in graph.read(project).stages if s.label == stage)
    return {out: hash_tree(project / out) for out in found.outs if (project / out).exists()}


def forget(project: Path, stage: str) -> None:
    """As if the stage had never run."""
    for out in outputs(project, stage):
        remove(project / out)
    for name in WORK:
        remove(project / ".bertops" / name)


def leftovers(project: Path) -> list[str]:
    """Names of what is half-written; folders may go while they are looked through."""
    places = ("data", "models", "reports", ".bertops")
    walked = (found for place in places for found in os.walk(project / place))
    return [n for _, folders, files in walked for n in (*folders, *files) if n.endswith(".partial")]


def has_begun(project: Path, stage: str) -> bool:
    """Whether the stage writes: something half-written is there, an output, or work so far."""
    (declared,) = (s for s in graph.read(project).stages if s.label == stage)
    places = [*declared.outs, *(f".bertops/{name}" for name in WORK)]
    return any((project / place).exists() for place in places) or bool(leftovers(project))


def stop(project: Path, stage: str, number: int) -> int:
    """Run the stage and send it the signal as soon as it writes; its exit code."""
    running = subprocess.Popen(
        [sys.executable, "-m", "bertops", "stage", *stage.split()],
        cwd=project,
        env=environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while running.poll() is None and not has_begun(project, stage):
        time.sleep(0.002)
    running.send_signal(number)
    return running.wait(timeout=300)


def test_the_stages_are_those_of_the_graph(done: Path):
    assert [stage.label for stage in graph.read(done).stages] == list(STAGES)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)], ids=["Ctrl-C", "killed"]
)
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_stopped_leaves_nothing_half_written_and_the_next_run_carries_on(
    done: Path, stage: str, number: int, code: int
):
    whole = outputs(done, stage)
    forget(done, stage)
    ended = stop(done, stage, number)
    assert ended in (code, 0)  # 0: it was done before the signal came
    for out, content in outputs(done, stage).items():
        assert content == whole[out], f"{out} is there, and is not what the stage makes"
    if number == signal.SIGINT:
        assert leftovers(done) == []
    again = bertops(done, "stage", *stage.split())
    assert again.returncode == 0, again.stderr
    assert outputs(done, stage) == whole
    assert leftovers(done) == []
