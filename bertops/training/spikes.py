"""Loss spikes: updates that are better not made."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 128  # losses that a new one is compared with
SIGMAS = 6.0


class SpikeGuard:
    """Says whether a loss stands out from those before it; all on the device.

    A loss more than 6 standard deviations above the mean of the last 128 that were accepted is a
    spike. Until there are 128 of them, nothing is.
    """

    def __init__(self, active: bool, recent: list[float], device: torch.device) -> None:
        """Begin with the losses in `recent`, at most 128, oldest first."""
        self._active = active
        missing = [float("nan")] * (WINDOW - len(recent))
        self._recent = torch.tensor(missing + recent, device=device)

    def judge(self, loss: Tensor) -> Tensor:
        """Whether this loss is a spike, bool scalar; it is remembered if not."""
        if not self._active:
            return torch.zeros((), dtype=torch.bool, device=loss.device)
        mean, sigma = self._recent.mean(), self._recent.std()
        spike = loss > mean + SIGMAS * sigma  # False as long as a place is empty: nan compares so
        moved = torch.cat([self._recent[1:], loss.reshape(1)])
        self._recent = torch.where(spike | ~loss.isfinite(), self._recent, moved)
        return spike

    def recent(self) -> list[float]:
        """What must be remembered; waits for the device."""
        return [value for value in self._recent.tolist() if value == value]
