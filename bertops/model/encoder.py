"""The forward pass over packed rows, on the weights of the stock classes.

transformers owns the modules, their weights and their names; this is the same arithmetic in an
order of our own, so that attention keeps packed documents apart, matrix products run in a type of
our choice while the residual stream stays fp32, and rotary positions cost one pass. A test
compares logits and gradients with the stock forward, for each class and backend.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout, linear
from transformers import PreTrainedModel

from bertops.model.attention import Casts, Packed, attend

# B rows, L tokens of a row, D width, H heads, K head size
ALL, FIRST = slice(None), slice(1)
"""Tokens of a row whose states are asked for."""


def encode(
    model: PreTrainedModel,
    ids_BL: Tensor,
    packed: Packed,
    types_BL: Tensor | None = None,
    first_alone: bool = False,
) -> Tensor:
    """Last hidden states of a stock BERT or ModernBERT, (B, L, D), fp32.

    Args:
        model: any head class; its encoder is used.
        types_BL: segment of each token, 0 or 1 (bert alone); all 0 by default.
        first_alone: the last layer computes the first token of each row and nothing else,
            (B, 1, D): all that a classifier on [CLS] reads.
    """
    asked = FIRST if first_alone else ALL
    if model.config.model_type == "bert":
        return _encode_bert(model.base_model, ids_BL, packed, types_BL, asked)
    return _encode_modernbert(model.base_model, ids_BL, packed, asked)


def project(layer: Any, x: Tensor, dtype: torch.dtype, casts: Casts | None = None) -> Tensor:
    """A linear layer whose product runs in `dtype`; its gradient reaches the fp32 weights."""
    cast = casts.of if casts is not None else Tensor.to
    bias = None if layer.bias is None else cast(layer.bias, dtype)
    return linear(x.to(dtype), cast(layer.weight, dtype), bias)


def _project(layer: Any, x: Tensor, packed: Packed) -> Tensor:
    return project(layer, x, packed.dtype, packed.casts)


def _asked(layers: Any, asked_of_last: slice) -> Iterator[tuple[Any, slice]]:
    """Each layer, and the tokens whose states are asked of it: of all but the last, all."""
    *before, last = layers
    yield from ((layer, ALL) for layer in before)
    yield last, asked_of_last


def _encode_modernbert(body: Any, ids_BL: Tensor, packed: Packed, asked_of_last: slice) -> Tensor:
    config = body.config
    turns = {
        kind: rotary_turns(body, packed.positions_BL, kind, packed.dtype)
        for kind in sorted(set(config.layer_types))
    }
    x_BLD = body.embeddings(ids_BL)
    layers = _asked(body.layers, asked_of_last)
    for (layer, asked), kind in zip(layers, config.layer_types, strict=True):
        reach = config.local_attention // 2 if kind == "sliding_attention" else None
        heard = _modern_attention(layer, x_BLD, packed, turns[kind], reach, asked)
        x_BLD = x_BLD[:, asked] + heard
        inner = _project(layer.mlp.Wi, layer.mlp_norm(x_BLD), packed)
        value, gate = inner.chunk(2, dim=-1)
        x_BLD = x_BLD + _project(layer.mlp.Wo, layer.mlp.drop(layer.mlp.act(value) * gate), packed)
    return body.final_norm(x_BLD)


def _modern_attention(
    layer: Any,
    x_BLD: Tensor,
    packed: Packed,
    turns: tuple[Tensor, Tensor],
    reach: int | None,
    asked: slice,
) -> Tensor:
    attention = layer.attn
    qkv = _project(attention.Wqkv, layer.attn_norm(x_BLD), packed)
    qkv_BL3HK = qkv.unflatten(-1, (3, -1, attention.head_dim))
    q_BLHK, k_BLHK = rotate(qkv_BL3HK[:, :, :2], *turns).unbind(2)
    drop = attention.attention_dropout if attention.training else 0.0
    q_BLHK, v_BLHK = q_BLHK[:, asked], qkv_BL3HK[:, :, 2]
    seen_BLHK = attend(q_BLHK, k_BLHK, v_BLHK, packed, reach, drop, asked == FIRST)
    return attention.out_drop(_project(attention.Wo, seen_BLHK.flatten(2), packed))


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
    wants the formula, and makes one pass of it by itself, and an export knows nothing else.
    """
    if torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
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


def _encode_bert(
    body: Any, ids_BL: Tensor, packed: Packed, types_BL: Tensor | None, asked_of_last: slice
) -> Tensor:
    x_BLD = body.embeddings(
        input_ids=ids_BL, position_ids=packed.positions_BL, token_type_ids=types_BL
    )
    for layer, asked in _asked(body.encoder.layer, asked_of_last):
        x_BLD = _bert_attention(layer.attention, x_BLD, packed, asked)
        inner = _project(layer.intermediate.dense, x_BLD, packed)
        inner = layer.intermediate.intermediate_act_fn(inner)
        x_BLD = _bert_residual(layer.output, inner, x_BLD, packed)
    return x_BLD


def _bert_attention(attention: Any, x_BLD: Tensor, packed: Packed, asked: slice) -> Tensor:
    part = attention.self
    heads = (part.num_attention_heads, part.attention_head_size)
    x16_BLD = x_BLD.to(packed.dtype)  # once for the three projections
    q, k, v = (
        _project(layer, x16_BLD[:, tokens], packed).unflatten(-1, heads)
        for layer, tokens in ((part.query, asked), (part.key, ALL), (part.value, ALL))
    )
    drop = part.dropout.p if part.training else 0.0
    seen_BLHK = attend(q, k, v, packed, None, drop, asked == FIRST)
    return _bert_residual(attention.output, seen_BLHK.flatten(2), x_BLD[:, asked], packed)


def _bert_residual(output: Any, inner: Tensor, x_BLD: Tensor, packed: Packed) -> Tensor:
    y_BLD = dropout(_project(output.dense, inner, packed), output.dropout.p, output.training)
    return output.LayerNorm(x_BLD + y_BLD)
