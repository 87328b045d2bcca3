"""What goes wrong is said, and nothing of it is kept."""

import math
from typing import ClassVar

import pytest
import torch
from pydantic import ValidationError

from bertops.pretraining.collate import TensorBatch
from bertops.training.checkpoint import Checkpoints
from bertops.training.distributed import World
from bertops.training.measured import TrainingDiverged
from bertops.training.objective import Objective
from bertops.training.params import PretrainParams
from bertops.training.pretrain import TooFewRows, refuse_too_few
from bertops.training.spikes import SpikeGuard
from tests import engine


class Poisoned(Objective):
    """Multiplies the loss of some batches, counted from 1."""

    factors: ClassVar[dict[int, float]] = {}
    calls: ClassVar[int] = 0

    def forward(self, batch: TensorBatch) -> torch.Tensor:
        Poisoned.calls += 1
        return super().forward(batch) * self.factors.get(Poisoned.calls, 1.0)


@pytest.fixture
def poison(monkeypatch):
    """poison({step: factor}): the loss of these steps is multiplied."""

    def arrange(factors):
        monkeypatch.setattr("bertops.training.pretrain.Objective", Poisoned)
        monkeypatch.setattr(Poisoned, "factors", factors)
        monkeypatch.setattr(Poisoned, "calls", 0)

    return arrange


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_with_its_step_and_saves_nothing_of_it(
    bad, poison, inputs, tmp_path
):
    poison({6: bad})
    with pytest.raises(TrainingDiverged) as caught:
        engine.run(inputs, tmp_path, engine.toy_params(10))
    assert caught.value.step == 6
    (folder,) = (tmp_path / "checkpoints").iterdir()
    newest = Checkpoints(folder, 2).latest()
    assert newest.name == "step-00000004"
    assert str(newest) in str(caught.value)
    assert not (tmp_path / "encoder").exists()


def test_the_update_of_a_bad_step_is_not_made(poison, inputs, tmp_path):
    poison({2: math.nan})
    seen = {}

    class Watching(engine.MemoryTracker):
        def log_metrics(self, values, step):
            seen[step] = values

    with pytest.raises(TrainingDiverged):
        engine.run(inputs, tmp_path, engine.toy_params(10), Watching())
    assert seen == {}  # raised before anything was logged


def test_a_loss_spike_is_skipped_and_counted(poison, inputs, tmp_path):
    params = engine.toy_params(140, log_every_steps=1, skip_spikes=True, save_every_steps=140)
    poison({135: 50.0})
    tracker = engine.MemoryTracker()
    engine.run(inputs, tmp_path, params, tracker)
    skipped = [step for step, values in tracker.metrics if values["skipped"]]
    assert skipped == [135]


def test_without_the_switch_a_spike_is_learned_from(poison, inputs, tmp_path):
    params = engine.toy_params(140, log_every_steps=1, save_every_steps=140)
    poison({135: 50.0})
    tracker = engine.MemoryTracker()
    engine.run(inputs, tmp_path, params, tracker)
    assert not any(values["skipped"] for _, values in tracker.metrics)


def test_nothing_is_a_spike_until_there_are_128_losses():
    guard = SpikeGuard(True, [], torch.device("cpu"))
    verdicts = [bool(guard.judge(torch.tensor(1.0 + 0.01 * (i % 5)))) for i in range(128)]
    assert not any(verdicts)
    assert bool(guard.judge(torch.tensor(2.0)))
    assert not bool(guard.judge(torch.tensor(1.02)))  # the spike itself was not remembered


def test_the_loop_trains_a_model_that_learns(inputs, tmp_path):
    """The random documents teach their unigram frequencies at least."""
    tracker = engine.MemoryTracker()
    params = engine.toy_params(60, dropout=0.0, optimizer={"learning_rate": 3e-3})
    engine.run(inputs, tmp_path, params, tracker)
    losses = [values["loss"] for _, values in tracker.metrics]
    assert losses[-1] < losses[0] - 0.2


WRONG = {
    "hidden not divisible by heads": ({"model": {"heads": 3}}, "hidden .32. is not a multiple"),
    "rows longer than positions": (
        {"pretraining": {"packing": {"row_length": 64}}},
        "row_length .64. is more than model.max_positions .32.",
    ),
    "mask rate 0": ({"pretraining": {"masking": {"rate": 0}}}, "greater than 0"),
    "everything kept": (
        {"pretraining": {"masking": {"keep_share": 0.6, "random_share": 0.4}}},
        "leaves no token",
    ),
    "a budget of nothing": ({"training": {"budget": {"steps": 0}}}, "greater than or equal to 1"),
    "no budget": ({"training": {"budget": {}}}, "exactly one of steps, tokens, minutes"),
    "two budgets": ({"training": {"budget": {"steps": 1, "tokens": 2}}}, "exactly one"),
    "segments without bert": (
        {"pretraining": {"objective": "mlm_nsp"}, "model": {"architecture": "modernbert"}},
        "needs model.architecture bert",
    ),
    "a ramp of no length": ({"training": {"ramp_from_rows": 2}}, "set together"),
    "a ramp from nothing": ({"training": {"ramp_steps": 2}}, "set together"),
    "a seed of 33 bits": ({"training": {"seed": 2**32}}, "less than 4294967296"),
    "a ramp that shrinks": ({"training": {"ramp_from_rows": 9}}, "more than batch_rows"),
    "nodes without a meeting place": (
        {"training": {"distributed": {"nodes": 2}}},
        "need a rendezvous",
    ),
    "a misspelt name": ({"training": {"batchrows": 4}}, "batchrows"),
}


def merged(base, changes):
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict) and key != "budget"
        base[key] = merged(base[key], value) if nested else value
    return base


@pytest.mark.parametrize("case", WRONG)
def test_wrong_parameters_are_refused_before_the_first_step(case):
    changes, message = WRONG[case]
    values = engine.toy_params().model_dump(exclude_none=True)
    with pytest.raises(ValidationError, match=message):
        PretrainParams.model_validate(merged(values, changes))


def test_too_few_rows_are_refused_before_the_first_step(inputs, tmp_path):
    with pytest.raises(TooFewRows, match=r"fills 65 rows, fewer than the 500"):
        engine.run(inputs, tmp_path, engine.toy_params(batch_rows=500))
    with pytest.raises(TooFewRows, match=r"4 rows for 5 processes"):
        refuse_too_few(65, engine.toy_params().training, World(0, 5).size)
