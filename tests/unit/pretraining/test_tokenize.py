"""The token store: every id of every document, the same bytes for any number of threads."""

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from bertops.parallel import ParallelParams
from bertops.pretraining.params import TokenizeParams
from bertops.pretraining.store import StoreDamaged, TokenStore
from bertops.pretraining.tokenize import StoreWriter, batches_of, tokenize_corpus
from bertops.storage import hash_tree
from bertops.tokenizer.load import load_tokenizer, load_vocab
from bertops.tokenizer.texts import NoDocuments
from tests import engine

TEXTS = ["the film was good .", "", "[MASK] is not a mask", "a plot , a film", "电影 很好"]


@pytest.fixture
def corpus(tmp_path):
    for split, texts in (("train", TEXTS), ("validation", TEXTS[:1])):
        (tmp_path / "corpus" / split).mkdir(parents=True)
        table = pa.table({"text": texts})
        parquet.write_table(table, tmp_path / "corpus" / split / "part-00000.parquet")
    engine.write_tokenizer(tmp_path / "tokenizer")
    return tmp_path


def tokenize(folder, name="tokens", shard_tokens=1024):
    params = TokenizeParams.model_construct(shard_tokens=shard_tokens)
    return tokenize_corpus(folder / "corpus", folder / "tokenizer", folder / name, params)


def test_documents_come_back_as_they_were_tokenized(corpus):
    report = tokenize(corpus)
    store = TokenStore(corpus / "tokens/train")
    assert report.splits["train"].documents == len(TEXTS) == len(store.lengths)
    tokenizer = load_tokenizer(corpus / "tokenizer")
    for text, start, length in zip(TEXTS, store.boundaries, store.lengths, strict=False):
        if "[MASK]" not in text and text:
            expected = tokenizer.encode(text, add_special_tokens=False).ids
            assert store.read(int(start), int(length)).tolist() == expected
    store.verify()


def test_a_tokenizer_that_cuts_and_pads_by_itself_does_neither_here(corpus):
    tokenize(corpus, "plain")
    file = corpus / "tokenizer/tokenizer.json"
    published = load_tokenizer(corpus / "tokenizer")
    published.enable_truncation(3)
    published.enable_padding(length=8)
    published.save(str(file))
    tokenize(corpus, "published")
    plain, found = (TokenStore(corpus / name / "train") for name in ("plain", "published"))
    assert found.lengths.tolist() == plain.lengths.tolist()
    total = int(plain.boundaries[-1])
    assert np.array_equal(found.read(0, total), plain.read(0, total))


def test_a_mask_written_in_a_document_is_text(corpus):
    tokenize(corpus)
    store = TokenStore(corpus / "tokens/train")
    everything = store.read(0, int(store.boundaries[-1]))
    assert load_vocab(corpus / "tokenizer").mask not in everything


@pytest.mark.parametrize("shard_tokens", [1, 7, 1024])
def test_shards_cut_between_documents_and_read_alike(shard_tokens, corpus):
    tokenize(corpus, "whole")
    tokenize(corpus, "cut", shard_tokens)
    whole, cut = (TokenStore(corpus / name / "train") for name in ("whole", "cut"))
    assert len(cut.manifest.shards) >= len(whole.manifest.shards)
    for start, length in zip(whole.boundaries, whole.lengths, strict=False):
        assert np.array_equal(
            whole.read(int(start), int(length)), cut.read(int(start), int(length))
        )


def test_any_number_of_threads_gives_the_same_bytes(corpus):
    tokenize(corpus)
    program = (
        "import sys; from pathlib import Path\n"
        "from bertops.pretraining.tokenize import tokenize_corpus, TokenizeParams\n"
        "root = Path(sys.argv[1])\n"
        "params = TokenizeParams(shard_tokens=1024)\n"
        "tokenize_corpus(root / 'corpus', root / 'tokenizer', root / 'again', params)"
    )
    env = {**os.environ, "RAYON_NUM_THREADS": "3", "TOKENIZERS_PARALLELISM": "true"}
    subprocess.run([sys.executable, "-c", program, str(corpus)], env=env, check=True, timeout=120)
    assert hash_tree(corpus / "again") == hash_tree(corpus / "tokens")


@pytest.mark.slow
def test_ray_gives_the_same_bytes_whatever_is_in_which_file(corpus):
    pytest.importorskip("ray", reason="needs the extra ray")
    files = [TEXTS[:2], [], [""], TEXTS[2:]]
    for number, texts in enumerate(files):
        table = pa.table({"text": pa.array(texts, pa.string())})
        parquet.write_table(table, corpus / f"corpus/train/part-{number:05d}.parquet")
    params = TokenizeParams(shard_tokens=1024)
    expected = tokenize_corpus(
        corpus / "corpus", corpus / "tokenizer", corpus / "tokens", params, ParallelParams()
    )
    on_ray = ParallelParams(engine="ray", workers=2)
    found = tokenize_corpus(
        corpus / "corpus", corpus / "tokenizer", corpus / "by-ray", params, on_ray
    )
    assert found == expected
    assert hash_tree(corpus / "by-ray") == hash_tree(corpus / "tokens")
    assert not (corpus / "by-ray/pieces").exists()


def test_an_empty_corpus_is_an_error_and_leaves_nothing(corpus):
    parquet.write_table(
        pa.table({"text": pa.array([], pa.string())}), corpus / "corpus/train/part-00000.parquet"
    )
    with pytest.raises(NoDocuments):
        tokenize(corpus)
    assert not (corpus / "tokens").exists()


def test_a_corpus_without_validation_gives_an_empty_store(corpus):
    (corpus / "corpus/validation/part-00000.parquet").unlink()
    assert tokenize(corpus).splits["validation"].documents == 0
    assert TokenStore(corpus / "tokens/validation").boundaries.tolist() == [0]


def test_vocabularies_above_65535_take_four_bytes(tmp_path):
    writer = StoreWriter(tmp_path / "store", "uint32", 1024)
    writer.add([1, 70_000])
    writer.close(vocab_size=80_000, tokenizer_sha256="x")
    assert TokenStore(tmp_path / "store").read(0, 2).tolist() == [1, 70_000]


def test_truncated_and_changed_stores_are_refused(corpus):
    tokenize(corpus)
    path = corpus / "tokens/train/tokens-00000.bin"
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreDamaged, match="sha256"):
        TokenStore(corpus / "tokens/train").verify()
    path.write_bytes(content[:-2])
    with pytest.raises(StoreDamaged, match=f"{len(content) - 2} bytes, expected {len(content)}"):
        TokenStore(corpus / "tokens/train")
    (corpus / "tokens/train/manifest.json").unlink()
    with pytest.raises(StoreDamaged, match=r"no manifest\.json"):
        TokenStore(corpus / "tokens/train")


def test_texts_are_handed_over_in_bounded_batches():
    batches = list(batches_of(["aaaa", "b", "cc", "d" * 9, "e"], characters=5))
    assert batches == [["aaaa", "b"], ["cc", "d" * 9], ["e"]]


def test_documents_without_a_token_are_stored_too(corpus):
    texts = pa.table({"text": ["", ""]})
    parquet.write_table(texts, corpus / "corpus/validation/part-00000.parquet")
    tokenize(corpus)
    assert TokenStore(corpus / "tokens/validation").lengths.tolist() == [0, 0]
