"""Sentence pairs as in Devlin et al. 2019, appendix A.2."""

import numpy as np
import pytest

from bertops.pretraining.batches import Batches, open_source
from bertops.pretraining.pairs import PairRows, TooFewDocuments, pair_document, split_sentences
from bertops.pretraining.store import TokenStore
from bertops.pretraining.tokenize import StoreWriter
from bertops.tokenizer.load import load_vocab
from tests import engine

LENGTH = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """60 documents of 1 to 12 sentences of 3 to 9 words, each ended by a full stop."""
    folder = tmp_path_factory.mktemp("pairs")
    engine.write_tokenizer(folder / "tokenizer")
    vocab = load_vocab(folder / "tokenizer")
    stop = vocab.pieces["."]
    random = np.random.default_rng(0)
    for split in ("train", "validation"):
        writer = StoreWriter(folder / "tokens" / split, "uint16", 2**20)
        for _ in range(60):
            sentences = [
                [*random.integers(5, 24, size=random.integers(3, 10)).tolist(), stop]
                for _ in range(random.integers(1, 13))
            ]
            writer.add([id for sentence in sentences for id in sentence])
        writer.close(vocab.size, vocab.sha256)
    return folder


@pytest.fixture(scope="module")
def pairs(folder):
    vocab = load_vocab(folder / "tokenizer")
    return PairRows(TokenStore(folder / "tokens/train"), vocab, LENGTH, seed=0), vocab


def test_rows_are_cls_a_sep_b_sep_with_segments(pairs):
    rows, vocab = pairs
    arrays = rows.lay_out(np.arange(len(rows.row_tokens)))
    for ids, types, documents, tokens in zip(
        arrays.ids_BL, arrays.types_BL, arrays.documents_BL, rows.row_tokens, strict=True
    ):
        seps = np.flatnonzero(ids == vocab.sep)
        assert ids[0] == vocab.cls
        assert len(seps) == 2
        assert seps[1] == tokens - 1
        assert (types[: seps[0] + 1] == 0).all()
        assert (types[seps[0] + 1 : tokens] == 1).all()
        assert seps[0] >= 2
        assert seps[1] - seps[0] >= 2  # neither segment is empty
        assert (documents == (np.arange(LENGTH) < tokens)).all()


def test_half_of_the_partners_follow_and_come_from_the_same_document(pairs, folder):
    rows, _ = pairs
    edges = TokenStore(folder / "tokens/train").boundaries

    def document(span):
        return int(np.searchsorted(edges, span[0], side="right"))

    for pair in rows._pairs:
        if pair.follows:
            assert document(pair.a) == document(pair.b)
            assert pair.a[1] <= pair.b[0]
        else:
            assert document(pair.a) != document(pair.b)
    share = np.mean([pair.follows for pair in rows._pairs])
    # Documents of one sentence have no next one, so a little below a half.
    assert 0.33 < share < 0.52


def test_sentences_that_a_random_partner_displaces_are_used_later(pairs, folder):
    """Every sentence that no truncation touched stands in some A or true B."""
    documents = [[(i * 10, i * 10 + 5), (i * 10 + 5, i * 10 + 10)] for i in range(3)]
    random = np.random.default_rng(1)
    for _ in range(50):
        found = list(pair_document(documents, 1, 100, random))
        used = {pair.a for pair in found} | {pair.b for pair in found if pair.follows}
        assert used == set(documents[1])


def test_pairs_fit_and_a_plan_is_a_function_of_its_seed(pairs, folder):
    rows, vocab = pairs
    assert (rows.row_tokens <= LENGTH).all()
    again = PairRows(TokenStore(folder / "tokens/train"), vocab, LENGTH, seed=0)
    assert again._pairs == rows._pairs
    other = PairRows(TokenStore(folder / "tokens/train"), vocab, LENGTH, seed=1)
    assert other._pairs != rows._pairs


def test_sentences_end_at_full_stops_once():
    ids = np.array([9, 8, 1, 1, 7, 1, 6])
    assert split_sentences(ids, 100, (1,)) == [(100, 104), (104, 106), (106, 107)]
    assert split_sentences(np.array([5, 6]), 0, (1,)) == [(0, 2)]


def test_text_without_full_stops_is_used_too(tmp_path, folder):
    vocab = load_vocab(folder / "tokenizer")
    writer = StoreWriter(tmp_path / "tokens", "uint16", 2**20)
    for start in (30, 60):
        writer.add([start + i % 20 for i in range(1000)])
    writer.close(vocab.size, vocab.sha256)
    rows = PairRows(TokenStore(tmp_path / "tokens"), vocab, LENGTH, seed=0)
    seen = {at for pair in rows._pairs for span in (pair.a, pair.b) for at in range(*span)}
    assert len(seen) > 1000
    assert 0.3 < np.mean([pair.follows for pair in rows._pairs]) < 0.7


def test_one_document_has_no_random_partner(tmp_path, folder):
    vocab = load_vocab(folder / "tokenizer")
    writer = StoreWriter(tmp_path / "store", "uint16", 100)
    writer.add([5, 6, 7])
    writer.close(vocab.size, vocab.sha256)
    with pytest.raises(TooFewDocuments):
        PairRows(TokenStore(tmp_path / "store"), vocab, LENGTH, seed=0)


def test_training_on_pairs_logs_both_losses_and_saves_both_heads(folder, tmp_path):
    from transformers import AutoModelForPreTraining

    params = engine.toy_params(6, log_every_steps=2)
    pretraining = params.pretraining.model_copy(update={"objective": "mlm_nsp"})
    tracker = engine.MemoryTracker()
    engine.run(folder, tmp_path, params.model_copy(update={"pretraining": pretraining}), tracker)
    for _, values in tracker.metrics:
        assert values["follow_loss"] == pytest.approx(0.69, abs=0.2)
        assert 0 <= values["follow_accuracy"] <= 1
    model = AutoModelForPreTraining.from_pretrained(tmp_path / "encoder")
    assert type(model).__name__ == "BertForPreTraining"


def test_losses_are_those_of_the_stock_class(folder):
    """Both heads against BertForPreTraining's own forward with its own labels."""
    import torch

    from bertops.model.build import build_model
    from bertops.pretraining.collate import to_device
    from bertops.training.objective import Objective

    params = engine.toy_params(dropout=0.0)
    pretraining = params.pretraining.model_copy(update={"objective": "mlm_nsp"})
    source = open_source(folder / "tokens/train", folder / "tokenizer", pretraining, seed=0)
    rows = Batches(source, pretraining.masking, 0).at(0, 6)
    batch = to_device(rows, torch.device("cpu"))
    model = build_model(params.model, source.vocab, 0, next_sentence=True)
    masked, follow, _ = Objective(model, torch.float32)(batch)
    labels = torch.full((batch.inputs_BL.numel(),), -100)
    real = batch.labels_P != -100
    labels[batch.places_P[real]] = batch.labels_P[real]
    stock = model(
        input_ids=batch.inputs_BL,
        attention_mask=(batch.documents_BL > 0).long(),
        token_type_ids=batch.types_BL,
        labels=labels.view(batch.inputs_BL.shape),
        next_sentence_label=batch.follows_B,
    )
    torch.testing.assert_close(masked / batch.targets + follow / 6, stock.loss)
