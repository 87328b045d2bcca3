"""CleanReport: what cleaning kept and dropped, counted from what it wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bertops.corpus.tables import scan


@dataclass(frozen=True)
class RuleCount:
    """How often one rule counted."""

    step: str
    first_documents: int
    """Documents that it dropped first of all rules; these add up to all drops."""
    any_documents: int
    """Documents that failed it."""
    sole_documents: int
    """Documents that failed nothing else: what would come back without the rule."""
    first_bytes: int
    any_bytes: int
    sole_bytes: int


@dataclass(frozen=True)
class CleanReport:
    """read = kept + dropped, where dropped includes the documents set aside for tests."""

    read: int
    kept: int
    kept_by_split: dict[str, int]
    words_by_split: dict[str, int]
    dropped: dict[str, int]
    """Rule → documents for which it counted; adds up to read - kept."""
    rules: dict[str, RuleCount]
    by_source: dict[str, dict[str, int]]
    """Source → `kept` and rule → documents."""
    edits: dict[str, int]
    """Repair, or kind of personal data, → how often it was made in kept documents."""
    contamination: dict[str, int]
    """Evaluation set → training documents dropped because of it."""


def summarize(corpus: Path, ledger: Path, evaluation_sets: Sequence[str]) -> CleanReport:
    """Count what `clean_corpus` wrote."""
    splits = {name: scan(corpus / name) for name in ("train", "validation")}
    kept = {name: _count(table) for name, table in splits.items()}
    words = {
        name: int(table.select(pl.col("words").sum()).collect().item())
        for name, table in splits.items()
    }
    entries = scan(ledger)
    rules = _rules(entries)
    dropped = {
        name: count.first_documents for name, count in rules.items() if count.first_documents
    }
    both = pl.concat(list(splits.values()))
    return CleanReport(
        read=sum(kept.values()) + sum(dropped.values()),
        kept=sum(kept.values()),
        kept_by_split=kept,
        words_by_split=words,
        dropped=dropped,
        rules=rules,
        by_source=_by_source(both, entries),
        edits=_edits(both),
        contamination=_contamination(entries, evaluation_sets),
    )


def _count(table: pl.LazyFrame) -> int:
    return int(table.select(pl.len()).collect().item())


def _rules(entries: pl.LazyFrame) -> dict[str, RuleCount]:
    place = ["source", "file", "row"]
    first, sole, size = pl.col("first"), pl.col("reasons") == 1, pl.col("bytes")
    table = (
        entries.with_columns(reasons=pl.len().over(place))
        .group_by("step", "rule")
        .agg(
            first.sum().alias("first_documents"),
            pl.len().alias("any_documents"),
            sole.sum().alias("sole_documents"),
            size.filter(first).sum().alias("first_bytes"),
            size.sum().alias("any_bytes"),
            size.filter(sole).sum().alias("sole_bytes"),
        )
        .sort("step", "rule")
        .collect()
    )
    return {row.pop("rule"): RuleCount(**row) for row in table.iter_rows(named=True)}


def _by_source(kept: pl.LazyFrame, entries: pl.LazyFrame) -> dict[str, dict[str, int]]:
    stays = kept.group_by("source").agg(documents=pl.len()).with_columns(what=pl.lit("kept"))
    goes = entries.filter("first").group_by("source", what="rule").agg(documents=pl.len())
    table = pl.concat(
        [stays.select("source", "what", "documents"), goes.select("source", "what", "documents")]
    )
    found: dict[str, dict[str, int]] = {}
    for source, what, documents in table.sort("source", "what").collect().iter_rows():
        found.setdefault(source, {})[what] = documents
    return found


def _edits(kept: pl.LazyFrame) -> dict[str, int]:
    import json
    from collections import Counter

    total: Counter[str] = Counter()
    for (edits,) in kept.select("edits").collect().iter_rows():
        total.update(json.loads(edits))
    return dict(sorted(total.items()))


def _contamination(entries: pl.LazyFrame, sets: Sequence[str]) -> dict[str, int]:
    table = (
        entries.filter(pl.col("step") == "decontaminate")
        .unique(["source", "file", "row"])
        .group_by(name=pl.col("detail").str.extract(r"^([^:]*)"))
        .agg(documents=pl.len())
        .collect()
    )
    found = dict(table.iter_rows())
    return {name: int(found.get(name, 0)) for name in sorted(sets)}
