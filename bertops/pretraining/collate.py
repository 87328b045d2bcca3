"""Arrays → tensors on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertops.pretraining.batches import RowBatch


@dataclass(frozen=True)
class TensorBatch:
    """A `RowBatch` on the device. B rows, L tokens of a row, P places to predict."""

    inputs_BL: Tensor
    documents_BL: Tensor
    positions_BL: Tensor
    types_BL: Tensor | None
    follows_B: Tensor | None
    places_P: Tensor
    labels_P: Tensor
    starts_D: Tensor | None
    """Where documents begin in the flattened batch, and its end, int32; on CUDA alone."""
    tokens: int
    targets: int


def to_device(batch: RowBatch, device: torch.device) -> TensorBatch:
    """Copy a batch to the device, without waiting for the copy where memory can be pinned."""

    on_cuda = device.type == "cuda"

    def move(array: NDArray[np.integer]) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(device, non_blocking=True) if on_cuda else tensor

    return TensorBatch(
        inputs_BL=move(batch.inputs_BL),
        documents_BL=move(batch.documents_BL),
        positions_BL=move(batch.positions_BL),
        types_BL=None if batch.types_BL is None else move(batch.types_BL),
        follows_B=None if batch.follows_B is None else move(batch.follows_B),
        places_P=move(batch.places_P),
        labels_P=move(batch.labels_P),
        starts_D=move(document_starts(batch.documents_BL)) if on_cuda else None,
        tokens=batch.tokens,
        targets=batch.targets,
    )


def document_starts(documents_BL: NDArray[np.int32]) -> NDArray[np.int32]:
    """Where documents begin in the flattened rows, and the end of them; padding counts as one.

    Padded with the end to a length that depends on the shape of the rows alone, up to a document
    every 8 tokens, since shapes that change from step to step cost a compilation each.
    """
    rows, length = documents_BL.shape
    changes = np.ones((rows, length), dtype=np.bool_)
    changes[:, 1:] = documents_BL[:, 1:] != documents_BL[:, :-1]
    starts = np.flatnonzero(changes)
    room = max(rows * length // 8, len(starts)) + 1
    return np.append(starts, np.full(room - len(starts), rows * length)).astype(np.int32)
