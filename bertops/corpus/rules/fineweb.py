"""FineWeb's rules. Source: Penedo et al. 2024, section 3.6; details as in datatrove."""

import polars as pl

from bertops.corpus.params import FineWebParams
from bertops.corpus.rules.flat import per_document, split_lines
from bertops.corpus.rules.marks import TERMINAL


def fineweb(text: pl.Series, words: pl.Series, params: FineWebParams) -> pl.DataFrame:
    """Measures of FineWeb's rules, one row a document.

    Args:
        text: the texts of the batch.
        words: number of words of each.
        params: what counts as a short line.
    """
    lines = split_lines(text).filter(pl.col("line").str.contains(r"\S"))
    found = per_document(
        lines.with_columns(again=~pl.struct("document", "hash").is_first_distinct()),
        len(text),
        pl.col("line").str.contains(TERMINAL).mean().alias("line_punctuation"),
        (pl.col("length") <= params.short_line).mean().alias("short_lines"),
        pl.col("length").filter("again").sum().alias("repeated"),
    )
    newlines = text.str.count_matches("\n", literal=True)
    characters = text.str.len_chars() - newlines
    return found.drop("repeated").with_columns(
        (found["repeated"] / characters).alias("duplicate_line_characters"),
        (newlines / words).alias("newline_ratio"),
    )
