"""How long the steps of cleaning take."""

import contextlib
import time
from collections.abc import Iterator, Mapping


class Clock:
    """Seconds of each step, in the order in which they first ended."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what is done inside, and add it to what the step took before."""
        start = time.perf_counter()
        yield
        self.add({name: time.perf_counter() - start})

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add what another clock measured."""
        for name, more in seconds.items():
            self.seconds[name] = round(self.seconds.get(name, 0) + more, 4)
