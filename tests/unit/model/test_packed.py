"""Packed rows against the same documents alone, through the stock forward of transformers."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from bertops.model.attention import Backend, Packed
from bertops.model.build import build_model
from bertops.model.encoder import encode
from bertops.model.head import IGNORE_INDEX, loss_sum, scores
from bertops.model.params import ModelParams
from bertops.pretraining.collate import document_starts
from bertops.tokenizer.load import Vocab

VOCAB = Vocab(
    {str(i): i for i in range(120)}, pad=0, unk=1, cls=2, sep=3, mask=4, endings=(), sha256=""
)

# Documents of two rows; the rest of a row is padding. Some are longer than a window, one is a
# single token, and the second row has no padding.
ROWS = [[20, 1, 30], [40, 24]]
ROW_LENGTH = 64

SIZES = {"layers": 2, "hidden": 32, "heads": 2, "intermediate": 48, "max_positions": 64}
MODELS = {
    "bert": ModelParams(architecture="bert", **SIZES),
    "modernbert-global": ModelParams(architecture="modernbert", attention_pattern="G", **SIZES),
    "modernbert-local": ModelParams(attention_pattern="L", local_attention=8, **SIZES),
    "modernbert-mixed": ModelParams(attention_pattern="GL", local_attention=16, **SIZES),
    "modernbert-wide": ModelParams(attention_pattern="L", local_attention=48, **SIZES),
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def packed_rows():
    """Ids, document numbers, positions and labels of the packed rows, each (2, 64)."""
    torch.manual_seed(0)
    ids = torch.zeros(2, ROW_LENGTH, dtype=torch.int64)
    documents, positions = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, lengths in enumerate(ROWS):
        at = 0
        for number, length in enumerate(lengths, start=1):
            ids[row, at : at + length] = torch.randint(5, 120, (length,))
            documents[row, at : at + length] = number
            positions[row, at : at + length] = torch.arange(length)
            at += length
    labels = torch.where(torch.rand(ids.shape) < 0.3, ids, IGNORE_INDEX)
    labels[documents == 0] = IGNORE_INDEX
    return ids, documents, positions, labels


def stock_forward(model, ids, documents, labels):
    """Logits and loss of each document by itself, put back where it stood in the rows."""
    logits = torch.zeros(*ids.shape, model.config.vocab_size)
    loss = torch.zeros(())
    for row, lengths in enumerate(ROWS):
        for number in range(1, len(lengths) + 1):
            here = documents[row] == number
            alone = model(input_ids=ids[row, here][None]).logits[0]
            logits[row, here] = alone
            loss = loss + cross_entropy(
                alone, labels[row, here], ignore_index=IGNORE_INDEX, reduction="sum"
            )
    return logits, loss


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("backend", ["dense", "blocked"])
@pytest.mark.parametrize("name", MODELS)
def test_packed_equals_separate(name: str, backend: Backend):
    model = build_model(MODELS[name], VOCAB, seed=1)
    with torch.no_grad():  # weights of the usual size make attention too flat to show a leak
        for parameter in model.parameters():
            parameter.mul_(4)
    ids, documents, positions, labels = packed_rows()
    expected_logits, expected_loss = stock_forward(model, ids, documents, labels)
    expected = gradients(model, expected_loss)

    packed = Packed(documents, positions, None, backend, torch.float32)
    hidden = encode(model, ids, packed).flatten(0, 1)
    real = documents.flatten() > 0
    logits = scores(model, hidden, torch.float32)
    loss = loss_sum(model, hidden, labels.flatten(), torch.float32)
    found = gradients(model, loss)

    # fp32: the order of summation differs, nothing else.
    torch.testing.assert_close(
        logits[real], expected_logits.flatten(0, 1)[real], rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=1e-4)
    assert found.keys() == expected.keys()
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], rtol=1e-3, atol=2e-4, msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_a_neighbour_changes_nothing(name: str):
    model = build_model(MODELS[name], VOCAB, seed=1).eval()
    ids, documents, positions, _ = packed_rows()
    packed = Packed(documents, positions, None, "blocked", torch.float32)
    before = encode(model, ids, packed)
    other = torch.where(documents == 1, torch.full_like(ids, 7), ids)
    after = encode(model, other, packed)
    assert torch.equal(before[documents > 1], after[documents > 1])
    assert not torch.equal(before[documents == 1], after[documents == 1])


def test_bf16_differs_from_fp32_by_rounding_alone():
    model = build_model(MODELS["modernbert-mixed"], VOCAB, seed=1)
    ids, documents, positions, labels = packed_rows()
    losses = {}
    for dtype in (torch.float32, torch.bfloat16):
        packed = Packed(documents, positions, None, "blocked", dtype)
        hidden = encode(model, ids, packed).flatten(0, 1)
        losses[dtype] = loss_sum(model, hidden, labels.flatten(), dtype)
    # bf16 keeps 8 bits: 0.4 % of a score, averaged over many.
    torch.testing.assert_close(losses[torch.bfloat16], losses[torch.float32], rtol=2e-3, atol=0)


def test_attention_dropout_has_the_gradient_of_its_forward():
    from bertops.model.attention import attend

    torch.manual_seed(0)
    documents = torch.tensor([[1] * 5 + [2] * 3])
    q, k, v = (torch.randn(1, 8, 1, 2, dtype=torch.float64, requires_grad=True) for _ in range(3))

    def run(*qkv):
        torch.manual_seed(3)
        packed = Packed(documents, documents, None, "blocked", torch.float64)
        return attend(*qkv, packed, 1, 0.3)

    assert torch.autograd.gradcheck(run, (q, k, v))


def test_rotation_has_the_gradient_of_its_forward():
    from bertops.model.encoder import rotate

    torch.manual_seed(0)
    x = torch.randn(1, 3, 2, 1, 4, dtype=torch.float64, requires_grad=True)
    angle = torch.randn(1, 3, 1, 1, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: rotate(x, angle.cos(), angle.sin()), (x,))


def test_loss_in_chunks_equals_loss_at_once(monkeypatch):
    from bertops.model import head

    model = build_model(MODELS["bert"], VOCAB, seed=1)
    torch.manual_seed(0)
    labels = torch.randint(0, 120, (50,))
    labels[::7] = IGNORE_INDEX
    results = []
    for chunk in (2**26, 128 * 8):
        monkeypatch.setattr(head, "CHUNK_SCORES", chunk)
        hidden = torch.randn(50, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
        loss = loss_sum(model, hidden, labels, torch.float32)
        results.append((loss, *gradients(model, loss).values(), hidden.grad))
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(whole, chunked, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", MODELS)
def test_varlen_equals_dense(name: str):
    model = build_model(MODELS[name], VOCAB, seed=1).cuda()
    ids, documents, positions, labels = (x.cuda() for x in packed_rows())
    starts = torch.from_numpy(document_starts(documents.cpu().numpy())).cuda()
    results = []
    for backend in ("dense", "varlen"):
        packed = Packed(documents, positions, starts, backend, torch.bfloat16)
        hidden = encode(model, ids, packed).flatten(0, 1)
        loss = loss_sum(model, hidden, labels.flatten(), torch.bfloat16)
        results.append((loss, gradients(model, loss)))
    (dense, expected), (varlen, found) = results
    # bf16 rounds to 8 bits after each product; both sides do, at other places.
    torch.testing.assert_close(varlen, dense, rtol=5e-3, atol=0)
    for key in expected:
        scale = float(expected[key].abs().max()) or 1.0
        torch.testing.assert_close(found[key], expected[key], rtol=0, atol=0.03 * scale, msg=key)
