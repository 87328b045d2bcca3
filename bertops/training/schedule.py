"""Learning rate and budget: pure functions of how far the training is."""

import math
from dataclasses import dataclass

from bertops.training.params import BudgetParams, TrainingParams


@dataclass(frozen=True)
class Budget:
    """How much training there is, in steps or in seconds."""

    steps: int | None
    seconds: float | None = None

    def progress(self, step: float, seconds: float) -> float:
        """Share of the budget that is spent when `step` steps are done after `seconds`: 0 to 1."""
        if self.steps is not None:
            return min(step / self.steps, 1.0)
        return min(seconds / self.seconds, 1.0) if self.seconds else 1.0


@dataclass(frozen=True)
class Ramp:
    """How many rows each step takes: a straight line up to `full`, and `full` from then on."""

    full: int
    start: int
    steps: int

    def rows(self, step: int) -> int:
        """Rows of step `step`, counted from 1."""
        if step > self.steps:
            return self.full
        return self.start + (self.full - self.start) * (step - 1) // self.steps

    def first_row(self, step: int) -> int:
        """Rows of all steps before `step`: its place in the endless order of rows."""
        ramped = sum(self.rows(s) for s in range(1, min(step, self.steps + 1)))
        return ramped + max(0, step - 1 - self.steps) * self.full

    def steps_for(self, rows: float) -> int:
        """Steps that take about so many rows, at least one."""
        ramped = self.first_row(self.steps + 1)
        if rows >= ramped:
            return max(1, self.steps + round((rows - ramped) / self.full))
        return next(s for s in range(1, self.steps + 1) if self.first_row(s + 1) >= rows)


def plan_ramp(params: TrainingParams) -> Ramp:
    """The ramp that the parameters describe; flat without one."""
    if params.ramp_from_rows is None:
        return Ramp(params.batch_rows, params.batch_rows, 0)
    return Ramp(params.batch_rows, params.ramp_from_rows, params.ramp_steps)


def plan_budget(params: BudgetParams, tokens_per_row: float, ramp: Ramp) -> Budget:
    """Tokens become steps, minutes become seconds.

    Args:
        tokens_per_row: tokens of a row that are not padding, on average.
    """
    if params.minutes is not None:
        return Budget(steps=None, seconds=params.minutes * 60)
    if params.tokens is not None:
        return Budget(steps=ramp.steps_for(params.tokens / tokens_per_row))
    return Budget(steps=params.steps)


def learning_rate(progress: float, params: TrainingParams) -> float:
    """Learning rate when a share `progress` of the budget is spent.

    Rises linearly from 0 to the peak, then falls to `floor` times it: linearly, along half a
    cosine, or at the end only (wsd: warm-up, stable, decay; Hu et al. 2024, "MiniCPM").
    """
    peak, schedule = params.optimizer.learning_rate, params.schedule
    if progress < schedule.warmup:
        return peak * progress / schedule.warmup
    start = 1 - schedule.decay if schedule.shape == "wsd" else schedule.warmup
    fallen = max(0.0, (progress - start) / (1 - start))
    if schedule.shape == "cosine":
        fallen = (1 - math.cos(math.pi * fallen)) / 2
    return peak * (1 - (1 - schedule.floor) * fallen)
