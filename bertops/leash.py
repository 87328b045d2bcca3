"""A stage stops with the process that runs it, however that one ends.

Who is killed cannot stop what he started: it would train on, alone, holding dvc's lock and the GPU.
A worker of Prefect that is told to stop kills the process of a flow run a moment after telling it.
"""

import contextlib
import fcntl
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

HELD_FILE = "BERTOPS_HELD_FILE"
"""Environment variable: a file that the process which runs a stage has locked while it lives."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[dict[str, str]]:
    """Lock a file in `folder`; what the environment of those who are to stop with us needs."""
    place = folder / "held"
    with place.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield {HELD_FILE: str(place)}


def mark_told(leash: Mapping[str, str]) -> None:
    """They have been told to stop; a second Ctrl-C would keep them from saving."""
    if place := leash.get(HELD_FILE):
        Path(place).write_text("told", encoding="utf-8")


def stop_with_holder() -> None:
    """Send our process group Ctrl-C as soon as nobody holds the file; nothing without one.

    Shells and cron start what they put into the background deaf to Ctrl-C, and so would be all that
    it starts; a stage hears it again. Call it from the main thread.
    """
    if place := os.environ.pop(HELD_FILE, None):  # of this process alone, not of those it starts
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=_wait, args=(Path(place),), daemon=True).start()


def _wait(place: Path) -> None:
    with contextlib.suppress(FileNotFoundError), place.open(encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # ours when the system has taken it from one who is gone
        if not file.read():
            os.killpg(0, signal.SIGINT)
