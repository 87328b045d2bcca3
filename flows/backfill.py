"""Backfill: the pipeline for a list of data versions, each in a checkout of its own."""

from pathlib import Path

from prefect import flow

from bertops import versioning
from flows.pipeline import bring_up_to_date
from flows.tasks import StageResult, say


@flow(name="backfill")
def backfill(revisions: list[str], root: Path = Path()) -> dict[str, list[StageResult]]:
    """Bring every stage of each git revision up to date, with one shared DVC cache.

    What a revision needs and the cache has is restored, not computed. Each checkout stays under
    .bertops/checkouts, with its dvc.lock on a branch `backfill/HASH`.
    """
    root = root.resolve()
    results = {}
    for revision in revisions:
        checkout = versioning.check_out(root, revision)
        say(f"backfill {revision}: in {checkout.relative_to(root)}")
        results[revision] = bring_up_to_date(checkout)
        versioning.commit_lock(checkout, "backfill")
    return results
