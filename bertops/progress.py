"""One progress bar for the whole project: rate, time left, on stderr."""

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


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
        dynamic_ncols=terminal,
        mininterval=0.2 if terminal else 10.0,
        disable=os.environ.get("BERTOPS_PROGRESS") == "0",
        file=sys.stderr,
    )
