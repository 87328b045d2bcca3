"""One batch → the sum of its losses, with the vocabulary head on the hidden tokens alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from bertops.model.attention import packed_inputs
from bertops.pretraining.collate import TensorBatch
from bertops.pretraining.masking import IGNORE_INDEX

# B rows, L tokens of a row, P places to predict, D width, V vocabulary


class MaskedLanguageModel(nn.Module):
    """A stock masked-LM model, called so that only the tokens to predict reach the head.

    The stock classes project every token on the vocabulary: 90 % of the work of bert-tiny, 17 %
    of bert-base, most of it for nothing. The weights stay where they are, in `model`.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def logits(self, batch: TensorBatch) -> Tensor:
        """Scores over the vocabulary at the places to predict, (P, V)."""
        packed = packed_inputs(self.model.config, batch.documents_BL, batch.positions_BL)
        hidden_BLD = self.model.base_model(input_ids=batch.inputs_BL, **packed).last_hidden_state
        hidden_PD = hidden_BLD.flatten(0, 1).index_select(0, batch.places_P)
        if self.model.config.model_type == "modernbert":
            return self.model.decoder(self.model.head(hidden_PD))  # type: ignore[operator]
        return self.model.cls(hidden_PD)  # type: ignore[operator]

    def forward(self, batch: TensorBatch) -> Tensor:
        """Sum of the cross-entropies at the places to predict, in nats, fp32."""
        return cross_entropy(
            self.logits(batch).float(), batch.labels_P, ignore_index=IGNORE_INDEX, reduction="sum"
        )

    @torch.no_grad()
    def score(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """Sum of the cross-entropies, and number of places predicted right."""
        logits_PV = self.logits(batch).float()
        loss = cross_entropy(logits_PV, batch.labels_P, ignore_index=IGNORE_INDEX, reduction="sum")
        return loss, (logits_PV.argmax(dim=-1) == batch.labels_P).sum()
