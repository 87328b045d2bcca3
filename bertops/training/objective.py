"""One batch → the sums of its losses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from bertops.model.attention import Packed, pick_backend
from bertops.model.encoder import encode
from bertops.model.head import IGNORE_INDEX, follow_scores, loss_sum, scores
from bertops.pretraining.collate import TensorBatch

COMPILER = "inductor"


class Objective(nn.Module):
    """A stock model, called so that only the tokens to predict reach the vocabulary head.

    The stock classes project every token on the vocabulary: 90 % of the work of bert-tiny, 17 %
    of bert-base, most of it for nothing. The weights stay where they are, in `model`.

    Batches with segments are asked for next-sentence prediction too (Devlin et al. 2019, 3.1).
    """

    def __init__(
        self, model: PreTrainedModel, dtype: torch.dtype, *, compiled: bool = False
    ) -> None:
        """Wrap a model; with `compiled` its encoder goes through torch.compile at its first batch.

        The head does not: what it computes is a handful of matrix products already.
        """
        super().__init__()
        self.model, self.dtype = model, dtype
        self.backend = pick_backend(model.device, dtype)
        self._hidden: Callable[[TensorBatch], Tensor] = self._encode
        if compiled:  # whole or not at all: an encoder in pieces would be slow without a word
            self._hidden = torch.compile(
                self._encode, backend=COMPILER, fullgraph=True, dynamic=False
            )

    def forward(self, batch: TensorBatch) -> Tensor:
        """Sums over the batch, fp32: (masked-LM loss, next-sentence loss, right guesses of it).

        Losses in nats; the latter two are 0 where rows have no segments.
        """
        hidden_BLD = self._hidden(batch)
        masked = loss_sum(self.model, _at_places(hidden_BLD, batch), batch.labels_P, self.dtype)
        if batch.follows_B is None:
            return torch.stack([masked, torch.zeros_like(masked), torch.zeros_like(masked)])
        scores_B2 = follow_scores(self.model, hidden_BLD)
        follow = cross_entropy(scores_B2, batch.follows_B, reduction="sum")
        right = (scores_B2.argmax(dim=-1) == batch.follows_B).sum().float()
        return torch.stack([masked, follow, right])

    @torch.no_grad()
    def score(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """Sum of the masked-LM losses, and number of places predicted right."""
        scores_PV = scores(self.model, _at_places(self._hidden(batch), batch), self.dtype)
        loss = cross_entropy(scores_PV, batch.labels_P, ignore_index=IGNORE_INDEX, reduction="sum")
        return loss, (scores_PV.argmax(dim=-1) == batch.labels_P).sum()

    def _encode(self, batch: TensorBatch) -> Tensor:
        packed = Packed(
            batch.documents_BL, batch.positions_BL, batch.starts_D, self.backend, self.dtype
        )
        return encode(self.model, batch.inputs_BL, packed, batch.types_BL)


def _at_places(hidden_BLD: Tensor, batch: TensorBatch) -> Tensor:
    """Hidden states at the places to predict, (P, D)."""
    return hidden_BLD.flatten(0, 1).index_select(0, batch.places_P)
