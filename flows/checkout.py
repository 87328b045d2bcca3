"""Where flows run: every worker has a checkout of its own."""

import os
from pathlib import Path

from bertops.environment import PROJECT
from bertops.errors import UsageError


def enter() -> dict[str, str]:
    """Pull step of every deployment: the checkout of the worker that took the run.

    Returns:
        The directory that Prefect changes into before it imports the flow.

    Raises:
        UsageError: the worker names no checkout, or one that is not there.
    """
    project = os.environ.get(PROJECT)
    if project is None:
        raise UsageError(
            f"the worker does not say where its checkout is; start it anew with {PROJECT}: "
            f'{PROJECT}="$PWD" prefect worker start --pool cpu --limit 1'
        )
    if not (Path(project) / "dvc.yaml").exists():
        raise UsageError(f"{PROJECT} of the worker: no dvc.yaml in {project}; clone it there")
    return {"directory": project}
