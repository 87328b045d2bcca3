"""The account of a flow run: how it ended, what it did, how long that took and what it cost.

Every flow works inside `account`. Whatever the end is, the account is left as tables in Prefect's
UI and sent as one message to the addresses in BERTOPS_NOTIFY. Who writes in a checkout is alone
there: flows that would overlap wait for each other.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.context import FlowRunContext
from prefect.exceptions import Pause, TerminationSignal

from bertops.cli.failures import explain
from bertops.errors import GateRefused
from flows.notify import notify
from flows.tasks import TIMEOUT, StageResult, say

WRITER = Path(".bertops/writer.lock")


@dataclass
class Account:
    """What a flow run has to tell; flows fill it as they go, so that a failure tells it too."""

    ending: str = "success"
    """success, refused, waiting, timed out, stopped, failed; or the flow's own word."""
    said: str = ""
    stages: list[StageResult] = field(default_factory=list)
    tables: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Further tables by the name of their artifact: lower case and dashes."""
    report: str | None = None
    """Address of a page that tells more."""


@contextmanager
def account(title: str) -> Iterator[Account]:
    """Tell how what is inside ended."""
    found = Account()
    try:
        yield found
    except Pause:
        found.ending = "waiting"
        raise
    except BaseException as error:
        found.ending, found.said = _ending(error)
        raise
    finally:
        _keep(title, found)
        notify(f"{title}: {found.ending}", found.said or found.ending)


def _ending(error: BaseException) -> tuple[str, str]:
    if isinstance(error, asyncio.CancelledError):  # how Prefect ends what takes too long
        return "timed out", f"it took longer than {TIMEOUT} allows; the next run carries on"
    if isinstance(error, (KeyboardInterrupt, TerminationSignal)):
        return "stopped", "it was told to stop; what was finished is kept, the next run carries on"
    message, code = explain(error)
    return ("refused" if code == GateRefused.exit_code else "failed"), message


def _keep(title: str, found: Account) -> None:
    """Leave the tables with the flow run; that they cannot be left must not hide how it ended."""
    if FlowRunContext.get() is None:  # called as a plain function
        return
    description = f"{title}: {found.ending}. {found.said}"
    tables = {"stages": [asdict(one) for one in found.stages], **found.tables}
    try:
        for key, rows in tables.items():
            if rows:
                create_table_artifact([dict(row) for row in rows], key=key, description=description)
        if found.report:
            create_link_artifact(found.report, key="report", description=description)
    except Exception as error:
        say(f"{title}: its tables could not be left in Prefect: {error}")


@contextmanager
def alone(checkout: Path) -> Iterator[None]:
    """Be the one flow that writes in a checkout; waits until the one before it has ended.

    A lock of the kernel: it needs no server, and goes with the process that holds it, however
    that ends.
    """
    place = checkout / WRITER
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"another run is at work in {checkout} (process {file.read()}); waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
