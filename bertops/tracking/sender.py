"""Sender: delivers entries from a thread of its own, so that whoever puts them never waits."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

E = TypeVar("E")


class Sender(Generic[E]):
    """Delivers entries in the order they were put, in batches, trying again while that may help.

    `put` never waits and never raises. When the receiver is away, entries are kept up to
    `capacity`; beyond it the oldest go, and the loss is counted and logged once.

    Args:
        deliver: takes a batch, in order; raises when the receiver is away, and is then given
            the same batch again.
        every_s: seconds between deliveries.
        capacity: entries kept while the receiver is away.
        patience_s: seconds that `close` waits for the last deliveries.
    """

    def __init__(
        self,
        deliver: Callable[[list[E]], None],
        *,
        every_s: float = 2.0,
        capacity: int = 100_000,
        patience_s: float = 20.0,
    ) -> None:
        self.lost = 0
        self._deliver, self._every_s, self._patience_s = deliver, every_s, patience_s
        self._waiting: deque[E] = deque()
        self._in_flight = 0  # entries of a batch that may or may not have arrived yet
        self._capacity = capacity
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._away = False
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    def put(self, entry: E) -> None:
        """Take an entry for delivery."""
        with self._guard:
            if len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(entry)

    def close(self) -> int:
        """Deliver what is left, within `patience_s`.

        Returns:
            How many entries were lost, those of a delivery that has not ended among them; 0 is
            the normal case.
        """
        self._closing.set()
        self._thread.join(self._patience_s)
        with self._guard:
            lost = self.lost + len(self._waiting) + self._in_flight
        if lost:
            log.warning("tracking: %d entries could not be delivered and are lost", lost)
        return lost

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            self._send()
        deadline = time.monotonic() + self._patience_s
        while not self._send() and time.monotonic() < deadline:
            time.sleep(min(0.5, self._every_s))

    def _send(self) -> bool:
        """Try to deliver everything that waits; whether nothing is left to try."""
        with self._guard:
            batch = list(self._waiting)
            self._waiting.clear()
            self._in_flight = len(batch)
        if not batch:
            return True
        try:
            self._deliver(batch)
        except Exception as error:
            self._keep(batch, error)
            return False
        with self._guard:
            self._in_flight = 0
        self._away = False
        return True

    def _keep(self, batch: list[E], error: Exception) -> None:
        """Put a batch back in front, and say once that the receiver is away."""
        with self._guard:
            self._in_flight = 0
            self._waiting.extendleft(reversed(batch))
            while len(self._waiting) > self._capacity:
                self._waiting.popleft()
                self.lost += 1
        if not self._away:
            log.warning("tracking: cannot reach the store, training goes on: %s", error)
        self._away = True
