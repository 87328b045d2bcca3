"""The tables that the corpus is made of: columns, types, and writing them in parts."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

RAW = pl.Schema(
    {
        "doc_id": pl.String,  # document_id of the text as read
        "source": pl.String,
        "file": pl.String,  # as declared; members of an archive follow after `!`
        "row": pl.Int64,  # 0-based row, line or entry of the file
        "user_id": pl.String,
        "text": pl.String,
        "meta": pl.String,  # JSON object of `meta_columns`, keys sorted
    }
)
"""Documents as read: data/raw/<source>/part-*.parquet."""

QUARANTINE = pl.Schema(
    {
        "source": pl.String,
        "file": pl.String,
        "row": pl.Int64,
        "error": pl.String,
        "excerpt": pl.String,
    }
)
"""Input that could not be read: data/quarantine/<source>/part-*.parquet."""

CORPUS = pl.Schema(
    {
        "doc_id": pl.String,
        "source": pl.String,
        "file": pl.String,
        "row": pl.Int64,
        "user_id": pl.String,
        "text": pl.String,
        "meta": pl.String,
        "language": pl.String,
        "language_score": pl.Float64,
        "characters": pl.Int64,
        "words": pl.Int64,
        "text_hash": pl.String,  # 32 hexadecimal digits of the words of the text
        "cluster": pl.String,  # doc_id of the document kept for all its copies; null: no copies
        "edits": pl.String,  # JSON object: edit → how often it was applied
        "config": pl.String,  # hash of the parameters that made the document
    }
)
"""Documents worth training on: data/corpus/{train,validation}/part-*.parquet."""

LEDGER = pl.Schema(
    {
        "doc_id": pl.String,
        "source": pl.String,
        "file": pl.String,
        "row": pl.Int64,
        "user_id": pl.String,
        "step": pl.String,
        "rule": pl.String,
        "value": pl.Float64,
        "threshold": pl.Float64,
        "first": pl.Boolean,  # the reason that counts: the first failed rule of the document
        "duplicate_of": pl.String,
        "detail": pl.String,  # matched n-gram, evaluation set, language found
        "bytes": pl.Int64,  # UTF-8 bytes of the text as read
        "excerpt": pl.String,
    }
)
"""One row for each rule that a dropped document failed: data/ledger/part-*.parquet."""

ROW_GROUP = 1_000
"""Documents in a row group: what a reader has in memory at once."""


def write_part(table: pl.DataFrame, directory: Path, number: int) -> Path:
    """Write one part; same table, same bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"part-{number:05d}.parquet"
    table.write_parquet(path, compression="zstd", row_group_size=ROW_GROUP, statistics=False)
    return path


def write_parts(
    tables: Iterable[pl.DataFrame], directory: Path, schema: pl.Schema, max_documents: int
) -> int:
    """Write tables one after the other, in parts of at most `max_documents` rows.

    An empty sequence writes one part without rows, so that readers need no special case.

    Returns:
        Number of rows written.
    """
    written = number = 0
    waiting = schema.to_frame()
    for table in tables:
        waiting = pl.concat([waiting, table.select(schema.names()).cast(schema)])
        while len(waiting) >= max_documents:
            write_part(waiting.head(max_documents), directory, number)
            waiting = waiting.slice(max_documents)
            written, number = written + max_documents, number + 1
    if len(waiting) or not number:
        write_part(waiting, directory, number)
    return written + len(waiting)


def parts(directory: Path) -> list[Path]:
    """The parts of a table, in order."""
    return sorted(directory.glob("part-*.parquet"))


def scan(directory: Path) -> pl.LazyFrame:
    """A lazy view of all parts of a table."""
    return pl.scan_parquet(directory / "part-*.parquet")


def batches(path: Path, size: int = ROW_GROUP) -> Iterator[pl.DataFrame]:
    """The rows of one part, `size` at a time: 1,000 documents are what Polars is fastest on.

    Measured on 84 MB of English, in MB per CPU-second: 3.1 in batches of 1,000 documents (0.2 GB
    of memory), 2.4 in one batch (3.2 GB).
    """
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(size):
            table = pl.from_arrow(batch)
            assert isinstance(table, pl.DataFrame)
            yield table
