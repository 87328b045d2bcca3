"""AdamW, Muon beside it, and a step that refuses bad gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from bertops.training.params import OptimizerParams


class MuonAndAdamW(AdamW):
    """Muon on the matrices inside layers, AdamW on everything else.

    Muon replaces the momentum of a matrix by the nearest matrix with orthogonal rows (Jordan et al.
    2024, "Muon"). Its updates are scaled to the size of AdamW's (Liu et al. 2025, "Muon is scalable
    for LLM training", §2.2), so that one learning rate, or a small multiple of it, serves both.
    """

    def __init__(
        self, matrices: Iterable[Tensor], groups: list[dict[str, Any]], params: OptimizerParams
    ) -> None:
        super().__init__(groups, **_adamw(params))
        self.muon = Muon(
            list(matrices),
            lr=params.learning_rate,
            weight_decay=params.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        self.muon.state = self.state  # one memory, of different parameters
        self._multiple = params.muon_multiple

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update all weights, unless `found_inf` is 1; to know that, the host waits for the device.

        Muon has no way of its own to leave weights alone.
        """
        if getattr(self, "found_inf", None):
            return None
        for group in self.muon.param_groups:
            group["lr"] = self._multiple * self.param_groups[0]["lr"]
        self.muon.step()
        return super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.muon.zero_grad(set_to_none)
        super().zero_grad(set_to_none)


def build_optimizer(model: nn.Module, params: OptimizerParams) -> Optimizer:
    """The optimizer; weight decay on matrices alone, as in Devlin et al. 2019, appendix A.2."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    inner = {name: p for name, p in named.items() if p.ndim == 2 and ".layer" in name}
    if params.name == "adamw":
        inner = {}
    rest = [p for name, p in named.items() if name not in inner]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": params.weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if inner:
        return MuonAndAdamW(inner.values(), groups, params)
    return AdamW(groups, **_adamw(params))


def _adamw(params: OptimizerParams) -> dict[str, Any]:
    return {
        "lr": params.learning_rate,
        "betas": (params.beta1, params.beta2),
        "eps": params.epsilon,
        "fused": True,
    }


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
