"""Fixtures that all tests share."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Nothing leaves the machine, and nothing is drawn over the report of pytest.
os.environ.setdefault("DVC_NO_ANALYTICS", "1")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("BERTOPS_PROGRESS", "0")

# What a shell starts in the background ignores Ctrl-C, which many tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many faults the tests marked `fault` injected, and how many were survived.

    A test injects one, unless it records a property `faults`; what it found lost it records as
    `lost`. Only a test that passed has survived.
    """
    stats = terminalreporter.stats
    passed, failed = ([report for report in stats.get(kind, ())
                       if "fault" in report.keywords and report.when == "call"]
                      for kind in ("passed", "failed"))  # fmt: skip
    if not passed and not failed:
        return

    def total(reports: list[pytest.TestReport], name: str, default: int) -> int:
        return sum(int(str(dict(r.user_properties).get(name, default))) for r in reports)

    survived = total(passed, "faults", 1)
    injected = survived + total(failed, "faults", 1)
    lost = total(passed + failed, "lost", 0)
    unknown = f", unknown for {len(failed)} tests that failed" if failed else ""
    terminalreporter.write_line(
        f"faults: {injected} injected, {survived} survived; data lost: {lost}{unknown}"
    )


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of larger real data sets beside the repository; tests that want it skip without."""
    found = ROOT.parent / "shared/data"
    if not found.is_dir():
        pytest.skip("needs the data sets in ../shared/data")
    return found


def tracked_files() -> list[Path]:
    """Files of the working tree that belong to the project, relative to its root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]


def begin_repository(folder: Path) -> None:
    """Make `folder` a git repository with one commit of all it holds."""
    me = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*me, "commit", "-qm", "Begin"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


def copy_project(target: Path) -> Path:
    """A copy of the project as a fresh clone would have it, with a commit of its own."""
    for name in tracked_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    begin_repository(target)
    return target
