"""What is asked of git: the commit that is checked out, and checkouts of other commits."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from bertops.errors import BertopsError, UsageError

CHECKOUTS = Path(".bertops/checkouts")
"""Where work trees of other commits lie, in the project."""


class GitError(BertopsError):
    """git refused what was asked of it."""

    def __init__(self, arguments: Sequence[str], output: str) -> None:
        self.arguments, self.output = tuple(arguments), output
        super().__init__(f"git {' '.join(arguments[:2])} failed: {output.strip()}")


def run(
    root: Path, *arguments: str, env: Mapping[str, str] | None = None, ok: tuple[int, ...] = (0,)
) -> str:
    """stdout of a git command.

    Args:
        ok: exit codes that are no failure.

    Raises:
        GitError: with what git said.
    """
    ran = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
    )
    if ran.returncode not in ok:
        raise GitError(arguments, ran.stderr)
    return ran.stdout.strip()


def head(root: Path) -> str:
    """The commit that is checked out, 40 hexadecimal digits."""
    return run(root, "rev-parse", "HEAD")


def changed_files(root: Path) -> list[str]:
    """Tracked files that differ from the commit that is checked out."""
    return run(root, "diff", "--name-only", "HEAD").splitlines()


def commit_of(root: Path, revision: str) -> str:
    """The commit that a branch, tag or commit means now, or that was the last one on a date.

    Raises:
        UsageError: a date before the first commit, or neither a revision nor a date.
    """
    if known := _commit(root, revision):
        return known
    if re.match(r"\d{4}-\d\d-\d\d", revision):
        return _commit_of_date(root, revision)
    if fetched := _fetched(root, revision):
        return fetched
    raise UsageError(
        f"{revision!r} is no revision that git knows here or where the repository came from, "
        "and no date such as 2026-11-05 or 2026-11-05T18:00+01:00"
    )


def _commit_of_date(root: Path, date: str) -> str:
    try:
        datetime.fromisoformat(date)
    except ValueError as error:
        raise UsageError(f"{date!r} is no date: {error}") from error
    # A day without a time means its end; git would take the time of day of now.
    until = date if "T" in date else f"{date}T23:59:59Z"
    found = run(root, "rev-list", "-1", f"--before={until}", "HEAD")
    if not found:
        first = run(root, "log", "--reverse", "--format=%cI", "HEAD").splitlines()[0]
        raise UsageError(f"no commit is of {date} or before it; the first one is of {first}")
    return found


def _commit(root: Path, revision: str) -> str:
    """The commit of a revision; empty when it is not known."""
    name = f"{revision}^{{commit}}"
    return run(root, "rev-parse", "--quiet", "--verify", name, ok=(0, 1))


def _fetched(root: Path, revision: str) -> str:
    """The same, after asking where the repository came from."""
    run(root, "fetch", "--quiet", "--all")
    return _commit(root, revision)


def identity(root: Path) -> dict[str, str]:
    """Environment for a commit: empty where git knows whose it is, else bertops on this machine.

    A worker has an account that nobody ever told git a name for.
    """
    if run(root, "var", "GIT_COMMITTER_IDENT", ok=(0, 128)):
        return {}
    named = {"NAME": "bertops", "EMAIL": f"bertops@{socket.gethostname()}"}
    return {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in named.items()
    }


def check_out(root: Path, revision: str) -> Path:
    """A work tree of the commit that `revision` means now; the one that is there is used again.

    A revision that is not known here is looked for where the repository came from. The work tree
    appears when all of it is there.

    Raises:
        GitError: there is no such revision.
    """
    found = _commit(root, revision) or _fetched(root, revision)
    commit = found or run(root, "rev-parse", "--verify", f"{revision}^{{commit}}")
    checkout = root / CHECKOUTS / commit[:16]
    if not checkout.exists():
        partial = checkout.with_name(f"{checkout.name}.partial")  # a killed run may have left it
        shutil.rmtree(partial, ignore_errors=True)
        run(root, "worktree", "prune")
        run(root, "worktree", "add", "--detach", str(partial), commit)
        run(root, "worktree", "move", str(partial), str(checkout))
    return checkout
