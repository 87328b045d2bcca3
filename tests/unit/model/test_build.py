"""Parameters become the stock configuration."""

import pytest
import torch

from bertops.model.build import build_config, build_model
from bertops.model.params import ModelParams
from bertops.tokenizer.load import Vocab

VOCAB = Vocab(
    {str(i): i for i in range(64)}, pad=0, unk=1, cls=2, sep=3, mask=4, endings=(), sha256=""
)


def params(architecture, dropout):
    sizes = {"layers": 2, "hidden": 32, "heads": 2, "intermediate": 48}
    return ModelParams(architecture=architecture, dropout=dropout, **sizes)


@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_a_model_in_training_drops_what_the_parameters_say(architecture):
    rates = [
        value
        for name, value in build_config(params(architecture, 0.07), VOCAB).to_dict().items()
        if "dropout" in name and not name.startswith("classifier")
    ]
    assert rates == [0.07] * (2 if architecture == "bert" else 3)
    ids = torch.arange(5, 21)[None]
    for rate, same in ((0.0, True), (0.3, False)):
        model = build_model(params(architecture, rate), VOCAB, seed=0)
        first, second = model(ids).logits, model(ids).logits
        assert torch.equal(first, second) == same
