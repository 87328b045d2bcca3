"""Parameter groups, AdamW, and a step that refuses bad gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from bertops.training.params import OptimizerParams


def build_optimizer(model: nn.Module, params: OptimizerParams) -> Optimizer:
    """Fused AdamW; weight decay on matrices alone, as in Devlin et al. 2019, appendix A.2."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": params.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(
        groups,
        lr=params.learning_rate,
        betas=(params.beta1, params.beta2),
        eps=params.epsilon,
        fused=True,
    )


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Use this learning rate from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def careful_step(model: nn.Module, optimizer: Optimizer, clip_norm: float, bad: Tensor) -> Tensor:
    """Clip the gradients and update the weights, unless something is wrong with them.

    The decision is made on the device, so the host need not wait for it: fused optimizers leave
    weights and moments alone where `found_inf` is 1, the path that mixed-precision scaling uses.

    Args:
        bad: bool scalar; whether the loss already forbids this update. A gradient that is not
            finite forbids it, too.

    Returns:
        Norm of the gradients before clipping, fp32 scalar.
    """
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.found_inf = (bad | ~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
    optimizer.grad_scale = None  # type: ignore[attr-defined]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
