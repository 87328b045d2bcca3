import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from bertops.errors import UsageError
from bertops.finetuning.kinds import kind_of
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.inference.card import TaskCard
from bertops.inference.embed import embed, hidden_states
from bertops.inference.fill_mask import fill_mask
from bertops.inference.load import ModelRefused, load
from tests.unit.encoders import save_encoder


@pytest.fixture(scope="module", params=["bert", "modernbert"])
def encoder(request, tmp_path_factory):
    torch.set_num_threads(1)
    return save_encoder(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def model(tmp_path):
    return save_encoder(tmp_path / "model")


def test_fill_mask_gives_the_likeliest_tokens_for_every_mask(encoder):
    loaded = load(encoder, masked_lm=True, device="cpu")
    ((first, second),) = fill_mask(loaded, ["the [MASK] was [MASK]"], top=3)
    assert len(first) == len(second) == 3
    assert first[0].probability >= first[1].probability >= first[2].probability
    joint = "" if second[0].token.startswith("##") else " "
    assert second[0].text == f"the [MASK] was{joint}{second[0].token.removeprefix('##')}"


def test_fill_mask_without_a_mask_says_so(encoder):
    with pytest.raises(UsageError, match=r"no \[MASK\] in the text: 'the film'"):
        fill_mask(load(encoder, masked_lm=True), ["the film"])


def test_hidden_states_are_those_of_plain_transformers(encoder):
    from transformers import AutoModel, AutoTokenizer

    texts = ["the film was good", "bad", "i liked it and it is very fine"]
    ours = hidden_states(load(encoder, device="cpu"), texts)
    plain, tokenizer = (
        AutoModel.from_pretrained(encoder).eval(),
        AutoTokenizer.from_pretrained(encoder),
    )
    for text, states in zip(texts, ours, strict=True):
        with torch.no_grad():
            expected = plain(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        # bf16 where the machine has it: three significant digits.
        assert states == pytest.approx(expected.numpy(), abs=0.06)


def test_embeddings_are_one_vector_for_each_text(encoder):
    loaded = load(encoder)
    assert embed(loaded, ["good film", "bad"]).shape == (2, 32)
    assert embed(loaded, []).shape == (0, 32)


def test_a_pickle_is_refused(model):
    (model / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelRefused, match="pickle"):
        load(model)


def test_remote_code_is_refused_however_nested(model):
    config = json.loads((model / "config.json").read_text())
    config["encoder"] = {"inner": [{"auto_map": {"AutoModel": "evil.Model"}}]}
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelRefused, match="remote code"):
        load(model)


def test_weights_that_are_not_finite_are_refused(model):
    weights = load_file(model / "model.safetensors")
    weights["bert.embeddings.word_embeddings.weight"][3, 5] = float("nan")
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelRefused, match="NaN or infinity"):
        load(model, masked_lm=True)


def test_weights_that_lack_a_part_are_refused(model):
    weights = load_file(model / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.weight"]
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelRefused, match="weights lack"):
        load(model, masked_lm=True)


def test_weights_that_the_model_does_not_know_are_refused(model):
    weights = load_file(model / "model.safetensors")
    weights["bert.encoder.layer.9.output.dense.weight"] = torch.ones(2)
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelRefused, match=r"weights hold bert\.encoder\.layer\.9"):
        load(model, masked_lm=True)


def test_weights_of_another_shape_are_refused(model):
    weights = load_file(model / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"
    weights[name] = weights[name][:-1].contiguous()
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelRefused):
        load(model, masked_lm=True)


def test_a_description_that_is_no_json_is_refused(model):
    (model / "config.json").write_text("{")
    with pytest.raises(ModelRefused, match=r"config\.json is no JSON"):
        load(model)


@pytest.fixture
def embedder(model, tmp_path):
    """A sentence transformer that nobody trained."""
    task = TaskParams(
        name="t", kind="embedding", data=[{"path": "x", "split": "by_hash"}], max_length=32
    )
    folder = tmp_path / "embedder"
    made = kind_of(task).build(str(model), FinetuningParams(), False)
    made.save_pretrained(str(folder))
    card = TaskCard(
        task="t", kind="embedding", labels=(), max_length=32, long_texts="head", metric="mrr"
    )
    card.write(folder)
    load(folder)
    return folder


@pytest.mark.parametrize("change", ["missing", "added"])
def test_a_sentence_transformer_with_other_weights_is_refused(embedder, change):
    weights = load_file(embedder / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    if change == "missing":
        del weights[name]
    else:
        weights["encoder.layer.9.output.dense.weight"] = torch.ones(2)
    save_file(weights, embedder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelRefused, match=r"weights (lack|hold)"):
        load(embedder)


def test_a_directory_without_a_model_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"no config\.json"):
        load(tmp_path)


def test_a_registry_address_goes_through_the_resolver(model):
    asked = []
    loaded = load("models:/x@champion", lambda name: asked.append(name) or model)
    assert asked == ["models:/x@champion"]
    assert loaded.directory == model
    with pytest.raises(UsageError, match="needs the registry"):
        load("models:/x@champion")
