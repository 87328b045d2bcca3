"""Tokens per second, memory, share of the device's peak."""

from __future__ import annotations

import re
import resource
import time
from dataclasses import dataclass, field

import torch

# Dense bf16 TFLOP/s from the vendors' data sheets, without sparsity; by words of the device's name,
# in this order: an A10G is no A10.
PEAK_TFLOPS = {
    "B200": 2250.0,
    "GH200": 989.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "A10": 125.0,
    "RTX 4090": 165.0,
    "RTX 3090": 71.0,
    "T4": 65.0,
    "V100": 125.0,
}


def peak_flops(device: torch.device) -> float | None:
    """Peak FLOP/s of a known GPU; None where nobody has published one (CPUs)."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    words = re.split(r"[ -]", name)
    for key, tflops in PEAK_TFLOPS.items():
        wanted = key.split()
        if any(words[i : i + len(wanted)] == wanted for i in range(len(words))):
            return tflops * 1e12
    return None


@dataclass
class Meter:
    """Speed between two readings."""

    device: torch.device
    flops_per_token: float
    world_size: int = 1
    _since: float = field(default_factory=time.perf_counter)
    _tokens: int = 0

    def add(self, tokens: int) -> None:
        """Count tokens that are not padding, over all devices."""
        self._tokens += tokens

    def read(self) -> dict[str, float]:
        """tokens_per_second, memory_gib and, on a known GPU, mfu, since the last reading."""
        now = time.perf_counter()
        rate = self._tokens / max(now - self._since, 1e-9)
        self._since, self._tokens = now, 0
        values = {"tokens_per_second": rate, "memory_gib": self._memory_gib()}
        if peak := peak_flops(self.device):
            values["mfu"] = rate * self.flops_per_token / (peak * self.world_size)
        return values

    def _memory_gib(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**30
        # ru_maxrss is in KiB on Linux; macOS counts bytes, and is no target of training runs.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
