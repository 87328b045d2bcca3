import pytest

from bertops.inference.card import TaskCard
from bertops.inference.encode import encode
from bertops.inference.forward import batches_by_length
from tests.unit.encoders import make_tokenizer

LETTERS = "a b c d e f g h i j k l"


def card(long_texts, max_length=8):
    return TaskCard(
        task="t",
        kind="classification",
        labels=("x", "y"),
        max_length=max_length,
        long_texts=long_texts,
        metric="accuracy",
    )


def read(text, long_texts):
    """Words that the model sees, window by window."""
    tokenizer = make_tokenizer()
    features = encode([text], None, tokenizer, card(long_texts))
    return [tokenizer.decode(f.input_ids, skip_special_tokens=True) for f in features]


def test_head_reads_the_beginning():
    assert read(LETTERS, "head") == ["a b c d e f"]


def test_head_tail_reads_beginning_and_end():
    assert read(LETTERS, "head_tail") == ["a b c j k l"]


def test_windows_read_everything_and_overlap():
    windows = read(LETTERS, "windows")
    assert windows == ["a b c d e f", "e f g h i j", "i j k l"]


@pytest.mark.parametrize("long_texts", ["head", "head_tail", "windows"])
def test_a_short_text_is_read_whole_whatever_the_way(long_texts):
    tokenizer = make_tokenizer()
    (feature,) = encode(["a b c"], None, tokenizer, card(long_texts))
    assert feature.input_ids == tokenizer("a b c")["input_ids"]
    assert feature.token_type_ids == [0] * 5


def test_of_a_pair_the_longer_text_is_cut():
    tokenizer = make_tokenizer()
    (feature,) = encode([LETTERS], ["x y"], tokenizer, card("head"))
    assert tokenizer.decode(feature.input_ids) == "[CLS] a b c [SEP] x y [SEP]"
    assert feature.token_type_ids == [0] * 5 + [1] * 3


def test_batches_hold_every_row_once_within_their_budget():
    lengths = [5, 3, 9, 1, 9, 2, 30]
    batches = batches_by_length(lengths, 18)
    assert sorted(index for batch in batches for index in batch) == list(range(7))
    assert batches[0] == [6]  # longer than the budget: alone
    assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= 18 for b in batches)
