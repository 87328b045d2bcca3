"""The story of training: step, log, validate, save, stop."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        while budget.progress(state.step, state.seconds) < 1:
            step = state.step + 1
            rate = learning_rate(budget.progress(step - 0.5, state.seconds), params)
            set_learning_rate(run.optimizer, rate)
            batch = next(batches)
            measured.add(train_step(run, module, guard, step, batch))  # stays on the device
            state.after(batch.tokens, world.first(clock.seconds()))
            _advance(bar, run, batch.tokens)

            finished = budget.progress(step, state.seconds) >= 1
            stopping = finished or world.any(bool(stop))
            saving = stopping or step % params.save_every_steps == 0
            validating = finished or step % params.validate_every_steps == 0
            logging = validating or step % params.log_every_steps == 0
            if saving or logging:  # the one place that waits for the device
                state.pending = measured.read(step, run.checkpoints)
            if logging:
                _log(run, measured, rate, validating, bar)
            if (saving or state.best_step == step) and world.leads:
                state.recent = guard.recent()
                run.checkpoints.save(run.objective.model, run.optimizer, state)
            if stopping and not finished:
                raise Interrupted(
                    f"stopped after step {step:,}; the checkpoint is in {run.checkpoints.folder}. "
                    "Run the same command again to carry on from there."
                )
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


def _log(run: Run, measured: Measured, rate: float, validating: bool, bar: tqdm[None]) -> None:
    """Send the means since the last time, and the validation where it is due."""
    state = run.state
    values = measured.flush(run.feed.has_segments) | {"learning_rate": rate}
    if validating and run.validator is not None:
        score = run.validator.score(run.objective, run.device)
        values |= {"validation_loss": score.loss, "validation_accuracy": score.accuracy}
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
