"""What the report says, gathered from the reports of all stages; how it looks is no matter here.

HTML page and model card are rendered from the same content, so they cannot disagree.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertops.evaluation.reads import count_reads
from bertops.storage import read_json

MODELS = {
    "pretrained": "pretrained",
    "control": "not pretrained",
    "tfidf": "TF-IDF + linear",
    "majority": "majority class",
}
"""Names for people, in the order of the report."""


@dataclass(frozen=True)
class ReportInputs:
    """Where the parts of the report lie; a part that is not there is reported as missing."""

    evaluation: Path
    """Folder that `evaluate` wrote."""
    corpus: Path
    """JSON report of cleaning."""
    ledger: Path
    """Folder with one row for each rule that a dropped document failed."""
    curve: Path
    """CSV of pretraining: step, tokens, loss, lr, validation_loss."""
    lineage: Mapping[str, str] = field(default_factory=dict)
    """What was measured: names and hashes of commit, data, tokenizer, models."""
    state: Path | None = None
    """`.bertops/`: speed/<model>.json and the record of looks at test sets, where they are."""


@dataclass(frozen=True)
class ReportContent:
    """Everything that the report says."""

    verdict: Mapping[str, Any] | None
    """The promotion's verdict; None while nobody has decided."""
    encoder: Mapping[str, Any]
    tasks: Mapping[str, Any]
    curve: list[dict[str, float]]
    corpus: Mapping[str, Any]
    drops: list[dict[str, Any]]
    lineage: Mapping[str, str]
    speed: Mapping[str, Any]
    """By model, its speed on this machine."""
    test_reads: Mapping[str, Mapping[str, int]]
    """By task and reason, how often its test set was looked at."""
    not_tested: list[str]


def gather(inputs: ReportInputs, verdict: Mapping[str, Any] | None) -> ReportContent:
    """Read every part of the report.

    Raises:
        FileNotFoundError: there is no evaluation to report on.
    """
    evaluation = read_json(inputs.evaluation / "evaluation.json")
    corpus = read_json(inputs.corpus) if inputs.corpus.exists() else {}
    return ReportContent(
        verdict=verdict,
        encoder=evaluation["encoder"],
        tasks=evaluation["tasks"],
        curve=_read_curve(inputs.curve),
        corpus=corpus,
        drops=_read_drops(inputs.ledger),
        lineage=dict(inputs.lineage),
        speed=_read_speed(inputs.state),
        test_reads=count_reads(inputs.state) if inputs.state else {},
        not_tested=evaluation["not_tested"],
    )


def _read_speed(state: Path | None) -> dict[str, Any]:
    files = sorted((state / "speed").glob("*.json")) if state else []
    return {file.stem: read_json(file) for file in files}


def _read_curve(path: Path) -> list[dict[str, float]]:
    """Rows of the curve; a cell that is empty is left out of its row."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def _read_drops(ledger: Path, samples: int = 3) -> list[dict[str, Any]]:
    """For each rule: documents it dropped first, their bytes, and a few samples."""
    import polars as pl

    parts = sorted(ledger.glob("part-*.parquet"))
    if not parts:
        return []
    first = pl.read_parquet(parts).filter(pl.col("first"))
    return (
        first.sort("doc_id")
        .group_by("step", "rule", maintain_order=True)
        .agg(
            documents=pl.len(),
            bytes=pl.col("bytes").sum(),
            samples=pl.struct("doc_id", "value", "threshold", "detail", "excerpt").head(samples),
        )
        .sort("documents", "rule", descending=[True, False])
        .to_dicts()
    )
