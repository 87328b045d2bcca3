"""A batch of documents laid flat: all words, or all lines, one below the other.

Document numbers index the rows of the batch; the columns of one table stay aligned.
"""

import polars as pl

# A run of letters and digits with inner apostrophes, or a run of punctuation.
WORD = r"\w+(?:['’]\w+)*|[^\w\s]+"


def split_words(text: pl.Series) -> pl.DataFrame:
    """Words of every document.

    Returns:
        Columns `document` (row in the batch, u32), `word`, `length` (characters, i64), `hash`
        (u64, stable for one version of Polars). A document without words has no row.
    """
    words = pl.DataFrame({"word": text.str.extract_all(WORD)}).with_row_index("document")
    return _flat(words, "word")


def split_lines(text: pl.Series, separator: str = "\n") -> pl.DataFrame:
    """Lines of every document, empty ones too; columns as in `split_words`, named `line`."""
    lines = pl.DataFrame({"line": text.str.split(separator)}).with_row_index("document")
    return _flat(lines, "line")


def _flat(table: pl.DataFrame, name: str) -> pl.DataFrame:
    return (
        table.explode(name)
        .drop_nulls(name)
        .with_columns(length=pl.col(name).str.len_chars().cast(pl.Int64), hash=pl.col(name).hash())
    )


def per_document(table: pl.DataFrame, documents: int, *measures: pl.Expr) -> pl.DataFrame:
    """Aggregates of a flat table, a row for each document of the batch, null where it has none."""
    found = table.group_by("document").agg(*measures)
    every = pl.DataFrame({"document": pl.arange(0, documents, eager=True, dtype=pl.UInt32)})
    return every.join(found, on="document", how="left", maintain_order="left").drop("document")
