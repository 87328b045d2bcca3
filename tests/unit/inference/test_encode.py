import math
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import BertProcessing
from transformers import PreTrainedTokenizerFast

from bertops.inference.answer import AnswerReader
from bertops.inference.card import TaskCard
from bertops.inference.encode import encode
from bertops.inference.forward import batches_by_length
from bertops.inference.summarize import SummaryReader
from bertops.inference.tag import TagReader, first_tokens
from tests.unit.encoders import SPECIAL, make_tokenizer

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


def test_a_unit_that_a_window_begins_in_the_middle_of_is_read_in_the_one_before():
    sentences = ["a b c d e", "f g h i j k", "l m"]
    tokenizer = make_tokenizer()
    windows = SummaryReader(tokenizer, card("windows", 10)).tokenize([{"sentences": sentences}])
    assert len(windows) > 1
    begun = [
        (sentences[place], tokenizer.decode([window.input_ids[token]]))
        for window in windows
        for token, place in first_tokens(window.places)
    ]
    assert sorted(set(begun)) == [(sentence, sentence[0]) for sentence in sentences]


@pytest.mark.parametrize("max_length", [8, 9, 12, 16, 31])
@pytest.mark.parametrize("second", ["x", LETTERS, " ".join([LETTERS] * 4)])
def test_windows_of_a_pair_read_all_of_the_first_text_whatever_the_second(max_length, second):
    tokenizer = make_tokenizer()
    read = {
        "encode": encode([LETTERS], [second], tokenizer, card("windows", max_length)),
        "answer": AnswerReader(tokenizer, card("windows", max_length)).tokenize(
            [{"text": LETTERS, "text_b": second}]
        ),
    }
    for features in read.values():
        assert all(len(f.input_ids) <= max_length for f in features)
        seen = {word for f in features for word in tokenizer.decode(f.input_ids).split()}
        assert seen >= set(LETTERS.split())


def test_a_short_second_text_is_repeated_whole():
    tokenizer = make_tokenizer()
    windows = encode([LETTERS], ["x y"], tokenizer, card("windows", 10))
    assert len(windows) > 1
    assert all(tokenizer.decode(f.input_ids).endswith("[SEP] x y [SEP]") for f in windows)


def test_windows_that_overlap_do_not_make_a_word_surer():
    """A model that is as sure of every token gives every word the same probability."""
    tokenizer, letters = make_tokenizer(), LETTERS.split()
    tags = card("head").model_copy(update={"labels": ("O", "B-X")})
    reader = TagReader(tokenizer, tags, "fp32")
    encoded = reader.encode([{"words": letters}])
    assert len(encoded.features) > 1

    class Sure(torch.nn.Module):
        device = torch.device("cpu")
        config = SimpleNamespace(hidden_size=8)

        def forward(self, input_ids, **_):
            return SimpleNamespace(logits=torch.tensor([0.0, 1.0]).expand(*input_ids.shape, 2))

    (found,) = reader.predict(Sure(), encoded)
    assert found["probabilities"] == pytest.approx([1 / (1 + math.exp(-1))] * len(letters))


def byte_level():
    """A tokenizer of bytes, as RoBERTa and the published ModernBERT have: a space opens a word."""
    pieces = [*SPECIAL, *ByteLevel.alphabet()]
    tokenizer = Tokenizer(BPE({piece: i for i, piece in enumerate(pieces)}, [], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]")


CUT = {
    "他在北京工作。": list("他在北京工作。"),
    "Ada Lovelace's café,  1843": ["Ada", "Lovelace", "'", "s", "café", ",", "1843"],
}


@pytest.mark.parametrize("text", CUT)
def test_words_of_a_text_are_cut_as_the_tokenizer_cuts(text):
    reader = TagReader(make_tokenizer(), card("windows", 8), "fp32")
    found = reader.complete({"text": text})
    assert found["words"] == CUT[text] == [text[start:end] for start, end in found["offsets"]]


def test_a_tokenizer_of_bytes_reads_a_text_as_it_reads_its_words():
    tokenizer, text = byte_level(), "Ada Lovelace, in 北京 "
    reader = TagReader(tokenizer, card("windows", 64), "fp32")
    found = reader.complete({"text": text})
    assert found["words"] == [text[start:end] for start, end in found["offsets"]]
    assert found["words"][:2] == ["Ada", "Lovelace"]
    cut = reader.tokenize([{"words": ["Ada", "Lovelace"]}])[0].input_ids
    assert cut == reader.tokenize([reader.complete({"text": "Ada Lovelace"})])[0].input_ids
    assert cut == tokenizer("Ada Lovelace")["input_ids"]
