"""One document's whole story, and what the rules would do before a full run."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from bertops.corpus.ingest import documents
from bertops.corpus.judge import judge_batch
from bertops.corpus.params import CorpusParams, SourceParams
from bertops.corpus.presidio_check import prepare
from bertops.corpus.tables import RAW, scan
from bertops.document import SplitParams
from bertops.errors import UsageError

EXCERPT_CHARACTERS = 500


@dataclass(frozen=True)
class Reason:
    """One rule that a document failed."""

    rule: str
    value: float | None
    threshold: float | None
    detail: str | None
    duplicate_of: str | None
    counts: bool
    """Whether it was the first one, which is the reason that counts."""


@dataclass(frozen=True)
class Story:
    """What is known of one document."""

    doc_id: str
    source: str
    file: str
    row: int
    user_id: str | None
    verdict: str
    """`kept in train`, `kept in validation`, `set aside for tests` or `dropped: RULE`."""
    reasons: tuple[Reason, ...]
    edits: dict[str, int] = field(default_factory=dict)
    language: str | None = None
    cluster: str | None = None
    before: str = ""
    after: str | None = None


def explain(doc_id: str, raw: Mapping[str, Path], corpus: Path, ledger: Path) -> list[Story]:
    """The story of every document of that id (copies of one text have one id).

    Args:
        doc_id: id, or the beginning of one.
        raw: folder of raw parts, by source.
        corpus: folder with train/ and validation/.
        ledger: folder of the ledger.

    Raises:
        UsageError: no document has that id.
    """
    mine = pl.col("doc_id").str.starts_with(doc_id)
    found = pl.concat([scan(folder).filter(mine).collect() for folder in raw.values()])
    if found.is_empty():
        raise UsageError(
            f"no raw document has the id {doc_id!r}; ids are in data/ledger and data/corpus"
        )
    kept = pl.concat(
        scan(corpus / name).filter(mine).collect().with_columns(split=pl.lit(name))
        for name in ("train", "validation")
    )
    dropped = scan(ledger).filter(mine).collect()
    return [_story(row, kept, dropped) for row in found.iter_rows(named=True)]


def _story(row: Mapping[str, Any], kept: pl.DataFrame, dropped: pl.DataFrame) -> Story:
    place = [pl.col(name) == row[name] for name in ("source", "file", "row")]
    stays = kept.filter(place).to_dicts()
    reasons = tuple(_reason(entry) for entry in dropped.filter(place).iter_rows(named=True))
    one = stays[0] if stays else {}
    return Story(
        doc_id=row["doc_id"],
        source=row["source"],
        file=row["file"],
        row=row["row"],
        user_id=row["user_id"],
        verdict=f"kept in {one['split']}" if one else _verdict(reasons),
        reasons=reasons,
        edits=json.loads(one["edits"]) if one else {},
        language=one.get("language"),
        cluster=one.get("cluster"),
        before=row["text"][:EXCERPT_CHARACTERS],
        after=one["text"][:EXCERPT_CHARACTERS] if one else None,
    )


def _reason(entry: Mapping[str, Any]) -> Reason:
    return Reason(
        rule=entry["rule"],
        value=entry["value"],
        threshold=entry["threshold"],
        detail=entry["detail"],
        duplicate_of=entry["duplicate_of"],
        counts=entry["first"],
    )


def _verdict(reasons: tuple[Reason, ...]) -> str:
    first = next((reason.rule for reason in reasons if reason.counts), None)
    if first == "split.test":
        return "set aside for tests"
    return f"dropped: {first}" if first else "not in this corpus: run clean again"


def preview(
    source: SourceParams, root: Path, params: CorpusParams, split: SplitParams, count: int
) -> list[Story]:
    """What the steps that look at one document alone would do to the first `count` of a source.

    Nothing is written. Copies and overlaps with evaluation texts show in a full run only.
    """
    prepare(params)
    rows = list(islice(documents(source, root), count))
    table = pl.DataFrame(rows, RAW)
    judged = judge_batch(table, source, params, split)
    return [_previewed(row, judged.kept, judged.ledger) for row in table.iter_rows(named=True)]


def _previewed(row: Mapping[str, Any], kept: pl.DataFrame, ledger: pl.DataFrame) -> Story:
    return _story(row, kept.with_columns(cluster=pl.lit(None, pl.String)), ledger)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """What changed between two reports of cleaning: name, old and new number of documents.

    Args:
        old: JSON of a CleanReport.
        new: JSON of another.
    """
    for name in ("read", "kept"):
        yield name, old[name], new[name]
    for group in ("kept_by_split", "dropped", "contamination", "edits"):
        for name in sorted(old[group].keys() | new[group].keys()):
            before, after = old[group].get(name, 0), new[group].get(name, 0)
            if before != after:
                yield f"{group}.{name}", before, after
