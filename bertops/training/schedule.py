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


def plan_budget(params: BudgetParams, tokens_per_step: float) -> Budget:
    """Tokens become steps, minutes become seconds.

    Args:
        tokens_per_step: tokens of a step that are not padding, on average.
    """
    if params.minutes is not None:
        return Budget(steps=None, seconds=params.minutes * 60)
    if params.tokens is not None:
        return Budget(steps=max(1, round(params.tokens / tokens_per_step)))
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
