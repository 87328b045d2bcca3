"""One table over all tasks, as benchmarks like GLUE print it."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SPLIT = "test"


@dataclass(frozen=True)
class ScoreRow:
    """What the fine-tuned models of one task reach on its test split."""

    task: str
    metric: str
    rows: int
    """In the test split."""
    seeds: int
    """Runs that came through."""
    median: float
    low: float
    high: float
    """Of the task's metric over the seeds."""
    others: dict[str, float]
    """Medians of the kind's other metrics."""
    control: float | None
    """Median of the same model without pretraining, where it was trained."""
    baselines: dict[str, float]


def score_row(report: Mapping[str, Any]) -> ScoreRow | None:
    """The row of one task; None for a task without a test split.

    Args:
        report: a `FinetuneReport` as plain values.
    """
    metric, summary = report["metric"], report["summary"]
    scores = summary["pretrained"].get(SPLIT)
    if scores is None:
        return None
    done = [run for run in report["runs"] if run["failure"] is None]
    control = summary.get("control")
    return ScoreRow(
        task=report["task"],
        metric=metric,
        rows=report["rows"][SPLIT],
        seeds=sum(run["model"] == "pretrained" for run in done),
        median=scores[metric]["median"],
        low=scores[metric]["min"],
        high=scores[metric]["max"],
        others={name: score["median"] for name, score in scores.items() if name != metric},
        control=control[SPLIT][metric]["median"] if control else None,
        baselines={name: found[SPLIT][metric] for name, found in report["baselines"].items()},
    )


def average(rows: Iterable[ScoreRow]) -> float:
    """Mean of the tasks' own metrics, each task alike. Source: Wang et al. 2018, "GLUE"."""
    return statistics.fmean(row.median for row in rows)


def score_table(rows: Sequence[ScoreRow]) -> list[list[str]]:
    """Cells with a head and, for several tasks, their average."""
    names = list(dict.fromkeys(name for row in rows for name in row.baselines))
    head = ["task", "metric", "median", "range", "seeds", "rows", "not pretrained", *names, "also"]
    cells = [
        [
            row.task,
            row.metric,
            f"{row.median:.3f}",
            f"{row.low:.3f}-{row.high:.3f}",
            str(row.seeds),
            f"{row.rows:,}",
            _number(row.control),
            *(_number(row.baselines.get(name)) for name in names),
            ", ".join(f"{name} {value:.3f}" for name, value in row.others.items()),
        ]
        for row in rows
    ]
    if len(rows) > 1:
        cells.append(["average", "", f"{average(rows):.3f}", *[""] * (len(head) - 3)])
    return [head, *cells]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
