"""`bertops tune`: search for the values that suit a task."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bertops.cli.output import JsonFlag, print_json

if TYPE_CHECKING:
    from bertops.tracker import Tracker


def tune(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="Name of a task of params.yaml.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials that the study shall have.")] = 20,
    json: JsonFlag = False,
) -> None:
    """Search for good learning rates, epochs and batches; print YAML to paste."""
    from bertops.asking import from_registry
    from bertops.finetuning.tune import tune_task
    from bertops.params import load
    from bertops.paths import Paths

    params, paths = load(context.obj / "params.yaml"), Paths(context.obj)
    report = tune_task(
        params.task(task),
        paths.task_data(task),
        paths.encoder,
        paths.state / "tune",
        params.finetuning,
        trials,
        lambda number: _nested_run(context.obj, task, number),
        lambda address: from_registry(address, context.obj),
    )
    if json:
        print_json(report)
        return
    counts = f"{report.finished} finished, {report.pruned} pruned, {report.failed} failed"
    print(f"{task}: validation {report.metric} {report.validation:.4f} ({counts})")
    print("paste under the task in params.yaml:")
    print(report.to_yaml())


@contextlib.contextmanager
def _nested_run(root: Path, task: str, number: int) -> Iterator["Tracker"]:
    """A run in the tracking store for one trial, tagged with its study."""
    from bertops.paths import Paths
    from bertops.tracking.mlflow_tracker import MLflowTracker
    from bertops.tracking.store import open_store

    paths = Paths(root)
    name = f"tune-{task}-{number}"
    store = open_store(paths.mlflow_store)
    file = paths.state / "runs" / f"{name}.json"
    with MLflowTracker(store, f"bertops-tune-{task}", name, file) as tracker:
        tracker.set_tags({"bertops.study": task, "bertops.trial": str(number)})
        yield tracker
