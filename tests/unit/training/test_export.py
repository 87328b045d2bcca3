"""The saved model is a stock one: anybody's transformers loads it and computes the same."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from bertops.model.attention import Packed
from bertops.model.build import build_model
from bertops.model.encoder import encode
from bertops.model.head import scores
from bertops.tokenizer.load import load_vocab
from tests import engine

BARE = """
import json, sys
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer
torch.set_num_threads(1)
model = AutoModelForMaskedLM.from_pretrained(sys.argv[1]).eval()
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
ids = tokenizer("the film was very [MASK] .", return_tensors="pt").input_ids
assert not any(name.split(".")[0] == "bertops" for name in sys.modules)
logits = model(input_ids=ids).logits[0].detach()
print(json.dumps({"class": type(model).__name__, "dtype": str(model.dtype), "ids": ids[0].tolist(),
                  "logits": logits.tolist()}))
"""


def load_checkpoint(work, model):
    """The model as it was when training ended, from the last checkpoint."""
    (newest,) = sorted(work.glob("checkpoints/*/step-*"))[-1:]
    weights = load_file(newest / "model.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    return model.eval()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_a_bare_environment_gives_the_same_logits(architecture, precision, inputs, tmp_path):
    params = engine.toy_params(6, precision=precision)
    model = params.model.model_copy(update={"architecture": architecture, "local_attention": 8})
    engine.run(inputs, tmp_path, params.model_copy(update={"model": model}))
    trained = load_checkpoint(tmp_path, build_model(model, load_vocab(inputs / "tokenizer"), 0))
    found = json.loads(
        subprocess.run(
            [sys.executable, "-c", BARE, str(tmp_path / "encoder")],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout
    )
    ids = torch.tensor([found["ids"]])
    ones, places = torch.ones_like(ids), torch.arange(ids.shape[1])[None]
    packed = Packed(ones, places, None, "dense", torch.float32)
    with torch.no_grad():
        ours = scores(trained, encode(trained, ids, packed)[0], torch.float32)
    assert found["dtype"] == "torch.float32"
    torch.testing.assert_close(torch.tensor(found["logits"]), ours, rtol=1e-4, atol=1e-5)
