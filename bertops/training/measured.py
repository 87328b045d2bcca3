"""What the loop measures, read from the device as seldom as possible."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bertops.errors import BertopsError

if TYPE_CHECKING:
    from bertops.training.checkpoint import Checkpoints


class TrainingDiverged(BertopsError):
    """The loss or its gradient is no longer a finite number."""

    def __init__(self, step: int, loss: float, last_good: object) -> None:
        self.step, self.loss, self.last_good = step, loss, last_good
        super().__init__(
            f"training diverged at step {step:,}: the loss ({loss}) or its gradient is not finite. "
            f"The update was not made and nothing of it is saved; the last checkpoint is "
            f"{last_good or 'none'}. Lower training.optimizer.learning_rate or lengthen "
            "training.schedule.warmup."
        )


@dataclass(frozen=True)
class StepValues:
    """What one step gave, fp32 scalars on the device."""

    loss: Tensor
    """Mean masked-LM loss over all targets, in nats."""
    gradient_norm: Tensor
    """Before clipping."""
    skipped: Tensor
    """1 where the loss was a spike and the update was not made, else 0."""
    follow_loss: Tensor
    """Mean next-sentence loss over all rows, in nats."""
    follow_accuracy: Tensor
    """Share of rows whose next sentence was told right, 0 to 1."""

    def stacked(self) -> Tensor:
        """In the order of the fields."""
        return torch.stack([getattr(self, name).float() for name in self.__dataclass_fields__])


class Measured:
    """The steps since the last log, left on the device until they are read."""

    def __init__(self, before: list[list[float]]) -> None:
        self._values = list(before)
        self._waiting: list[Tensor] = []

    def add(self, values: StepValues) -> None:
        """Keep what a step gave."""
        self._waiting.append(values.stacked())

    def read(self, step: int, checkpoints: Checkpoints) -> list[list[float]]:
        """What each step since the last log gave, up to `step`, in the order of `StepValues`.

        Raises:
            TrainingDiverged: a loss or norm is not finite; names the first such step.
        """
        values = torch.stack(self._waiting).tolist() if self._waiting else []
        for back, (loss, norm, *_) in zip(range(len(values), 0, -1), values, strict=True):
            if not math.isfinite(loss) or not math.isfinite(norm):
                raise TrainingDiverged(step - back + 1, loss, checkpoints.latest())
        self._values, self._waiting = [*self._values, *values], []
        return self._values

    def flush(self, with_follow: bool) -> dict[str, float]:
        """Means over the steps since the last log, by name, and begin anew.

        Args:
            with_follow: report next-sentence prediction too.
        """
        names = list(StepValues.__dataclass_fields__)
        columns = dict(zip(names, zip(*self._values, strict=True), strict=True))
        values = {name: sum(column) / len(column) for name, column in columns.items()}
        values["skipped"] = sum(columns["skipped"])
        self._values = []
        return {k: v for k, v in values.items() if with_follow or not k.startswith("follow")}


class Clock:
    """Seconds of training, over all sittings."""

    def __init__(self, before: float) -> None:
        self._before, self._start = before, time.perf_counter()

    def seconds(self) -> float:
        """Until now."""
        return self._before + time.perf_counter() - self._start
