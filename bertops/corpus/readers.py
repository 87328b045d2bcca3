"""Formats → records. A reader yields what it could read and, apart, what it could not."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from bertops.corpus.encoding import Line, lines
from bertops.corpus.errors import ColumnMissing
from bertops.corpus.params import SourceParams

EXCERPT_CHARACTERS = 200
_ESCAPED = re.compile("[\udc80-\udcff]")  # what `surrogateescape` makes of undecodable bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A row that was read: its columns as the file has them."""

    row: int
    columns: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """A row, line or entry that could not be read, and why."""

    row: int
    error: str
    excerpt: str = ""


@dataclass(frozen=True)
class Text:
    """A file to be read: unpacked bytes, and the encoding they are in."""

    name: str
    stream: io.BufferedReader
    encoding: str
    """Empty for formats that say it themselves."""


Reader = Callable[[Text, SourceParams], Iterator[Record | Fault]]


def read_plain(file: Text, source: SourceParams) -> Iterator[Record | Fault]:
    """A text file: one document, or one for each line or paragraph (`unit`).

    A line that cannot be decoded is left out of its document and reported. A document over the
    limit is reported and passed over.
    """
    start, size, collected = 0, 0, list[str]()
    for line in lines(file.stream, file.encoding, source.max_document_bytes):
        if line.error:
            yield Fault(line.number, line.error, line.text[:EXCERPT_CHARACTERS])
            continue
        if _ends_document(line, source) and collected:
            yield _collected(start, size, collected, source)
            size, collected = 0, []
        if line.text.strip() or source.unit == "file":
            start = start if collected else line.number
            size += len(line.text) + 1
            if size <= source.max_document_bytes:
                collected.append(line.text)
    if any(text.strip() for text in collected):
        yield _collected(start, size, collected, source)


def _collected(start: int, size: int, lines: list[str], source: SourceParams) -> Record | Fault:
    if size > source.max_document_bytes:
        return Fault(start, f"the document is longer than {source.max_document_bytes:,} bytes")
    return Record(start, {source.text_column: "\n".join(lines)})


def _ends_document(line: Line, source: SourceParams) -> bool:
    return source.unit == "line" or (source.unit == "paragraph" and not line.text.strip())


def read_jsonl(file: Text, source: SourceParams) -> Iterator[Record | Fault]:
    """JSON Lines: one object a line. A bad line costs that line."""
    for line in lines(file.stream, file.encoding, source.max_document_bytes):
        if line.error:
            yield Fault(line.number, line.error, line.text[:EXCERPT_CHARACTERS])
        elif line.text.strip():
            yield parse_object(line)


def parse_object(line: Line) -> Record | Fault:
    """The object in a line of JSON. NaN and Infinity, which are no JSON, are read as null."""
    try:
        value = json.loads(line.text, object_pairs_hook=_unique_keys, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        return Fault(line.number, f"no JSON: {error}", line.text[:EXCERPT_CHARACTERS])
    if not isinstance(value, dict):
        found = f"a JSON {type(value).__name__}, expected an object"
        return Fault(line.number, found, line.text[:EXCERPT_CHARACTERS])
    return Record(line.number, value)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def read_csv(file: Text, source: SourceParams) -> Iterator[Record | Fault]:
    """Comma-separated values with a header line."""
    return _read_delimited(file, source, ",", quoted=True)


def read_tsv(file: Text, source: SourceParams) -> Iterator[Record | Fault]:
    """Tab-separated values with a header line; a quotation mark is one, as in the TSV of a task."""
    return _read_delimited(file, source, "\t", quoted=False)


def _read_delimited(
    file: Text, source: SourceParams, comma: str, quoted: bool
) -> Iterator[Record | Fault]:
    """Rows as dictionaries; rows are numbered from 0 after the header."""
    csv.field_size_limit(source.max_document_bytes)
    text = io.TextIOWrapper(file.stream, file.encoding, errors="surrogateescape", newline="")
    quoted = quoted if source.quoted is None else source.quoted
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(text, delimiter=comma, quoting=quoting)
    header = next(reader, None)
    if header is None:
        return
    check_columns(file.name, header, source)
    number = -1
    while True:
        number += 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Fault(number, f"no {comma!r}-separated row: {error}")
            continue
        if row:
            yield _delimited_row(number, header, row)


def _delimited_row(number: int, header: list[str], row: list[str]) -> Record | Fault:
    excerpt = " | ".join(row)[:EXCERPT_CHARACTERS]
    if len(row) != len(header):
        return Fault(number, f"wrong columns: {len(row)}, expected {len(header)}", excerpt)
    if any(_ESCAPED.search(value) for value in row):
        return Fault(number, "bytes that the encoding of the file does not have", excerpt)
    return Record(number, dict(zip(header, row, strict=True)))


def check_columns(file: str, found: list[str], source: SourceParams) -> None:
    """Raise ColumnMissing when a table lacks a column that params.yaml names."""
    for column in wanted_columns(source):
        if column not in found:
            raise ColumnMissing(source.name, file, column, found)


def wanted_columns(source: SourceParams) -> list[str]:
    """Columns that a source needs, each once, the text first."""
    names = [source.text_column, source.id_column, *source.meta_columns, *source.where]
    return list(dict.fromkeys(name for name in names if name))
