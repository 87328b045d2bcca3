"""Measure data, hold it against its suite, and stop what comes after when it does not fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from bertops.corpus.tables import scan
from bertops.finetuning.params import TaskParams
from bertops.quality.gate import QualityReport, run_gate
from bertops.quality.params import QualityParams
from bertops.quality.suites import corpus_checks, raw_checks, task_checks
from bertops.storage import read_json

PLACE = ("source", "file", "row")
FILE = ["source", "file"]


def validate_raw(
    raw: Mapping[str, Path],
    ingest_reports: Mapping[str, Path],
    docs: Path,
    params: QualityParams,
) -> QualityReport:
    """Gate on raw documents: all read, readable, not blank, not one text again and again.

    Args:
        raw: folder of raw parts, by source.
        ingest_reports: JSON of the report of `ingest`, by source.
        docs: folder for the Data Docs.
        params: limits.

    Raises:
        QualityFailed: names each broken rule, its count and three rows.
    """
    documents = pl.concat([_raw_documents(raw[name]) for name in sorted(raw)])
    reports = {name: read_json(path) for name, path in sorted(ingest_reports.items())}
    sources = _sources(documents, reports)
    tables = {"documents": documents, "sources": sources, "files": _raw_files(documents, reports)}
    figures = {row.pop("source"): row for row in sources.iter_rows(named=True)}
    places = dict.fromkeys(tables, PLACE)
    return run_gate("raw", tables, raw_checks(params), docs, places, figures)


def _raw_documents(directory: Path) -> pl.DataFrame:
    """One row a document: its place, and what the checks ask about it."""
    return (
        scan(directory)
        .select(
            "doc_id",
            *PLACE,
            letters=pl.col("text").str.contains(r"\w").cast(pl.Int64),
        )
        .collect(engine="streaming")
        .sort("file", "row")
        .with_columns(seen_before=(~pl.col("doc_id").is_first_distinct()).cast(pl.Int64))
    )


def _sources(documents: pl.DataFrame, reports: Mapping[str, Any]) -> pl.DataFrame:
    counted = documents.group_by("source").agg(documents=pl.len()).sort("source")
    read = {name: report["read"] for name, report in reports.items()}
    bad = {name: report["quarantined"] for name, report in reports.items()}
    shares = [bad[name] / max(read[name], 1) for name in counted["source"]]
    return counted.with_columns(quarantined_share=pl.Series(shares, dtype=pl.Float64))


def _raw_files(documents: pl.DataFrame, reports: Mapping[str, Any]) -> pl.DataFrame:
    """One row a file: rows that were read and are neither kept nor filtered nor quarantined."""
    rows = [
        (name, file["file"], file["read"] - file["filtered"] - file["quarantined"])
        for name, report in reports.items()
        for file in report["files"]
    ]
    schema = {"source": pl.String, "file": pl.String, "expected": pl.Int64}
    written = documents.group_by(FILE).agg(written=pl.len().cast(pl.Int64))
    return (
        pl.DataFrame(rows, schema, orient="row")
        .join(written, on=FILE, how="full", coalesce=True)
        .select(*FILE, unaccounted=pl.col("expected").fill_null(0) - pl.col("written").fill_null(0))
        .sort(FILE)
    )


def validate_corpus(
    corpus: Path, ledger: Path, raw: Mapping[str, Path], docs: Path, params: QualityParams
) -> QualityReport:
    """Gate on the cleaned corpus: every document once, none lost, drops within their limits.

    Args:
        corpus: folder with train/ and validation/.
        ledger: folder of the drop ledger.
        raw: folder of raw parts, by source: what has to be accounted for.
        docs: folder for the Data Docs.
        params: limits.

    Raises:
        QualityFailed: names each broken rule, its count and three rows.
    """
    documents = pl.concat(
        _corpus_documents(corpus / name, name) for name in ("train", "validation")
    )
    dropped = scan(ledger).filter("first").select(*PLACE, "step", "rule", "bytes").collect()
    figures = _corpus_figures(documents, dropped)
    tables = {
        "documents": documents,
        "files": _corpus_files(documents, dropped, raw),
        "rules": _rules(dropped, len(documents), params),
        "distributions": _distributions(documents, params),
        "figures": pl.DataFrame([figures]),
    }
    places = {
        "documents": PLACE,
        "files": PLACE,
        "rules": ("rule", "share", "limit"),
        "distributions": ("what", "found", "least", "most"),
    }
    return run_gate("corpus", tables, corpus_checks(params), docs, places, figures)


def _corpus_documents(directory: Path, split: str) -> pl.DataFrame:
    columns = ("doc_id", *PLACE, "characters", "words", "text_hash", "language")
    return scan(directory).select(columns).collect().with_columns(split=pl.lit(split))


def _corpus_files(
    documents: pl.DataFrame, dropped: pl.DataFrame, raw: Mapping[str, Path]
) -> pl.DataFrame:
    """One row a file: raw documents that are neither kept nor in the ledger."""
    entered = pl.concat(
        scan(raw[name]).group_by(FILE).agg(entered=pl.len().cast(pl.Int64)).collect()
        for name in sorted(raw)
    )
    left = pl.concat([documents.select(FILE), dropped.select(FILE)])
    counted = left.group_by(FILE).agg(left=pl.len().cast(pl.Int64))
    return (
        entered.join(counted, on=FILE, how="full", coalesce=True)
        .select(*FILE, unaccounted=pl.col("entered").fill_null(0) - pl.col("left").fill_null(0))
        .sort(FILE)
    )


def _corpus_figures(documents: pl.DataFrame, dropped: pl.DataFrame) -> dict[str, Any]:
    """Numbers over all documents; those set aside for tests are no drops."""
    judged = dropped.filter(pl.col("step") != "split")
    kept = len(documents)
    return {
        "train_documents": len(documents.filter(pl.col("split") == "train")),
        "validation_documents": len(documents.filter(pl.col("split") == "validation")),
        "kept_share": kept / max(kept + len(judged), 1),
        "words_median": documents["words"].median() or 0.0,
        "words": documents["words"].sum(),
    }


def _distributions(documents: pl.DataFrame, params: QualityParams) -> pl.DataFrame:
    """One row for each limit on lengths and languages: what was found, and how far outside."""
    words, count = documents["words"], max(len(documents), 1)
    found: list[tuple[str, float, tuple[float, float]]] = [
        (f"words at quantile {quantile:g}", float(words.quantile(quantile) or 0), limits)
        for quantile, limits in sorted(params.word_quantiles.items())
    ]
    found += [
        (f"share of {name}", len(documents.filter(language=name)) / count, limits)
        for name, limits in sorted(params.language_shares.items())
    ]
    rows = [
        (what, value, least, most, max(least - value, value - most, 0.0))
        for what, value, (least, most) in found
    ]
    schema = dict.fromkeys(("found", "least", "most", "outside"), pl.Float64)
    return pl.DataFrame(rows, {"what": pl.String, **schema}, orient="row")


def _rules(dropped: pl.DataFrame, kept: int, params: QualityParams) -> pl.DataFrame:
    """One row for each rule and step that dropped documents: its share and its limit."""
    judged = dropped.filter(pl.col("step") != "split")
    counted = pl.concat(
        judged.group_by(rule=name).agg(documents=pl.len()) for name in ("step", "rule")
    )
    limit = pl.col("rule").replace_strict(
        params.max_drop_share, default=1.0, return_dtype=pl.Float64
    )
    share = pl.col("documents") / max(kept + len(judged), 1)
    return (
        counted.with_columns(share=share, limit=limit)
        .with_columns(over_limit=(pl.col("share") - pl.col("limit")).clip(lower_bound=0))
        .sort("rule")
    )


def validate_task(task: TaskParams, data: Path, docs: Path, params: QualityParams) -> QualityReport:
    """Gate on the splits of one task: texts and labels are there, and in one split alone.

    Args:
        task: as declared in params.yaml.
        data: folder with `<split>.parquet`.
        docs: folder for the Data Docs.
        params: limits.

    Raises:
        QualityFailed: names each broken rule, its count and three rows.
    """
    rows = pl.concat(_task_rows(path) for path in sorted(data.glob("*.parquet")))
    rows = rows.with_columns(other_splits=pl.col("split").n_unique().over("document_id") - 1)
    one_label = task.kind == "classification" and not task.multi_label
    labels = task.label_names if one_label else ()
    shares = rows.group_by("split", "label").agg(n=pl.len()).group_by("split")
    splits = shares.agg(
        rows=pl.col("n").sum(), commonest_label_share=pl.col("n").max() / pl.col("n").sum()
    ).sort("split")
    tables = {"rows": rows, "splits": splits}
    places = {"rows": ("split", "file", "row"), "splits": ("split",)}
    figures = {row.pop("split"): row for row in splits.iter_rows(named=True)}
    return run_gate(
        f"task.{task.name}", tables, task_checks(params, task.name, labels), docs, places, figures
    )


def _task_rows(path: Path) -> pl.DataFrame:
    """Rows of one split: place, identity, length and label as text."""
    rows = pl.read_parquet(path)
    return rows.select(
        "document_id",
        pl.col("file").cast(pl.String),
        pl.col("row").cast(pl.Int64),
        split=pl.lit(path.stem),
        characters=pl.col("text").str.strip_chars().str.len_chars(),
        label=_as_text(rows["label"]),
    )


def _as_text(column: pl.Series) -> pl.Series:
    """Labels as text; lists (several labels, tags) as Python writes them."""
    if column.dtype.is_nested():
        shown = [None if value is None else str(value) for value in column.to_list()]
        return pl.Series(column.name, shown, dtype=pl.String)
    return column.cast(pl.String)
