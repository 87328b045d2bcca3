"""R-Drop: two readings of a row under different dropout, and what pulls them together."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, kl_divergence

from bertops.document import SplitParams
from bertops.finetuning.data import prepare_task
from bertops.finetuning.kinds.base import NothingDropped
from bertops.finetuning.losses import (
    binary_cross_entropy,
    cross_entropy,
    rdrop,
    squared_error,
)
from bertops.finetuning.run import finetune_task
from bertops.params import Params, load
from tests.unit.encoders import save_encoder

SOFTMAX = partial(torch.softmax, dim=-1)


@pytest.fixture
def outputs():
    torch.manual_seed(0)
    return SimpleNamespace(logits=torch.randn(8, 3) * 3)


@pytest.mark.parametrize(("answer", "of"), [(SOFTMAX, Categorical), (torch.sigmoid, Bernoulli)])
def test_it_adds_the_mean_of_the_divergences_either_way(outputs, answer, of):
    p, q = (of(logits=half) for half in outputs.logits.chunk(2))
    apart = (kl_divergence(p, q) + kl_divergence(q, p)) / 2
    wanted = apart.mean() if of is Categorical else apart.sum(-1).mean()
    found = rdrop(lambda *given: torch.tensor(5.0), 0.7, answer)(outputs, None)
    torch.testing.assert_close(found, 5 + 0.7 * wanted)


def test_of_numbers_it_adds_half_the_squared_difference():
    outputs = SimpleNamespace(logits=torch.tensor([[1.0], [2.0], [4.0], [2.0]]))
    found = rdrop(squared_error, 1.0, torch.Tensor.float)(outputs, torch.tensor([1.0, 2.0] * 2))
    torch.testing.assert_close(found, torch.tensor(9 / 4 + 9 / 4))


@pytest.mark.parametrize(
    ("own", "answer", "labels"),
    [
        (cross_entropy(), SOFTMAX, torch.tensor([0, 1, 2, 0])),
        (cross_entropy([1.0, 2.0, 3.0]), SOFTMAX, torch.tensor([0, 1, 2, 0])),
        (binary_cross_entropy, torch.sigmoid, torch.eye(3)[[0, 1, 2, 0]]),
    ],
)
def test_two_readings_that_agree_cost_what_one_costs(outputs, own, answer, labels):
    once = SimpleNamespace(logits=outputs.logits[:4])
    twice = SimpleNamespace(logits=once.logits.repeat(2, 1))
    both = labels.repeat(2, *[1] * (labels.ndim - 1))
    torch.testing.assert_close(rdrop(own, 1.0, answer)(twice, both), own(once, labels))


@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_a_batch_stands_twice_in_its_step_and_both_readings_differ(
    task, project, quick, tmp_path, monkeypatch, architecture
):
    encoder = save_encoder(tmp_path / "dropping", architecture)
    prepare_task(task, SplitParams(), project / "data", project)
    seen = []

    def spy(loss, alpha, answer):
        def watched(outputs, labels, num_items_in_batch=None):
            seen.append((outputs.logits.detach().clone(), labels))
            return rdrop(loss, alpha, answer)(outputs, labels, num_items_in_batch)

        return watched

    monkeypatch.setattr("bertops.finetuning.losses.rdrop", spy)
    asked = {"rdrop": 1.0, "dropout": 0.5, "seeds": (1,), "control": False, "batch_rows": 4}
    folders = (project / "m", project / "p", project / "w")
    finetune_task(task, project / "data", encoder, *folders, quick.model_copy(update=asked))
    for logits, labels in seen:
        first, second = labels.chunk(2)
        assert len(labels) == 8
        assert torch.equal(first, second)
        x, y = logits.chunk(2)
        assert not torch.allclose(x, y, atol=1e-4)
    assert len(seen) == quick.epochs * 36 // 4


def test_an_encoder_that_drops_nothing_is_refused(task, project, encoder, quick, tmp_path):
    prepare_task(task, SplitParams(), project / "data", project)
    folders = (project / "m", project / "p", project / "w")
    params = quick.model_copy(update={"rdrop": 1.0, "dropout": 0.0})
    with pytest.raises(NothingDropped, match=r"set finetuning\.dropout too"):
        finetune_task(task, project / "data", encoder, *folders, params)


@pytest.mark.parametrize("name", ["rdrop", "dropout"])
def test_a_kind_that_cannot_is_refused_with_the_parameters(task, repository, name):
    changes = {"kind": "embedding", "labels": (), "metric": "spearman", "path": "."}
    pairs = task.model_copy(update=changes)
    given = load(repository / "params.yaml").model_dump()
    asked = given["finetuning"] | {name: 0.5}
    with pytest.raises(ValueError, match=rf"{name} is for classification and .* is embedding"):
        Params.model_validate(given | {"finetuning": asked, "tasks": [pairs.model_dump()]})
    exempt = pairs.model_copy(update={"overrides": {name: 0}})
    Params.model_validate(given | {"finetuning": asked, "tasks": [exempt.model_dump()]})
