"""How long the steps of cleaning took, and what changed since the run before.

It lies beside the finished shards and in no output of a stage: times differ from run to run, and
what a stage writes must not.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from bertops.corpus.explain import difference
from bertops.corpus.report import CleanReport
from bertops.storage import read_json, write_json

FILE = "last.json"


@dataclass(frozen=True)
class LastRun:
    """The last run of cleaning in this checkout."""

    seconds: dict[str, float]
    """By pass, from begin to end: for shards that were done before, no time is needed. By step of
    judging (`judge: rules`), added up over all shards, whichever run judged them."""
    changes: tuple[tuple[str, int, int], ...]
    """Name, number in the run before, number in this one; of what differs."""


def remember(work: Path, report: CleanReport, seconds: dict[str, float]) -> None:
    """Note a run in `work`, and how it differs from the one that was noted before."""
    new = asdict(report)
    old = read_json(work / FILE)["report"] if (work / FILE).exists() else new
    changes = [change for change in difference(old, new) if change[1] != change[2]]
    write_json(work / FILE, {"report": new, "seconds": seconds, "changes": changes})


def recall(work: Path) -> LastRun | None:
    """The run that `remember` noted last; None where there was none."""
    if not (work / FILE).exists():
        return None
    noted = read_json(work / FILE)
    return LastRun(noted["seconds"], tuple(tuple(change) for change in noted["changes"]))
