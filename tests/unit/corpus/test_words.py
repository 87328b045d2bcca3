"""Words that copies are found by: the fast way equals the definition."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertops.corpus.words import WORD, content_words

SURROGATES = range(0xD800, 0xE000)
EVERY_CHARACTER = [chr(point) for point in range(0x110000) if point not in SURROGATES]
LIKELY = st.sampled_from("aZ9_é ß\0\n-'’。，我爱あア々〇Ⅷ\u0301\u200d🎬𠀀İ")


def defined(texts: list[str]) -> list[list[str]]:
    """The definition, by the regex engine."""
    return pl.Series(texts, dtype=pl.String).str.to_lowercase().str.extract_all(WORD).to_list()


@settings(deadline=None)  # it is no test of speed
@given(st.lists(st.text(st.one_of(LIKELY, st.characters(exclude_categories=["Cs"])))))
def test_words_are_those_of_the_definition(texts: list[str]) -> None:
    words = content_words(pl.Series(texts, dtype=pl.String))
    lists = defined(texts)
    assert words.lists.to_list() == lists
    assert list(words.end - words.start) == [len(some) for some in lists]
    assert list(words.document) == [i for i, some in enumerate(lists) for _ in some]
    flat = pl.Series([word for some in lists for word in some], dtype=pl.String)
    assert np.array_equal(words.hash, flat.hash().to_numpy())


@pytest.mark.parametrize("between", ["", " ", "a", "我"])
def test_every_character_is_classed_as_by_the_definition(between: str) -> None:
    text = between.join(EVERY_CHARACTER)
    assert content_words(pl.Series([text])).lists.to_list() == defined([text])


def test_words_are_cut_between_scripts_and_documents() -> None:
    words = content_words(pl.Series(["IMDb 9分, don't", "电影b电影", "", "end"]))
    assert words.lists.to_list() == [
        ["imdb", "9", "分", "don", "t"],
        ["电", "影", "b", "电", "影"],
        [],
        ["end"],
    ]
    assert words.text(1, int(words.start[1]) + 1, 3) == "影 b 电"
