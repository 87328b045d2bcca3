"""How large a model is and what a token costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bertops.model.build import layer_types, padded_vocab_size
from bertops.model.params import ModelParams

if TYPE_CHECKING:
    from torch import nn


def count_parameters(model: nn.Module) -> int:
    """Weights of a model, tied ones once."""
    return sum(p.numel() for p in model.parameters())


def flops_per_token(
    params: ModelParams, vocab_size: int, row_length: int, masking_rate: float
) -> float:
    """Floating-point operations per token of one training step: forward once, backward twice.

    Matrix products alone, a multiply-add as two; the head on the hidden tokens alone. Attention
    is counted over the whole row for global layers and over the window for local ones.
    """
    shape = params.shape
    gated = params.architecture == "modernbert"
    projections = 4 * shape.hidden**2
    feed_forward = (3 if gated else 2) * shape.hidden * shape.intermediate
    near = min(row_length, params.local_attention + 1)
    kinds = layer_types(shape.layers, params.attention_pattern if gated else "G")
    seen = sum(near if kind == "sliding_attention" else row_length for kind in kinds)
    attention = 2 * seen * shape.hidden
    head = masking_rate * (shape.hidden**2 + shape.hidden * padded_vocab_size(vocab_size))
    return 3 * 2 * (shape.layers * (projections + feed_forward) + attention + head)
