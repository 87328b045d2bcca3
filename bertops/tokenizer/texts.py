"""The texts of a corpus directory, one at a time and in a fixed order."""

from collections.abc import Iterator
from pathlib import Path

from bertops.errors import BertopsError


class NoDocuments(BertopsError):
    """A corpus directory holds nothing to read."""

    def __init__(self, corpus: Path, why: str) -> None:
        self.corpus = corpus
        super().__init__(
            f"{corpus}: {why}. Expected part-*.parquet with a column 'text' and at least one row; "
            "run the `clean` stage, and look at its report if it kept no document."
        )


def list_parts(corpus: Path) -> list[Path]:
    """Files of a corpus directory, in the order in which they are read."""
    return sorted(corpus.glob("part-*.parquet"))


def read_texts(corpus: Path) -> Iterator[str]:
    """Texts of `corpus`/part-*.parquet, by file name and row; one row group is in memory.

    Raises:
        NoDocuments: there is no file, no column `text`, or no row.
    """
    parts = list_parts(corpus)
    if not parts:
        raise NoDocuments(corpus, "no part-*.parquet found")
    any_row = False
    for path in parts:
        for text in read_part(path):
            any_row = True
            yield text
    if not any_row:
        raise NoDocuments(corpus, "no rows")


def read_part(path: Path) -> Iterator[str]:
    """Texts of one file, by row; one row group is in memory.

    Raises:
        NoDocuments: there is no column `text`.
    """
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        if "text" not in file.schema_arrow.names:
            raise NoDocuments(path, f"no column 'text' among {file.schema_arrow.names}")
        for batch in file.iter_batches(batch_size=1024, columns=["text"]):
            yield from batch.column(0).to_pylist()


def count_texts(corpus: Path) -> int:
    """Number of documents, read from the files' footers alone."""
    import pyarrow.parquet as parquet

    return sum(parquet.read_metadata(path).num_rows for path in list_parts(corpus))
