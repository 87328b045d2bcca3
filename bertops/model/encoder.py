"""The forward pass over packed rows, on the weights of the stock classes.

transformers owns the modules, their weights and their names; this is the same arithmetic in an
order of our own, so that attention keeps packed documents apart, matrix products run in a type of
our choice while the residual stream stays fp32, and rotary positions cost one pass. A test
compares logits and gradients with the stock forward, for each class and backend.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout, linear
from transformers import PreTrainedModel

from bertops.model.attention import Packed, attend

# B rows, L tokens of a row, D width, H heads, K head size


def encode(
    model: PreTrainedModel, ids_BL: Tensor, packed: Packed, types_BL: Tensor | None = None
) -> Tensor:
    """Last hidden states of a stock BERT or ModernBERT, (B, L, D), fp32.

    Args:
        model: any head class; its encoder is used.
        types_BL: segment of each token, 0 or 1 (bert alone); all 0 by default.
    """
    if model.config.model_type == "bert":
        return _encode_bert(model.base_model, ids_BL, packed, types_BL)
    return _encode_modernbert(model.base_model, ids_BL, packed)


def project(layer: Any, x: Tensor, dtype: torch.dtype) -> Tensor:
    """A linear layer whose product runs in `dtype`; its gradient reaches the fp32 weights."""
    bias = None if layer.bias is None else layer.bias.to(dtype)
    return linear(x.to(dtype), layer.weight.to(dtype), bias)


def _encode_modernbert(body: Any, ids_BL: Tensor, packed: Packed) -> Tensor:
    config = body.config
    turns = {
        kind: rotary_turns(body, packed.positions_BL, kind, packed.dtype)
        for kind in sorted(set(config.layer_types))
    }
    x_BLD = body.embeddings(ids_BL)
    for layer, kind in zip(body.layers, config.layer_types, strict=True):
        reach = config.local_attention // 2 if kind == "sliding_attention" else None
        x_BLD = x_BLD + _modern_attention(layer, x_BLD, packed, turns[kind], reach)
        inner = project(layer.mlp.Wi, layer.mlp_norm(x_BLD), packed.dtype)
        value, gate = inner.chunk(2, dim=-1)
        x_BLD = x_BLD + project(
            layer.mlp.Wo, layer.mlp.drop(layer.mlp.act(value) * gate), packed.dtype
        )
    return body.final_norm(x_BLD)


def _modern_attention(
    layer: Any, x_BLD: Tensor, packed: Packed, turns: tuple[Tensor, Tensor], reach: int | None
) -> Tensor:
    attention = layer.attn
    qkv = project(attention.Wqkv, layer.attn_norm(x_BLD), packed.dtype)
    qkv_BL3HK = qkv.unflatten(-1, (3, -1, attention.head_dim))
    q_BLHK, k_BLHK = rotate(qkv_BL3HK[:, :, :2], *turns).unbind(2)
    drop = attention.attention_dropout if attention.training else 0.0
    seen_BLHK = attend(q_BLHK, k_BLHK, qkv_BL3HK[:, :, 2], packed, reach, drop)
    return attention.out_drop(project(attention.Wo, seen_BLHK.flatten(2), packed.dtype))


def rotary_turns(
    body: Any, positions_BL: Tensor, kind: str, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angles of each position, (B, L, 1, 1, K / 2)."""
    frequencies = getattr(body.rotary_emb, f"{kind}_inv_freq")
    angles = (positions_BL[:, :, None].float() * frequencies)[:, :, None, None]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021): pairs (i, i + K/2) of the last dimension, turned.

    Written to its result in place, in a third of the passes of the usual formula; torch.compile
    wants the formula, and makes one pass of it by itself.
    """
    if torch.compiler.is_compiling():
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
    return _Rotation.apply(x, cos, sin)


class _Rotation(torch.autograd.Function):
    """The gradient of a turn is the turn back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        cos, sin = ctx.saved_tensors
        return _turn(gradient, cos, -sin), None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    turned = torch.empty_like(x, memory_format=torch.contiguous_format)
    (a, b), (turned_a, turned_b) = x.chunk(2, dim=-1), turned.chunk(2, dim=-1)
    torch.mul(a, cos, out=turned_a).addcmul_(b, sin, value=-1)
    torch.mul(b, cos, out=turned_b).addcmul_(a, sin)
    return turned


def _encode_bert(body: Any, ids_BL: Tensor, packed: Packed, types_BL: Tensor | None) -> Tensor:
    x_BLD = body.embeddings(
        input_ids=ids_BL, position_ids=packed.positions_BL, token_type_ids=types_BL
    )
    for layer in body.encoder.layer:
        x_BLD = _bert_attention(layer.attention, x_BLD, packed)
        inner = project(layer.intermediate.dense, x_BLD, packed.dtype)
        inner = layer.intermediate.intermediate_act_fn(inner)
        x_BLD = _bert_residual(layer.output, inner, x_BLD, packed.dtype)
    return x_BLD


def _bert_attention(attention: Any, x_BLD: Tensor, packed: Packed) -> Tensor:
    part = attention.self
    heads = (part.num_attention_heads, part.attention_head_size)
    x16_BLD = x_BLD.to(packed.dtype)  # once for the three projections
    q, k, v = (
        project(layer, x16_BLD, packed.dtype).unflatten(-1, heads)
        for layer in (part.query, part.key, part.value)
    )
    drop = part.dropout.p if part.training else 0.0
    seen_BLHK = attend(q, k, v, packed, None, drop)
    return _bert_residual(attention.output, seen_BLHK.flatten(2), x_BLD, packed.dtype)


def _bert_residual(output: Any, inner: Tensor, x_BLD: Tensor, dtype: torch.dtype) -> Tensor:
    y_BLD = dropout(project(output.dense, inner, dtype), output.dropout.p, output.training)
    return output.LayerNorm(x_BLD + y_BLD)
