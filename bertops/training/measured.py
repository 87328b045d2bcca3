"""What the loop measures, read from the device as seldom as possible."""

from __future__ import annotations

import math
import time
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


class Measured:
    """Losses and gradient norms since the last log, left on the device until they are read."""

    def __init__(self, losses: list[float]) -> None:
        self._losses = list(losses)
        self._waiting: list[Tensor] = []

    def add(self, loss_and_norm: Tensor) -> None:
        """Keep what `train_step` returned."""
        self._waiting.append(loss_and_norm)

    def read(self, step: int, checkpoints: Checkpoints) -> list[float]:
        """Losses since the last log, up to `step`.

        Raises:
            TrainingDiverged: a loss or norm is not finite; names the first such step.
        """
        values = torch.stack(self._waiting).tolist() if self._waiting else []
        for back, (loss, norm) in zip(range(len(values), 0, -1), values, strict=True):
            if not math.isfinite(loss) or not math.isfinite(norm):
                raise TrainingDiverged(step - back + 1, loss, checkpoints.latest())
        self._losses += [loss for loss, _ in values]
        self._waiting = []
        return self._losses


class Clock:
    """Seconds of training, over all sittings."""

    def __init__(self, before: float) -> None:
        self._before, self._start = before, time.perf_counter()

    def seconds(self) -> float:
        """Until now."""
        return self._before + time.perf_counter() - self._start
