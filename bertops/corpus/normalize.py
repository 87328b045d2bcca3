"""The form of a text: encoding, Unicode, markup, addresses, white space. What it says stays.

Each repair is a pure function over a batch. It runs on the documents that a cheap test picks out,
and its name is noted for those that it changed.
"""

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import polars as pl

from bertops.corpus.params import NormalizeParams
from bertops.corpus.unwrapping import WRAPPED_LINES, unwrap
from bertops.extras import require

LINE_ENDS = "\r\n|[\r\u000b\u000c\u001c-\u001e\u0085\u2028\u2029]"
BLANKS = "[\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000 ]+"
# Controls but tab and line feed; bidi controls; zero-width ones but ZWJ and ZWNJ; soft hyphen;
# tag characters; private use of the BOM; noncharacters.
INVISIBLE = (
    "[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\U000e0000-\U000e007f]"
)
# ZWJ and ZWNJ mean something after letters of scripts that join, and between pictures.
JOINERS = re.compile(
    "(?<![\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\ufb50-\ufeff\ufe0f"
    "\u2600-\u27bf\U0001f000-\U0001faff])[\u200c\u200d]+"
)
INLINE_TAGS = (
    r"(?i)</?(?:a|abbr|b|big|cite|code|em|font|i|img|ref|s|small|span|strike|strong|sub|sup|tt|u)"
    r"(?:\s[^<>]{0,500})?/?>"
)
BLOCK_TAGS = (
    r"(?i)\s*</?(?:article|blockquote|body|center|dd|div|dl|dt|footer|h[1-6]|head|header|hr|html|"
    r"li|link|meta|nav|ol|option|p|pre|section|table|tbody|td|th|thead|title|tr|ul)"
    r"(?:\s[^<>]{0,500})?/?>\s*"
)
LINE_BREAK_TAGS = r"(?i)\s*<\s*/?\s*br\s*/?\s*>\s*"
BLOCKS = r"(?is)<(?:script|style)\b[^>]{0,500}>.*?</(?:script|style)>|<!--.*?-->"
ENTITY = r"&(?:[a-zA-Z]{2,31}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});"
URL = r"(?i)\b(?:https?://|ftp://|www\.)[^\s<>\"'”“]*[^\s<>\"'”“.,;:!?)\]]"
MOJIBAKE = "[ÂÃâïðÐÑ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
FULL_WIDTH = {code: code - 0xFEE0 for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B))} | {
    code: code - 0xFEE0 for code in range(0xFF41, 0xFF5B)
}


@dataclass(frozen=True)
class Repair:
    """One repair: the documents it may change, and the change."""

    name: str
    suspect: Callable[[pl.Series], pl.Series]
    apply: Callable[[pl.Series], pl.Series]


def normalize(text: pl.Series, params: NormalizeParams) -> tuple[pl.Series, pl.Series]:
    """Repair the texts of a batch.

    Returns:
        The repaired texts, and for each the list of the repairs that changed it (white space
        apart, which changes nearly all).
    """
    changed: dict[str, pl.Series] = {}
    if params.enabled:
        for repair in repairs_of(params):
            text, changed[repair.name] = _repair(text, repair)
        text = _tidy_whitespace(text)
    names = [pl.when(name).then(pl.lit(name)) for name in changed]
    empty = pl.Series([[]] * len(text), dtype=pl.List(pl.String))
    applied = pl.DataFrame({"": empty} | changed).select(pl.concat_list("", *names))
    return text, applied.to_series().list.drop_nulls().alias("edits")


def _repair(text: pl.Series, repair: Repair) -> tuple[pl.Series, pl.Series]:
    """Apply one repair to the suspected documents alone."""
    suspects = repair.suspect(text).arg_true()
    unchanged = pl.repeat(False, len(text), eager=True)
    if not len(suspects):
        return text, unchanged
    before = text.gather(suspects)
    after = repair.apply(before)
    return text.scatter(suspects, after), unchanged.scatter(suspects, before != after)


def repairs_of(params: NormalizeParams) -> Iterator[Repair]:
    """The repairs that are switched on, in their order."""
    if params.fix_encoding:
        yield Repair("fix_encoding", _has(MOJIBAKE), _each(_fix_encoding))
    yield Repair("line_ends", _has(LINE_ENDS), _replace(LINE_ENDS, "\n"))
    if params.replace:
        yield Repair("replace", _all, _replace_all(params.replace))
    if params.markup:
        yield Repair("entities", _has(ENTITY), _each(html.unescape))
        yield Repair("markup", _contains("<"), _strip_markup)
    yield Repair("invisible", _has(INVISIBLE), _replace(INVISIBLE, ""))
    yield Repair("joiners", _has("[\u200c\u200d]"), _each(lambda text: JOINERS.sub("", text)))
    yield Repair("marks", _has(r"\p{M}{9}"), _replace(r"(\p{M}{8})\p{M}+", "$1"))
    yield Repair("nfc", _not_ascii, lambda text: text.str.normalize("NFC"))
    if params.full_width:
        yield Repair(
            "full_width", _has("[０-９Ａ-Ｚａ-ｚ]"), _each(lambda t: t.translate(FULL_WIDTH))
        )
    if params.chinese == "simplified":
        yield Repair("simplified", _has(r"\p{Han}"), _each(_simplified))
    if params.unwrap:
        yield Repair("unwrap", _many_lines, _each(unwrap))
    if params.urls == "strip":
        yield Repair("urls", _has(r"(?i)https?://|ftp://|\bwww\."), _replace(URL, ""))


def _has(pattern: str) -> Callable[[pl.Series], pl.Series]:
    return lambda text: text.str.contains(pattern)


def _contains(literal: str) -> Callable[[pl.Series], pl.Series]:
    return lambda text: text.str.contains(literal, literal=True)


def _many_lines(text: pl.Series) -> pl.Series:
    return text.str.count_matches("\n", literal=True) >= WRAPPED_LINES


def _all(text: pl.Series) -> pl.Series:
    return pl.repeat(True, len(text), eager=True)


def _not_ascii(text: pl.Series) -> pl.Series:
    return text.str.len_bytes() != text.str.len_chars()


def _replace(pattern: str, value: str) -> Callable[[pl.Series], pl.Series]:
    return lambda text: text.str.replace_all(pattern, value)


def _replace_all(values: dict[str, str]) -> Callable[[pl.Series], pl.Series]:
    def apply(text: pl.Series) -> pl.Series:
        for pattern, value in values.items():
            text = text.str.replace_all(pattern, value)
        return text

    return apply


def _each(function: Callable[[str], str]) -> Callable[[pl.Series], pl.Series]:
    return lambda text: pl.Series(text.name, [function(x) for x in text.to_list()], pl.String)


def _fix_encoding(text: str) -> str:
    import ftfy

    return ftfy.fix_encoding(text)


def _strip_markup(text: pl.Series) -> pl.Series:
    text = text.str.replace_all(BLOCKS, " ")
    text = text.str.replace_all(LINE_BREAK_TAGS, "\n").str.replace_all(BLOCK_TAGS, "\n")
    return text.str.replace_all(INLINE_TAGS, "")


def _simplified(text: str) -> str:
    return _converter().convert(text)


@cache
def _converter() -> Any:
    require("chinese", "opencc", reason="normalize.chinese: simplified needs it")
    import opencc

    return opencc.OpenCC("t2s")


def _tidy_whitespace(text: pl.Series) -> pl.Series:
    """Single blanks, no blanks at line ends, at most one empty line, none around the text."""
    text = text.str.replace_all(BLANKS, " ")
    text = text.str.replace_all(" ?\n ?", "\n").str.replace_all("\n{3,}", "\n\n")
    return text.str.strip_chars()
