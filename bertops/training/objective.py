"""One batch → the sum of its losses."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from bertops.model.attention import Packed, pick_backend
from bertops.model.encoder import encode
from bertops.model.head import IGNORE_INDEX, loss_sum, scores
from bertops.pretraining.collate import TensorBatch


class MaskedLanguageModel(nn.Module):
    """A stock masked-LM model, called so that only the tokens to predict reach the head.

    The stock classes project every token on the vocabulary: 90 % of the work of bert-tiny, 17 %
    of bert-base, most of it for nothing. The weights stay where they are, in `model`.
    """

    def __init__(self, model: PreTrainedModel, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype
        self.backend = pick_backend(model.device, dtype)

    def forward(self, batch: TensorBatch) -> Tensor:
        """Sum of the cross-entropies at the places to predict, in nats, fp32."""
        return loss_sum(self.model, self._hidden(batch), batch.labels_P, self.dtype)

    @torch.no_grad()
    def score(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """Sum of the cross-entropies, and number of places predicted right."""
        scores_PV = scores(self.model, self._hidden(batch), self.dtype)
        loss = cross_entropy(scores_PV, batch.labels_P, ignore_index=IGNORE_INDEX, reduction="sum")
        return loss, (scores_PV.argmax(dim=-1) == batch.labels_P).sum()

    def _hidden(self, batch: TensorBatch) -> Tensor:
        """Hidden states at the places to predict, (P, D)."""
        packed = Packed(
            batch.documents_BL, batch.positions_BL, batch.starts_D, self.backend, self.dtype
        )
        hidden_BLD = encode(self.model, batch.inputs_BL, packed)
        return hidden_BLD.flatten(0, 1).index_select(0, batch.places_P)
