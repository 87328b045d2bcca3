"""Several devices: the same command again, once per device, under torchrun."""

import os
import subprocess
import sys
from collections.abc import Sequence

from bertops.training.params import DistributedParams


def processes_wanted(params: DistributedParams) -> int:
    """Processes to start on this machine: those asked for, else one per GPU; 1 without any.

    Inside a process that torchrun started, this is always 1.
    """
    if "WORLD_SIZE" in os.environ:
        return 1
    if params.processes is not None:
        return params.processes
    import torch

    return max(1, torch.cuda.device_count())


def run_distributed(module: Sequence[str], params: DistributedParams) -> int:
    """Run `python -m MODULE…` once per process, under torchrun; returns its exit code.

    Signals reach the children through torchrun, which ends when all of them have; each saves a
    checkpoint first.

    Args:
        module: module name and its arguments.
    """
    where = ["--standalone"]
    if params.rendezvous is not None:
        where = ["--rdzv-backend=c10d", f"--rdzv-endpoint={params.rendezvous}"]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", *where),
        f"--nnodes={params.nodes}",
        f"--nproc-per-node={processes_wanted(params)}",
        *("-m", *module),
    ]
    return subprocess.run(command, check=False).returncode
