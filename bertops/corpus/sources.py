"""Sources → records: which files a source is, and every row of them in a stable order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bertops.corpus.encoding import open_text
from bertops.corpus.errors import FormatUnknown, PackageMissing, SourceMissing
from bertops.corpus.opening import Caps, Damaged, chunks, split_suffix
from bertops.corpus.params import SourceParams
from bertops.corpus.readers import READERS, Fault, Record, Text, check_columns, wanted_columns

TABLE_BATCH_ROWS = 1_000
HUB_FOLDER_MARK = "dataset_info.json"


@dataclass(frozen=True)
class Item:
    """One record or fault, and the file that it is from."""

    file: str
    found: Record | Fault


def read_source(source: SourceParams, root: Path) -> Iterator[Item]:
    """Every record of a source, files in the order of their names.

    Raises:
        SourceMissing: nothing is there.
        FormatUnknown: a file that no reader knows.
        ColumnMissing: a table without a column that params.yaml names.
    """
    if source.hub is not None:
        yield from (Item(source.hub, found) for found in _read_hub(source, source.hub, root))
        return
    for file in find_files(source, root):
        yield from read_file(file, label(file, root), source)


def label(file: Path, root: Path) -> str:
    """How a file is named in every table: relative to the project where it lies inside."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()


def find_files(source: SourceParams, root: Path) -> list[Path]:
    """The files of a source, sorted by name: a file, all readable ones of a folder, or a glob.

    A file that is named, alone or by a glob, must be readable; in a folder, others are passed
    over, because folders also hold licences and checksums.
    """
    assert source.path is not None
    place = root / source.path
    if place.is_dir():
        found = [path for path in place.rglob("*") if path.is_file() and _known(path.name)]
    elif place.is_file():
        found = [place]
    else:
        found = list(_glob(root, source.path))
    files = sorted(path for path in found if path.is_file())
    if not files:
        raise SourceMissing(source.name, source.path)
    return files


def _glob(root: Path, pattern: str) -> Iterator[Path]:
    """Files of a glob, which may be an absolute one; `**` stands for any number of folders."""
    anchor = Path(pattern).anchor
    yield from Path(anchor or root).glob(pattern.removeprefix(anchor))


def known_suffixes() -> list[str]:
    """Suffixes that can be read."""
    return [*READERS, ".parquet"]


def _known(name: str) -> bool:
    return split_suffix(name)[0] in known_suffixes() and not name.startswith(".")


def read_file(path: Path, name: str, source: SourceParams) -> Iterator[Item]:
    """Every record of one file. Damage in the middle keeps what came before it."""
    suffix, compression = split_suffix(path.name)
    if suffix not in known_suffixes():
        raise FormatUnknown(source.name, name, known_suffixes())
    if suffix == ".parquet":
        yield from (Item(name, found) for found in _read_parquet(path, name, source))
        return
    with path.open("rb") as file:
        yield from _read_stream(file, name, suffix, compression, source)


def _read_stream(
    file: BinaryIO, name: str, suffix: str, compression: str, source: SourceParams
) -> Iterator[Item]:
    row = -1
    try:
        caps = Caps(source.max_file_bytes, source.max_ratio)
        stream, encoding = open_text(chunks(file, compression, caps))
        for found in READERS[suffix](Text(name, stream, encoding), source):
            row = found.row
            yield Item(name, found)
    except Damaged as damage:
        yield Item(name, Fault(row + 1, f"the rest of the file is not readable: {damage}"))


def _read_parquet(path: Path, name: str, source: SourceParams) -> Iterator[Record | Fault]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 0
    try:
        with pq.ParquetFile(path) as file:
            check_columns(name, file.schema_arrow.names, source)
            for batch in file.iter_batches(TABLE_BATCH_ROWS, columns=wanted_columns(source)):
                for columns in batch.to_pylist():
                    yield Record(row, columns)
                    row += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        yield Fault(row, f"the rest of the file is not readable: {error}")


def _read_hub(source: SourceParams, name: str, root: Path) -> Iterator[Record]:
    """Rows of a Hugging Face dataset: a folder that `save_to_disk` wrote, or one of the hub."""
    try:
        import datasets
    except ImportError:
        raise PackageMissing("datasets", f"source {source.name!r} needs it", "") from None
    folder = root / name
    if folder.is_dir() and any(folder.rglob(HUB_FOLDER_MARK)):
        loaded: Any = datasets.load_from_disk(str(folder))
        table = loaded[source.hub_split] if isinstance(loaded, dict) else loaded
    else:
        dataset, _, config = (str(folder) if folder.is_dir() else name).partition(":")
        table = _load_hub(datasets, source, dataset, config or None)
    check_columns(name, list(table.column_names or wanted_columns(source)), source)
    yield from (Record(row, dict(columns)) for row, columns in enumerate(table))


def _load_hub(datasets: Any, source: SourceParams, dataset: str, config: str | None) -> Any:
    try:
        return datasets.load_dataset(dataset, config, split=source.hub_split, streaming=True)
    except Exception as error:  # datasets raises whatever its parts raise
        raise SourceMissing(source.name, f"{dataset} ({error})") from error
