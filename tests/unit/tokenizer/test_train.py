"""A vocabulary: deterministic, loadable by anybody, honest about a small corpus."""

import subprocess
import sys
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from bertops.tokenizer.load import TokenizerUnusable, load_tokenizer, load_vocab
from bertops.tokenizer.params import TokenizerParams
from bertops.tokenizer.texts import NoDocuments
from bertops.tokenizer.train import CorpusTooSmall, choose_alphabet, train_tokenizer

TEXTS = [
    "The acting was unexpectedly good, the plotting unexpectedly bad; naïve viewers were acting.",
    "Unexpected actors act; viewing and reviewing the plot again and again is a viewer's plotting.",
    "这部电影很好看，演员很好。这部电影不好看。",
] * 20


def write_corpus(folder, texts, parts=2):
    folder.mkdir(parents=True)
    size = -(-len(texts) // parts)
    for i in range(parts):
        table = pa.table({"text": texts[i * size : (i + 1) * size]})
        parquet.write_table(table, folder / f"part-{i:05d}.parquet")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "train", TEXTS)


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    target = tmp_path_factory.mktemp("models") / "tokenizer"
    return target, train_tokenizer(corpus, target, TokenizerParams(vocab_size=112))


def test_another_process_learns_the_same_bytes(corpus, trained, tmp_path):
    """Hash maps of the trainer are seeded per process: only a second process shows the order."""
    program = (
        "import sys; from pathlib import Path\n"
        "from bertops.tokenizer.train import train_tokenizer, TokenizerParams\n"
        "params = TokenizerParams(vocab_size=112)\n"
        "print(train_tokenizer(Path(sys.argv[1]), Path(sys.argv[2]), params).sha256)"
    )
    command = [sys.executable, "-c", program, str(corpus), str(tmp_path / "again")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == trained[1].sha256


def test_transformers_loads_it_with_and_without_knowing_the_class(trained):
    from transformers import AutoTokenizer, BertTokenizer

    for kind in (AutoTokenizer, BertTokenizer):
        tokenizer = kind.from_pretrained(trained[0])
        assert len(tokenizer) == 112
        found = tokenizer("acting", "plot")
        assert tokenizer.convert_ids_to_tokens(found["input_ids"])[0] == "[CLS]"
        assert found["token_type_ids"][-1] == 1
        assert tokenizer.mask_token_id == load_vocab(trained[0]).mask


def test_chinese_characters_stand_alone(trained):
    tokenizer = load_tokenizer(trained[0])
    assert tokenizer.encode("这部电影", add_special_tokens=False).tokens == ["这", "部", "电", "影"]
    assert not any(piece.startswith("##电") for piece in tokenizer.get_vocab())


def test_special_tokens_come_first_and_lookalikes_are_not_special(trained):
    vocab = load_vocab(trained[0])
    assert (vocab.pad, vocab.unk, vocab.cls, vocab.sep, vocab.mask) == (0, 1, 2, 3, 4)
    pieces = load_tokenizer(trained[0]).encode("##a", add_special_tokens=False).tokens
    assert "##a" not in pieces[:1]


def test_a_corpus_too_small_for_the_vocabulary_is_an_error_with_both_numbers(corpus, tmp_path):
    with pytest.raises(CorpusTooSmall, match=r"asks for 6,144 entries, the text yields") as caught:
        train_tokenizer(corpus, tmp_path / "tokenizer", TokenizerParams())
    assert caught.value.found < 6144
    assert not (tmp_path / "tokenizer").exists()


def test_no_text_is_an_error(tmp_path):
    for texts, parts in (([], 1), (["x"], 0)):
        folder = write_corpus(tmp_path / f"{parts}", texts, parts) if parts else tmp_path / "none"
        with pytest.raises(NoDocuments):
            train_tokenizer(folder, tmp_path / "tokenizer", TokenizerParams())


def test_rare_characters_are_left_out_by_coverage():
    counts = Counter({"a": 900, "b": 98, "c": 1, "d": 1, " ": 500})
    assert choose_alphabet(counts, 0.998, 100) == ["a", "b"]
    assert choose_alphabet(counts, 0.9985, 100) == ["a", "b", "c"]
    assert choose_alphabet(counts, 1.0, 100) == ["a", "b", "c", "d"]


def test_the_vocabulary_is_never_larger_than_asked_for(tmp_path):
    """Chinese has more characters than a small vocabulary has entries: the rarest are [UNK]."""
    counts = Counter({"看": 9, "a": 5, "!": 3, "影": 1})
    assert choose_alphabet(counts, 1.0, 5) == ["!", "a", "影", "看"]
    assert choose_alphabet(counts, 1.0, 4) == ["!", "a", "看"]
    assert choose_alphabet(counts, 1.0, 3) == ["a", "看"]
    han = [chr(0x4E00 + i) for i in range(300)]
    texts = ["".join(han[: n + 1]) for n in range(300)]
    corpus = write_corpus(tmp_path / "train", texts)
    report = train_tokenizer(corpus, tmp_path / "tokenizer", TokenizerParams(vocab_size=128))
    assert report.vocab_size == 128
    assert report.characters == sum(map(len, texts))
    tokenizer = load_tokenizer(tmp_path / "tokenizer")
    tokens = tokenizer.encode(han[0] + han[299], add_special_tokens=False).tokens
    assert tokens == [han[0], "[UNK]"]


def test_the_fit_counts_words_and_unknown_tokens(trained):
    fit = trained[1].fit
    assert fit.documents == 60
    assert fit.tokens >= fit.words
    assert fit.unknown_share == 0


@pytest.mark.parametrize("content", [None, "not json", '{"version": "1.0"}'])
def test_an_unreadable_tokenizer_is_named(content, tmp_path):
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(TokenizerUnusable, match=str(tmp_path)):
        load_vocab(tmp_path)


def test_a_tokenizer_is_adopted_instead_of_learned(corpus, trained, tmp_path):
    params = TokenizerParams(init_from=str(trained[0]))
    report = train_tokenizer(corpus, tmp_path / "tokenizer", params)
    assert report.vocab_size == 112
    assert load_vocab(tmp_path / "tokenizer").pieces == load_vocab(trained[0]).pieces
