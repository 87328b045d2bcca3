"""From the files of a task to checked splits in Parquet."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bertops.document import SplitParams, document_id, has_half_characters, split_of
from bertops.errors import GateRefused
from bertops.extras import require
from bertops.finetuning.formats import Row, read_rows
from bertops.finetuning.kinds import kind_of
from bertops.finetuning.kinds.base import BadRow, TaskKind
from bertops.finetuning.params import SPLITS, TaskParams
from bertops.inference.reader import Example
from bertops.progress import progress
from bertops.storage import write_whole

Splits = dict[str, list[Example]]

SLICE = "slice."
"""Beginning of the columns that a test set is cut by: `slice.source`."""
SECOND_LANGUAGE = 0.05
"""Share of a second language that makes a test set one of several: of short texts in one
language the guess is wrong for some in a hundred, and in a different way each time."""


@dataclass(frozen=True)
class Finding:
    """Something about the rows of a task that a person should know."""

    problem: str
    split: str
    count: int
    rows: tuple[str, ...]
    """The first three: file, row and detail."""

    def __str__(self) -> str:
        where = "".join(f"\n    {row}" for row in self.rows)
        return f"{self.problem} in {self.split}: {self.count} rows{where}"


class TaskDataInvalid(GateRefused):
    """The data of a task cannot be trained on; all that was found wrong is listed."""

    def __init__(self, task: str, findings: Sequence[Finding]) -> None:
        self.task, self.findings = task, tuple(findings)
        listed = "\n".join(f"  {finding}" for finding in findings)
        super().__init__(
            f"task {task!r} has {len(findings)} problems in its data\n{listed}\n"
            "Correct the files, or data, columns and labels of the task in params.yaml."
        )


@dataclass(frozen=True)
class SplitReport:
    """What a split holds."""

    rows: int
    classes: dict[str, int]
    median_characters: int


@dataclass(frozen=True)
class TaskDataReport:
    """What was read, dropped and written for a task."""

    task: str
    kind: str
    read: int
    splits: dict[str, SplitReport]
    dropped: tuple[Finding, ...]
    noticed: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def prepare_task(
    task: TaskParams, split: SplitParams, target: Path, root: Path = Path()
) -> TaskDataReport:
    """Write the splits of a task to `target/<split>.parquet`.

    Columns: document_id, text, text_b for pairs, label, what else the kind needs, file and row of
    the origin, and as `slice.…` what the test set is cut by. The order is that of the files. The
    identity of a row is that of its raw text, before any cleaning, so that `by_hash` divides a
    task as it divides the corpus. Rows of one `TaskKind.group` stay in one split.

    A row whose texts stand in a split of higher right (test before slices before validation before
    train) is dropped. Without a validation split, a share of train becomes one.

    Raises:
        PackageMissing: the kind needs a package of the extra `tasks`; told before any training.
        TaskFileUnreadable: a file is missing or broken.
        TaskDataInvalid: a missing column, an unknown label, a split without rows, or train or
            validation with one class.
    """
    kind = kind_of(task)
    require("tasks", *kind.packages, reason=f"task {task.name!r} of kind {task.kind} needs it")
    notes = _Notes()
    read, splits = _read_splits(kind, split, root, notes)
    if not splits.get("validation"):
        _carve_validation(splits, split)
    dropped = _drop_duplicates(splits)
    for name, limit in _limits(task, splits).items():
        splits[name] = _sample(splits[name], limit)
    _complete_slices(splits, task.columns.slices)
    findings = notes.findings()
    wrong = _check_splits(splits, kind)
    if wrong or notes.fatal:
        raise TaskDataInvalid(task.name, [*findings, *wrong])
    _write(splits, target)
    return TaskDataReport(
        task=task.name,
        kind=task.kind,
        read=read,
        splits={name: _describe(rows, kind) for name, rows in splits.items()},
        dropped=(*findings, *dropped),
        noticed=tuple(_conflicts(splits, kind)),
    )


def read_split(data: Path, name: str) -> list[Example]:
    """The examples of a split that `prepare_task` wrote."""
    import pyarrow.parquet as pq

    return pq.read_table(data / f"{name}.parquet").to_pylist()


def split_names(data: Path) -> list[str]:
    """Names of the splits in a folder: train, validation, test, then slices by name."""
    found = {path.stem for path in data.glob("*.parquet")}
    return [name for name in SPLITS if name in found] + sorted(found - set(SPLITS))


class _Notes:
    """Collects rows that were not taken, by problem and split."""

    def __init__(self) -> None:
        self.fatal: set[str] = set()
        self._rows: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, bad: BadRow, split: str, row: Row) -> None:
        if bad.fatal:
            self.fatal.add(bad.problem)
        self._rows[bad.problem, split].append(f"{row.file} row {row.row}: {bad.detail}")

    def findings(self) -> list[Finding]:
        return [
            Finding(problem, split, len(rows), tuple(rows[:3]))
            for (problem, split), rows in self._rows.items()
        ]


def _read_splits(
    kind: TaskKind, split: SplitParams, root: Path, notes: _Notes
) -> tuple[int, Splits]:
    splits: Splits = defaultdict(list)
    read, task = 0, kind.task
    for file in task.data:
        for row in progress(read_rows(file, root), what=f"reading {file.path}", unit="row"):
            read += 1
            try:
                _refuse_more_fields(row.values)
                _refuse_half_characters(row.values)
                example = kind.read(row.values)
                group = document_id(kind.group(row.values))
            except BadRow as bad:
                notes.add(bad, file.split, row)
                continue
            identity = document_id(kind.identity(row.values))
            place = file.split if file.split != "by_hash" else split_of(group, split)
            origin = {"group": group, "file": row.file, "row": row.row}
            slices = {f"{SLICE}{name}": row.values.get(name) for name in task.columns.slices}
            splits[place].append({"document_id": identity} | example | origin | slices)
    return read, splits


def _refuse_more_fields(values: Mapping[Any, Any]) -> None:
    if more := values.get(None):
        detail = f"{len(more)} more than the header has, from {more[0][:60]!r}"
        raise BadRow("too many fields", detail, fatal=False)


def _refuse_half_characters(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        lists = isinstance(value, list | dict)
        text = json.dumps(value, ensure_ascii=False, default=str) if lists else value
        if isinstance(text, str) and has_half_characters(text):
            detail = f"column {name!r} has half a character, a surrogate without its other"
            raise BadRow("broken text", detail, fatal=False)


def _complete_slices(splits: Splits, names: Sequence[str]) -> None:
    """Give texts of several languages theirs, and take away the columns that no file has."""
    examples = [example for rows in splits.values() for example in rows]
    for column in (f"{SLICE}{name}" for name in names):
        known = any(example[column] is not None for example in examples)
        if not known and column == f"{SLICE}language":
            known = _guess_languages(splits, column)
        for example in examples:
            value = example.pop(column)
            if known:
                example[column] = None if value is None else str(value)


def _guess_languages(splits: Splits, column: str) -> bool:
    """Fill in the language of the texts that are scored; False, and nothing, if it is one alone."""
    import polars as pl

    from bertops.corpus.langid import identify
    from bertops.corpus.params import LanguageParams

    scored = [e for name, rows in splits.items() if name not in SPLITS[:2] for e in rows]
    texts = pl.Series([example["text"] for example in scored], dtype=pl.String)
    guessed = identify(texts, LanguageParams())["language"].to_list()
    counts = [count for _, count in Counter(guessed).most_common(2)]
    if len(counts) < 2 or counts[1] < SECOND_LANGUAGE * len(scored):
        return False
    for example, language in zip(scored, guessed, strict=True):
        example[column] = language
    return True


def _carve_validation(splits: Splits, split: SplitParams) -> None:
    """Move a share of train to validation, by group: the same whatever the order."""
    carving = split.model_copy(update={"test": 0.0})
    train = splits.pop("train", [])
    for name in ("train", "validation"):
        splits[name] = [e for e in train if split_of(e["group"], carving) == name]


def _key(example: Example) -> str:
    """What makes two rows the same: their texts, whatever case and spacing."""
    texts = [example["text"], example.get("text_b") or ""]
    return "\n".join(" ".join(text.lower().split()) for text in texts)


def _drop_duplicates(splits: Splits) -> list[Finding]:
    """Take rows out of every split but test that a split of higher right has; tell how many."""
    slices = [name for name in splits if name not in SPLITS]
    seen = {_key(example) for example in splits.get("test", [])}
    findings = []
    for name in (*slices, "validation", "train"):
        kept: list[Example] = []
        gone: list[Example] = []
        for example in splits.get(name, []):
            (gone if _key(example) in seen else kept).append(example)
        seen |= {_key(example) for example in kept}
        splits[name] = kept
        if gone:
            rows = tuple(f"{e['file']} row {e['row']}: {e['text'][:80]!r}" for e in gone[:3])
            findings.append(Finding("duplicate across splits", name, len(gone), rows))
    return findings


def _limits(task: TaskParams, splits: Splits) -> dict[str, int]:
    own = {"train": task.train_rows, "validation": task.validation_rows}
    limits = {name: own.get(name, task.test_rows) for name in splits}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _sample(examples: list[Example], rows: int) -> list[Example]:
    """`rows` of the examples in their order, chosen by identity: the same from any order."""

    def draw(index: int) -> bytes:
        key = f"sample:{examples[index]['document_id']}"
        return hashlib.blake2b(key.encode(), digest_size=8).digest()

    chosen = sorted(sorted(range(len(examples)), key=draw)[:rows])
    return [examples[i] for i in chosen]


def _check_splits(splits: Splits, kind: TaskKind) -> list[Finding]:
    """Splits without rows, and train or validation with one class."""
    findings = []
    for name in dict.fromkeys([*SPLITS, *splits]):
        rows = splits.get(name, [])
        classes = {kind.class_of(example) for example in rows}
        if not rows:
            findings.append(Finding("no rows", name, 0, ()))
        elif name in ("train", "validation") and len(classes) == 1 and None not in classes:
            detail = (f"all are {classes.pop()!r}",)
            findings.append(Finding("one class", name, len(rows), detail))
    return findings


def _conflicts(splits: Splits, kind: TaskKind) -> Iterable[Finding]:
    """Rows of a split with the same text, and of those the ones with different labels."""
    for name, examples in splits.items():
        groups: dict[str, list[Example]] = defaultdict(list)
        for example in examples:
            groups[_key(example)].append(example)
        several = [group for group in groups.values() if len(group) > 1]
        torn = [g for g in several if len({str(kind.gold(e)) for e in g}) > 1]
        for problem, found in (("repeated text", several), ("contradicting labels", torn)):
            if found:
                rows = tuple(f"{g[0]['file']} rows {[e['row'] for e in g]}" for g in found[:3])
                yield Finding(problem, name, sum(map(len, found)), rows)


def _describe(examples: Sequence[Example], kind: TaskKind) -> SplitReport:
    classes = Counter(c for c in map(kind.class_of, examples) if c is not None)
    lengths = sorted(len(example["text"]) for example in examples)
    return SplitReport(len(examples), dict(sorted(classes.items())), lengths[len(lengths) // 2])


def _write(splits: Splits, target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with write_whole(target) as partial:
        partial.mkdir()
        for name, examples in splits.items():
            table = pa.Table.from_pylist(examples).drop_columns("group")
            pq.write_table(table, partial / f"{name}.parquet")
