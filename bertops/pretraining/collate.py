"""Arrays → tensors on the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bertops.pretraining.batches import RowBatch


@dataclass(frozen=True)
class TensorBatch:
    """A `RowBatch` on the device. B rows, L tokens of a row, P places to predict."""

    inputs_BL: Tensor
    documents_BL: Tensor
    positions_BL: Tensor
    places_P: Tensor
    labels_P: Tensor
    tokens: int
    targets: int


def to_device(batch: RowBatch, device: torch.device) -> TensorBatch:
    """Copy a batch to the device, without waiting for the copy where memory can be pinned."""

    def move(name: str) -> Tensor:
        tensor = torch.from_numpy(getattr(batch, name))
        if device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(device, non_blocking=True)

    names = ("inputs_BL", "documents_BL", "positions_BL", "places_P", "labels_P")
    return TensorBatch(
        **{name: move(name) for name in names}, tokens=batch.tokens, targets=batch.targets
    )
