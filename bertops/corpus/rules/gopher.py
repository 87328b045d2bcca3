"""Gopher quality rules. Source: Rae et al. 2021, appendix A.1; details as in datatrove."""

import polars as pl

from bertops.corpus.rules.flat import per_document, split_lines
from bertops.corpus.rules.marks import PUNCTUATION_ONLY

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


def gopher_quality(text: pl.Series, words: pl.DataFrame) -> pl.DataFrame:
    """Measures of the Gopher quality rules, one row a document.

    Args:
        text: the texts of the batch.
        words: `split_words` of them.
    """
    n = len(text)
    is_word = ~pl.col("word").str.contains(PUNCTUATION_ONLY)
    counted = per_document(
        words,
        n,
        pl.len().alias("tokens"),
        is_word.sum().alias("words"),
        pl.col("length").filter(is_word).mean().alias("mean_word_length"),
        pl.col("word").str.contains(r"\p{Alphabetic}").mean().alias("alphabetic_words"),
        pl.col("word").filter(pl.col("word").is_in(STOP_WORDS)).n_unique().alias("stop_words"),
    )
    return pl.concat([counted, _ratios(text, counted["tokens"]), _lines(text)], how="horizontal")


def _ratios(text: pl.Series, tokens: pl.Series) -> pl.DataFrame:
    ellipses = text.str.count_matches("...", literal=True) + text.str.count_matches(
        "…", literal=True
    )
    hashes = text.str.count_matches("#", literal=True)
    return pl.DataFrame({"hash_ratio": hashes / tokens, "ellipsis_ratio": ellipses / tokens})


def _lines(text: pl.Series) -> pl.DataFrame:
    lines = split_lines(text)
    bulleted = pl.col("line").str.contains(r"^\s*[•-]")
    trailing = pl.col("line").str.contains(r"(?:\.\.\.|…)\s*$")
    return per_document(
        lines,
        len(text),
        bulleted.mean().alias("bullet_lines"),
        trailing.mean().alias("ellipsis_lines"),
    )
