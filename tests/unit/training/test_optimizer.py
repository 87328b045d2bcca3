"""Which weights each optimizer moves, and that it moves none where it must not."""

import pytest
import torch
from transformers import AutoModelForMaskedLM

from bertops.training.optimizer import MuonAndAdamW, build_optimizer, careful_step
from bertops.training.params import OptimizerParams
from tests.unit.encoders import save_encoder

PARAMS = OptimizerParams(name="muon", learning_rate=1e-2)


@pytest.fixture(params=["bert", "modernbert"])
def model(request, tmp_path):
    return AutoModelForMaskedLM.from_pretrained(save_encoder(tmp_path / "e", request.param))


def backward(model):
    ids = torch.arange(5, 21).reshape(2, 8)
    model(input_ids=ids, labels=ids).loss.backward()


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_every_weight_belongs_to_one_of_the_two(model):
    optimizer = build_optimizer(model, PARAMS)
    assert isinstance(optimizer, MuonAndAdamW)
    of_muon = [id(p) for g in optimizer.muon.param_groups for p in g["params"]]
    of_adamw = [id(p) for g in optimizer.param_groups for p in g["params"]]
    assert not set(of_muon) & set(of_adamw)
    assert {*of_muon, *of_adamw} == {id(p) for p in model.parameters()}
    names = [name for name, p in model.named_parameters() if id(p) in set(of_muon)]
    assert names
    assert not any("embedding" in name or "head" in name or "cls" in name for name in names)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_step_moves_all_weights_and_a_bad_one_none(model, name):
    optimizer = build_optimizer(model, PARAMS.model_copy(update={"name": name}))
    before = weights(model)
    backward(model)
    careful_step(model, optimizer, 1.0, torch.tensor(True))
    assert all(torch.equal(before[n], p) for n, p in model.named_parameters())
    backward(model)
    careful_step(model, optimizer, 1.0, torch.tensor(False))
    moved = {n for n, p in model.named_parameters() if not torch.equal(before[n], p)}
    touched = {n for n, p in model.named_parameters() if optimizer.state.get(p)}
    assert moved == touched
    assert any(".layer" in n for n in moved)
