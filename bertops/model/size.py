"""How large a model is and what a token costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


def count_parameters(model: nn.Module) -> int:
    """Weights of a model, tied ones once."""
    return sum(p.numel() for p in model.parameters())


def flops_per_token(config: PretrainedConfig, row_length: int, masking_rate: float) -> float:
    """Floating-point operations per token of one training step: forward once, backward twice.

    Matrix products alone, a multiply-add as two; the head on the hidden tokens alone. Attention
    is counted over the whole row for global layers and over the window for local ones.
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    gated = config.model_type == "modernbert"
    kinds = config.layer_types if gated else ["full_attention"] * config.num_hidden_layers
    near = min(row_length, config.local_attention + 1) if gated else row_length
    seen = sum(near if kind == "sliding_attention" else row_length for kind in kinds)
    products = len(kinds) * (4 * hidden**2 + (3 if gated else 2) * hidden * inner)
    head = masking_rate * (hidden**2 + hidden * config.vocab_size)
    return 3 * 2 * (products + 2 * seen * hidden + head)
