"""Checkpoints: written whole, verified byte by byte, the newest valid one found.

    <folder>/                      named by the hash of inputs and parameters
      latest                       name of the newest checkpoint, moved last
      step-00000500/
        model.safetensors          weights, fp32
        optimizer.safetensors      moments and step counts, by parameter name
        state.json                 step, tokens, history
        manifest.json              sha256 of each file

No pickle. A folder that exists is complete: it is written under another name, synced and renamed.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from bertops.errors import BertopsError
from bertops.storage import hash_file, read_json, remove, write_text, write_whole
from bertops.training.state import TrainState

FILES = ("model.safetensors", "optimizer.safetensors", "state.json")
MANIFEST = "manifest.json"


class CheckpointDamaged(BertopsError):
    """A checkpoint is not what was written."""

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"{path} is damaged: {why}. Delete it; the one before it will be used.")


class CheckpointNotWritten(BertopsError):
    """A checkpoint could not be written; those before it are untouched."""

    def __init__(self, path: Path, error: Exception) -> None:
        self.path, self.error = path, error
        super().__init__(
            f"could not write the checkpoint {path}: {error}. Earlier "
            "checkpoints are intact. Free some space (or make the folder writable) and run again: "
            "training carries on from the last one."
        )


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run."""

    folder: Path
    keep: int

    def save(self, model: nn.Module, optimizer: Optimizer, state: TrainState) -> Path:
        """Write a checkpoint, point `latest` at it, remove the ones no longer needed.

        Raises:
            CheckpointNotWritten: the disk is full or not writable.
        """
        path = self.folder / f"step-{state.step:08d}"
        try:
            with write_whole(path) as partial:
                partial.mkdir()
                save_file(model_tensors(model), partial / FILES[0])
                save_file(optimizer_tensors(model, optimizer), partial / FILES[1])
                (partial / FILES[2]).write_text(json.dumps(state.to_dict(), allow_nan=False))
                (partial / MANIFEST).write_text(render_manifest(partial))
            write_text(self.folder / "latest", path.name + "\n")
        except (OSError, SafetensorError) as error:  # the latter is safetensors' own I/O error
            raise CheckpointNotWritten(path, error) from error
        self._prune(best_step=state.best_step)
        return path

    def all(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(self.folder.glob("step-*"))

    def latest(self) -> Path | None:
        """The newest checkpoint that is what was written; damaged ones are named in a warning."""
        for path in reversed(self.all()):
            try:
                verify(path)
            except CheckpointDamaged as error:
                warnings.warn(f"skipped: {error}", stacklevel=2)
                continue
            return path
        return None

    def _prune(self, best_step: int | None) -> None:
        best = f"step-{best_step:08d}" if best_step is not None else ""
        for left in self.folder.glob(".step-*"):  # by a process that was killed in a save or here
            remove(left)
        for path in self.all()[: -self.keep]:
            if path.name != best:
                gone = path.with_name(f".{path.name}.removed")
                path.rename(gone)  # a half-deleted checkpoint must not look like a damaged one
                remove(gone)


def render_manifest(directory: Path) -> str:
    """The manifest that fits the files in `directory` as they are now."""
    return json.dumps({name: hash_file(directory / name) for name in FILES}, indent=2) + "\n"


def verify(path: Path) -> None:
    """Compare every byte of a checkpoint, the manifest's too, with what was written.

    Raises:
        CheckpointDamaged: a file is missing or differs.
    """
    missing = [name for name in (*FILES, MANIFEST) if not (path / name).is_file()]
    if missing:
        raise CheckpointDamaged(path, f"lacks {', '.join(missing)}")
    found = (path / MANIFEST).read_bytes()
    actual = render_manifest(path).encode()
    if found != actual:
        names = [name for name in FILES if hash_file(path / name).encode() not in found]
        raise CheckpointDamaged(
            path, f"{', '.join(names) or MANIFEST} changed since it was written"
        )


def load(path: Path, model: nn.Module, optimizer: Optimizer) -> TrainState:
    """Put a verified checkpoint into `model` and `optimizer`; returns where the run stood."""
    device = next(model.parameters()).device
    weights = load_file(path / FILES[0], device=str(device))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    load_optimizer(model, optimizer, load_file(path / FILES[1], device=str(device)))
    return TrainState(**read_json(path / FILES[2]))


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The weights by name, tied ones once."""
    return {name: p.detach().contiguous() for name, p in model.named_parameters()}


def optimizer_tensors(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's memory, flat: "exp_avg/encoder.layer.0.weight" → tensor."""
    return {
        f"{key}/{name}": torch.as_tensor(value).contiguous()
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer(model: nn.Module, optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo `optimizer_tensors`."""
    parameters = dict(model.named_parameters())
    memory: dict[str, dict[str, Any]] = {}
    for flat, tensor in tensors.items():
        key, name = flat.split("/", 1)
        memory.setdefault(name, {})[key] = tensor
    for name, values in memory.items():
        optimizer.state[parameters[name]] = values
