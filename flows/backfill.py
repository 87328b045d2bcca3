"""Backfill: the pipeline for a list of data versions, each in a checkout of its own."""

import subprocess
from pathlib import Path

from prefect import flow

from bertops import versioning
from bertops.errors import BertopsError
from flows.pipeline import bring_up_to_date
from flows.tasks import StageResult, say


class RevisionUnusable(BertopsError):
    """A revision could not be checked out."""

    def __init__(self, revision: str, said: str) -> None:
        self.revision, self.said = revision, said
        super().__init__(f"revision {revision!r} cannot be checked out: {said.strip()}")


@flow(name="backfill")
def backfill(revisions: list[str], root: Path = Path()) -> dict[str, list[StageResult]]:
    """Bring every stage of each git revision up to date, with one shared DVC cache.

    What a revision needs and the cache has is restored, not computed. Each checkout stays under
    .bertops/backfill, with its dvc.lock on a branch `backfill/HASH`.
    """
    root = root.resolve()
    results = {}
    for revision in revisions:
        checkout = check_out(root, revision)
        say(f"backfill {revision}: in {checkout.relative_to(root)}")
        results[revision] = bring_up_to_date(checkout)
        versioning.commit_lock(checkout, "backfill")
    return results


def check_out(root: Path, revision: str) -> Path:
    """A work tree of `revision` that shares the DVC cache; the one that is there is used again."""
    checkout = root / ".bertops/backfill" / revision.replace("/", "-")
    if not checkout.exists():
        ran = subprocess.run(
            ["git", "-C", str(root), "worktree", "add", "--detach", str(checkout), revision],
            capture_output=True,
            text=True,
        )
        if ran.returncode != 0:
            raise RevisionUnusable(revision, ran.stderr)
    versioning.share_cache(checkout, root / ".dvc/cache")
    return checkout
