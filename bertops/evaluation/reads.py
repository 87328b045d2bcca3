"""Who looked at a test set, and when: each look makes its next number a little less honest.

The record is no output of a stage: it grows by one line a look, in `.bertops/test-reads.jsonl`.
"""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

LOG = "test-reads.jsonl"


def log_read(state: Path, task: str, test_hash: str, why: str) -> None:
    """Append one look at a task's test set; concurrent writers each keep their line."""
    entry = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": task,
        "test": test_hash,
        "why": why,
    }
    state.mkdir(parents=True, exist_ok=True)
    with (state / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def count_reads(state: Path) -> dict[str, dict[str, int]]:
    """Looks at each task's present test set, by the reason; a torn last line is none.

    The present test set is the one that was looked at last: a new one begins at nothing.
    """
    counts: dict[str, Counter[str]] = {}
    present: dict[str, str] = {}
    if not (state / LOG).exists():
        return {}
    for line in (state / LOG).read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if present.get(entry["task"]) != entry["test"]:
            present[entry["task"]], counts[entry["task"]] = entry["test"], Counter()
        counts[entry["task"]][entry["why"]] += 1
    return {task: dict(sorted(some.items())) for task, some in sorted(counts.items())}
