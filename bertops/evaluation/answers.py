"""Answers: what one model said about one set of documents, read from the prediction shards.

    data/predictions/<task>/<split>.parquet  →  PredictionTable  →  Answers of (model, seed, split)

Fine-tuning stores every prediction with its probabilities, so that evaluation needs no model and
no GPU, and a question asked later is answered from the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bertops.errors import BertopsError

NEEDED = ("model", "seed", "split", "document_id", "label", "prediction", "probabilities")


class PredictionsBroken(BertopsError):
    """The prediction shards of a task cannot be evaluated."""

    def __init__(self, place: Path, problem: str) -> None:
        self.place, self.problem = place, problem
        super().__init__(
            f"{place}: {problem}. Predictions are written by the stage finetune; "
            "run it again: bertops run, or dvc repro --force finetune."
        )


@dataclass(frozen=True, eq=False)
class Answers:
    """Predictions of one model (one seed) on one split, in the order of the split's rows.

    All arrays are of length n, one entry for each document.
    """

    model: str
    seed: int
    split: str
    ids: NDArray[np.str_]
    gold: NDArray
    """Class ids, 0 to the number of classes - 1; for other kinds of task what they speak."""
    predicted: NDArray
    probabilities: NDArray[np.float64]
    """Shape [n, classes], rows sum to 1; [n, 0] where the task has no classes."""
    columns: dict[str, NDArray] = field(default_factory=dict)
    """What else is known of each document, such as its length: what slices are cut by."""
    labels: tuple[str, ...] = ()
    """Names that the task declares, in their order."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def classes(self) -> int:
        """Number of classes; 0 where answers are not right or wrong."""
        return self.probabilities.shape[1]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each document was classified rightly."""
        return self.gold == self.predicted

    def where(self, chosen: NDArray[np.bool_]) -> "Answers":
        """The answers about the chosen documents alone."""
        return Answers(
            self.model,
            self.seed,
            self.split,
            self.ids[chosen],
            self.gold[chosen],
            self.predicted[chosen],
            self.probabilities[chosen],
            {name: values[chosen] for name, values in self.columns.items()},
            self.labels,
        )


class PredictionTable:
    """All predictions of one task."""

    def __init__(
        self, frame: pl.DataFrame, labels: Sequence[str], place: Path, classified: bool = True
    ) -> None:
        missing = [name for name in NEEDED if name not in frame.columns]
        if missing:
            raise PredictionsBroken(place, f"no column {', '.join(missing)}")
        self.labels, self.place = tuple(labels), place
        # One label of several: a name or an id. Label sets are lists, and other kinds have no
        # probabilities that belong to `labels`.
        self._classes = classified and not isinstance(frame["label"].dtype, pl.List)
        self._frame = _as_class_ids(frame, self.labels, place) if self._classes else frame

    @classmethod
    def read(
        cls, place: Path, data: Path, labels: Sequence[str], classified: bool = True
    ) -> "PredictionTable":
        """Read every shard in a folder.

        Args:
            data: the splits that were predicted on; their columns are what slices are cut by.
            labels: names of the classes in the order of the probabilities.
            classified: whether the task is a classification.

        Raises:
            PredictionsBroken: no shards, a column is missing, or a label is not in `labels`.
        """
        shards = sorted(place.glob("*.parquet"))
        if not shards:
            raise PredictionsBroken(place, "no *.parquet there")
        frames = [_with_columns_of(shard, data / shard.name) for shard in shards]
        return cls(pl.concat(frames, how="diagonal_relaxed"), labels, place, classified)

    @property
    def models(self) -> list[str]:
        """Names of the models, sorted."""
        return self._frame["model"].unique().sort().to_list()

    @property
    def splits(self) -> list[str]:
        """Names of the splits and slices, sorted."""
        return self._frame["split"].unique().sort().to_list()

    def seeds(self, model: str) -> list[int]:
        """Seeds of a model that gave predictions, ascending."""
        chosen = self._frame.filter(pl.col("model") == model)
        return chosen["seed"].unique().sort().to_list()

    def answers(self, model: str, seed: int, split: str) -> Answers:
        """Predictions of one model and seed on one split, in the order of its rows.

        Raises:
            PredictionsBroken: there are none, or a probability is missing or not finite.
        """
        rows = self._frame.filter(
            (pl.col("model") == model) & (pl.col("seed") == seed) & (pl.col("split") == split)
        ).sort("index")
        where = f"model {model}, seed {seed}, split {split}"
        if rows.is_empty():
            raise PredictionsBroken(self.place, f"no predictions of {where}")
        probabilities = np.empty((len(rows), 0))
        if self._classes:
            probabilities = _matrix(rows["probabilities"], len(self.labels))
        if not np.isfinite(probabilities).all():
            raise PredictionsBroken(self.place, f"a probability of {where} is not a number")
        return Answers(
            model,
            seed,
            split,
            rows["document_id"].to_numpy().astype(str),
            as_values(rows["label"]),
            as_values(rows["prediction"]),
            probabilities,
            {name: as_values(rows[name]) for name in rows.columns if name not in NEEDED},
            self.labels,
        )

    def of_all_seeds(self, model: str, split: str) -> list[Answers]:
        """One `Answers` for each seed of a model, ascending."""
        return [self.answers(model, seed, split) for seed in self.seeds(model)]


def _with_columns_of(shard: Path, split: Path) -> pl.DataFrame:
    """A shard with the columns of the rows that were predicted on.

    Every model and seed predicts the rows of a split in their order, so the n-th prediction is
    joined with the n-th row; ids would not do, where a text stands in a split twice.
    """
    place = pl.int_range(pl.len()).over("model", "seed")
    predictions = pl.read_parquet(shard).with_columns(index=place.cast(pl.Int64))
    if not split.exists():
        return predictions
    rows = pl.read_parquet(split).with_row_index("index").cast({"index": pl.Int64})
    new = [name for name in rows.columns if name == "index" or name not in predictions.columns]
    return predictions.join(rows.select(new), on="index", how="left", maintain_order="left")


def _as_class_ids(frame: pl.DataFrame, labels: tuple[str, ...], place: Path) -> pl.DataFrame:
    """Labels as ids; names are looked up, ids are checked for their range."""
    for name in ("label", "prediction"):
        if frame[name].dtype == pl.String:
            found = set(frame[name].unique().to_list())
            if not found <= set(labels):
                unknown = sorted(map(repr, found - set(labels)))
                raise PredictionsBroken(place, f"{name} {', '.join(unknown)} not in {labels}")
            ids = {label: i for i, label in enumerate(labels)}
            frame = frame.with_columns(pl.col(name).replace_strict(ids, return_dtype=pl.Int64))
        outside = frame.filter(~pl.col(name).is_between(0, len(labels) - 1))
        if len(outside):
            raise PredictionsBroken(place, f"{name} {outside[name][0]} is outside {labels}")
    return frame.with_columns(pl.col("label", "prediction").cast(pl.Int64))


def _matrix(column: pl.Series, classes: int) -> NDArray[np.float64]:
    return column.cast(pl.Array(pl.Float64, classes)).to_numpy()


def as_values(column: pl.Series) -> NDArray:
    """Numbers as numbers; texts and lists as Python objects."""
    if column.dtype.is_numeric():
        return column.to_numpy()
    values = np.empty(len(column), dtype=object)
    values[:] = column.to_list()
    return values
