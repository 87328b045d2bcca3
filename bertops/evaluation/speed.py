"""How fast is a model, how large, how much memory does it take?

A time is a fact about a machine and an hour, so it goes to `.bertops/`, never into an output of
a DVC stage: the same inputs must give the same bytes.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertops.inference.load import load
from bertops.runtime import Machine, machine
from bertops.storage import write_json

LENGTHS = (32, 128, 512)
WARM_UP, ROUNDS = 5, 50


@dataclass(frozen=True)
class Latency:
    """Time of one text of so many tokens at a time, milliseconds."""

    tokens: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class SpeedReport:
    """Speed and size of one model on one machine."""

    content: str
    """Hash of the model's files."""
    machine: Machine
    parameters: int
    bytes_on_disk: int
    peak_memory_mib: float
    """Of the whole process, the libraries included."""
    latency: tuple[Latency, ...]
    """Lengths beyond the model's positions are left out."""


def measure_speed(
    directory: Path,
    target: Path,
    content: str,
    lengths: Sequence[int] = LENGTHS,
    rounds: int = ROUNDS,
) -> SpeedReport:
    """Time a model on random tokens, one text at a time, and write the report as JSON.

    Args:
        content: hash of the model's files, kept in the report.
    """
    import resource

    loaded = load(directory)
    fitting = [n for n in lengths if n <= loaded.model.config.max_position_embeddings]
    latency = tuple(_time(loaded.model, n, rounds) for n in fitting)
    report = SpeedReport(
        content=content,
        machine=machine(),
        parameters=sum(p.numel() for p in loaded.model.parameters()),
        bytes_on_disk=sum(p.stat().st_size for p in directory.rglob("*") if p.is_file()),
        # Linux counts in KiB.
        peak_memory_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        latency=latency,
    )
    write_json(target, asdict(report))
    return report


def _time(model: Any, tokens: int, rounds: int) -> Latency:
    import torch

    from bertops.inference.forward import autocast

    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, model.config.vocab_size, (1, tokens), generator=generator)
    ids = ids.to(model.device)
    times = []
    with torch.inference_mode(), autocast(model.device):
        for _ in range(WARM_UP + rounds):
            begun = time.perf_counter()
            output = model(input_ids=ids, attention_mask=torch.ones_like(ids))
            output[0].float().sum().item()  # waits for the device
            times.append((time.perf_counter() - begun) * 1000)
    p50, p95, p99 = np.percentile(times[WARM_UP:], [50, 95, 99]).round(2).tolist()
    return Latency(tokens, p50, p95, p99)
