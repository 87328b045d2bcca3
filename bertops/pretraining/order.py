"""Which rows make up a step."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


class RowOrder:
    """The endless sequence of rows: every row once per epoch, in an order of its own.

    A pure function of (seed, number of rows); asking for any place costs the same. A step may
    hold the end of one epoch and the beginning of the next.
    """

    def __init__(self, rows: int, seed: int) -> None:
        self.rows = rows
        # Two epochs meet in a step at most, unless the corpus is smaller than a step.
        self._permutation = lru_cache(maxsize=2)(lambda epoch: _permutation(seed, epoch, rows))

    def at(self, place: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Epoch (from 0) and row of the `count` places from `place` on, both int64."""
        epochs, within = np.divmod(np.arange(place, place + count), self.rows)
        rows = np.empty(count, dtype=np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            rows[here] = self._permutation(int(epoch))[within[here]]
        return epochs, rows


def _permutation(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    # Philox is a counter-based generator (Salmon et al. 2011): its key alone decides.
    key = np.array([seed, epoch], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(rows)
