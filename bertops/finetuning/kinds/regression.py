"""A number for a text or a pair, such as how similar two sentences are."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bertops.finetuning.baselines import Mean, TfidfRegressor
from bertops.finetuning.kinds.base import (
    BadRow,
    Baseline,
    Example,
    TaskKind,
    read_label,
    read_pair,
)
from bertops.finetuning.kinds.classification import sequence_model
from bertops.finetuning.params import FinetuningParams, TaskParams


class Regression(TaskKind):
    """One number, learned with the squared error."""

    def metrics_of(self, task: TaskParams) -> tuple[str, ...]:
        """Correlations, and the squared error."""
        return ("pearson", "spearman", "negative_mse")

    def read(self, values: Mapping[str, Any], task: TaskParams) -> Example:
        """Texts, and `label` as a finite float."""
        raw = read_label(values, task)
        try:
            label = float(raw)
        except (TypeError, ValueError):
            label = math.nan
        if not math.isfinite(label):
            raise BadRow("unknown label", f"{raw!r} is no number")
        return read_pair(values, task) | {"label": label}

    def class_of(self, example: Example) -> str | None:
        """None: there are no classes."""
        return None

    def build(self, encoder: str, task: TaskParams, params: FinetuningParams, fresh: bool) -> Any:
        """`AutoModelForSequenceClassification` with one output."""
        return sequence_model(encoder, params, fresh, ("score",), "regression")

    def target(self, example: Example, task: TaskParams) -> Any:
        """The number."""
        return example["label"]

    def gold(self, example: Example) -> Any:
        """The number."""
        return example["label"]

    def baselines(
        self, train: Sequence[Example], validation: Sequence[Example], task: TaskParams
    ) -> Mapping[str, Baseline]:
        """The mean, and TF-IDF overlap + ridge regression."""
        return {"mean": Mean(train), "tfidf": TfidfRegressor(train, validation, task)}
