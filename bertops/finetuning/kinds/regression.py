"""A number for a text or a pair, such as how similar two sentences are."""

from collections.abc import Mapping, Sequence
from typing import Any

from bertops.finetuning.baselines import Mean, TfidfRegressor
from bertops.finetuning.kinds.base import (
    Baseline,
    Feature,
    TaskKind,
    read_number,
    read_pair,
)
from bertops.finetuning.params import FinetuningParams
from bertops.inference.reader import Encoded, Example


class Regression(TaskKind):
    """One number, learned with the squared error."""

    problem_type = "regression"

    def read(self, values: Mapping[str, Any]) -> Example:
        """Texts, and `label` as a finite float."""
        return read_pair(values, self.task) | {"label": read_number(values, self.task)}

    def training_rows(self, encoded: Encoded, tokenizer: Any) -> list[Feature]:
        """The number."""
        return [f.inputs() | {"labels": encoded.examples[f.row]["label"]} for f in encoded.features]

    def loss(self, train: Sequence[Example], params: FinetuningParams) -> Any:
        """The squared error with R-Drop, if asked."""
        import torch

        from bertops.finetuning.losses import rdrop, squared_error

        return rdrop(squared_error, params.rdrop, torch.Tensor.float) if params.rdrop else None

    def baselines(
        self, train: Sequence[Example], validation: Sequence[Example]
    ) -> Mapping[str, Baseline]:
        """The mean, and TF-IDF overlap + ridge regression."""
        return {"mean": Mean(train), "tfidf": TfidfRegressor(train, validation, self.task)}
