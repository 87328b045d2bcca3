"""torch.compile of the encoder: one graph, the same losses and gradients.

The tests trace and differentiate the graph and leave out the compiler of kernels, which wants a C++
compiler on a CPU and Triton on a GPU.
"""

import pytest
import torch

from bertops.errors import Interrupted
from bertops.model.build import build_model
from bertops.pretraining.batches import Batches, open_source
from bertops.pretraining.collate import to_device
from bertops.tokenizer.load import load_vocab
from bertops.training import objective
from bertops.training.objective import Objective
from tests import engine


@pytest.fixture(autouse=True)
def _traced_alone(monkeypatch):
    monkeypatch.setattr(objective, "COMPILER", "aot_eager")
    torch.compiler.reset()


@pytest.fixture(params=["bert", "modernbert"])
def model(request, inputs):
    params = engine.toy_params(dropout=0.0).model.model_copy(update={"architecture": request.param})
    return build_model(params, load_vocab(inputs / "tokenizer"), 0)


def batches(inputs, count):
    params = engine.toy_params().pretraining
    source = open_source(inputs / "tokens/train", inputs / "tokenizer", params, seed=0)
    made = Batches(source, params.masking, seed=0)
    return [to_device(made.at(4 * i, 4), torch.device("cpu")) for i in range(count)]


@pytest.mark.parametrize("backend", ["dense", "blocked"])
def test_losses_and_gradients_are_those_without_it(backend, model, inputs):
    found = []
    for compiled in (False, True):
        module = Objective(model, torch.float32, compiled=compiled)
        module.backend = backend
        model.zero_grad()
        losses = [module(batch)[0] for batch in batches(inputs, 3)]
        torch.stack(losses).sum().backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        found.append(([loss.detach() for loss in losses], gradients))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_other_documents_in_rows_of_the_same_shape_compile_nothing_anew(model, inputs):
    module = Objective(model, torch.float32, compiled=True)
    first, *others = batches(inputs, 3)
    module(first)
    with torch.compiler.set_stance("fail_on_recompile"):
        for batch in others:
            module(batch)


def test_a_whole_run_trains_and_resumes_exactly(inputs, tmp_path):
    params = engine.toy_params(8, log_every_steps=1, compile=True)
    engine.run(inputs, tmp_path / "straight", params)
    with pytest.raises(Interrupted):
        engine.run(inputs, tmp_path / "stopped", params, engine.StoppingTracker(stop_at=5))
    engine.run(inputs, tmp_path / "stopped", params)
    assert engine.outcome(tmp_path / "stopped") == engine.outcome(tmp_path / "straight")
