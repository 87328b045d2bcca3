"""Drift: does a batch of scored texts still look like the data that the model was made from?

Compared are the words and the length of the texts, the confidence of the model and what it
predicts: the shares of labels or tags, or the numbers; never free texts, as hardly one of them
comes twice. Measured by the population stability index. Rule of thumb (Siddiqi 2006, "Credit Risk
Scorecards"): below 0.1 nothing moved, above 0.25 something did.

Words are counted in bins: each of the commonest words of the training texts is one, then come the
other known words, those seen once in training, and those never seen. The validation texts are the
reference for the shares of the bins, as they are no more known from training than the batch. Two
samples of n and m words from the same source are about 32/n + 32/m apart: 0.03 for 2,000 words.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bertops.errors import UsageError

DRIFTED = 0.25
BINS = 10
MIN_ROWS = 100
"""Below this a batch is too small for the index to mean anything."""
COMMON_WORDS = 30
LABELLED = ("classification", "tagging")
"""Kinds of task that predict labels: one, a set, or one for each word."""
NO_LABEL = "(none)"
RARE, OTHER, UNSEEN = "(seen once)", "(other)", "(never seen)"
# Chinese and Japanese are written without spaces: there a word is one character.
WORD = r"\p{Han}|[\p{Hiragana}\p{Katakana}]|[\p{L}\p{N}]+"


@dataclass(frozen=True)
class DriftReport:
    """How far a batch lies from the reference."""

    task: str
    rows: int
    reference_rows: int
    index: dict[str, float]
    """Population stability index of what the batch has of `words`, `length`, `confidence`, and of
    `labels` or `numbers`, whichever the task predicts."""
    drifted: bool
    sentence: str


def read_batch(path: Path, text_column: str = "text") -> pl.DataFrame:
    """A scored batch as `bertops predict --output` writes it.

    Returns:
        `prediction` as the file has it: tables hold lists and numbers as JSON; `text` and
        `confidence` where the file has them. The confidence is the largest of the probabilities,
        unless there is a column of it.

    Raises:
        UsageError: the file is missing, of another kind, or has no predictions.
    """
    readers: Mapping[str, Callable[[Path], pl.DataFrame]] = {
        ".jsonl": partial(pl.read_ndjson, infer_schema_length=None),
        ".csv": partial(pl.read_csv, schema_overrides={"prediction": pl.String}),
        ".parquet": pl.read_parquet,
    }
    if path.suffix not in readers or not path.is_file():
        raise UsageError(f"{path}: expected a .jsonl, .csv or .parquet file")
    found = readers[path.suffix](path)
    if "prediction" not in found.columns:
        raise UsageError(
            f"{path} has no column prediction; it has {', '.join(found.columns)}. "
            "bertops predict --input FILE --output FILE writes it"
        )
    columns = [found["prediction"]]
    if text_column in found.columns:
        columns.append(found[text_column].alias("text"))
    if (confidence := _confidence(found)) is not None:
        columns.append(confidence.alias("confidence"))
    return pl.DataFrame(columns)


def _confidence(found: pl.DataFrame) -> pl.Series | None:
    """None for models that give no probabilities."""
    if "confidence" in found.columns:
        return found["confidence"]
    if "probabilities" not in found.columns or found["probabilities"].is_null().any():
        return None
    # Tables hold them as JSON.
    rows = [json.loads(p) if isinstance(p, str) else p for p in found["probabilities"].to_list()]
    return pl.Series([max(row) for row in rows])


def compare_batch(
    batch: pl.DataFrame, data: Path, predictions: Path, *, task: str, kind: str
) -> DriftReport:
    """Compare a batch with the task's data, as the shipped model answered it.

    What the batch does not have is not compared, and the sentence says so.

    Args:
        batch: from `read_batch`.
        data: folder with train.parquet and validation.parquet.
        predictions: folder with validation.parquet of fine-tuning.
        kind: of the task: classification, regression, ...

    Raises:
        UsageError: the batch is too small, its predictions are not of this kind, or it has
            nothing that can be compared.
    """
    if len(batch) < MIN_ROWS:
        raise UsageError(f"the batch has {len(batch)} rows; at least {MIN_ROWS} say something")
    texts = pl.read_parquet(data / "validation.parquet", columns=["text"])["text"]
    answered = pl.read_parquet(predictions / "validation.parquet")
    answered = answered.filter(pl.col("model") == "pretrained")
    index = {}
    if "text" in batch.columns:
        known = pl.read_parquet(data / "train.parquet", columns=["text"])["text"]
        index["words"] = words_index(known, texts, batch["text"])
        lengths = (some.str.len_chars().to_numpy() for some in (texts, batch["text"]))
        index["length"] = stability_index(*lengths)
    if "confidence" in batch.columns:
        sure = answered["probabilities"].list.max().to_numpy()
        index["confidence"] = stability_index(sure, batch["confidence"].to_numpy())
    try:
        index |= _predictions_index(kind, answered["prediction"], batch["prediction"])
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise UsageError(
            f"the batch holds no predictions of the task {task}, a {kind}: {error}"
        ) from error
    if not index:
        raise UsageError("the batch has free texts as predictions and nothing else to compare")
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
    without = [name for name in ("words", "length", "confidence") if name not in index]
    more = f"; the batch has nothing to tell {', '.join(without)} by" if without else ""
    if not index.keys() & {"labels", "numbers"}:
        more += "; predictions that are free texts are not compared"
    return f"{said} (stability index: {values}; above {DRIFTED} is drift){more}"


def _predictions_index(kind: str, reference: pl.Series, found: pl.Series) -> dict[str, float]:
    """The index of `labels` or of `numbers`; empty where predictions are free texts."""
    if kind in LABELLED:
        lists = isinstance(reference.dtype, pl.List)
        return {"labels": _share_index(_labels(reference, lists), _labels(found, lists))}
    if reference.dtype.is_numeric():
        return {"numbers": stability_index(reference.to_numpy(), found.cast(pl.Float64).to_numpy())}
    return {}


def _labels(predictions: pl.Series, lists: bool) -> pl.Series:
    """Every label that is predicted; NO_LABEL for an empty list."""
    if not lists:
        return predictions.cast(pl.String)
    # Tables hold them as JSON.
    rows = [json.loads(p) if isinstance(p, str) else p for p in predictions.to_list()]
    return pl.Series([label for row in rows for label in row or [NO_LABEL]], dtype=pl.String)


def words_index(known: pl.Series, reference: pl.Series, found: pl.Series) -> float:
    """Population stability index of the words of texts, in bins by the counts of `known` texts."""
    counts = _words(known).value_counts(sort=True)
    words, times = counts.columns
    bins = counts.select(
        pl.col(words).alias("word"),
        pl.when(pl.int_range(pl.len()) < COMMON_WORDS)
        .then(pl.col(words))
        .otherwise(pl.when(pl.col(times) == 1).then(pl.lit(RARE)).otherwise(pl.lit(OTHER)))
        .alias("bin"),
    )
    shares = (
        _words(texts).to_frame("word").join(bins, on="word", how="left")["bin"].fill_null(UNSEEN)
        for texts in (reference, found)
    )
    return _share_index(*shares)


def _words(texts: pl.Series) -> pl.Series:
    return texts.str.to_lowercase().str.extract_all(WORD).explode().drop_nulls()


def stability_index(reference: NDArray, found: NDArray) -> float:
    """Population stability index over the deciles of `reference`; 0 for equal shares."""
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = [
        np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        for values in (reference, found)
    ]
    return _index(*shares)


def _share_index(reference: pl.Series, found: pl.Series) -> float:
    """The same over the values of two series of texts."""
    values = sorted(set(reference) | set(found))
    counts = [dict(series.value_counts().iter_rows()) for series in (reference, found)]
    return _index(*(np.array([count.get(value, 0) for value in values]) for count in counts))


def _index(reference: NDArray, found: NDArray) -> float:
    """Half a count is added to each bin, so that an empty one is a large step and no infinity."""
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (reference, found))
    return float(((q - p) * np.log(q / p)).sum())
