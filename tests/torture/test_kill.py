"""Kill the trainer with SIGKILL again and again; the end must be that of an untouched run.

Moments are drawn from a seed. Half of the kills fall inside a save: the files of a checkpoint are
being written, synced or renamed. Each attempt is forked from a server that did nothing but import,
so that 100 of them take minutes and not hours. It does what a fresh process would: open the inputs,
find the newest valid checkpoint, carry on.
"""

import multiprocessing
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from tests import engine
from tests.torture.trainer import MOST_SAVES, SAVE_EVERY, attempt

PATIENCE_S = 60.0


def work_error(work: Path) -> str:
    error = work / "error.txt"
    return error.read_text() if error.exists() else "nothing was said"


def start(inputs: Path, work: Path, kills: int) -> multiprocessing.Process:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.torture.trainer"])
    child = context.Process(target=attempt, args=(inputs, work, kills))
    child.start()
    return child


def entries(work: Path) -> set[str]:
    return {path.name for path in work.glob("checkpoints/*/*") if "step-" in path.name} | {
        path.name for path in work.glob("checkpoints/*/.step-*")
    }


def is_saving(work: Path) -> bool:
    return any(name.endswith(".partial") for name in entries(work))


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "the trainer does nothing"
        time.sleep(0.0002)


def newest(work: Path) -> int:
    steps = [int(name.removeprefix("step-")) for name in entries(work) if name[0] == "s"]
    return max(steps, default=0)


def kill_once(inputs: Path, work: Path, kills: int, dice: random.Random, inside: bool) -> bool:
    """Start the trainer and kill it; returns whether a save was under way when it died."""
    begun, saves = newest(work), dice.randrange(MOST_SAVES)
    child = start(inputs, work, kills)
    wait_for(lambda: newest(work) >= begun + saves * SAVE_EVERY)
    if inside:
        wait_for(lambda: is_saving(work))
        time.sleep(dice.uniform(0, 0.004))
    else:
        time.sleep(dice.uniform(0, 0.1))
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL, "it ended by itself"
    return is_saving(work)


def torture(inputs: Path, tmp_path: Path, kills: int, seed: int) -> int:
    """Kill `kills` times, then let the run end and compare; returns the kills inside a save."""
    attempt(inputs, tmp_path / "untouched", kills)
    dice = random.Random(seed)
    inside = sum(
        kill_once(inputs, tmp_path / "tortured", kills, dice, inside=number % 2 == 0)
        for number in range(kills)
    )
    child = start(inputs, tmp_path / "tortured", kills)
    child.join()
    said = work_error(tmp_path / "tortured")
    assert child.exitcode == 0, said
    assert engine.outcome(tmp_path / "tortured") == engine.outcome(tmp_path / "untouched")
    return inside


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torture")
    engine.write_inputs(folder)
    return folder


def test_ten_kills_leave_the_bytes_of_an_untouched_run(inputs, tmp_path):
    assert torture(inputs, tmp_path, kills=10, seed=0) >= 2


@pytest.mark.torture
def test_a_hundred_kills_leave_the_bytes_of_an_untouched_run(inputs, tmp_path):
    inside = torture(inputs, tmp_path, kills=100, seed=1)
    print(f"100 kills, {inside} of them while a checkpoint was being written")
    assert inside >= 25


def test_sigterm_leaves_a_checkpoint_of_the_last_step_within_ten_seconds(inputs, tmp_path):
    child = start(inputs, tmp_path, kills=100)
    wait_for(lambda: newest(tmp_path) >= SAVE_EVERY)
    asked = time.monotonic()
    child.terminate()
    child.join()
    assert time.monotonic() - asked < 10
    stopped = re.search(r"step (\d+)", work_error(tmp_path).splitlines()[-1])
    assert stopped, work_error(tmp_path)
    assert newest(tmp_path) == int(stopped[1])
