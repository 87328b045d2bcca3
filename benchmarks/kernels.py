"""The parts of a training step that are our own, each against what it takes the place of.

Shapes of a step of 16 rows of 128 tokens, half of the quickstart's: 3 heads of 64, a window of 16,
608 places to predict among 6,144 tokens. Forward and backward, one thread, milliseconds of its CPU
time, best of many turns in which all sides take part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from transformers.models.modernbert.modeling_modernbert import apply_rotary_pos_emb

from benchmarks.report import finish, parser
from bertops.model import attention
from bertops.model.attention import Packed, attend
from bertops.model.encoder import rotate
from bertops.model.head import _VocabularyLoss

ROWS, LENGTH, HEADS, SIZE, REACH = 16, 128, 3, 64, 16
PLACES, WIDTH, VOCABULARY = 608, 192, 6144
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
Work = Callable[[], None]
"""One forward and backward pass."""


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=15, help="Turns of each side.")
    options = made.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    parts = {"attention": attentions(), "rotary positions": rotations(), "vocabulary head": heads()}
    times = {name: best_ms(sides, options.rounds) for name, sides in parts.items()}
    ratios = {
        f"{name}, {dtype}: {peer} / ours": times[name][f"{peer}, {dtype}"] / times[name][ours]
        for name, peer, ours, dtype in (
            ("attention", "sdpa with a mask", "blocks of 64, bf16", "bf16"),
            ("attention", "sdpa with a mask", "blocks of 64, fp32", "fp32"),
            ("rotary positions", "as transformers", "ours, bf16", "bf16"),
            ("rotary positions", "as transformers", "ours, fp32", "fp32"),
            ("vocabulary head", "linear, float, cross-entropy", "ours, bf16", "bf16"),
        )
    }
    finish("kernels", ratios, {}, options.json, milliseconds=times)


def attentions() -> dict[str, Work]:
    """sdpa over whole rows, and products written out over blocks of several sizes."""
    documents = torch.arange(LENGTH).div(43, rounding_mode="floor").add(1).expand(ROWS, LENGTH)
    sides: dict[str, Work] = {}
    for name, dtype in DTYPES.items():
        q, k, v = (leaf(ROWS, LENGTH, HEADS, SIZE, dtype=dtype) for _ in range(3))
        packed = Packed(documents, documents, None, "dense", dtype)
        sides[f"sdpa with a mask, {name}"] = partial(_attend, (q, k, v), packed, LENGTH)
        for block in (16, 32, 64, LENGTH):
            packed = Packed(documents, documents, None, "blocked", dtype)
            what = "the whole row" if block == LENGTH else f"blocks of {block}"
            sides[f"{what}, {name}"] = partial(_attend, (q, k, v), packed, block)
    return sides


def _attend(qkv: tuple[Tensor, Tensor, Tensor], packed: Packed, block: int) -> None:
    with patch.object(attention, "block_size", lambda row_length, reach: block):
        attend(*qkv, packed, REACH).sum().backward()


def rotations() -> dict[str, Work]:
    """Turning queries and keys: transformers' formula, and in place with its own gradient."""
    sides: dict[str, Work] = {}
    for name, dtype in DTYPES.items():
        q, k = (leaf(ROWS, LENGTH, HEADS, SIZE, dtype=dtype) for _ in range(2))
        both = leaf(ROWS, LENGTH, 2, HEADS, SIZE, dtype=dtype)
        half = torch.randn(ROWS, LENGTH, SIZE // 2)
        cos, sin = half.cos().to(dtype), half.sin().to(dtype)
        whole = [torch.cat([x, x], dim=-1) for x in (cos, sin)]
        sides[f"as transformers, {name}"] = partial(_rotate_stock, q, k, *whole)
        turns = [x[:, :, None, None] for x in (cos, sin)]
        sides[f"ours, {name}"] = partial(_rotate_ours, both, *turns)
    return sides


def _rotate_stock(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> None:
    turned = apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=2)
    (turned[0].sum() + turned[1].sum()).backward()


def _rotate_ours(both: Tensor, cos: Tensor, sin: Tensor) -> None:
    rotate(both, cos, sin).sum().backward()


def heads() -> dict[str, Work]:
    """Scores over the vocabulary and their cross-entropy."""
    hidden, weight = leaf(PLACES, WIDTH, dtype=torch.bfloat16), leaf(VOCABULARY, WIDTH)
    labels = torch.randint(VOCABULARY, (PLACES,))

    def stock() -> None:
        scores = linear(hidden, weight.to(torch.bfloat16)).float()
        cross_entropy(scores, labels, reduction="sum").backward()

    def ours() -> None:
        _VocabularyLoss.apply(hidden, weight, None, labels).backward()

    return {"linear, float, cross-entropy, bf16": stock, "ours, bf16": ours}


def leaf(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random numbers that want a gradient."""
    return torch.randn(shape).to(dtype).requires_grad_()


def best_ms(sides: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Least CPU time of each side, over turns in which all take part."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for name, work in sides.items():
            start = time.process_time()
            work()
            best[name] = min(best[name], 1000 * (time.process_time() - start))
    return {name: round(value, 2) for name, value in best.items()}


if __name__ == "__main__":
    main()
