"""Backfill: the pipeline for a list of data versions, each in a checkout of its own."""

from dataclasses import replace
from pathlib import Path

from prefect import flow

from bertops import git, versioning
from flows.account import Account, account, alone
from flows.pipeline import bring_up_to_date
from flows.tasks import TIMEOUT_S, StageResult, say


@flow(name="backfill", timeout_seconds=TIMEOUT_S)
def backfill(revisions: list[str], root: Path = Path()) -> dict[str, list[StageResult]]:
    """Bring every stage of each git revision up to date, with one shared DVC cache.

    What a revision needs and the cache has is restored, not computed. Each checkout stays under
    .bertops/checkouts, with its dvc.lock on a branch `backfill/HASH`.

    Args:
        revisions: branches, tags or commits; or dates, 2026-11-05 or 2026-11-05T18:00+01:00, for
            the last commit until then of the branch that is checked out. A day is one of UTC.

    Raises:
        UsageError: there is no commit of that date or before it.
    """
    root = root.resolve()
    with account("backfill") as told, alone(root):
        commits = {revision: git.commit_of(root, revision) for revision in revisions}
        results = {one: _fill(root, one, commit, told) for one, commit in commits.items()}
        told.said = f"{len(results)} revisions are up to date: {', '.join(results)}"
    return results


def _fill(root: Path, revision: str, commit: str, told: Account) -> list[StageResult]:
    checkout = versioning.check_out(root, commit)
    say(f"backfill {revision}: in {checkout.relative_to(root)}")
    results: list[StageResult] = []
    try:
        with alone(checkout):
            bring_up_to_date(checkout, results)
    finally:
        told.stages += [replace(one, stage=f"{one.stage} at {revision}") for one in results]
    versioning.commit_lock(checkout, "backfill")
    return results
