"""Learning rate, budget and batch ramp: pure functions, worked by hand."""

import pytest
import torch

from bertops.training.params import BudgetParams, ScheduleParams
from bertops.training.schedule import Budget, Ramp, learning_rate, plan_budget
from bertops.training.throughput import Meter, peak_flops
from tests import engine


def rate(progress, **schedule):
    params = engine.toy_params(optimizer={"learning_rate": 2.0}, schedule=schedule).training
    return learning_rate(progress, params)


@pytest.mark.parametrize("shape", ["linear", "cosine", "wsd"])
def test_all_shapes_rise_to_the_peak_and_end_at_the_floor(shape):
    assert rate(0.0, shape=shape, warmup=0.1) == 0
    assert rate(0.05, shape=shape, warmup=0.1) == pytest.approx(1.0)
    assert rate(0.1, shape=shape, warmup=0.1) == pytest.approx(2.0)
    assert rate(1.0, shape=shape, warmup=0.1, floor=0.25) == pytest.approx(0.5)


def test_between_they_differ():
    assert rate(0.55, shape="linear", warmup=0.1) == pytest.approx(1.0)
    assert rate(0.325, shape="cosine", warmup=0.1) == pytest.approx(1.0 + 2**-0.5)
    assert rate(0.7, shape="wsd", warmup=0.1, decay=0.3) == pytest.approx(2.0)
    assert rate(0.85, shape="wsd", warmup=0.1, decay=0.3) == pytest.approx(1.0)


def test_no_warm_up_begins_at_the_peak():
    assert rate(0.0, warmup=0.0) == 2.0


def test_wsd_that_is_longer_than_its_budget_is_refused():
    with pytest.raises(ValueError, match="more than the whole budget"):
        ScheduleParams(shape="wsd", warmup=0.3, decay=0.8)


def test_tokens_become_steps_and_minutes_seconds():
    flat = Ramp(full=4, start=4, steps=0)
    assert plan_budget(BudgetParams(tokens=1000), 25.0, flat) == Budget(steps=10)
    assert plan_budget(BudgetParams(steps=7), 25.0, flat) == Budget(steps=7)
    assert plan_budget(BudgetParams(minutes=2), 25.0, flat) == Budget(None, 120.0)
    assert Budget(None, 120.0).progress(step=999, seconds=30) == 0.25
    assert Budget(10).progress(step=5, seconds=1e9) == 0.5


def test_a_ramp_grows_in_a_line_and_its_places_have_no_gap():
    ramp = Ramp(full=8, start=2, steps=3)
    assert [ramp.rows(step) for step in range(1, 6)] == [2, 4, 6, 8, 8]
    assert [ramp.first_row(step) for step in range(1, 7)] == [0, 2, 6, 12, 20, 28]
    assert ramp.steps_for(28) == 5
    assert ramp.steps_for(3) == 2


def test_a_budget_in_minutes_ends_in_time_with_the_rate_at_its_floor(inputs, tmp_path):
    tracker = engine.MemoryTracker()
    params = engine.toy_params(budget={"minutes": 0.03}, log_every_steps=1)
    report = engine.run(inputs, tmp_path, params, tracker)
    assert report.steps == tracker.metrics[-1][0]
    rates = [values["learning_rate"] for _, values in tracker.metrics]
    assert rates[-1] < 0.2 * max(rates)


def test_the_meter_counts_tokens_and_knows_no_peak_of_a_cpu():
    meter = Meter(torch.device("cpu"), flops_per_token=1e6)
    meter.add(1000)
    values = meter.read()
    assert values["tokens_per_second"] > 0
    assert values["memory_gib"] > 0
    assert "mfu" not in values
    assert peak_flops(torch.device("cpu")) is None
    assert meter.read()["tokens_per_second"] == 0


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H200", 989.0),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("Tesla T4", 65.0),
        ("NVIDIA GeForce RTX 4090", 165.0),
        ("NVIDIA L40", None),
        ("NVIDIA A10G", None),
        ("NVIDIA RTX A1000", None),
    ],
)
def test_a_peak_is_that_of_the_very_device(name, tflops, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    found = peak_flops(torch.device("cuda"))
    assert found == (None if tflops is None else tflops * 1e12)
