"""A number for a text or a pair, such as how similar two sentences are."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bertops.finetuning.baselines import Mean, TfidfRegressor
from bertops.finetuning.kinds.base import (
    BadRow,
    Baseline,
    Example,
    Feature,
    TaskKind,
    new_model,
    read_label,
    read_pair,
)
from bertops.finetuning.kinds.classification import SEQUENCE_MODEL
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.inference.reader import Features


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
        return new_model(SEQUENCE_MODEL, encoder, task, params, fresh, "regression")

    def training_rows(
        self,
        features: Sequence[Features],
        examples: Sequence[Example],
        task: TaskParams,
        tokenizer: Any,
    ) -> list[Feature]:
        """The number."""
        return [f.inputs() | {"labels": examples[f.row]["label"]} for f in features]

    def gold(self, example: Example) -> Any:
        """The number."""
        return example["label"]

    def baselines(
        self, train: Sequence[Example], validation: Sequence[Example], task: TaskParams
    ) -> Mapping[str, Baseline]:
        """The mean, and TF-IDF overlap + ridge regression."""
        return {"mean": Mean(train), "tfidf": TfidfRegressor(train, validation, task)}
