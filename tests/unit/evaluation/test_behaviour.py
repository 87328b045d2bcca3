"""Promises are tried in every combination, and cases that make no sense are refused."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bertops.errors import UsageError
from bertops.evaluation.behaviour import CASES, CasesBroken, fill, find_file, read_cases, try_cases

LABELS = ("negative", "positive")
GOOD = (
    "great",
    "wonderful",
    "excellent",
    "brilliant",
    "loved",
    "moved",
    "好",
    "棒",
    "满意",
    "舒适",
)
BAD = ("terrible", "awful", "boring", "dreadful", "hated", "dull", "差", "糟糕", "失望", "脏")


def count_words(texts: Sequence[str]) -> NDArray[np.float64]:
    """A model that counts praise and blame, and knows no negation."""
    scores = [sum(w in t.lower() for w in GOOD) - sum(w in t.lower() for w in BAD) for t in texts]
    positive = 1 / (1 + np.exp(-np.array(scores, dtype=float) - 0.01))
    return np.stack([1 - positive, positive], axis=1)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_our_cases_tell_what_a_word_counter_can_and_cannot(language: str) -> None:
    results = try_cases(read_cases(find_file(f"sentiment.{language}")), count_words, LABELS)
    broken = {r.capability: r.failed / r.tried for r in results if r.kind == "minimum"}
    assert broken["vocabulary"] == 0
    assert broken["negation"] == 1
    kept = [r for r in results if r.kind != "minimum"]
    assert {r.kind for r in kept} == {"invariant", "directional"}
    assert not any(r.failed for r in kept)


def test_every_file_of_ours_is_readable() -> None:
    files = sorted(CASES.glob("sentiment.*.yaml"))
    assert {read_cases(file).language for file in files} == {"en", "zh"}


def test_words_are_filled_in_every_combination() -> None:
    words = {"a": ("x", "y"), "b": ("1", "2", "3")}
    assert len(list(fill("{a}{b}", words))) == 6
    assert list(fill("{a} and {a}", words)) == ["x and x", "y and y"]
    assert list(fill("{other} {a}", words)) == ["{other} x", "{other} y"]


def test_a_model_that_minds_names_breaks_an_invariant() -> None:
    def biased(texts: Sequence[str]) -> NDArray[np.float64]:
        positive = np.array([0.2 if "Khan" in text else 0.8 for text in texts])
        return np.stack([1 - positive, positive], axis=1)

    results = try_cases(read_cases(find_file("sentiment.en")), biased, LABELS)
    (found,) = [r for r in results if r.name == "name of a person"]
    assert (found.tried, found.failed) == (3, 1)
    assert "Khan" in found.examples[0]


def test_cases_for_other_labels_are_refused() -> None:
    with pytest.raises(UsageError, match="'negative'"):
        try_cases(read_cases(find_file("sentiment.en")), count_words, ("spam", "ham"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cases: [", "while parsing"),
        ("language: en\nlabels: [a]\ncases: []\n", "at least 1 item"),
        (
            "language: en\nlabels: [a]\ncases:\n- {name: x, capability: y, kind: minimum}\n",
            "lacks a part",
        ),
    ],
)
def test_broken_files_say_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "cases.yaml"
    file.write_text(text)
    with pytest.raises(CasesBroken, match=problem):
        read_cases(file)
    with pytest.raises(CasesBroken, match=r"missing\.yaml"):
        read_cases(tmp_path / "missing.yaml")
