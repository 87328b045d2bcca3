"""Exact resume: N steps are the same as k steps, a stop, and N - k more, to the last bit."""

import os
import re
import signal

import pytest

from bertops.errors import Interrupted
from bertops.training.validation import Validator
from tests import engine

STEPS = 40


@pytest.fixture(scope="module")
def straight(inputs, tmp_path_factory):
    work = tmp_path_factory.mktemp("straight")
    report = engine.run(inputs, work, engine.toy_params(STEPS, log_every_steps=1))
    return report, engine.outcome(work)


def steps_per_epoch(report) -> float:
    return report.rows / 4


def test_the_toy_run_reaches_its_third_epoch(straight):
    report, _ = straight
    assert 2 < report.epochs < 3


@pytest.mark.parametrize("where", ["mid-epoch", "epoch boundary", "epoch 2"])
def test_resumed_run_repeats_the_uninterrupted_one(where, straight, inputs, tmp_path):
    report, expected = straight
    epoch = steps_per_epoch(report)
    stop = {"mid-epoch": 5, "epoch boundary": round(epoch), "epoch 2": round(1.5 * epoch)}[where]
    params = engine.toy_params(STEPS, log_every_steps=1)
    with pytest.raises(Interrupted):
        engine.run(inputs, tmp_path, params, engine.StoppingTracker(stop_at=stop))
    tracker = engine.MemoryTracker()
    assert engine.run(inputs, tmp_path, params, tracker) == report
    assert tracker.metrics[0][0] == stop + 1  # nothing is replayed
    assert engine.outcome(tmp_path) == expected


@pytest.mark.parametrize("batch", [0, 1])
def test_a_stop_within_validations_costs_a_batch_of_them_and_changes_nothing(
    batch, inputs, tmp_path, monkeypatch
):
    params = engine.toy_params(20, validation_rows=8, microbatch_rows=4)
    engine.run(inputs, tmp_path / "a", params)
    score, calls, stopped = Validator.score_unless, [], []

    def interrupted(self, asked_to_stop, *given):
        calls.append(None)
        batches = []

        def ask():
            if len(calls) in (1, 2, 4, 6) and len(batches) == batch:
                os.kill(os.getpid(), signal.SIGTERM)
            batches.append(None)
            return asked_to_stop()

        return score(self, ask, *given)

    monkeypatch.setattr(Validator, "score_unless", interrupted)
    for _ in range(4):
        with pytest.raises(Interrupted) as error:
            engine.run(inputs, tmp_path / "b", params)
        stopped.append(int(re.search(r"after step (\d+)", str(error.value))[1]))
    engine.run(inputs, tmp_path / "b", params)
    assert stopped == [7, 7, 14, 20]  # where the validations are, and not a step further
    assert engine.outcome(tmp_path / "b") == engine.outcome(tmp_path / "a")


def test_a_stop_between_two_logs_loses_no_loss(inputs, tmp_path):
    params = engine.toy_params(10, log_every_steps=5, validate_every_steps=5)
    engine.run(inputs, tmp_path / "a", params)
    with pytest.raises(Interrupted):
        engine.run(inputs, tmp_path / "b", params, engine.StoppingTracker(stop_at=6))
    engine.run(inputs, tmp_path / "b", params)
    assert engine.outcome(tmp_path / "b") == engine.outcome(tmp_path / "a")


def test_code_that_changed_trains_anew(inputs, tmp_path, monkeypatch):
    """DVC calls the stage again; old weights must not come out as those of the new code."""
    code = tmp_path / "code"
    code.mkdir()
    monkeypatch.setattr("bertops.training.pretrain.CODE", (code,))
    first_steps = []
    for text in ("a = 1", "a = 1", "a = 2"):
        (code / "loop.py").write_text(text)
        tracker = engine.MemoryTracker()
        engine.run(inputs, tmp_path, engine.toy_params(4, log_every_steps=1), tracker)
        first_steps.append(tracker.metrics[0][0] if tracker.metrics else None)
    assert first_steps == [1, None, 1]


def test_a_finished_run_trains_no_further_step(straight, inputs, tmp_path):
    params = engine.toy_params(6)
    first = engine.run(inputs, tmp_path, params)
    tracker = engine.MemoryTracker()
    assert engine.run(inputs, tmp_path, params, tracker) == first
    assert tracker.metrics == []


def test_changed_parameters_never_inherit_a_checkpoint(inputs, tmp_path):
    engine.run(inputs, tmp_path, engine.toy_params(6))
    tracker = engine.MemoryTracker()
    engine.run(inputs, tmp_path, engine.toy_params(6, seed=1), tracker)
    assert tracker.metrics[0][0] == 3  # its first log: it began at step 1
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_with_muon_too(inputs, tmp_path):
    params = engine.toy_params(20, optimizer={"name": "muon"}, log_every_steps=1)
    engine.run(inputs, tmp_path / "a", params)
    with pytest.raises(Interrupted):
        engine.run(inputs, tmp_path / "b", params, engine.StoppingTracker(stop_at=9))
    engine.run(inputs, tmp_path / "b", params)
    assert engine.outcome(tmp_path / "b") == engine.outcome(tmp_path / "a")


def test_spike_memory_and_batch_ramp_survive_a_stop(inputs, tmp_path):
    params = engine.toy_params(
        30, log_every_steps=1, skip_spikes=True, ramp_from_rows=2, ramp_steps=20
    )
    engine.run(inputs, tmp_path / "a", params)
    with pytest.raises(Interrupted):
        engine.run(inputs, tmp_path / "b", params, engine.StoppingTracker(stop_at=13))
    engine.run(inputs, tmp_path / "b", params)
    assert engine.outcome(tmp_path / "b") == engine.outcome(tmp_path / "a")
