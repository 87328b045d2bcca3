"""What is asked of git: the commit that is checked out, and checkouts of other commits."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bertops.errors import BertopsError

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


def check_out(root: Path, revision: str) -> Path:
    """A work tree of the commit that `revision` means now; the one that is there is used again.

    A revision that is not known here is looked for where the repository came from. The work tree
    appears when all of it is there.

    Raises:
        GitError: there is no such revision.
    """
    name = f"{revision}^{{commit}}"
    if not run(root, "rev-parse", "--quiet", "--verify", name, ok=(0, 1)):
        run(root, "fetch", "--quiet", "--all")
    commit = run(root, "rev-parse", "--verify", name)
    checkout = root / CHECKOUTS / commit[:16]
    if not checkout.exists():
        partial = checkout.with_name(f"{checkout.name}.partial")  # a killed run may have left it
        shutil.rmtree(partial, ignore_errors=True)
        run(root, "worktree", "prune")
        run(root, "worktree", "add", "--detach", str(partial), commit)
        run(root, "worktree", "move", str(partial), str(checkout))
    return checkout
