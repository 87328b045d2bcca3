"""First pass over a batch: repair, identify, judge, redact. No document knows of another here."""

import json
from dataclasses import dataclass
from typing import Any

import polars as pl

from bertops.corpus.clock import Clock
from bertops.corpus.langid import identify
from bertops.corpus.normalize import normalize
from bertops.corpus.params import CorpusParams, SourceParams
from bertops.corpus.pii import replace_pii, total
from bertops.corpus.presidio import replace_entities
from bertops.corpus.rules.judge import measure, rules_of
from bertops.corpus.tables import LEDGER, RAW
from bertops.document import SplitParams, split_of

EXCERPT_CHARACTERS = 300

JUDGED = pl.Schema(
    dict(RAW)
    | {
        "language": pl.String,
        "language_score": pl.Float64,
        "edits": pl.String,
        "split": pl.String,
        "bytes": pl.Int64,
    }
)
"""Documents that no rule dropped, repaired; those of the split `test` only to be compared with."""


@dataclass(frozen=True)
class Judged:
    """What became of a batch: every document is either kept or in the ledger."""

    kept: pl.DataFrame
    """Table JUDGED."""
    ledger: pl.DataFrame
    """Table LEDGER."""


def judge_batch(
    raw: pl.DataFrame,
    source: SourceParams,
    params: CorpusParams,
    split: SplitParams,
    clock: Clock | None = None,
) -> Judged:
    """Repair the documents of a batch and name, for each that is dropped, every rule it fails.

    Documents of the split `test` are repaired and set aside, and judged by no rule. `clock` is
    told how long each step took.
    """
    clock = clock or Clock()
    with clock.step("judge: normalize"):
        text, applied = normalize(raw["text"], params.normalize)
    with clock.step("judge: language"):
        languages = identify(text, params.language)
    table = raw.with_columns(
        text,
        *languages,
        bytes=pl.col("text").str.len_bytes().cast(pl.Int64),
        split=pl.Series([split_of(id, split) for id in raw["doc_id"]], dtype=pl.String),
        applied=applied,
    )
    test = table.filter(pl.col("split") == "test")
    rest = table.filter(pl.col("split") != "test")
    with clock.step("judge: rules"):
        failures, rest = _failures(rest, source, params)
    kept = rest.join(failures.select("document").unique(), on="document", how="anti")
    with clock.step("judge: personal data"):
        kept = _redacted(pl.concat([kept.drop("document"), test]), params)
    return Judged(
        kept=kept.sort("file", "row").select(JUDGED.names()).cast(JUDGED),
        ledger=pl.concat([_failed_rows(rest, failures), set_aside(test)]).sort(
            "file", "row", maintain_order=True
        ),
    )


def _failures(
    table: pl.DataFrame, source: SourceParams, params: CorpusParams
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Failed rules of a batch, one row each, in the order in which the first one counts.

    Returns:
        Columns document, order, step, rule, value, threshold, detail; and the batch with
        `document` as row number, and with the texts that C4 may have shortened.
    """
    measures, text = measure(table["text"], table["language"], params.rules)
    table = table.with_columns(text.alias("text")).with_row_index("document")
    judged = table.select("document", "language", "language_score", "text").hstack(measures)
    found = [_empty(judged), *_language(judged, source, params)]
    for rule in rules_of(params.rules):
        found.append(_failing(judged, rule.failed(), rule.name, rule.measure, rule.threshold))
    failures = pl.concat(
        [rows.with_columns(order=pl.lit(order)) for order, rows in enumerate(found)]
    )
    return failures.sort("document", "order"), table


def _failing(
    judged: pl.DataFrame, failed: pl.Expr, rule: str, measure: str, threshold: float
) -> pl.DataFrame:
    step = rule if rule.startswith(("language", "normalize")) else "rules." + rule
    return judged.filter(failed).select(
        "document",
        pl.lit(step.split(".")[0]).alias("step"),
        pl.lit(rule).alias("rule"),
        pl.col(measure).cast(pl.Float64).alias("value"),
        pl.lit(float(threshold)).alias("threshold"),
        pl.col("language").alias("detail")
        if step.startswith("language")
        else pl.lit(None, pl.String).alias("detail"),
    )


def _empty(judged: pl.DataFrame) -> pl.DataFrame:
    sized = judged.with_columns(size=pl.col("text").str.len_chars())
    return _failing(sized, pl.col("size") == 0, "normalize.empty", "size", 1)


def _language(
    judged: pl.DataFrame, source: SourceParams, params: CorpusParams
) -> list[pl.DataFrame]:
    keep = params.language.keep if source.languages is None else source.languages
    if not params.language.enabled or not keep:
        return []
    other = ~pl.col("language").is_in(keep)
    unsure = ~other & (pl.col("language_score") < params.language.min_score)
    limit = params.language.min_score
    return [
        _failing(judged, other, "language.not_kept", "language_score", limit),
        _failing(judged, unsure, "language.unsure", "language_score", limit),
    ]


def _redacted(table: pl.DataFrame, params: CorpusParams) -> pl.DataFrame:
    """Personal data replaced, and `edits` as JSON: repairs and replaced kinds, how often."""
    text, counts = replace_pii(table["text"], params.pii)
    if params.pii.enabled and params.pii.presidio.entities:
        text, more = replace_entities(text, table["language"], params.pii.presidio)
        counts = [total(both) for both in zip(counts, more, strict=True)]
    edits = [
        json.dumps(dict.fromkeys(names, 1) | {f"pii.{k}": n for k, n in found.items()})
        for names, found in zip(table["applied"].to_list(), counts, strict=True)
    ]
    return table.with_columns(text, edits=pl.Series(edits, dtype=pl.String))


def _failed_rows(table: pl.DataFrame, failures: pl.DataFrame) -> pl.DataFrame:
    rows = failures.join(table, on="document", how="left", maintain_order="left")
    first = pl.col("order") == pl.col("order").min().over("document")
    return ledger_rows(rows.with_columns(first=first))


def set_aside(test: pl.DataFrame) -> pl.DataFrame:
    """Ledger rows of documents that belong to the test split."""
    return ledger_rows(test, step="split", rule="split.test", first=True)


def ledger_rows(table: pl.DataFrame, **constants: Any) -> pl.DataFrame:
    """Rows of table LEDGER from documents and what is said of them; missing columns are null."""
    table = table.with_columns(
        *(pl.lit(value).alias(name) for name, value in constants.items()),
        excerpt=pl.col("text").str.slice(0, EXCERPT_CHARACTERS),
    )
    missing = [
        pl.lit(None, kind).alias(name) for name, kind in LEDGER.items() if name not in table.columns
    ]
    return table.with_columns(missing).select(LEDGER.names()).cast(LEDGER)
