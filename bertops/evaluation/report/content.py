"""What the report says, gathered from the reports of all stages; how it looks is no matter here.

HTML page and model card are rendered from the same content, so they cannot disagree.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertops.corpus.history import LastRun, recall
from bertops.evaluation.reads import count_reads
from bertops.storage import read_json

WORST_FIRST = ("refused", "waiting", "promoted", "champion")
"""Standings of a verdict."""
SET_ASIDE = "split.test"
"""The rule that keeps a document for the tests of tasks; it is good, so it is no drop."""


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
    data_card: Path | None = None
    """JSON of the data card: all that is told about the corpus."""


@dataclass(frozen=True)
class CorpusFacts:
    """What the encoder was trained on."""

    read: int
    set_aside: int
    """Documents kept for the tests of tasks."""
    dropped: int
    documents: Mapping[str, int]
    words: Mapping[str, int]
    """By split: train and validation."""
    licences: Mapping[str, str]
    """By source."""
    languages: Mapping[str, int]
    """Documents by ISO 639-1 code, the commonest first."""


@dataclass(frozen=True)
class ReportContent:
    """Everything that the report says."""

    verdicts: tuple[Mapping[str, Any], ...]
    """The promotion's verdict on each model, the worst first; none while nobody has decided."""
    encoder: Mapping[str, Any]
    tasks: Mapping[str, Any]
    curve: list[dict[str, float]]
    corpus: CorpusFacts | None
    drops: list[dict[str, Any]]
    """What was dropped, by rule; documents set aside for tests are none of it."""
    card: Mapping[str, Any]
    """The data card, as JSON has it; empty where there is none."""
    cleaning: LastRun | None
    lineage: Mapping[str, str]
    speed: Mapping[str, Any]
    """By model, its speed on this machine."""
    test_reads: Mapping[str, Mapping[str, int]]
    """By task and reason, how often its test set was looked at."""
    not_tested: list[str]


def gather(inputs: ReportInputs, verdicts: Sequence[Mapping[str, Any]] = ()) -> ReportContent:
    """Read every part of the report.

    Raises:
        FileNotFoundError: there is no evaluation to report on.
    """
    evaluation = read_json(inputs.evaluation / "evaluation.json")
    return ReportContent(
        verdicts=tuple(sorted(verdicts, key=_badness)),
        encoder=evaluation["encoder"],
        tasks=evaluation["tasks"],
        curve=_read_curve(inputs.curve),
        corpus=_read_corpus(inputs),
        drops=_read_drops(inputs.ledger),
        card=_read_card(inputs),
        cleaning=recall(inputs.state / "corpus") if inputs.state else None,
        lineage=dict(inputs.lineage),
        speed=_read_speed(inputs.state),
        test_reads=count_reads(inputs.state) if inputs.state else {},
        not_tested=evaluation["not_tested"],
    )


def _badness(verdict: Mapping[str, Any]) -> tuple[int, bool]:
    """Sorts verdicts: the worst first, and tasks before the encoder that they judge."""
    return WORST_FIRST.index(verdict["standing"]), verdict["judged_by"] is not None


def _read_corpus(inputs: ReportInputs) -> CorpusFacts | None:
    if not inputs.corpus.exists():
        return None
    cleaning = read_json(inputs.corpus)
    card = _read_card(inputs)
    dropped = dict(cleaning["dropped"])
    return CorpusFacts(
        read=cleaning["read"],
        set_aside=dropped.pop(SET_ASIDE, 0),
        dropped=sum(dropped.values()),
        documents=cleaning["kept_by_split"],
        words=cleaning["words_by_split"],
        licences=card.get("licences", {}),
        languages=card.get("languages", {}),
    )


def _read_card(inputs: ReportInputs) -> dict[str, Any]:
    described = inputs.data_card is not None and inputs.data_card.exists()
    return read_json(inputs.data_card) if described and inputs.data_card else {}


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
    """For each rule: documents it dropped first, their bytes, their share of all that were
    dropped, and a few samples."""
    import polars as pl

    parts = sorted(ledger.glob("part-*.parquet"))
    if not parts:
        return []
    first = pl.read_parquet(parts).filter(pl.col("first") & (pl.col("rule") != SET_ASIDE))
    return (
        first.sort("doc_id")
        .group_by("step", "rule", maintain_order=True)
        .agg(
            documents=pl.len(),
            bytes=pl.col("bytes").sum(),
            share=pl.len() / len(first),
            samples=pl.struct("doc_id", "value", "threshold", "detail", "excerpt").head(samples),
        )
        .sort("documents", "rule", descending=[True, False])
        .to_dicts()
    )
