"""Every prediction with its probabilities, so that any two models can be compared row by row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bertops.finetuning.kinds.base import TaskKind
from bertops.inference.reader import Example, Prediction

Predictions = dict[str, list[Prediction]]
"""Predictions of one model, by split, in the order of the split."""


def prediction_rows(
    model: str,
    seed: int,
    split: str,
    examples: Sequence[Example],
    found: Sequence[Mapping[str, Any]],
    kind: TaskKind,
) -> list[dict[str, Any]]:
    """Rows of a predictions file, in the order of the split.

    Columns: model (pretrained, control or a baseline), seed (0 for what has none), split,
    document_id, length (characters of the text), label, and what the kind predicts: prediction,
    and probabilities in the order of the labels.
    """
    return [
        {
            "model": model,
            "seed": seed,
            "split": split,
            "document_id": example["document_id"],
            "length": len(example["text"]),
            "label": kind.gold(example),
            **values,
        }
        for example, values in zip(examples, found, strict=True)
    ]


def write_predictions(target: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(rows)), target)


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """The rows of a predictions file."""
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()
