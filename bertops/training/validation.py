"""Masked-LM loss on held-out documents, comparable between runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from bertops.pretraining.batches import Batches, Source
from bertops.pretraining.collate import to_device
from bertops.pretraining.params import MaskingParams
from bertops.training.objective import Objective

# Fixed, whatever the training masks, so that losses can be compared: Devlin et al. 2019.
VALIDATION_MASKING = MaskingParams(rate=0.15, keep_share=0.1, random_share=0.1)
VALIDATION_SEED = 15


@dataclass(frozen=True)
class Score:
    """How well hidden tokens of held-out documents are predicted."""

    loss: float
    """Mean cross-entropy in nats."""
    accuracy: float
    """Share of hidden tokens predicted right, 0 to 1."""

    @property
    def perplexity(self) -> float:
        """exp(loss)."""
        return math.exp(self.loss)


class Validator:
    """Scores a model on the same rows, with the same tokens hidden, each time."""

    def __init__(self, source: Source, rows: int, batch_rows: int) -> None:
        self._batches = Batches(source, VALIDATION_MASKING, VALIDATION_SEED)
        epochs, chosen = self._batches.order.at(0, min(rows, source.count))
        self._groups = [
            (epochs[i : i + batch_rows], chosen[i : i + batch_rows])
            for i in range(0, len(chosen), batch_rows)
        ]

    def score(self, objective: Objective, device: torch.device) -> Score:
        """Masked-LM loss and accuracy at a mask of 15 %; the model is in training mode after."""
        score = self.score_unless(lambda: False, objective, device)
        assert score is not None
        return score

    def score_unless(
        self, asked_to_stop: Callable[[], bool], objective: Objective, device: torch.device
    ) -> Score | None:
        """The same; None as soon as `asked_to_stop`, which is called before each batch, says so."""
        objective.eval()
        loss = right = targets = 0.0
        for epochs_B, rows_B in self._groups:
            if asked_to_stop():
                objective.train()
                return None
            batch = to_device(self._batches.build(epochs_B, rows_B), device)
            batch_loss, batch_right = objective.score(batch)
            loss += float(batch_loss)
            right += float(batch_right)
            targets += batch.targets
        objective.train()
        return Score(loss / targets, right / targets)
