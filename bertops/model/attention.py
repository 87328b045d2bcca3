"""Attention over packed rows: a token sees its own document and nothing else.

The dense reference: one mask per row, for any backend of transformers that takes a mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# B rows, L tokens of a row (Q asking, K asked)


def packed_inputs(
    config: PretrainedConfig, documents_BL: Tensor, positions_BL: Tensor
) -> dict[str, Any]:
    """Arguments of the encoder that keep the documents of a row apart.

    Args:
        config: of the model; its class and attention backend decide the form.
        documents_BL: number of the document each token belongs to; 0 is padding.
        positions_BL: position within the document.
    """
    same_BQK = documents_BL[:, :, None] == documents_BL[:, None, :]
    if config.model_type != "modernbert":
        return {"attention_mask": _shaped(same_BQK, config), "position_ids": positions_BL}
    masks = {"full_attention": same_BQK}
    if "sliding_attention" in config.layer_types:
        near_QK = near(same_BQK.shape[-1], config.local_attention // 2, same_BQK.device)
        masks["sliding_attention"] = same_BQK & near_QK
    shaped = {kind: _shaped(mask, config) for kind, mask in masks.items()}
    return {"attention_mask": shaped, "position_ids": positions_BL}


def near(length: int, reach: int, device: torch.device) -> Tensor:
    """Whether two positions of a row are at most `reach` apart: bool, (length, length)."""
    position = torch.arange(length, device=device)
    return (position[:, None] - position[None, :]).abs() <= reach


def _shaped(allowed_BQK: Tensor, config: PretrainedConfig) -> Tensor:
    """As the backend wants it: bool for sdpa, added to the scores for eager."""
    allowed_B1QK = allowed_BQK[:, None]
    if config._attn_implementation == "sdpa":
        return allowed_B1QK
    lowest = torch.finfo(torch.float32).min
    return torch.zeros_like(allowed_B1QK, dtype=torch.float32).masked_fill(~allowed_B1QK, lowest)
