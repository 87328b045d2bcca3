"""How fast is a model, how large, how much memory does it take?

A time is a fact about a machine and an hour, so it goes to `.bertops/`, never into an output of
a DVC stage: the same inputs must give the same bytes.
"""

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertops.inference.card import read_card
from bertops.inference.load import Loaded, load
from bertops.runtime import Machine, machine
from bertops.storage import write_json

LENGTHS = (32, 128, 512)
WARM_UP, ROUNDS = 5, 50


@dataclass(frozen=True)
class Latency:
    """Time of one text of so many tokens at a time, milliseconds.

    Of a translation: the time until its first token.
    """

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
    """Of the process while this model was loaded and timed, the libraries included."""
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
    _forget_peak_memory()
    loaded = load(directory, masked_lm=read_card(directory) is None)
    config, read = _one_pass(loaded)
    fitting = [n for n in lengths if n <= config.max_position_embeddings]
    latency = tuple(_time(read, config.vocab_size, n, loaded.model.device, rounds) for n in fitting)
    report = SpeedReport(
        content=content,
        machine=machine(),
        parameters=sum(p.numel() for p in loaded.model.parameters()),
        bytes_on_disk=sum(p.stat().st_size for p in directory.rglob("*") if p.is_file()),
        peak_memory_mib=round(_peak_memory_kib() / 1024, 1),
        latency=latency,
    )
    write_json(target, asdict(report))
    return report


def _one_pass(loaded: Loaded) -> tuple[Any, Callable[[Any], Any]]:
    """Configuration of the part that reads, and a function from token ids to an output tensor."""
    import torch

    model, kind = loaded.model, loaded.card.kind if loaded.card else None
    if kind == "embedding":
        return model.transformers_model.config, lambda ids: model(
            {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        )["sentence_embedding"]
    if kind == "translation":
        begin = torch.full((1, 1), model.config.decoder_start_token_id, device=model.device)
        return model.config.encoder, lambda ids: model(
            input_ids=ids, attention_mask=torch.ones_like(ids), decoder_input_ids=begin
        )[0]
    return model.config, lambda ids: model(input_ids=ids, attention_mask=torch.ones_like(ids))[0]


def _time(
    read: Callable[[Any], Any], vocab_size: int, tokens: int, device: Any, rounds: int
) -> Latency:
    import torch

    from bertops.inference.forward import autocast

    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocab_size, (1, tokens), generator=generator).to(device)
    times = []
    with torch.inference_mode(), autocast(device):
        for _ in range(WARM_UP + rounds):
            begun = time.perf_counter()
            read(ids).float().sum().item()  # waits for the device
            times.append((time.perf_counter() - begun) * 1000)
    p50, p95, p99 = np.percentile(times[WARM_UP:], [50, 95, 99]).round(2).tolist()
    return Latency(tokens, p50, p95, p99)


def _forget_peak_memory() -> None:
    """Let the kernel count the peak from here on: proc_pid_clear_refs(5), Linux alone."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_memory_kib() -> int:
    """Most memory that the process held since `_forget_peak_memory`, where the kernel tells."""
    import resource

    status = Path("/proc/self/status")
    told = re.search(r"VmHWM:\s*(\d+)", status.read_text()) if status.exists() else None
    return int(told[1]) if told else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
