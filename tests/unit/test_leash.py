"""Who runs a stage may be killed; the stage stops then, and not before."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

STAGE = """
import sys, time
from pathlib import Path
from bertops.leash import stop_with_holder

place = Path(sys.argv[1])
stop_with_holder()
try:
    for number in range(600):
        place.write_text(str(number))
        time.sleep(0.1)
except KeyboardInterrupt:
    place.write_text("stopped")
    try:
        time.sleep(2)
        place.write_text("saved")
    except KeyboardInterrupt:
        place.write_text("told twice")
"""
RUNNER = """
import os, signal, subprocess, sys, tempfile, time
from pathlib import Path
from bertops.leash import held, mark_told

with tempfile.TemporaryDirectory(dir=sys.argv[1]) as scratch, held(Path(scratch)) as leash:
    command = [sys.executable, "-c", sys.argv[2], f"{sys.argv[1]}/told"]
    stage = subprocess.Popen(command, env={**os.environ, **leash}, start_new_session=True)
    try:
        stage.wait()
    except KeyboardInterrupt:
        os.killpg(stage.pid, signal.SIGINT)
        mark_told(leash)
        time.sleep(0.5)  # two signals at once would be one
        os.kill(os.getpid(), signal.SIGKILL)
"""


def told(folder: Path) -> str:
    place = folder / "told"
    return place.read_text() if place.exists() else ""


def wait_until(folder: Path, met: Callable[[str], bool]) -> None:
    deadline = time.monotonic() + 30
    while not met(told(folder)):
        assert time.monotonic() < deadline, told(folder)
        time.sleep(0.05)


def goes_on(text: str) -> bool:
    return text.isdigit() and int(text) > 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stage_is_told_once_when_the_process_that_runs_it_is_killed(
    tmp_path: Path, number: int
) -> None:
    runner = subprocess.Popen([sys.executable, "-c", RUNNER, str(tmp_path), STAGE])
    wait_until(tmp_path, goes_on)
    runner.send_signal(number)
    runner.wait()
    wait_until(tmp_path, "saved".__eq__)


def test_a_stage_stops_in_the_background_where_ctrl_c_is_ignored(tmp_path: Path) -> None:
    deaf = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
    runner = subprocess.Popen([*deaf, sys.executable, "-c", RUNNER, str(tmp_path), STAGE])
    wait_until(tmp_path, goes_on)
    runner.kill()
    runner.wait()
    wait_until(tmp_path, "saved".__eq__)


def test_a_stage_that_nobody_holds_goes_on(tmp_path: Path) -> None:
    stage = subprocess.Popen([sys.executable, "-c", STAGE, f"{tmp_path}/told"])
    wait_until(tmp_path, goes_on)
    stage.send_signal(signal.SIGINT)
    stage.wait()
    assert told(tmp_path) == "saved"
