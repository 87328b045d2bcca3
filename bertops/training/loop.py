"""The story of training: step, log, validate, save, stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import nn
from torch.optim import Optimizer
from tqdm import tqdm

from bertops.errors import Interrupted
from bertops.progress import progress
from bertops.tracker import Tracker
from bertops.training.checkpoint import Checkpoints
from bertops.training.distributed import World
from bertops.training.feed import Feed, StepBatch
from bertops.training.interrupt import stop_on_signal
from bertops.training.measured import Clock, Measured, StepValues
from bertops.training.objective import Objective
from bertops.training.optimizer import careful_step, set_learning_rate
from bertops.training.params import TrainingParams
from bertops.training.precision import seed_dropout
from bertops.training.schedule import Budget, learning_rate
from bertops.training.spikes import SpikeGuard
from bertops.training.state import TrainState
from bertops.training.throughput import Meter
from bertops.training.validation import Validator


@dataclass
class Run:
    """Everything a training run works with."""

    objective: Objective
    optimizer: Optimizer
    feed: Feed
    validator: Validator | None
    checkpoints: Checkpoints
    budget: Budget
    params: TrainingParams
    tracker: Tracker
    meter: Meter
    state: TrainState
    device: torch.device
    world: World = field(default_factory=World)


def train(run: Run) -> TrainState:
    """Train until the budget is spent; returns where the run stands.

    Raises:
        Interrupted: SIGTERM or Ctrl-C came; a checkpoint is written.
        TrainingDiverged: a loss or gradient is not finite; nothing of it is saved.
        CheckpointNotWritten: the disk is full or not writable.
    """
    state, params, budget, world = run.state, run.params, run.budget, run.world
    clock, measured = Clock(state.seconds), Measured(state.pending)
    guard = SpikeGuard(params.skip_spikes, state.recent, run.device)
    module = world.wrap(run.objective, run.device)
    with stop_on_signal() as stop, run.feed.from_step(state.step + 1) as batches, _bar(run) as bar:
        settle = partial(_settle, run, measured, guard, bar, lambda: world.any(bool(stop)))
        if state.pending and Due(run).log:  # the stop came while this step was validated
            settle()
        while budget.progress(state.step, state.seconds) < 1:
            step = state.step + 1
            rate = learning_rate(budget.progress(step - 0.5, state.seconds), params)
            set_learning_rate(run.optimizer, rate)
            batch = next(batches)
            measured.add(train_step(run, module, guard, step, batch))  # stays on the device
            state.after(batch.tokens, world.first(clock.seconds()), rate)
            _advance(bar, run, batch.tokens)
            settle()
    return state


def train_step(
    run: Run, module: nn.Module, guard: SpikeGuard, step: int, batch: StepBatch
) -> StepValues:
    """One optimizer update, over all processes; nothing here waits for the device."""
    seed_dropout(run.params.seed, step, run.world.rank)
    targets = run.world.sum(torch.tensor(float(batch.targets), device=run.device))
    rows_share = torch.full_like(targets, 1 / batch.rows)
    shares = torch.stack([1 / targets, rows_share, rows_share])  # of what `Objective` sums
    sums = torch.zeros(3, device=run.device)
    for rows in batch.microbatches:
        with run.world.averaging(module, last=rows is batch.microbatches[-1]):
            found = module(rows)
            # Gradients are averaged over processes; the mean is to be over all targets.
            ((found * shares)[:2].sum() * run.world.size).backward()
        sums += found.detach()
    loss, follow_loss, follow_accuracy = run.world.sum(sums) * shares
    spike = guard.judge(loss)
    norm = careful_step(
        run.objective, run.optimizer, run.params.optimizer.clip_norm, spike | ~loss.isfinite()
    )
    return StepValues(loss, norm, spike, follow_loss, follow_accuracy)


class Due:
    """What is to be done after the step that a run stands at."""

    def __init__(self, run: Run) -> None:
        step, params = run.state.step, run.params
        self.end = run.budget.progress(step, run.state.seconds) >= 1
        self.save = self.end or step % params.save_every_steps == 0
        self.validate = self.end or step % params.validate_every_steps == 0
        self.log = self.validate or step % params.log_every_steps == 0


def _settle(
    run: Run,
    measured: Measured,
    guard: SpikeGuard,
    bar: tqdm[None],
    asked_to_stop: Callable[[], bool],
) -> None:
    """Log, validate and save where that is due after a step, and stop where that is asked for."""
    state, due = run.state, Due(run)
    stopping = asked_to_stop() and not due.end
    if due.save or due.log or stopping:  # the one place that waits for the device
        state.pending = measured.read(state.step, run.checkpoints)
    if due.log:
        score = _validate(run, asked_to_stop) if due.validate else {}
        if score is None:
            stopping = True  # with the log still owed
        else:
            _log(run, measured, score, bar)
    if (due.save or stopping or state.best_step == state.step) and run.world.leads:
        state.recent = guard.recent()
        run.checkpoints.save(run.objective.model, run.optimizer, state)
    if stopping:
        raise Interrupted(
            f"stopped after step {state.step:,}; the checkpoint is in {run.checkpoints.folder}. "
            "Run the same command again to carry on from there."
        )


def _validate(run: Run, asked_to_stop: Callable[[], bool]) -> dict[str, float] | None:
    """Scores on held-out rows, none where there are none; None where the run is to stop first."""
    if run.validator is None:
        return {}
    score = run.validator.score_unless(asked_to_stop, run.objective, run.device)
    if score is None:
        return None
    return {"validation_loss": score.loss, "validation_accuracy": score.accuracy}


def _log(run: Run, measured: Measured, score: Mapping[str, float], bar: tqdm[None]) -> None:
    """Send the means since the last time, and the scores of a validation."""
    state = run.state
    means = measured.flush(run.feed.has_segments)
    values = {**means, "learning_rate": state.learning_rate, **score}
    state.record(values)
    bar.set_postfix({k: f"{v:.3f}" for k, v in values.items() if k.endswith("loss")})
    if run.world.leads:
        run.tracker.log_metrics({**values, "tokens": state.tokens, **run.meter.read()}, state.step)


def _bar(run: Run) -> tqdm[None]:
    """Progress in tokens where the number of steps is known, else in seconds of the budget."""
    if run.budget.steps is None:
        bar = progress(what="pretraining", total=run.budget.seconds, unit="s")
        bar.n = bar.initial = run.state.seconds
    else:
        rows = run.feed.ramp.first_row(run.budget.steps + 1)
        bar = progress(what="pretraining", total=round(rows * run.feed.tokens_per_row), unit="tok")
        bar.n = bar.initial = run.state.tokens
    bar.disable = bar.disable or not run.world.leads
    return bar


def _advance(bar: tqdm[None], run: Run, tokens: int) -> None:
    run.meter.add(tokens)
    bar.update(tokens if run.budget.steps is not None else run.state.seconds - bar.n)
