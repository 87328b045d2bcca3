"""Languages: a batch walked side by side gives what the library gives for each alone."""

import polars as pl
import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from bertops.corpus.langid import identify
from bertops.corpus.params import LanguageParams
from tests.unit.corpus.test_rules import CHINESE, PROSE

TEXTS = [
    PROSE,
    CHINESE,
    "SHOUTING ALL DAY LONG DOES NOT HELP ANYBODY",
    "Der Zug nach München fährt heute leider erst um halb neun ab.",
    "Привет, как дела сегодня вечером, друзья?",
    "Ово је српска ћирилица, и веома је лепа.",
    "short",
    "Le chat dort sur le canapé depuis ce matin." * 40,
]


def test_answers_equal_those_of_the_library() -> None:
    library = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found = identify(pl.Series("text", TEXTS), LanguageParams(head_characters=600))
    for text, language, score in zip(
        TEXTS, found["language"], found["language_score"], strict=True
    ):
        ranked = dict(library.rank(text[:600]))
        ranked["zh"] += ranked.pop("wuu")  # written alike, so they count as one here
        assert language == max(ranked, key=lambda label: ranked[label])
        assert score == pytest.approx(ranked[language], abs=2e-4)  # rounded to four digits


def test_a_text_without_letters_has_no_language() -> None:
    found = identify(pl.Series("text", ["", "123 456", "?!… 😀"]), LanguageParams())
    assert found.rows() == [("und", 0.0)] * 3


def test_a_text_has_the_same_language_in_any_batch() -> None:
    together = identify(pl.Series("text", TEXTS), LanguageParams())
    alone = pl.concat(identify(pl.Series("text", [text]), LanguageParams()) for text in TEXTS)
    assert together.equals(alone)
