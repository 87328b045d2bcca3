"""One process or several: the same calls, which do nothing on one."""

from __future__ import annotations

import contextlib
import os
import random
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bertops.errors import BertopsError


@dataclass(frozen=True)
class World:
    """The processes that train together."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def wrap(self, objective: nn.Module, device: torch.device) -> nn.Module:
        """The module whose backward averages gradients over all processes."""
        if self.size == 1:
            return objective
        ids = [device.index] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(objective, device_ids=ids)

    def averaging(self, module: nn.Module, last: bool) -> AbstractContextManager[object]:
        """Average gradients in this backward pass only if it is the last one of the step."""
        if self.size == 1 or last:
            return contextlib.nullcontext()
        return module.no_sync()  # type: ignore[operator]

    def sum(self, value: Tensor) -> Tensor:
        """Sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any process; between hosts, so no device is waited for."""
        return flag if self.size == 1 else bool(self.sum(torch.tensor(int(flag))))

    def first(self, value: float) -> float:
        """The value of the leading process, so that all decide alike by its clock."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(shared, src=0)
        return float(shared)

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()


class FoldersApart(BertopsError):
    """Processes that train together do not see one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"{folder}: what the leading machine writes there is not seen by another one. Machines "
            "that train together need the project on a file system that they share: checkpoints "
            "and the model are written by one of them and read by all."
        )


def refuse_apart(world: World, folder: Path) -> None:
    """Raise FoldersApart unless every process sees what the leading one writes in `folder`."""
    if world.size == 1:
        return
    probe = folder / f".shared-{int(world.first(random.getrandbits(50)))}"
    if world.leads:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    world.barrier()
    apart = world.any(not probe.exists())
    if world.leads:
        probe.unlink()
    if apart:
        raise FoldersApart(folder)


def join_world(device: torch.device) -> World:
    """The world that torchrun describes in the environment; a world of one without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    return World(rank=dist.get_rank(), size=size)
