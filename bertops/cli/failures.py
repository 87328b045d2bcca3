"""Any exception → one paragraph for the person who reads it, and the exit code."""

import errno
import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

from bertops.errors import BertopsError

TRACEBACK = "BERTOPS_TRACEBACK"
"""Environment variable: 1 shows Python's traceback before the paragraph."""

ASK_DOCTOR = "See what `bertops doctor` says of its server, and run the same command again."

_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
}


def explain(error: BaseException) -> tuple[str, int]:
    """What to tell about `error`, and the code to exit with."""
    if isinstance(error, BertopsError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; what was finished is kept, and the same command carries on", 130
    if isinstance(error, OSError):
        return _explain_os(error), 1
    if isinstance(error, MemoryError):
        return "out of memory; lower the batch or shard sizes in params.yaml", 1
    if _is_of_a_server(error):
        said = str(error).partition("\n")[0]
        return f"MLflow did not answer, or not as it should: {said}. {ASK_DOCTOR}", 1
    said = f"{type(error).__name__}: {error}"
    return f"unexpected {said}. This is a bug of bertops; {TRACEBACK}=1 shows where.", 1


def _is_of_a_server(error: BaseException) -> bool:
    if "mlflow" not in sys.modules:  # importing it takes seconds
        return False
    from bertops.tracking.store import did_not_answer

    return did_not_answer(error)


def _explain_os(error: OSError) -> str:
    place = error.filename or "an output"
    if error.errno in _DISK:
        return (
            f"{_DISK[error.errno]}: {place} could not be written. Nothing half-written was kept. "
            "Make room (df -h .) and run the same command again."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission for {place}: {error.strerror}. Correct its owner or mode."
    return f"{place}: {error.strerror or error}"


def tell(error: BaseException) -> int:
    """Print the paragraph to stderr; returns the exit code."""
    if os.environ.get(TRACEBACK) == "1":
        traceback.print_exception(error)
    message, code = explain(error)
    print(f"{'refused' if code == 3 else 'error'}: {message}", file=sys.stderr)
    return code


def end_on_sigterm() -> None:
    """SIGTERM ends this process as Ctrl-C does: outputs are put away, exit code 130."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
