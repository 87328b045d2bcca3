"""`bertops tune`: search for the values that suit a task."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bertops.cli.output import JsonFlag, print_json

if TYPE_CHECKING:
    from bertops.finetuning.tune import TrialTracker
    from bertops.paths import Paths
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
    with _search_run(paths, task) as open_trial:
        report = tune_task(
            params.task(task),
            paths.task_data(task),
            paths.encoder,
            paths.state / "tune",
            params.finetuning,
            trials,
            open_trial,
            lambda address: from_registry(address, context.obj),
        )
    if json:
        print_json(report)
        return
    counts = f"{report.finished} finished, {report.pruned} pruned, {report.failed} failed"
    print(f"{task}: validation {report.metric} {report.validation:.4f} ({counts})")
    print("for the task in params.yaml, in place of its overrides:")
    print(report.to_yaml())


@contextlib.contextmanager
def _search_run(paths: "Paths", task: str) -> Iterator["TrialTracker"]:
    """A run in the tracking store for a search, and a function that gives each trial one below it.

    A search that goes on where it was stopped goes on in its run. A trial that was stopped does
    not go on, so where its run is kept is forgotten.
    """
    from bertops.tracking.mlflow_tracker import MLflowTracker
    from bertops.tracking.store import open_store

    store, experiment = open_store(paths.mlflow_store), f"bertops-tune-{task}"
    runs = paths.state / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="trials-", dir=runs) as trials,
        MLflowTracker(store, experiment, f"tune-{task}", runs / f"tune-{task}.json") as search,
    ):
        search.set_tags({"bertops.study": task})

        @contextlib.contextmanager
        def open_trial(number: int) -> Iterator["Tracker"]:
            name = f"trial-{number}"
            file = Path(trials) / f"{name}.json"
            with MLflowTracker(
                store, experiment, name, file, system_metrics=False, parent=search
            ) as tracker:
                tracker.set_tags({"bertops.study": task, "bertops.trial": str(number)})
                yield tracker

        yield open_trial
