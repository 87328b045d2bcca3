"""A number for a text or a pair, such as how similar two sentences are."""

from collections.abc import Mapping, Sequence
from typing import Any

from bertops.finetuning.baselines import Mean, TfidfRegressor
from bertops.finetuning.kinds.base import (
    Baseline,
    Example,
    Feature,
    TaskKind,
    new_model,
    read_number,
    read_pair,
)
from bertops.finetuning.kinds.classification import SEQUENCE_MODEL
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.inference.reader import Features


class Regression(TaskKind):
    """One number, learned with the squared error."""

    def read(self, values: Mapping[str, Any], task: TaskParams) -> Example:
        """Texts, and `label` as a finite float."""
        return read_pair(values, task) | {"label": read_number(values, task)}

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
