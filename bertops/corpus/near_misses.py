"""Documents on both sides of a threshold: where a rule is too strict or too lax is seen there."""

from dataclasses import dataclass

import polars as pl

from bertops.corpus.params import RuleParams
from bertops.corpus.rules.judge import Rule, measure, rules_of

SAMPLE = 2_000  # kept documents that are measured again, the first ones by id
SIDE = 2
EXCERPT_CHARACTERS = 160


@dataclass(frozen=True)
class Beside:
    """A document near a threshold."""

    doc_id: str
    value: float
    excerpt: str


@dataclass(frozen=True)
class NearMiss:
    """The kept and the dropped documents that are nearest to the threshold of a rule."""

    threshold: float
    kept: list[Beside]
    dropped: list[Beside]


def near_misses(kept: pl.LazyFrame, first: pl.LazyFrame, params: RuleParams) -> dict[str, NearMiss]:
    """For each rule that dropped something, what was nearest to its threshold on both sides.

    Args:
        kept: table CORPUS; a sample of it is measured again.
        first: table LEDGER, the rows that count.
        params: rules and thresholds.
    """
    dropped = first.filter(pl.col("step") == "rules").collect(engine="streaming")
    sample = kept.select("doc_id", "text", "language").bottom_k(SAMPLE, by="doc_id").collect()
    measured = _measured(sample.sort("doc_id"), params)
    found = {}
    for rule in rules_of(params):
        mine = dropped.filter(pl.col("rule") == rule.name)
        if len(mine):
            near = _nearest(mine.with_columns(text="excerpt"), rule)
            found[rule.name] = NearMiss(rule.threshold, _kept_side(measured, rule), near)
    return found


def _measured(sample: pl.DataFrame, params: RuleParams) -> pl.DataFrame:
    measures, _ = measure(sample["text"], sample["language"], params)
    return sample.hstack(measures)


def _kept_side(measured: pl.DataFrame, rule: Rule) -> list[Beside]:
    passed = measured.filter(~rule.failed() & pl.col(rule.measure).is_not_null())
    return _nearest(passed.with_columns(value=pl.col(rule.measure).cast(pl.Float64)), rule)


def _nearest(table: pl.DataFrame, rule: Rule) -> list[Beside]:
    distance = (pl.col("value") - rule.threshold).abs()
    rows = table.sort(distance, "doc_id").head(SIDE)
    shown = rows["text"].str.replace_all(r"\s+", " ").str.slice(0, EXCERPT_CHARACTERS)
    return [
        Beside(doc_id, round(value, 4), excerpt)
        for doc_id, value, excerpt in zip(rows["doc_id"], rows["value"], shown, strict=True)
    ]
