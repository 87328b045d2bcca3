import json

import pytest

import bertops
from bertops.inference.embed import vectors_of
from bertops.inference.faq import Faq, StoreUnreadable, read_store
from bertops.inference.load import load

STORE = '{"question": "is it good", "answer": "very"}\n{"answer": "the plot was poor"}\n'


def test_a_stored_question_finds_its_own_answer(classifier, tmp_path):
    (tmp_path / "store.jsonl").write_text(STORE)
    faq = Faq(load(classifier, device="cpu"), read_store(tmp_path / "store.jsonl"))
    (first, second), (other, _) = faq.ask(["is it good", "the plot was poor"], top=2)
    assert (first.answer, first.question) == ("very", "is it good")
    assert first.score == pytest.approx(1, abs=0.01)
    assert first.score >= second.score
    assert other.answer == "the plot was poor"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n", "empty"),
        (b'{"question": "x"}\n', "line 1 has no answer"),
        (b'{"answer": "x"}\n\n{', "line 3 is no JSON"),
        (b"\xff", "no UTF-8"),
    ],
)
def test_a_store_that_cannot_be_used_is_told(tmp_path, content, message):
    (tmp_path / "store.jsonl").write_bytes(content)
    with pytest.raises(StoreUnreadable, match=message):
        read_store(tmp_path / "store.jsonl")


def test_answers_that_are_numbers_are_read_as_text(classifier):
    loaded = load(classifier, device="cpu")
    ((first, second),) = Faq(loaded, [{"question": 7, "answer": 42}, {"answer": 5}]).ask(["7"], 2)
    assert {(first.question, first.answer), (second.question, second.answer)} == {
        ("7", "42"), (None, "5"),
    }  # fmt: skip


def test_only_a_line_feed_ends_an_entry_of_a_store(tmp_path):
    answer = "first\u2028second\x85third"
    store = json.dumps({"answer": answer}, ensure_ascii=False) + "\r\n"
    (tmp_path / "store.jsonl").write_bytes(store.encode())
    assert [entry["answer"] for entry in read_store(tmp_path / "store.jsonl")] == [answer]


def test_vectors_have_length_one(classifier):
    found = vectors_of(load(classifier, device="cpu"), ["good", "bad plot"])
    assert (found**2).sum(axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_bertops_load_opens_a_directory_that_can_be_called(classifier):
    (found,) = bertops.load(classifier)(["the film was good"])
    assert found["prediction"] in ("negative", "positive")
