"""Attention over packed rows: a token sees its own document and nothing else.

Three ways to compute the same thing:

    dense     scaled_dot_product_attention with a mask over whole rows: the reference
    blocked   matrix products over blocks of queries and the keys within reach: CPU
    varlen    torch's variable-length kernel over all documents in a line: CUDA, 16-bit

On a CPU, sdpa in bf16 takes about four times as long as the products written out
(`python -m benchmarks.kernels`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import dropout, pad, scaled_dot_product_attention

# B rows, L tokens of a row, H heads, K head size, N blocks of a row,
# Q queries of a block, W keys within reach of a block
Backend = Literal["dense", "blocked", "varlen"]

OUTSIDE = -1  # document number of the places before the first and after the last token of a row


class Casts:
    """Weights in the type of the products, kept from one batch to the next.

    For as long as nobody trains them, and without gradients, which would be lost. That a weight has
    changed cannot be seen: the fused optimizers leave its version as it was.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[Tensor, torch.dtype], Tensor] = {}

    def of(self, weight: Tensor, dtype: torch.dtype) -> Tensor:
        """The weight in `dtype`."""
        if (weight, dtype) not in self._held:
            self._held[weight, dtype] = weight.to(dtype)
        return self._held[weight, dtype]


@dataclass
class Packed:
    """Which document each token of a batch belongs to, and what follows from it."""

    documents_BL: Tensor
    """Number of the document within its row; 0 is padding."""
    positions_BL: Tensor
    """Position within the document."""
    starts_D: Tensor | None
    """Where documents begin in the flattened batch, and its end, int32; for varlen alone."""
    backend: Backend
    dtype: torch.dtype
    """Of the matrix products."""
    casts: Casts | None = None
    """Where weights are kept in `dtype`; without it they are cast for each product."""
    _masks: dict[int | None, Tensor] = field(default_factory=dict)

    @property
    def row_length(self) -> int:
        """Tokens in a row."""
        return self.documents_BL.shape[1]

    def mask(self, reach: int | None) -> Tensor:
        """The mask of layers with this reach, made once for all of them."""
        if reach not in self._masks:
            make = _blocked_mask if self.backend == "blocked" else _dense_mask
            self._masks[reach] = make(self, reach)
        return self._masks[reach]


def pick_backend(device: torch.device, dtype: torch.dtype) -> Backend:
    """The fastest backend that works here."""
    if device.type != "cuda":
        return "blocked"
    return "varlen" if dtype in (torch.bfloat16, torch.float16) else "dense"


def attend(
    q_BLHK: Tensor,
    k_BLHK: Tensor,
    v_BLHK: Tensor,
    packed: Packed,
    reach: int | None = None,
    drop: float = 0.0,
    first_alone: bool = False,
) -> Tensor:
    """Scaled dot-product attention within documents, (B, L, H, K).

    Args:
        reach: how far a token sees to either side; None is to the ends of its document.
        drop: share of the attention weights that is dropped.
        first_alone: there are queries of the first token of each row alone, (B, 1, H, K).
    """
    if first_alone:
        return _attend_first(q_BLHK, k_BLHK, v_BLHK, packed, reach, drop)
    if packed.backend == "varlen" and not drop:  # the varlen kernel has no dropout
        return _attend_varlen(q_BLHK, k_BLHK, v_BLHK, packed, reach)
    attend_by = _attend_blocked if packed.backend == "blocked" else _attend_dense
    return attend_by(q_BLHK, k_BLHK, v_BLHK, packed, reach, drop)


# ── the first token alone ──


def _attend_first(
    q_B1HK: Tensor, k_BLHK: Tensor, v_BLHK: Tensor, packed: Packed, reach: int | None, drop: float
) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q_B1HK, k_BLHK, v_BLHK))
    mask_BL = packed.documents_BL == packed.documents_BL[:, :1]
    if reach is not None:
        mask_BL = mask_BL & (torch.arange(packed.row_length, device=q.device) <= reach)
    mask_B11L = _sdpa_mask(mask_BL[:, None, None])
    return scaled_dot_product_attention(q, k, v, mask_B11L, dropout_p=drop).transpose(1, 2)


# ── dense ──


def _attend_dense(
    q_BLHK: Tensor, k_BLHK: Tensor, v_BLHK: Tensor, packed: Packed, reach: int | None, drop: float
) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q_BLHK, k_BLHK, v_BLHK))
    mask = packed.mask(reach)
    return scaled_dot_product_attention(q, k, v, mask, dropout_p=drop).transpose(1, 2)


def _dense_mask(packed: Packed, reach: int | None) -> Tensor:
    documents_BL = packed.documents_BL
    same_B1LL = (documents_BL[:, :, None] == documents_BL[:, None, :])[:, None]
    if reach is None:
        return _sdpa_mask(same_B1LL)
    place = torch.arange(packed.row_length, device=documents_BL.device)
    return _sdpa_mask(same_B1LL & ((place[:, None] - place[None, :]).abs() <= reach))


def _sdpa_mask(seen: Tensor) -> Tensor:
    """As it is; for ONNX as numbers to add, where bools would cost passes over all weights."""
    if not torch.onnx.is_in_onnx_export():
        return seen
    return torch.where(seen, 0.0, torch.finfo(torch.float32).min)


# ── blocked ──


def fits_in_a_block(row_length: int, reach: int) -> bool:
    """Whether a row is so short that it is not cut."""
    return row_length <= 4 * reach


def block_size(row_length: int, reach: int | None) -> int:
    """Queries that share one set of keys: the divisor of the row nearest to four times the reach.

    Small blocks compute fewer scores that the mask then discards; large ones make fewer and
    better matrix products. The whole row where the reach does not pay for cutting it.
    """
    if reach is None or fits_in_a_block(row_length, reach):
        return row_length
    fitting = [n for n in range(reach, row_length + 1) if row_length % n == 0]
    return min(fitting, key=lambda n: abs(n - 4 * reach))


def _windows(x_BLHK: Tensor, block: int, reach: int, fill: float = 0) -> Tensor:
    """For each block the tokens within reach, contiguous: (B, N, H, W, K)."""
    padded = pad(x_BLHK, (0, 0, 0, 0, reach, reach), value=fill) if reach else x_BLHK
    return padded.unfold(1, block + 2 * reach, block).permute(0, 1, 2, 4, 3).contiguous()


def _unwindow(d_BNHWK: Tensor, block: int, reach: int) -> Tensor:
    """Sum what the windows hold for each token, (B, L, H, K): the transpose of `_windows`."""
    d_BNWHK = d_BNHWK.transpose(2, 3)
    own = d_BNWHK[:, :, reach : reach + block].flatten(1, 2).contiguous()
    if reach and d_BNWHK.shape[1] > 1:
        blocks = own.unflatten(1, (-1, block))
        blocks[:, 1:, :reach] += d_BNWHK[:, :-1, reach + block :]
        blocks[:, :-1, block - reach :] += d_BNWHK[:, 1:, :reach]
    return own


def _blocked_mask(packed: Packed, reach: int | None) -> Tensor:
    """0 where a query may see a key, else a large negative number: (B, N, 1, Q, W)."""
    block = block_size(packed.row_length, reach)
    sides = 0 if block == packed.row_length else reach or 0
    documents_BL11 = packed.documents_BL[:, :, None, None]
    keys_BN1W = _windows(documents_BL11, block, sides, fill=OUTSIDE)[..., 0]
    queries_BN1Q = _windows(documents_BL11, block, 0)[..., 0]
    seen = queries_BN1Q[..., :, None] == keys_BN1W[..., None, :]
    if reach is not None:
        place = torch.arange(block + 2 * sides, device=seen.device)
        seen = seen & ((place[sides : sides + block, None] - place[None, :]).abs() <= reach)
    lowest = torch.finfo(packed.dtype).min
    return torch.zeros_like(seen, dtype=packed.dtype).masked_fill_(~seen, lowest)


def _attend_blocked(
    q_BLHK: Tensor, k_BLHK: Tensor, v_BLHK: Tensor, packed: Packed, reach: int | None, drop: float
) -> Tensor:
    block = block_size(packed.row_length, reach)
    sides = 0 if block == packed.row_length else reach or 0
    mask = packed.mask(reach)
    keep = None
    if drop:
        heads = q_BLHK.shape[2]
        keep = dropout(torch.ones_like(mask).repeat(1, 1, heads, 1, 1), drop)
    return _BlockedAttention.apply(q_BLHK, k_BLHK, v_BLHK, mask, keep, block, sides)


class _BlockedAttention(torch.autograd.Function):
    """Attention written out as matrix products, forward and backward.

    Autograd over the same operations copies and allocates about twice as much.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        q_BLHK: Tensor,
        k_BLHK: Tensor,
        v_BLHK: Tensor,
        mask: Tensor,
        keep: Tensor | None,
        block: int,
        sides: int,
    ) -> Tensor:
        scale = q_BLHK.shape[-1] ** -0.5
        q_BNHQK = _windows(q_BLHK, block, 0)
        k_BNHWK = _windows(k_BLHK, block, sides)
        v_BNHWK = _windows(v_BLHK, block, sides)
        scores_BNHQW = torch.matmul(q_BNHQK, k_BNHWK.transpose(-1, -2)).mul_(scale).add_(mask)
        weights_BNHQW = torch.softmax(scores_BNHQW, dim=-1)
        used_BNHQW = weights_BNHQW if keep is None else weights_BNHQW * keep
        ctx.save_for_backward(q_BNHQK, k_BNHWK, v_BNHWK, weights_BNHQW, keep)
        ctx.block, ctx.sides, ctx.scale = block, sides, scale
        return torch.matmul(used_BNHQW, v_BNHWK).transpose(2, 3).flatten(1, 2)

    @staticmethod
    def backward(ctx: Any, d_BLHK: Tensor) -> Any:  # type: ignore[override]
        q_BNHQK, k_BNHWK, v_BNHWK, weights_BNHQW, keep = ctx.saved_tensors
        block, sides = ctx.block, ctx.sides
        d_BNHQK = _windows(d_BLHK, block, 0)
        used_BNHQW = weights_BNHQW if keep is None else weights_BNHQW * keep
        dv_BNHWK = torch.matmul(used_BNHQW.transpose(-1, -2), d_BNHQK)
        dw_BNHQW = torch.matmul(d_BNHQK, v_BNHWK.transpose(-1, -2))
        if keep is not None:
            dw_BNHQW.mul_(keep)
        ds_BNHQW = torch._softmax_backward_data(dw_BNHQW, weights_BNHQW, -1, weights_BNHQW.dtype)
        ds_BNHQW.mul_(ctx.scale)
        dq_BNHQK = torch.matmul(ds_BNHQW, k_BNHWK)
        dk_BNHWK = torch.matmul(ds_BNHQW.transpose(-1, -2), q_BNHQK)
        return (
            dq_BNHQK.transpose(2, 3).flatten(1, 2),
            _unwindow(dk_BNHWK, block, sides),
            _unwindow(dv_BNHWK, block, sides),
            None,
            None,
            None,
            None,
        )


# ── varlen ──


def _attend_varlen(
    q_BLHK: Tensor, k_BLHK: Tensor, v_BLHK: Tensor, packed: Packed, reach: int | None
) -> Tensor:
    # The signature differs between torch releases: pass only what bidirectional attention needs.
    from torch.nn.attention.varlen import varlen_attn

    window: Any = {} if reach is None else {"window_size": (reach, reach)}
    q, k, v = (x.flatten(0, 1) for x in (q_BLHK, k_BLHK, v_BLHK))
    starts: Any = packed.starts_D
    length = packed.row_length
    out: Any = varlen_attn(q, k, v, starts, starts, length, length, **window)
    return out.view(q_BLHK.shape)
