"""Drift: does a batch of scored texts still look like the validation data?

Compared are the length of the texts, the confidence of the model and the shares of its labels, by
the population stability index. Rule of thumb (Siddiqi 2006, "Credit Risk Scorecards"): below 0.1
nothing moved, above 0.25 something did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bertops.errors import UsageError

DRIFTED = 0.25
BINS = 10
MIN_ROWS = 100
"""Below this a batch is too small for the index to mean anything."""


@dataclass(frozen=True)
class DriftReport:
    """How far a batch lies from the reference."""

    task: str
    rows: int
    reference_rows: int
    index: dict[str, float]
    """Population stability index of `length`, `confidence` and `labels`."""
    drifted: bool
    sentence: str


def read_batch(path: Path) -> pl.DataFrame:
    """A scored batch with columns text, prediction, confidence.

    Raises:
        UsageError: the file is missing, of another kind, or lacks a column.
    """
    readers = {".jsonl": pl.read_ndjson, ".csv": pl.read_csv, ".parquet": pl.read_parquet}
    if path.suffix not in readers or not path.is_file():
        raise UsageError(f"{path}: expected a .jsonl, .csv or .parquet file")
    batch: pl.DataFrame = readers[path.suffix](path)  # type: ignore[operator]
    missing = [name for name in ("text", "prediction", "confidence") if name not in batch.columns]
    if missing:
        raise UsageError(f"{path} has no column {', '.join(missing)}; it has {batch.columns}")
    return batch


def compare_batch(batch: pl.DataFrame, data: Path, predictions: Path, *, task: str) -> DriftReport:
    """Compare a batch with the validation split, as the shipped model answered it.

    Args:
        data: folder with validation.parquet.
        predictions: folder with validation.parquet of fine-tuning.
    """
    if len(batch) < MIN_ROWS:
        raise UsageError(f"the batch has {len(batch)} rows; at least {MIN_ROWS} say something")
    texts = pl.read_parquet(data / "validation.parquet")["text"]
    answered = pl.read_parquet(predictions / "validation.parquet")
    answered = answered.filter(pl.col("model") == "pretrained")
    reference = {
        "length": texts.str.len_chars().to_numpy(),
        "confidence": answered["probabilities"].list.max().to_numpy(),
    }
    found = {
        "length": batch["text"].str.len_chars().to_numpy(),
        "confidence": batch["confidence"].to_numpy(),
    }
    index = {name: stability_index(reference[name], found[name]) for name in reference}
    index["labels"] = _label_index(answered["prediction"], batch["prediction"])
    moved = [name for name, value in index.items() if value > DRIFTED]
    return DriftReport(
        task=task,
        rows=len(batch),
        reference_rows=len(texts),
        index={name: round(value, 4) for name, value in index.items()},
        drifted=bool(moved),
        sentence=_sentence(moved, index),
    )


def _sentence(moved: Sequence[str], index: dict[str, float]) -> str:
    values = ", ".join(f"{name} {value:.2f}" for name, value in index.items())
    said = f"{', '.join(moved)} moved" if moved else "nothing moved"
    return f"{said} (stability index: {values}; above {DRIFTED} is drift)"


def stability_index(reference: NDArray, found: NDArray) -> float:
    """Population stability index over the deciles of `reference`; 0 for equal shares."""
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = [
        np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        for values in (reference, found)
    ]
    return _index(*shares)


def _label_index(reference: pl.Series, found: pl.Series) -> float:
    labels = sorted(set(reference.cast(pl.String)) | set(found.cast(pl.String)))
    counts = [
        np.array([(series.cast(pl.String) == label).sum() for label in labels])
        for series in (reference, found)
    ]
    return _index(*counts)


def _index(reference: NDArray, found: NDArray) -> float:
    """Half a count is added to each bin, so that an empty one is a large step and no infinity."""
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (reference, found))
    return float(((q - p) * np.log(q / p)).sum())
