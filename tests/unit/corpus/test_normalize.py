"""Repairs change the form of a text and not what it says."""

import textwrap

import polars as pl
import pytest

from bertops.corpus.normalize import normalize
from bertops.corpus.params import NormalizeParams
from tests.unit.corpus.test_rules import PROSE


def repaired(text: str, **params: object) -> str:
    """The text after all repairs."""
    series, _ = normalize(pl.Series("text", [text]), NormalizeParams(**params))  # type: ignore[arg-type]
    return series[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("One.<br /><br />Two.<BR>Three.", "One.\n\nTwo.\nThree."),
        ("An <i>old</i> house</p><p>and a dog", "An old house\n\nand a dog"),
        ("if a < b and b > c", "if a < b and b > c"),
        ("Tom &amp; Jerry &lt;3 &#233;", "Tom & Jerry <3 é"),
        ("<script>var x = '<b>';</script>text<!-- note -->", "text"),
        ("see http://example.com/a?b=c, or www.example.org.", "see , or ."),
        ("a\r\nb\rc\u2028d\u0085e", "a\nb\nc\nd\ne"),
        ("too   many\t\u00a0blanks  \n\n\n\n  here ", "too many blanks\n\nhere"),
        (
            "nul\0 bell\x07 zero\u200bwidth soft\u00adhyphen \ufeffbom",
            "nul bell zerowidth softhyphen bom",
        ),
        ("right\u202eto\u202cleft \u2066and\u2069 tag\U000e0041s", "righttoleft and tags"),
        ("e\u0301", "é"),
        ("ＡＢＣ１２３，中文。", "ABC123，中文。"),
        ("schÃ¶n â€œquotedâ€\x9d", "schön “quoted”"),
        ("plain text stays", "plain text stays"),
    ],
)
def test_repairs(before: str, after: str) -> None:
    assert repaired(before) == after


@pytest.mark.parametrize("text", ["می\u200cخواهم", "क्\u200dष", "👩\u200d👩\u200d👧", "ശ്രീ\u200d"])
def test_joiners_stay_where_a_script_needs_them(text: str) -> None:
    assert repaired(text) == text


def test_own_dirt_is_replaced_in_order_and_noted() -> None:
    text = pl.Series("text", ["迈向/v  充满/v  １９９８年/t", "3/4 of it"])
    params = NormalizeParams(replace={r"/[a-z]+\d*\s*": "", "(?i)(O)F": "$1-f"})
    after, edits = normalize(text, params)
    assert after.to_list() == ["迈向充满1998年", "3/4 o-f it"]
    assert edits.to_list() == [["replace", "full_width"], ["replace"]]


@pytest.mark.parametrize(
    ("pattern", "why"), [("(", "unclosed group"), ("a(?=b)", "look-around.*is not supported")]
)
def test_a_pattern_that_is_none_is_refused_with_the_reason(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        NormalizeParams(replace={pattern: ""})


def test_joiners_go_where_they_hide_in_words() -> None:
    assert repaired("pass\u200dword \u200copen") == "password open"


def test_100000_combining_marks_become_eight() -> None:
    assert len(repaired("a" + "\u0300" * 100_000)) <= 9


def test_repairs_are_named_for_the_documents_they_changed() -> None:
    texts = pl.Series("text", ["a<br />b", "plain", "see http://example.com/x now"])
    _, edits = normalize(texts, NormalizeParams())
    assert edits.to_list() == [["markup"], [], ["urls"]]


def test_repairing_twice_equals_once() -> None:
    text = "A &amp; B<br />\r\n  http://example.com/x  ＡＢ\u200b end"
    assert repaired(repaired(text)) == repaired(text)


def test_switched_off_it_changes_nothing() -> None:
    text = "a<br />  b\r\n"
    assert repaired(text, enabled=False) == text


def test_addresses_stay_when_asked() -> None:
    assert repaired("see http://example.com/a", urls="keep") == "see http://example.com/a"


def test_traditional_chinese_becomes_simplified_when_asked() -> None:
    pytest.importorskip("opencc")
    assert repaired("漢語與電腦", chinese="simplified") == "汉语与电脑"


def wrapped(text: str, width: int) -> str:
    """Paragraphs wrapped at a width."""
    return "\n\n".join(textwrap.fill(part, width) for part in text.split("\n\n"))


def test_wrapped_paragraphs_become_lines_again() -> None:
    text = "\n\n".join(" ".join(PROSE.split()) for _ in range(4))
    assert repaired(wrapped(text, 65)) == text


def test_a_line_that_is_not_full_ends_a_paragraph() -> None:
    talk = "\n".join(wrapped(" ".join(PROSE.split()), 65) + f'\n"Yes," said {n}.' for n in range(4))
    lines = repaired(talk).split("\n")
    assert [line for line in lines if line.startswith('"Yes,"')] == [
        f'"Yes," said {n}.' for n in range(4)
    ]
    assert len(lines) == 8


def test_verse_stays_as_it_is() -> None:
    verse = """\
Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;"""
    poem = "\n".join([verse] * 5)
    assert repaired(poem) == poem
