"""Tables as records: Parquet files, and Hugging Face datasets from the hub or a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from bertops.corpus.errors import SourceMissing
from bertops.corpus.params import SourceParams
from bertops.corpus.readers import Fault, Record, check_columns, wanted_columns

BATCH_ROWS = 1_000
SAVED_MARK = "dataset_info.json"


def read_parquet(
    file: Path | IO[bytes], name: str, source: SourceParams
) -> Iterator[Record | Fault]:
    """Rows of a Parquet file, only the columns that the source asks for."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 0
    try:
        with pq.ParquetFile(file) as table:
            check_columns(name, table.schema_arrow.names, source)
            for batch in table.iter_batches(BATCH_ROWS, columns=wanted_columns(source)):
                for columns in batch.to_pylist():
                    yield Record(row, columns)
                    row += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        yield Fault(row, f"the rest of the file is not readable: {error}")


def read_hub(source: SourceParams, name: str, root: Path) -> Iterator[Record | Fault]:
    """Rows of a dataset: a folder that `save_to_disk` wrote, a folder of files, or the hub's.

    Streamed, so that a dataset larger than the disk can be read. What breaks in the middle is
    reported, and what came before it is good.
    """
    import datasets

    folder = root / name
    if folder.is_dir() and any(folder.rglob(SAVED_MARK)):
        loaded: Any = datasets.load_from_disk(str(folder))
        table = loaded[source.hub_split] if isinstance(loaded, dict) else loaded
    else:
        table = _load(source, str(folder) if folder.is_dir() else name)
    check_columns(name, list(table.column_names or wanted_columns(source)), source)
    row = 0
    try:
        for columns in table:
            yield Record(row, dict(columns))
            row += 1
    except Exception as error:  # datasets raises whatever its parts raise
        yield Fault(row, f"the rest of the dataset is not readable: {error}")


def _load(source: SourceParams, name: str) -> Any:
    import datasets

    dataset, _, config = name.partition(":")
    try:
        return datasets.load_dataset(
            dataset, config or None, split=source.hub_split, streaming=True
        )
    except Exception as error:  # datasets raises whatever its parts raise
        raise SourceMissing(source.name, f"{name} ({error})") from error
