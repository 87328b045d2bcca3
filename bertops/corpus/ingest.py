"""One source → raw documents and a quarantine: nothing that was read is lost silently."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from bertops.corpus.errors import SourceEmpty
from bertops.corpus.params import Scalar, SourceParams
from bertops.corpus.readers import EXCERPT_CHARACTERS, Fault, Record
from bertops.corpus.sources import Item, read_source
from bertops.corpus.tables import QUARANTINE, RAW, ROW_GROUP, PartWriter, write_single
from bertops.document import Split, SplitParams, document_id, split_of
from bertops.progress import progress
from bertops.storage import write_whole

SHARD_DOCUMENTS = 5_000
SHARD_BYTES = 16_000_000  # a worker holds a shard, its words and their hashes in 0.5 GB
SHARD_FILL = 0.25  # of both, on average: a fuller shard would more often end at the limit
SAMPLING = SplitParams(validation=0, test=0, salt="sample")


@dataclass(frozen=True)
class FileCount:
    """Rows of one file: read = kept + filtered + quarantined."""

    file: str
    read: int
    kept: int
    filtered: int
    quarantined: int


@dataclass(frozen=True)
class IngestReport:
    """What was read from one source."""

    source: str
    read: int
    kept: int
    filtered: int
    quarantined: int
    bytes: int
    errors: dict[str, int]
    files: tuple[FileCount, ...]
    licence: str = ""


@dataclass
class _Counts:
    read: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    all_kept: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    bytes: int = 0


def ingest(source: SourceParams, target: Path, quarantine: Path, root: Path) -> IngestReport:
    """Read one source into `target`, and what cannot be read into `quarantine`.

    Args:
        source: what to read, and which of its columns.
        target: gets part-*.parquet of table RAW.
        quarantine: gets part-*.parquet of table QUARANTINE.
        root: folder that the paths of params.yaml start from.

    Raises:
        SourceMissing, SourceEmpty, ColumnMissing, FormatUnknown: the source is not usable.
    """
    counts = _Counts()
    faults: list[dict[str, Any]] = []
    with write_whole(target) as raw_partial, write_whole(quarantine) as quarantine_partial:
        rows = _documents(source, root, counts, faults)
        if not write_raw(rows, raw_partial):
            raise SourceEmpty(
                source.name,
                source.path or str(source.hub),
                counts.quarantined.total(),
                counts.filtered.total(),
            )
        write_single(pl.DataFrame(faults, QUARANTINE), quarantine_partial)
    return _report(source, counts)


def documents(source: SourceParams, root: Path) -> Iterator[dict[str, Any]]:
    """Rows of table RAW that `ingest` would write; what it would set aside is left out."""
    return _documents(source, root, _Counts(), [])


def _documents(
    source: SourceParams, root: Path, counts: _Counts, faults: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Rows of table RAW; what is set aside is counted, and faults are collected."""
    bar = progress(read_source(source, root), what=f"ingest {source.name}", unit="rows")
    for item in bar:
        counts.read[item.file] += 1
        found = _check(item, source)
        if isinstance(found, Fault):
            counts.quarantined[item.file] += 1
            counts.errors[found.error.split(":")[0]] += 1
            faults.append(_fault_row(source, item.file, found))
        elif found is None:
            counts.filtered[item.file] += 1
        else:
            counts.kept[item.file] += 1
            counts.all_kept += 1
            counts.bytes += len(found["text"].encode())
            yield found
        if counts.all_kept == source.max_documents:
            return


def _check(item: Item, source: SourceParams) -> dict[str, Any] | Fault | None:
    """A row of table RAW, a fault, or None where `where` or `weight` leave the row out."""
    found = item.found
    if isinstance(found, Fault):
        return found
    if not chosen(found.columns, source.where):
        return None
    text = found.columns.get(source.text_column)
    if not isinstance(text, str):
        kind = "missing" if text is None else f"a {type(text).__name__}, expected text"
        return Fault(found.row, f"{source.text_column!r} is {kind}", _excerpt(found.columns))
    if len(storable(text).encode()) > source.max_document_bytes:
        error = f"the document is longer than {source.max_document_bytes:,} bytes"
        return Fault(found.row, error, text[:EXCERPT_CHARACTERS])
    identity = document_id(text)
    if source.weight < 1 and not _sampled(identity, source.weight):
        return None
    return _raw_row(item.file, found, text, identity, source)


def chosen(columns: dict[str, Any], where: dict[str, Scalar | list[Scalar]]) -> bool:
    """Whether a row has, in every column of `where`, the value or one of the values asked for.

    Compared as text, since a CSV knows no other type: 1 and "1" are equal.
    """
    return all(
        str(columns.get(name))
        in {str(x) for x in (wanted if isinstance(wanted, list) else [wanted])}
        for name, wanted in where.items()
    )


def _sampled(identity: str, weight: float) -> bool:
    """Growing a weight adds documents and takes none away."""
    split: Split = split_of(identity, SAMPLING.model_copy(update={"test": weight}))
    return split == "test"


def _raw_row(
    file: str, found: Record, text: str, identity: str, source: SourceParams
) -> dict[str, Any]:
    user_id = found.columns.get(source.id_column) if source.id_column else None
    meta = {name: found.columns.get(name) for name in source.meta_columns}
    return {
        "doc_id": identity,
        "source": source.name,
        "file": file,
        "row": found.row,
        "user_id": None if user_id is None else storable(str(user_id)),
        "text": storable(text),
        "meta": storable(json.dumps(meta, ensure_ascii=False, sort_keys=True, default=str)),
    }


def storable(text: str) -> str:
    """`text` with lone surrogates, which no UTF-8 file can hold, turned into U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _excerpt(columns: dict[str, Any]) -> str:
    return json.dumps(columns, ensure_ascii=False, default=str)[:EXCERPT_CHARACTERS]


def _fault_row(source: SourceParams, file: str, fault: Fault) -> dict[str, Any]:
    return {
        "source": source.name,
        "file": file,
        "row": fault.row,
        "error": storable(fault.error),
        "excerpt": storable(fault.excerpt),
    }


def write_raw(rows: Iterable[dict[str, Any]], target: Path) -> int:
    """Write rows of table RAW as parts; returns how many rows.

    Where a part ends is drawn by lot for each row, by a hash of it. So a file that is added to a
    source changes the parts that it falls into and leaves the others, which need no work again.
    """
    with PartWriter(target, RAW, SHARD_DOCUMENTS, SHARD_BYTES) as writer:
        waiting: list[dict[str, Any]] = []
        for row in rows:
            waiting.append(row)
            ends = _ends_part(row)
            if ends or len(waiting) == ROW_GROUP:
                writer.write(pl.DataFrame(waiting, RAW))
                waiting = []
            if ends:
                writer.end_part()
        writer.write(pl.DataFrame(waiting, RAW))
    return writer.written


def _ends_part(row: dict[str, Any]) -> bool:
    """Whether a part ends with this row: the larger its text, the more likely."""
    name = f"{row['file']}:{row['row']}:{row['doc_id']}"
    lot = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) / 2**64
    return lot * SHARD_FILL < max(1 / SHARD_DOCUMENTS, len(row["text"].encode()) / SHARD_BYTES)


def _report(source: SourceParams, counts: _Counts) -> IngestReport:
    files = tuple(
        FileCount(file, n, counts.kept[file], counts.filtered[file], counts.quarantined[file])
        for file, n in counts.read.items()
    )
    return IngestReport(
        source=source.name,
        read=counts.read.total(),
        kept=counts.all_kept,
        filtered=counts.filtered.total(),
        quarantined=counts.quarantined.total(),
        bytes=counts.bytes,
        errors=dict(sorted(counts.errors.items())),
        files=files,
        licence=source.licence,
    )
