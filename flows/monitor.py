"""Monitor: do the texts of today still look like those that the champion was trained on?"""

from dataclasses import asdict
from pathlib import Path

from prefect import flow, task
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL

from bertops.errors import UsageError
from bertops.evaluation.drift import DRIFTED, DriftReport, compare_batch, read_batch
from bertops.paths import Paths
from bertops.storage import read_json, write_json
from flows.account import account
from flows.tasks import SERVED, TIMEOUT_S, say

RETRAIN = "retrain/retrain"
"""Deployment that is started when a batch has drifted."""


@flow(name="monitor", timeout_seconds=TIMEOUT_S)
def monitor(
    batch: Path, task: str, root: Path = Path(), retrain: bool = True, text_column: str = "text"
) -> DriftReport:
    """Compare a scored batch with the task's data: words, length, confidence, predictions.

    Args:
        batch: JSONL, CSV or Parquet, as `bertops predict --output` writes it.
        retrain: start the retrain deployment when it drifted (needs a Prefect server).
        text_column: column of the texts in the batch.
    """
    with account(f"monitor {task}") as told:
        paths = Paths(root.resolve())
        found = read_batch(batch, text_column)
        trained = paths.report("finetune", task)
        if not trained.is_file():
            raise UsageError(
                f"task {task!r} was not fine-tuned here: no {trained}. See bertops stages"
            )
        kind = read_json(trained)["kind"]
        report = compare_batch(
            found, paths.task_data(task), paths.predictions(task), task=task, kind=kind
        )
        write_json(paths.report("monitor", task), asdict(report))
        say(f"monitor {task}: {report.sentence}")
        told.ending = "drifted" if report.drifted else "no drift"
        told.said = report.sentence
        told.tables["drift"] = [
            {"what": what, "index": value, "moved": value > DRIFTED}
            for what, value in report.index.items()
        ]
        told.report = paths.report("monitor", task).as_uri()
        if report.drifted and retrain and PREFECT_API_URL.value():
            open_retrain()
    return report


@task(name="open retrain", **SERVED)
def open_retrain() -> None:
    """Have the retrain deployment run, on whichever worker takes it."""
    run_deployment(RETRAIN, timeout=0)
