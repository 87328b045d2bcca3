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
"""
RUNNER = """
import os, subprocess, sys, tempfile
from pathlib import Path
from bertops.leash import held

with tempfile.TemporaryDirectory(dir=sys.argv[1]) as scratch, held(Path(scratch)) as leash:
    stage = [sys.executable, "-c", sys.argv[2], f"{sys.argv[1]}/told"]
    subprocess.run(stage, env={**os.environ, **leash}, start_new_session=True)
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


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_stage_stops_when_the_process_that_runs_it_is_killed(tmp_path: Path, number: int) -> None:
    runner = subprocess.Popen([sys.executable, "-c", RUNNER, str(tmp_path), STAGE])
    wait_until(tmp_path, goes_on)
    runner.send_signal(number)
    runner.wait()
    wait_until(tmp_path, "stopped".__eq__)


def test_a_stage_that_nobody_holds_goes_on(tmp_path: Path) -> None:
    stage = subprocess.Popen([sys.executable, "-c", STAGE, f"{tmp_path}/told"])
    wait_until(tmp_path, goes_on)
    stage.send_signal(signal.SIGINT)
    stage.wait()
    assert told(tmp_path) == "stopped"
