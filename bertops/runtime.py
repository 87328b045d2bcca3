"""The one place that asks the machine what it is: device, precision, threads, seeds, rank.

torch is imported inside the functions, so that importing this module costs nothing.
"""

from __future__ import annotations

import functools
import os
import platform
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def device() -> torch.device:
    """The device to compute on: this rank's GPU when there is one, else the CPU.

    `BERTOPS_DEVICE=cpu` keeps off the GPU.
    """
    import torch

    wanted = os.environ.get("BERTOPS_DEVICE")
    if wanted:
        return torch.device(wanted)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


@functools.cache
def cpu_flags() -> frozenset[str]:
    """Instruction-set flags of this processor as Linux names them; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    line = next((x for x in text.splitlines() if x.startswith(("flags", "Features"))), ":")
    return frozenset(line.split(":", 1)[1].split())


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 matrix products are done in hardware on `device`.

    On a CPU without AMX or AVX512-BF16, bf16 is emulated and slower than fp32.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool({"amx_bf16", "avx512_bf16"} & cpu_flags())


def threads() -> int:
    """Processors this process may use (cgroup- and affinity-aware where Linux says so)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, NumPy and torch (all devices)."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # libraries without a Generator argument still read this one
    torch.manual_seed(seed)


@dataclass(frozen=True)
class Machine:
    """What a measurement was made on; goes beside every number."""

    processor: str
    threads: int
    memory_gib: float
    gpus: tuple[str, ...]
    bf16: bool
    python: str
    torch: str


def machine() -> Machine:
    """Describe this machine, without its name or address."""
    import psutil
    import torch

    names = tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return Machine(
        processor=_processor(),
        threads=threads(),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        gpus=names,
        bf16=has_fast_bf16(device()),
        python=platform.python_version(),
        torch=torch.__version__,
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    name = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")
    return name or platform.machine()
