"""Files of texts in, files of predictions out, in bounded memory.

Rows are read, asked and written a thousand at a time. A row that cannot be asked goes to a side
file with the reason and stops nothing.
"""

import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol

from bertops.compression import DAMAGE, open_unpacked, split_suffix
from bertops.document import has_half_characters
from bertops.errors import UsageError
from bertops.inference.reader import Prediction
from bertops.progress import progress
from bertops.storage import remove, write_whole

CHUNK_ROWS = 1000
MAX_CHARACTERS = 1_000_000  # of one text; a novel is no row, and would stop a batch for minutes
HALVES = "backslashreplace"
"""What is written of a character that was cut in half: the escape that JSON has for it."""
Ask = Callable[[list[dict[str, str]]], list[Prediction]]
Check = Callable[[dict[str, str]], str | None]
"""From an example to the reason why it cannot be asked, if there is one."""


@dataclass(frozen=True)
class Row:
    """A row of the input, or why it is none."""

    number: int
    """0-based, header not counted."""
    values: Mapping[str, Any]
    problem: str | None = None


@dataclass(frozen=True)
class StreamReport:
    """What came of a file."""

    read: int
    predicted: int
    bad: int
    bad_rows: str | None
    """The side file; None without bad rows."""


def predict_file(
    ask: Ask,
    source: Path,
    target: Path,
    columns: Mapping[str, str],
    bad_rows: Path | None = None,
    check: Check | None = None,
) -> StreamReport:
    """Ask every row of `source` and write the predictions to `target`, both whole or not at all.

    Formats go by suffix: .jsonl, .csv, .tsv, .parquet; lines may be compressed (.jsonl.gz) where
    they are read. JSON Lines keep the columns of the input; tables have the row number, the texts
    that were asked, the prediction and its probabilities.

    Args:
        ask: from examples to predictions.
        columns: key of the example → column of the file, such as {"text": "review"}.
        bad_rows: the side file, JSON Lines with row, problem and values; `<target>.bad.jsonl`.
        check: what the model wants of an example beyond texts that are not empty.

    Raises:
        UsageError: no such file, a suffix that is no format, or a file that is damaged.
    """
    side = bad_rows or target.with_name(f"{target.name}.bad.jsonl")
    writer_class = _of_suffix(target, target.suffix.lower(), WRITERS)
    rows = _of_suffix(source, split_suffix(source.name)[0], READERS)(source)
    read = predicted = 0
    with (
        write_whole(target) as good,
        write_whole(side) as bad,
        writer_class(good, list(columns.values())) as writer,
        bad.open("w", encoding="utf-8", errors=HALVES) as problems,
    ):
        for chunk in _chunks(progress(rows, what=f"asking {source.name}", unit="row")):
            fine, broken = _divide(chunk, columns, check)
            for row in broken:
                line = {"row": row.number, "problem": row.problem, "values": dict(row.values)}
                problems.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
            found = ask([example for _, example in fine]) if fine else []
            writer.write([row for row, _ in fine], found)
            read, predicted = read + len(chunk), predicted + len(fine)
    if read == predicted:
        remove(side)
    return StreamReport(read, predicted, read - predicted, str(side) if read > predicted else None)


def _of_suffix(path: Path, suffix: str, known: Mapping[str, Any]) -> Any:
    if suffix not in known:
        raise UsageError(f"{path}: format unknown; known are {', '.join(known)}")
    return known[suffix]


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK_ROWS)):
        yield chunk


def _divide(
    rows: Sequence[Row], columns: Mapping[str, str], check: Check | None
) -> tuple[list[tuple[Row, dict[str, str]]], list[Row]]:
    """Rows with their examples, and rows with their problems."""
    fine, broken = [], []
    for row in rows:
        problem = row.problem or _problem(row, columns)
        example = {key: str(row.values.get(name)) for key, name in columns.items()}
        if problem is None and check is not None:
            problem = check(example)
        if problem is None:
            fine.append((row, example))
        else:
            broken.append(Row(row.number, row.values, problem))
    return fine, broken


def _problem(row: Row, columns: Mapping[str, str]) -> str | None:
    for name in columns.values():
        if row.values.get(name) is None:
            return f"no column {name!r}"
        text = row.values[name]
        if not isinstance(text, str):
            return f"{name!r} is no text but {type(text).__name__}"
        if not text.strip():
            return f"{name!r} is empty"
        if has_half_characters(text):
            return f"{name!r} has half a character, a surrogate without its other"
        if len(text) > MAX_CHARACTERS:
            return f"{name!r} has {len(text):,} characters, at most {MAX_CHARACTERS:,} are read"
    return None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    return path


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with open_unpacked(_existing(path)) as file:
            yield file
    except DAMAGE as error:
        raise UsageError(
            f"{path}: cannot be read to its end, so nothing is kept: {error}"
        ) from error


def _read_jsonl(path: Path) -> Iterator[Row]:
    with _opened(path) as lines:
        for number, line in enumerate(lines):
            try:
                values = json.loads(line.decode("utf-8-sig" if number == 0 else "utf-8"))
            except (ValueError, RecursionError) as error:
                text = line[:200].decode("utf-8", errors="replace")
                yield Row(number, {"line": text}, f"no JSON in UTF-8: {error}")
                continue
            if isinstance(values, dict):
                yield Row(number, values)
            else:
                yield Row(number, {"line": str(values)[:200]}, "no JSON object")


def _read_csv(path: Path, separator: str = ",", quoted: bool = True) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    with _opened(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        more: Any = {} if quoted else {"quoting": csv.QUOTE_NONE}
        reader = csv.DictReader(text, delimiter=separator, strict=quoted, **more)
        for number, values in enumerate(_csv_rows(reader)):
            if isinstance(values, str):
                yield Row(number, {}, values)
                continue
            kept = {str(name): value for name, value in values.items()}
            if None in values or None in values.values():
                yield Row(number, kept, f"not the {len(reader.fieldnames or ())} columns of row 0")
            elif any("\udc80" <= c <= "\udcff" for value in kept.values() for c in value):
                clean = {k: v.encode("utf-8", "replace").decode() for k, v in kept.items()}
                yield Row(number, clean, "bytes that are no UTF-8")
            else:
                yield Row(number, kept)


def _csv_rows(reader: "csv.DictReader[str]") -> Iterator[dict[str, str] | str]:
    """Rows, or why there is none: a quotation mark that is not closed takes in all that follows."""
    while True:
        begin = reader.line_num + 1
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"quotation marks in lines {begin} to {reader.reader.line_num}: {error}"


def _read_tsv(path: Path) -> Iterator[Row]:
    """A quotation mark is one: as in the files that tasks are trained on."""
    return _read_csv(path, "\t", quoted=False)


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        for batch in pq.ParquetFile(_existing(path)).iter_batches(CHUNK_ROWS):
            for values in batch.to_pylist():
                yield Row(number, values)
                number += 1
    except pa.ArrowException as error:
        raise UsageError(f"{path}: no whole Parquet file: {error}") from error


READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}


class Writer(Protocol):
    """Writes predictions as they come."""

    def __enter__(self) -> "Writer":
        """Open."""

    def __exit__(self, *error: object) -> None:
        """Close."""

    def write(self, rows: Sequence[Row], found: Sequence[Prediction]) -> None:
        """Append."""


class _JsonlWriter:
    """Columns of the input, then those of the prediction."""

    def __init__(self, path: Path, texts: Sequence[str]) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", errors=HALVES)

    def __enter__(self) -> "_JsonlWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, rows: Sequence[Row], found: Sequence[Prediction]) -> None:
        for row, prediction in zip(rows, found, strict=True):
            line = {"row": row.number, **row.values, **prediction}
            self._file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")


class _TableWriter:
    """Row number, texts, prediction, probabilities; those that are no text are written as JSON."""

    def __init__(self, path: Path, texts: Sequence[str]) -> None:
        self._path = path
        self._texts = [name for name in texts if name not in ("row", "prediction", "probabilities")]
        self._writer: Any = None

    def __enter__(self) -> "_TableWriter":
        self.write([], [])  # so that an input without rows gives a table without rows
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, rows: Sequence[Row], found: Sequence[Prediction]) -> None:
        import pyarrow as pa

        text = pa.string()
        table = pa.table(
            {"row": pa.array([row.number for row in rows], pa.int64())}
            | {name: pa.array([row.values[name] for row in rows], text) for name in self._texts}
            | {
                name: pa.array([_cell(one[name]) for one in found], text)
                for name in ("prediction", "probabilities")
            }
        )
        if self._writer is None:
            self._writer = self._open(table.schema)
        self._writer.write_table(table)

    def _open(self, schema: Any) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetWriter(self._path, schema)


class _CsvWriter(_TableWriter):
    """The same as CSV."""

    def _open(self, schema: Any) -> Any:
        import pyarrow.csv

        return pyarrow.csv.CSVWriter(self._path, schema)


def _cell(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


WRITERS: Mapping[str, Callable[[Path, Sequence[str]], Writer]] = {
    ".jsonl": _JsonlWriter,
    ".csv": _CsvWriter,
    ".parquet": _TableWriter,
}
