"""Words of Chinese: characters are tokens, a segmenter says which of them belong together."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bertops.parallel import ParallelParams
from bertops.pretraining.batches import Batches, open_source
from bertops.pretraining.masking import IGNORE_INDEX
from bertops.pretraining.params import PretrainingParams, TokenizeParams
from bertops.pretraining.store import TokenStore
from bertops.pretraining.tokenize import tokenize_corpus
from bertops.pretraining.words import continues_word, cut_words
from bertops.storage import hash_tree
from bertops.tokenizer.load import SPECIAL_TOKENS, load_tokenizer
from bertops.tokenizer.params import TokenizerParams
from bertops.tokenizer.train import save_tokenizer

pytest.importorskip("rjieba", reason="needs the extra chinese")

TEXTS = [
    "我在北京大学学习中国历史。",
    "这家酒店的房间很大，早餐也不错。",
    "I like movies. 他喜欢看电影！",
    "",
    "下次来北京还会住这里，因为服务员非常热情。",
]
WORDS = {"pretraining": {"tokenize": {"segmenter": "jieba"}, "masking": {"whole_words": True}}}


@given(st.text())
def test_words_join_to_the_text_again(text):
    assert "".join(cut_words(text, "jieba")) == text


def test_a_character_continues_the_word_it_stands_in():
    text = "我在北京大学"
    offsets = [(i, i + 1) for i in range(len(text))]
    found = continues_word(text, offsets, cut_words(text, "jieba"))
    assert found.tolist() == [False, False, False, True, True, True]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chinese")
    for split in ("train", "validation"):
        (folder / "corpus" / split).mkdir(parents=True)
        table = pa.table({"text": TEXTS * 4})
        parquet.write_table(table, folder / "corpus" / split / "part-00000.parquet")
    pieces = [*SPECIAL_TOKENS, *sorted(set("".join(TEXTS).lower()) - {" "}), "##s", "like"]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    save_tokenizer(vocab, folder / "tokenizer", TokenizerParams())
    return folder


def tokenize(folder, name, parallel=None):
    params = TokenizeParams(shard_tokens=1024, segmenter="jieba")
    tokenize_corpus(folder / "corpus", folder / "tokenizer", folder / name, params, parallel)
    return folder / name


@pytest.mark.parametrize("objective", ["mlm", "mlm_nsp"])
def test_words_are_masked_whole_or_not_at_all(objective, project):
    tokenize(project, objective)
    params = PretrainingParams.model_validate(
        WORDS["pretraining"] | {"objective": objective, "packing": {"row_length": 32}}
    )
    source = open_source(project / objective / "train", project / "tokenizer", params, seed=1)
    tokenizer = load_tokenizer(project / "tokenizer")
    batch = Batches(source, params.masking, seed=1).at(0, source.count)
    arrays = source.rows.lay_out(np.arange(source.count))
    assert arrays.continues_BL is not None
    order = Batches(source, params.masking, seed=1).order.at(0, source.count)[1]
    ids_BL, continues_BL = arrays.ids_BL[order], arrays.continues_BL[order]
    hidden = np.zeros(ids_BL.size, dtype=bool)
    hidden[batch.places_P[batch.labels_P != IGNORE_INDEX]] = True
    hidden_BL = hidden.reshape(ids_BL.shape)
    han = np.vectorize(lambda i: "一" <= (tokenizer.id_to_token(int(i)) or "")[:1] <= "鿿")(ids_BL)
    inner = continues_BL[:, 1:] & han[:, 1:] & han[:, :-1]
    assert inner.sum() > 20
    assert (hidden_BL[:, 1:][inner] == hidden_BL[:, :-1][inner]).all()
    assert hidden_BL[:, 1:][inner].any()


def test_marks_lie_beside_the_ids_and_are_checked(project):
    store = TokenStore(tokenize(project, "marked") / "train")
    assert store.knows_words
    assert list(store.manifest.files) == ["tokens-00000.bin", "words-00000.bin", "documents.npy"]
    first = store.continues_word(0, int(store.lengths[0]))
    assert first.dtype == np.bool_
    assert 0 < first.sum() < len(first)


@pytest.mark.slow
def test_ray_marks_the_same_words(project):
    pytest.importorskip("ray", reason="needs the extra ray")
    here = tokenize(project, "here")
    there = tokenize(project, "there", ParallelParams(engine="ray", workers=2))
    assert hash_tree(here) == hash_tree(there)


def test_a_segmenter_without_whole_words_is_refused():
    with pytest.raises(ValidationError, match="set masking"):
        PretrainingParams.model_validate({"tokenize": {"segmenter": "jieba"}})
