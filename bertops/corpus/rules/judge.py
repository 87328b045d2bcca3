"""Measures against thresholds: which rules each document of a batch fails."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl

from bertops.corpus.params import RuleParams
from bertops.corpus.rules.c4 import c4
from bertops.corpus.rules.chinese import chinese
from bertops.corpus.rules.fineweb import fineweb
from bertops.corpus.rules.flat import per_document, split_words
from bertops.corpus.rules.gopher import gopher_quality
from bertops.corpus.rules.repetition import NgramRepetition, line_repetition

UNSPACED = ("zh", "ja", "th", "lo", "km", "my")
"""Languages written without spaces between words: rules that count words say nothing on them."""


@dataclass(frozen=True)
class Rule:
    """One limit: a document fails when its measure is below, or above, the threshold."""

    name: str
    """`family.rule`; after it the measure is looked up."""
    measure: str
    side: Literal["min", "max"]
    threshold: float
    chinese: bool = False
    """True: for Chinese documents alone; False: for those in languages with spaces."""

    def failed(self) -> pl.Expr:
        """Whether a document fails; a measure that is undefined fails nothing."""
        value = pl.col(self.measure)
        out = value < self.threshold if self.side == "min" else value > self.threshold
        subject = pl.col("language").eq("zh")
        spaced = ~pl.col("language").is_in(UNSPACED)
        return (out & (subject if self.chinese else spaced)).fill_null(False)


def rules_of(params: RuleParams) -> list[Rule]:
    """Every rule that is switched on, in the order in which the first failure counts."""
    return [*_repetition(params), *_gopher(params), *_c4(params), *_fineweb(params), *_zh(params)]


def measure(
    text: pl.Series, language: pl.Series, params: RuleParams
) -> tuple[pl.DataFrame, pl.Series]:
    """Every measure of a batch that its languages ask for.

    Args:
        text: the texts of the batch.
        language: ISO 639-1 code of each.
        params: which families are measured.

    Returns:
        Columns `family.measure`, one row a document, null where a family does not apply; and the
        texts, without the lines that C4 removes when `c4.drop_lines` is set.
    """
    table = pl.DataFrame({"text": text, "language": language}).with_row_index("document")
    spaced = table.filter(~pl.col("language").is_in(UNSPACED))
    han = table.filter(pl.col("language") == "zh")
    measures, shortened = _measure_spaced(spaced["text"], params)
    found = [spaced.select("document").hstack(measures)]
    if params.chinese.enabled:
        found.append(han.select("document").hstack(_named(chinese(han["text"]), "chinese")))
    every = pl.concat([table.select("document").head(0), *found], how="diagonal")
    joined = table.select("document").join(every, on="document", how="left", maintain_order="left")
    return joined.drop("document"), text.scatter(spaced["document"], shortened)


def _measure_spaced(text: pl.Series, params: RuleParams) -> tuple[pl.DataFrame, pl.Series]:
    """Measures of all families for languages that put spaces between words."""
    words = split_words(text)
    quality = gopher_quality(text, words)
    found, tokens = [_named(quality, "gopher")], quality["tokens"]
    if params.gopher_repetition.enabled:
        found.append(_named(_repetition_measures(text, words, params), "repetition"))
    if params.c4.enabled:
        measured, passing = c4(text, params.c4)
        found.append(_named(measured, "c4"))
        if params.c4.drop_lines:
            counted = pl.len().alias("tokens")
            tokens = per_document(split_words(passing), len(passing), counted)["tokens"]
            text = passing
    if params.fineweb.enabled:
        found.append(_named(fineweb(text, tokens, params.fineweb), "fineweb"))
    return pl.concat(found, how="horizontal"), text


def _repetition_measures(text: pl.Series, words: pl.DataFrame, params: RuleParams) -> pl.DataFrame:
    limits = params.gopher_repetition
    grams = NgramRepetition(words, text.str.len_chars())
    found = grams.measure(limits.max_top_ngram, limits.max_duplicate_ngrams)
    return pl.concat([line_repetition(text), found], how="horizontal")


def _named(table: pl.DataFrame, family: str) -> pl.DataFrame:
    return table.rename({name: f"{family}.{name}" for name in table.columns})


def _repetition(params: RuleParams) -> Iterator[Rule]:
    p = params.gopher_repetition
    if not p.enabled:
        return
    yield _most("repetition.duplicate_paragraphs", p.max_duplicate_paragraphs)
    yield _most("repetition.duplicate_paragraph_characters", p.max_duplicate_paragraph_characters)
    yield _most("repetition.duplicate_lines", p.max_duplicate_lines)
    yield _most("repetition.duplicate_line_characters", p.max_duplicate_line_characters)
    for n, limit in p.max_top_ngram.items():
        yield _most(f"repetition.top_{n}gram", limit)
    for n, limit in p.max_duplicate_ngrams.items():
        yield _most(f"repetition.duplicate_{n}gram", limit)


def _gopher(params: RuleParams) -> Iterator[Rule]:
    p = params.gopher_quality
    if not p.enabled:
        return
    yield Rule("gopher.too_few_words", "gopher.words", "min", p.min_words)
    yield Rule("gopher.too_many_words", "gopher.words", "max", p.max_words)
    yield Rule("gopher.words_too_short", "gopher.mean_word_length", "min", p.min_mean_word_length)
    yield Rule("gopher.words_too_long", "gopher.mean_word_length", "max", p.max_mean_word_length)
    yield _most("gopher.hash_ratio", p.max_hash_ratio)
    yield _most("gopher.ellipsis_ratio", p.max_ellipsis_ratio)
    yield _most("gopher.bullet_lines", p.max_bullet_lines)
    yield _most("gopher.ellipsis_lines", p.max_ellipsis_lines)
    yield _least("gopher.alphabetic_words", p.min_alphabetic_words)
    yield _least("gopher.stop_words", p.min_stop_words)


def _c4(params: RuleParams) -> Iterator[Rule]:
    p = params.c4
    if not p.enabled:
        return
    if p.lorem_ipsum:
        yield _most("c4.lorem_ipsum", 0)
    if p.curly_bracket:
        yield _most("c4.curly_bracket", 0)
    yield Rule("c4.too_few_sentences", "c4.sentences", "min", p.min_sentences)


def _fineweb(params: RuleParams) -> Iterator[Rule]:
    p = params.fineweb
    if not p.enabled:
        return
    yield _least("fineweb.line_punctuation", p.min_line_punctuation)
    yield _most("fineweb.short_lines", p.max_short_lines)
    yield _most("fineweb.duplicate_line_characters", p.max_duplicate_line_characters)
    yield _most("fineweb.newline_ratio", p.max_newline_ratio)


def _zh(params: RuleParams) -> Iterator[Rule]:
    p = params.chinese
    if not p.enabled:
        return
    yield Rule("chinese.too_short", "chinese.characters", "min", p.min_characters, True)
    yield _least("chinese.chinese_share", p.min_chinese_share, chinese=True)
    yield _least("chinese.paragraph_characters", p.min_paragraph_characters, chinese=True)
    yield _least("chinese.end_punctuation", p.min_end_punctuation, chinese=True)
    yield _most("chinese.duplicate_ngrams", p.max_duplicate_ngrams, chinese=True)


def _most(name: str, threshold: float, *, chinese: bool = False) -> Rule:
    return Rule(name, name, "max", threshold, chinese)


def _least(name: str, threshold: float, *, chinese: bool = False) -> Rule:
    return Rule(name, name, "min", threshold, chinese)
