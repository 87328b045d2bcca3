"""A stock model within `quick_forward`: same results, and the stock forward where that must be."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from bertops.model import quick
from bertops.model.quick import quick_forward
from tests.unit.encoders import save_encoder

LENGTHS = (23, 17, 5)


@pytest.fixture(params=["bert", "modernbert"])
def model(request, tmp_path):
    folder = save_encoder(tmp_path / "encoder", request.param)
    torch.manual_seed(1)
    return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3).eval()


@pytest.fixture
def inputs(model):
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor([[1] * n + [0] * (max(LENGTHS) - n) for n in LENGTHS])
    ids = torch.randint(5, model.config.vocab_size, mask.shape, generator=generator) * mask
    given = {"input_ids": ids, "attention_mask": mask}
    if model.config.model_type == "bert":
        given["token_type_ids"] = (torch.arange(ids.shape[1]) > 4).long().expand_as(ids) * mask
    return given


def count_calls(monkeypatch):
    calls = []
    inner = quick.encode
    monkeypatch.setattr(quick, "encode", lambda *a, **k: calls.append(1) or inner(*a, **k))
    return calls


def same_as_stock(model, inputs):
    """Logits and gradients within the block are those of a copy outside of it."""
    twin, labels = copy.deepcopy(model), torch.tensor([0, 1, 2])
    expected = twin(**inputs, labels=labels)
    expected.loss.backward()
    with quick_forward(model):
        found = model(**inputs, labels=labels)
        found.loss.backward()
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-5)
    for (name, one), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        if other.grad is None:
            assert one.grad is None, name
        else:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_logits_and_gradients_are_those_of_the_stock_forward(model, inputs, monkeypatch):
    calls = count_calls(monkeypatch)
    same_as_stock(model, inputs)
    assert calls


def on_the_first_token(model):
    model.config.classifier_pooling = "cls"  # bert knows nothing else
    return model


def test_the_last_layer_computes_the_first_token_alone_where_no_other_is_read(
    model, inputs, monkeypatch
):
    shapes, inner = [], quick.encode

    def watch(*args):
        hidden = inner(*args)
        shapes.append(hidden.shape)
        return hidden

    monkeypatch.setattr(quick, "encode", watch)
    same_as_stock(on_the_first_token(model), inputs)
    assert shapes == [(len(LENGTHS), 1, model.config.hidden_size)]


def test_who_reads_all_tokens_gets_them_though_a_classifier_is_asked_as_well(model, inputs):
    body = on_the_first_token(model).base_model
    with torch.no_grad():
        expected = body(**inputs).last_hidden_state
        with quick_forward(model), quick_forward(body):
            found = body(**inputs).last_hidden_state
        with quick_forward(model):
            assert body(**inputs).last_hidden_state.shape[1] == 1
    mask = inputs["attention_mask"].bool()
    torch.testing.assert_close(found[mask], expected[mask], rtol=1e-4, atol=1e-5)


def test_weights_are_cast_again_after_a_step_of_the_optimizer(model, inputs):
    """As between two validations of a training; the fused step leaves no trace in the weights."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)

    def validate():
        frozen = quick_forward(model, frozen=True)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), frozen:
            first, again = model(**inputs).logits, model(**inputs).logits
        torch.testing.assert_close(again, first, rtol=0, atol=0)
        return first.float()

    with quick_forward(model):
        before = validate()
        model(**inputs, labels=torch.tensor([0, 1, 2])).loss.backward()
        optimizer.step()
        after = validate()
    assert not torch.allclose(after, before)
    twin = copy.deepcopy(model)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), quick_forward(twin):
        torch.testing.assert_close(after, twin(**inputs).logits.float(), rtol=0, atol=0)


def test_under_autocast_it_differs_by_rounding_alone(model, inputs):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), quick_forward(model):
        found = model(**inputs).logits
    with torch.no_grad():
        expected = model(**inputs).logits
    torch.testing.assert_close(found.float(), expected, rtol=0.1, atol=0.02)


def test_the_encoder_within_sentence_transformers_is_as_quick(tmp_path, monkeypatch):
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    from sentence_transformers import SentenceTransformer

    folder = save_encoder(tmp_path / "encoder", "bert")
    body = modules.Transformer(str(folder), max_seq_length=32)
    model = SentenceTransformer(modules=[body, modules.Pooling(body.get_embedding_dimension())])
    model = model.to("cpu").eval()
    features = model.tokenize(["the film was good", "the plot was long and awful"])
    calls = count_calls(monkeypatch)
    with torch.no_grad():
        expected = model(dict(features))["sentence_embedding"]
        with quick_forward(model):
            found = model(dict(features))["sentence_embedding"]
    assert calls
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_afterwards_the_model_is_as_it_was(model, inputs, monkeypatch):
    calls = count_calls(monkeypatch)
    with quick_forward(model):
        with quick_forward(model), torch.no_grad():
            model(**inputs)
        with torch.no_grad():
            model(**inputs)  # still within the outer block
    assert len(calls) == 2
    assert "forward" not in vars(model.base_model)
    with torch.no_grad():
        model(**inputs)
    assert len(calls) == 2


def test_threads_that_share_a_model_leave_it_as_it_was(model, inputs):
    with torch.no_grad():
        expected = model(**inputs).logits

    def ask(_):
        with quick_forward(model), torch.no_grad():
            return model(**inputs).logits

    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(ask, range(100)):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert not {"forward", quick.USERS} & vars(model.base_model).keys()


@pytest.mark.parametrize("asked", [{"output_hidden_states": True}, {"output_attentions": True}])
def test_who_asks_for_more_gets_the_stock_forward(model, inputs, monkeypatch, asked):
    calls = count_calls(monkeypatch)
    if "output_attentions" in asked:
        model.set_attn_implementation("eager")
    with quick_forward(model), torch.no_grad():
        found = model(**inputs, **asked)
    assert not calls
    assert found.hidden_states or found.attentions


def test_adapters_and_checkpointing_keep_the_stock_forward(tmp_path, inputs, model, monkeypatch):
    from bertops.finetuning.lora import with_lora
    from bertops.finetuning.params import LoraParams

    calls = count_calls(monkeypatch)
    checkpointed = copy.deepcopy(model)
    checkpointed.gradient_checkpointing_enable()
    for other in (checkpointed, with_lora(copy.deepcopy(model), LoraParams())):
        with quick_forward(other), torch.no_grad():
            other(**inputs)
    assert not calls


def test_rows_up_to_the_last_position_fit(tmp_path):
    folder = save_encoder(tmp_path / "encoder", "bert")
    model = AutoModelForMaskedLM.from_pretrained(
        folder, max_position_embeddings=60, ignore_mismatched_sizes=True
    ).eval()
    ids = torch.full((1, 60), 7)
    with torch.no_grad():
        expected = model(ids).logits
        with quick_forward(model):
            found = model(ids).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
