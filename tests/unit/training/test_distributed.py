"""Two processes on a CPU (gloo): the same batches as one, the same result, exact resume."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from bertops.errors import UsageError
from bertops.pretraining.batches import Batches, open_source
from bertops.training.distributed import World
from bertops.training.feed import Feed
from bertops.training.launch import WorkersFailed, starts_processes, this_node
from bertops.training.params import DistributedParams
from bertops.training.schedule import plan_ramp
from tests import engine
from tests.services.ask import free_port

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
    """Stopped mid-epoch, at the end of the epoch and in the second, one stop after the other."""
    pretraining = engine.toy_params(STEPS).pretraining
    source = open_source(inputs / "tokens/train", inputs / "tokenizer", pretraining, seed=0)
    boundary = round(source.count / engine.toy_params(STEPS).training.batch_rows)
    assert 5 < boundary < STEPS - 5
    on_two(inputs, tmp_path / "straight", repository)
    for stop_at in (5, boundary, boundary + 5):
        on_two(inputs, tmp_path / "stopped", repository, stop_at)
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


def test_processes_are_started_where_several_train_and_never_inside_torchrun(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert starts_processes(DistributedParams(processes=3))
    assert not starts_processes(DistributedParams(processes=1))
    assert starts_processes(DistributedParams(processes=1, nodes=2, rendezvous="first:29500"))
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert not starts_processes(DistributedParams(processes=3))


def test_each_of_several_machines_must_know_its_number(monkeypatch):
    several = DistributedParams(nodes=2, rendezvous="first:29500")
    monkeypatch.setenv("BERTOPS_NODE", "1")
    assert this_node(several) == 1
    assert this_node(DistributedParams()) == 0
    for wrong in ("2", "-1", "one"):
        monkeypatch.setenv("BERTOPS_NODE", wrong)
        with pytest.raises(UsageError, match=f"BERTOPS_NODE is {wrong}"):
            this_node(several)
    monkeypatch.delenv("BERTOPS_NODE")
    with pytest.raises(UsageError, match=r"BERTOPS_NODE is not set.*BERTOPS_NODE=0"):
        this_node(several)


MACHINE = """
import sys
from pathlib import Path
from tests import engine
inputs, work, port = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
where = {"processes": 1, "nodes": 2, "rendezvous": f"127.0.0.1:{port}"}
tracker = engine.MemoryTracker()
report = engine.run(inputs, work, engine.toy_params(6, distributed=where), tracker)
print(report.weights_sha256, report.steps, [step for step, _ in tracker.metrics])
"""


def on_two_machines(inputs, works, repository):
    """Start the training twice, as two machines would; what each ended with."""
    port, started = str(free_port()), []
    for node, work in enumerate(works):
        env = {**os.environ, "PYTHONPATH": str(repository), "BERTOPS_DEVICE": "cpu"}
        env |= {"OMP_NUM_THREADS": "1", "BERTOPS_PROGRESS": "0", "BERTOPS_NODE": str(node)}
        env.pop("WORLD_SIZE", None)
        command = [sys.executable, "-c", MACHINE, str(inputs), str(work), port]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=repository, env=env, **pipes))
    said = [one.communicate(timeout=280) for one in started]
    return [(one.returncode, *text) for one, text in zip(started, said, strict=True)]


@pytest.mark.slow
@pytest.mark.timeout(900)  # several starts of torchrun, each some seconds on a quiet machine
def test_two_machines_make_the_weights_of_two_processes_on_one(
    inputs, tmp_path, repository, monkeypatch
):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    first, second = on_two_machines(inputs, [tmp_path / "two"] * 2, repository)
    assert (first[0], second[0]) == (0, 0), first[2][-3000:] + second[2][-3000:]
    alone = engine.run(inputs, tmp_path / "one", engine.toy_params(6, distributed={"processes": 2}))
    assert first[1] == f"{alone.weights_sha256} 6 [3, 6]\n"
    assert second[1] == f"{alone.weights_sha256} 6 []\n"  # it reports, and tracks nothing
    assert (tmp_path / "two/curve.csv").read_bytes() == (tmp_path / "one/curve.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(900)  # several starts of torchrun, each some seconds on a quiet machine
def test_machines_that_share_no_files_are_refused(inputs, tmp_path, repository):
    for code, _, said in on_two_machines(inputs, [tmp_path / "a", tmp_path / "b"], repository):
        assert code == 1
        assert "WorkersFailed" in said
        assert "file system that they share" in said
    assert not any(tmp_path.rglob("step-*"))
    assert not any(tmp_path.rglob("*.safetensors"))


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
