"""Readers of labelled files: rows with their place in the file.

Each yields dictionaries. CoNLL columns become `words` and `label` (lists), SQuAD becomes `context`,
`question` and `answers`, lines become `text` and the columns of `parallel`.
"""

import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bertops.compression import DAMAGE, open_unpacked, split_suffix
from bertops.errors import BertopsError
from bertops.finetuning.params import DataFile

csv.field_size_limit(2**31 - 1)  # the default of 128 KiB refuses long reviews


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read."""

    values: Mapping[str, Any]
    file: str
    """Path as declared."""
    row: int
    """0-based, of the file."""


class TaskFileUnreadable(BertopsError):
    """A file of a task is missing, of an unknown format or broken."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}")


def read_rows(file: DataFile, root: Path) -> Iterator[Row]:
    """Rows of `file` that satisfy its `where`, in order.

    Raises:
        TaskFileUnreadable: no such file, unknown format, bytes that are no UTF-8, broken JSON, or
            a column of `where` that the file does not have.
    """
    path = root / file.path
    if not path.exists() and file.format != "dataset":
        raise TaskFileUnreadable(file.path, "no such file; check data.path of the task")
    name = file.format or format_of(path)
    if name is None:
        raise TaskFileUnreadable(
            file.path, f"format unknown; name it in data.format: {', '.join(READERS)}"
        )
    try:
        for number, values in enumerate(READERS[name](path, file)):
            if not isinstance(values, dict):
                raise TaskFileUnreadable(file.path, f"row {number} is no JSON object")
            if _selected(values, file):
                yield Row(values, file.path, number)
    except (*DAMAGE, ValueError, csv.Error) as error:
        raise TaskFileUnreadable(file.path, f"{error}") from error


def format_of(path: Path) -> str | None:
    """Name of the format by the suffixes of the file name; None when they do not tell."""
    suffix = split_suffix(path.name)[0].removeprefix(".")
    return suffix if suffix in READERS else None


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a UTF-8 file, plain or compressed, with line ends kept as they are."""
    with open_unpacked(path) as file:
        yield io.TextIOWrapper(file, encoding="utf-8-sig", newline="")


def _selected(values: Mapping[str, Any], file: DataFile) -> bool:
    for column, wanted in file.where.items():
        if column not in values:
            raise TaskFileUnreadable(
                file.path, f"no column {column!r} for where; found {', '.join(values)}"
            )
        if str(values[column]) != str(wanted):
            return False
    return True


def _read_separated(path: Path, file: DataFile, separator: str, quoted: bool) -> Iterator[Any]:
    quoted = quoted if file.quoted is None else file.quoted
    with open_text(path) as text:
        yield from csv.DictReader(
            text,
            fieldnames=file.header or None,
            delimiter=separator,
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            strict=quoted,
        )


def _read_csv(path: Path, file: DataFile) -> Iterator[Any]:
    return _read_separated(path, file, ",", quoted=True)


def _read_tsv(path: Path, file: DataFile) -> Iterator[Any]:
    return _read_separated(path, file, "\t", quoted=False)


def _read_jsonl(path: Path, file: DataFile) -> Iterator[Any]:
    with open_text(path) as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _read_parquet(path: Path, file: DataFile) -> Iterator[Any]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(1000):
        yield from batch.to_pylist()


def _read_conll(path: Path, file: DataFile) -> Iterator[Any]:
    """Sentences between blank lines; the word stands in the first column, its tag in the last."""
    words: list[str] = []
    tags: list[str] = []
    with open_text(path) as lines:
        for line in lines:
            columns = line.rstrip("\r\n").split("\t" if "\t" in line else " ")
            if len(columns) > 1 and columns[0] != "-DOCSTART-":
                words.append(columns[0])
                tags.append(columns[-1])
            elif words:
                yield {"words": words, "label": tags}
                words, tags = [], []
    if words:
        yield {"words": words, "label": tags}


def _read_squad(path: Path, file: DataFile) -> Iterator[Any]:
    """Questions of SQuAD 1.1 or 2.0 with their passages; answers are text and answer_start."""
    with open_text(path) as text:
        articles = json.load(text)
    try:
        for article in articles["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    yield {
                        "context": paragraph["context"],
                        "question": question["question"],
                        "answers": question["answers"],
                        "title": article.get("title"),
                    }
    except (KeyError, TypeError, AttributeError) as error:
        wanted = "data[].paragraphs[].qas[] with context, question and answers"
        raise ValueError(f"not in the shape of SQuAD, {wanted}: {error}") from error


def _read_lines(path: Path, file: DataFile) -> Iterator[Any]:
    """One row for each line, with the same line of the `parallel` files."""
    base = Path(str(path).removesuffix(file.path))
    names = ["text", *file.parallel]
    columns = [_lines(p) for p in (path, *(base / other for other in file.parallel.values()))]
    for row in zip(*columns, strict=True):
        yield dict(zip(names, row, strict=True))


def _lines(path: Path) -> Iterator[str]:
    with open_text(path) as lines:
        for line in lines:
            yield line.rstrip("\r\n")


def _read_dataset(path: Path, file: DataFile) -> Iterator[Any]:
    """A Hugging Face dataset: a folder of the project, or a name on the hub."""
    import datasets

    name = str(path) if path.exists() else file.path
    if (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists():
        found = datasets.load_from_disk(name)
        yield from found[file.part or "train"] if isinstance(found, dict) else found
    else:
        yield from datasets.load_dataset(name, split=file.part or "train")


READERS: dict[str, Callable[[Path, DataFile], Iterator[Any]]] = {
    "csv": _read_csv,
    "tsv": _read_tsv,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
    "conll": _read_conll,
    "squad": _read_squad,
    "lines": _read_lines,
    "dataset": _read_dataset,
}
