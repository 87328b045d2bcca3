"""Two processes on a CPU (gloo): the same batches as one, the same result, exact resume."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from bertops.pretraining.batches import Batches, open_source
from bertops.training.distributed import World
from bertops.training.feed import Feed
from bertops.training.launch import WorkersFailed, processes_wanted
from bertops.training.params import DistributedParams
from bertops.training.schedule import plan_ramp
from tests import engine

WORKER = """
import sys
from pathlib import Path
from bertops.errors import Interrupted
from tests import engine
inputs, work, stop_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
params = engine.toy_params(STEPS, dropout=DROPOUT, log_every_steps=1)
try:
    engine.run(inputs, work, params, engine.StoppingTracker(stop_at=stop_at))
except Interrupted:
    sys.exit(0)
"""
STEPS = 30


def on_two(inputs, work, repository, stop_at=0, dropout=0.1):
    """Run the toy training on two processes under torchrun."""
    script = work.parent / "worker.py"
    script.write_text(WORKER.replace("STEPS", str(STEPS)).replace("DROPOUT", str(dropout)))
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
        *(str(script), str(inputs), str(work), str(stop_at)),
    ]
    env = {**os.environ, "PYTHONPATH": str(repository), "BERTOPS_DEVICE": "cpu"}
    env |= {"OMP_NUM_THREADS": "1", "BERTOPS_PROGRESS": "0"}
    done = subprocess.run(
        command, cwd=repository, env=env, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(900)  # several starts of torchrun, each some seconds on a quiet machine
def test_two_processes_train_the_model_of_one(inputs, tmp_path, repository):
    on_two(inputs, tmp_path / "two", repository, dropout=0.0)
    engine.run(inputs, tmp_path / "one", engine.toy_params(STEPS, dropout=0.0, log_every_steps=1))
    one, two = (
        [line.split(",") for line in (tmp_path / name / "curve.csv").read_text().split("\n")[1:-1]]
        for name in ("one", "two")
    )
    assert [row[:2] for row in one] == [row[:2] for row in two]  # steps and tokens seen
    losses = [torch.tensor([float(row[2]) for row in rows]) for rows in (one, two)]
    # Sums in another order: fp32 keeps 7 digits, and 30 steps of AdamW spread the difference.
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-3, atol=0)
    weights = [load_file(tmp_path / name / "encoder/model.safetensors") for name in ("one", "two")]
    for key in weights[0]:
        torch.testing.assert_close(weights[0][key], weights[1][key], rtol=0, atol=3e-3)


@pytest.mark.slow
@pytest.mark.timeout(900)  # several starts of torchrun, each some seconds on a quiet machine
def test_two_processes_resume_exactly(inputs, tmp_path, repository):
    on_two(inputs, tmp_path / "straight", repository)
    on_two(inputs, tmp_path / "stopped", repository, stop_at=11)
    assert not (tmp_path / "stopped/encoder").exists()
    on_two(inputs, tmp_path / "stopped", repository)
    assert engine.outcome(tmp_path / "stopped") == engine.outcome(tmp_path / "straight")


@pytest.mark.parametrize("size", [2, 3])
def test_shares_of_all_ranks_are_the_rows_of_one_process(size, inputs):
    params = engine.toy_params(batch_rows=7, ramp_from_rows=4, ramp_steps=3)
    source = open_source(inputs / "tokens/train", inputs / "tokenizer", params.pretraining, seed=0)
    batches = Batches(source, params.pretraining.masking, seed=0)

    def feed(world):
        return Feed(batches, plan_ramp(params.training), 2, torch.device("cpu"), world)

    for step in (1, 2, 9, 30):
        alone = feed(World()).at(step)
        shares = [feed(World(rank, size)).at(step) for rank in range(size)]
        for name in ("inputs_BL", "documents_BL"):
            rows = [getattr(m, name) for share in shares for m in share.microbatches]
            assert torch.equal(
                torch.cat(rows), torch.cat([getattr(m, name) for m in alone.microbatches])
            )
        assert sum(share.targets for share in shares) == alone.targets
        assert {share.tokens for share in shares} == {alone.tokens}


def test_processes_are_those_asked_for_and_one_inside_torchrun(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert processes_wanted(DistributedParams(processes=3)) == 3
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert processes_wanted(DistributedParams(processes=3)) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)  # several starts of torchrun, each some seconds on a quiet machine
def test_the_stage_starts_its_processes_itself_and_passes_on_what_they_track(
    inputs, tmp_path, monkeypatch
):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    tracker = engine.MemoryTracker()
    params = engine.toy_params(6, distributed={"processes": 2})
    report = engine.run(inputs, tmp_path, params, tracker)
    assert report.steps == 6
    assert [step for step, _ in tracker.metrics] == [3, 6]
    assert (tmp_path / "encoder/model.safetensors").exists()
    with pytest.raises(WorkersFailed, match="1 rows for 2 processes"):
        engine.run(
            inputs, tmp_path, engine.toy_params(6, batch_rows=1, distributed={"processes": 2})
        )
