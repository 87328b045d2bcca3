"""The vocabulary head on the places to predict, and its cross-entropy in pieces."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from bertops.model.encoder import project

IGNORE_INDEX = -100  # labels with this value do not count, as in torch's cross_entropy

# Scores held at once: 2^26 are 128 MiB in bf16. A small step fits in one piece.
CHUNK_SCORES = 2**26

# P places to predict, D width, V vocabulary


def transform(model: PreTrainedModel, hidden_PD: Tensor, dtype: torch.dtype) -> Tensor:
    """What the head does before it compares with the vocabulary: dense, activation, norm."""
    parts: Any = model
    if model.config.model_type == "modernbert":
        head = parts.head
        return head.norm(head.act(project(head.dense, hidden_PD, dtype)).float())
    head = parts.cls.predictions.transform
    return head.LayerNorm(head.transform_act_fn(project(head.dense, hidden_PD, dtype)).float())


def scores(model: PreTrainedModel, hidden_PD: Tensor, dtype: torch.dtype) -> Tensor:
    """Scores over the vocabulary, (P, V), fp32."""
    decoder = model.get_output_embeddings()
    return project(decoder, transform(model, hidden_PD, dtype), dtype).float()


def loss_sum(
    model: PreTrainedModel, hidden_PD: Tensor, labels_P: Tensor, dtype: torch.dtype
) -> Tensor:
    """Sum of the cross-entropies at the places that have a label, in nats, fp32."""
    decoder = model.get_output_embeddings()
    ready_PD = transform(model, hidden_PD, dtype).to(dtype)
    return _VocabularyLoss.apply(ready_PD, decoder.weight, decoder.bias, labels_P)


def follow_scores(model: PreTrainedModel, hidden_BLD: Tensor) -> Tensor:
    """Scores for "B follows A" and "B is from elsewhere", (B, 2), fp32; `BertForPreTraining`."""
    parts: Any = model
    return parts.cls.seq_relationship(parts.bert.pooler(hidden_BLD))


class _VocabularyLoss(torch.autograd.Function):
    """Linear layer and cross-entropy in one, a chunk of places at a time.

    The gradient of the scores is made in the forward pass, where they are at hand, so that never
    more than a chunk of them exists and nothing is computed twice. Softmax sums in fp32 whatever
    the type of the scores.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, hidden_PD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, labels_P: Tensor
    ) -> Tensor:
        dtype = hidden_PD.dtype
        small_VD = weight_VD.to(dtype)
        small_V = torch.zeros_like(small_VD[:, 0]) if bias_V is None else bias_V.to(dtype)
        size = max(1, CHUNK_SCORES // weight_VD.shape[0])
        d_hidden_PD = torch.empty_like(hidden_PD)
        d_weight_VD = d_bias_V = None
        loss = torch.zeros((), device=hidden_PD.device)
        for first in range(0, len(labels_P), size):
            h, labels = hidden_PD[first : first + size], labels_P[first : first + size]
            counts_C1 = (labels != IGNORE_INDEX)[:, None].to(dtype)
            gradient_CV = torch.softmax(torch.addmm(small_V, h, small_VD.t()), dim=-1)
            loss += _subtract_labels(gradient_CV, labels, counts_C1[:, 0])
            d_hidden_PD[first : first + size] = torch.mm(gradient_CV, small_VD) * counts_C1
            d_weight_VD = _plus(d_weight_VD, torch.mm(gradient_CV.t(), h * counts_C1))
            d_bias_V = _plus(d_bias_V, torch.mm(counts_C1.t(), gradient_CV)[0])
        ctx.has_bias = bias_V is not None
        ctx.save_for_backward(d_hidden_PD, d_weight_VD, d_bias_V)
        return loss

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> Any:  # type: ignore[override]
        d_hidden_PD, d_weight_VD, d_bias_V = ctx.saved_tensors
        d_bias_V = d_bias_V * scale if ctx.has_bias else None
        return d_hidden_PD * scale, d_weight_VD * scale, d_bias_V, None


def _subtract_labels(softmax_CV: Tensor, labels_C: Tensor, counts_C: Tensor) -> Tensor:
    """Turn softmax into the gradient of the scores, in place; returns the sum of the losses.

    Rows without a label are left to be weighted with `counts_C`: on matrices of width D that is
    far less work than here.
    """
    rows_C, places_C = torch.arange(len(labels_C), device=labels_C.device), labels_C.clamp_min(0)
    right_C = softmax_CV[rows_C, places_C]
    softmax_CV[rows_C, places_C] = right_C - 1
    # The smallest normal number keeps a hopeless guess finite: its loss is 87.
    losses_C = -right_C.float().clamp_min(torch.finfo(torch.float32).tiny).log()
    return (losses_C * counts_C).sum()


def _plus(total: Tensor | None, part: Tensor) -> Tensor:
    return part.float() if total is None else total.add_(part)
