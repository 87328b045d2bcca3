"""Where bf16 is worth it, and dropout that a restart repeats."""

from __future__ import annotations

import torch

from bertops.pretraining.counter import random_bits
from bertops.runtime import has_fast_bf16
from bertops.section import Precision


def compute_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of matrix products: bf16 where asked for, or where the hardware does it fast."""
    wanted = precision == "bf16" or (precision == "auto" and has_fast_bf16(device))
    return torch.bfloat16 if wanted else torch.float32


def seed_dropout(seed: int, step: int, rank: int) -> None:
    """Make this step's dropout a function of (seed, step, rank), so that no state need be kept."""
    torch.manual_seed(int(random_bits(seed, step, rank) >> 1))
