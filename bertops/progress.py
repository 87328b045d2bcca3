"""One progress bar for the whole project: rate, time left, on stderr."""

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def _columns() -> int:
    """Width of the terminal; 0 where it does not say, and tqdm would draw bars of no width."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):  # no terminal, or stderr is no file
        return 0


def progress(
    items: Iterable[T] | None = None, *, what: str, total: float | None = None, unit: str = "it"
) -> "tqdm[T]":
    """A progress bar over `items`, or one to be moved by hand with `.update(n)`.

    On a terminal it redraws in place. Elsewhere (a log file, DVC, a flow) it prints at most a
    line every 10 s, so that logs stay readable. `BERTOPS_PROGRESS=0` switches it off.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        items,
        desc=what,
        total=total,
        unit=unit,
        unit_scale=True,
        dynamic_ncols=terminal and _columns() > 0,
        ncols=80 if terminal and _columns() == 0 else None,
        mininterval=0.2 if terminal else 10.0,
        disable=os.environ.get("BERTOPS_PROGRESS") == "0",
        file=sys.stderr,
    )
