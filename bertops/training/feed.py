"""The batches of a run, prepared ahead of the step that uses them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from bertops.pretraining.batches import Batches
from bertops.pretraining.collate import TensorBatch, to_device
from bertops.pretraining.pairs import PairRows
from bertops.training.distributed import World
from bertops.training.schedule import Ramp


@dataclass(frozen=True)
class StepBatch:
    """This process's share of one step."""

    microbatches: list[TensorBatch]
    rows: int
    """Rows of the whole step, over all processes."""
    tokens: int
    """Tokens of the whole step that are not padding, over all processes."""
    targets: int
    """Tokens to predict in this process's share."""


@dataclass(frozen=True)
class Feed:
    """Step number → this process's share of its rows, in pieces that fit the device."""

    batches: Batches
    ramp: Ramp
    microbatch_rows: int
    device: torch.device
    world: World

    @property
    def tokens_per_row(self) -> float:
        """Tokens in a row that are not padding, on average."""
        return self.batches.source.tokens_per_row

    @property
    def has_segments(self) -> bool:
        """Whether rows are sentence pairs."""
        return isinstance(self.batches.source.rows, PairRows)

    def at(self, step: int) -> StepBatch:
        """The batch of step `step`, counted from 1: a pure function."""
        first, rows = self.ramp.first_row(step), self.ramp.rows(step)
        rank, size = self.world.rank, self.world.size
        mine = range(first + rank * rows // size, first + (rank + 1) * rows // size)
        groups = [
            mine[i : i + self.microbatch_rows] for i in range(0, len(mine), self.microbatch_rows)
        ]
        micro = [to_device(self.batches.at(g.start, len(g)), self.device) for g in groups]
        tokens = self.batches.tokens(first, rows)
        return StepBatch(micro, rows, tokens, sum(batch.targets for batch in micro))

    @contextlib.contextmanager
    def from_step(self, step: int) -> Iterator[Iterator[StepBatch]]:
        """Batches from `step` on; a thread prepares the next while the device works on this."""
        with ThreadPoolExecutor(1, thread_name_prefix="feed") as pool:
            yield self._ahead(pool, step)

    def _ahead(self, pool: ThreadPoolExecutor, step: int) -> Iterator[StepBatch]:
        upcoming = pool.submit(self.at, step)
        while True:
            batch, step = upcoming.result(), step + 1
            upcoming = pool.submit(self.at, step)
            yield batch
