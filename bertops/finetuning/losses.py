"""Losses in the form of HF Trainer's `compute_loss_func`: the mean over rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# B rows, C classes
Loss = Callable[..., Tensor]
"""Called with the outputs of a model, the labels, and how many there are in a whole step."""


def cross_entropy(weights: Sequence[float] | None = None) -> Loss:
    """One class of several; `weights` say how much each class weighs."""

    def loss(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        logits_BC = outputs.logits.float()
        weight = None if weights is None else torch.tensor(weights, device=logits_BC.device)
        return functional.cross_entropy(logits_BC, labels, weight=weight)

    return loss


def binary_cross_entropy(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
    """Any number of classes: yes or no for each."""
    return functional.binary_cross_entropy_with_logits(outputs.logits.float(), labels)


def squared_error(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
    """A number."""
    return functional.mse_loss(outputs.logits.float().squeeze(-1), labels)


def rdrop(loss: Loss, alpha: float, answer: Callable[[Tensor], Tensor]) -> Loss:
    """R-Drop (Liang et al. 2021, eq. 4): a batch stands twice in its step, read with other dropout,
    and what both readings answer is pulled together.

    loss + alpha / 2 * sum over classes of (answer(x) - answer(y)) * (x - y), with x and y the two
    logits. For softmax and sigmoid that is alpha times the mean of the Kullback-Leibler divergences
    either way, as x - y is the logarithm of the ratio of both answers, up to a constant; for
    numbers (§3.3 of the paper) half the squared difference.

    Args:
        loss: of all rows, the second reading after the first.
        answer: logits → probabilities, or what else the model answers.
    """

    def with_consistency(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        x_BC, y_BC = outputs.logits.float().chunk(2)
        apart_B = ((answer(x_BC) - answer(y_BC)) * (x_BC - y_BC)).sum(-1) / 2
        return loss(outputs, labels, num_items_in_batch) + alpha * apart_B.mean()

    return with_consistency
