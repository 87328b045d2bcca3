"""Monitor: do the texts of today still look like those that the champion was trained on?"""

from dataclasses import asdict
from pathlib import Path

from prefect import flow
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL

from bertops.evaluation.drift import DriftReport, compare_batch, read_batch
from bertops.paths import Paths
from bertops.storage import write_json
from flows.notify import notify
from flows.tasks import say

RETRAIN = "retrain/retrain"
"""Deployment that is started when a batch has drifted."""


@flow(name="monitor")
def monitor(batch: Path, task: str, root: Path = Path(), retrain: bool = True) -> DriftReport:
    """Compare a scored batch with the task's validation data: length, confidence, labels.

    Args:
        batch: JSONL, CSV or Parquet with `text`, `prediction` and `confidence`, as
            `bertops predict --out` writes it.
        retrain: start the retrain deployment when it drifted (needs a Prefect server).
    """
    paths = Paths(root.resolve())
    report = compare_batch(
        read_batch(batch), paths.task_data(task), paths.predictions(task), task=task
    )
    write_json(paths.report("monitor", task), asdict(report))
    say(f"monitor {task}: {report.sentence}")
    if report.drifted:
        notify(f"{task} has drifted", report.sentence)
        if retrain and PREFECT_API_URL.value():
            run_deployment(RETRAIN, timeout=0)
    return report
