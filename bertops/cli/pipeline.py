"""`bertops run`, `stage`, `stages`, `scores`, `report`: the pipeline from the command line."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from bertops.cli.output import JsonFlag, plain, print_json, table
from bertops.errors import BertopsError, UsageError


def run(context: typer.Context, json: JsonFlag = False) -> None:
    """Run the whole pipeline: raw text to a promoted model; what is up to date is skipped."""
    from bertops.params import load

    load(context.obj / "params.yaml")  # before anything runs
    _begin_flow(context.obj, "pipeline", ["--json"] if json else [])


def _begin_flow(project: Path, flow: str, arguments: list[str]) -> None:
    """Become the process of a flow, which gets our signals and gives its own exit code."""
    if find_spec("prefect") is None:
        raise UsageError("flows need Prefect: pip install -c constraints.txt -e '.[flows]'")
    (project / ".bertops/prefect").mkdir(parents=True, exist_ok=True)  # Prefect makes no parents
    os.environ.update(quiet_environment(project) | os.environ)
    sys.stdout.flush()
    os.chdir(project)
    os.execv(sys.executable, [sys.executable, "-m", "flows", flow, *arguments])


def quiet_environment(project: Path) -> dict[str, str]:
    """Defaults of a run without servers: all state inside the project, nothing sent anywhere."""
    return {
        "PREFECT_HOME": str(project / ".bertops/prefect"),
        "PREFECT_LOGGING_LEVEL": "CRITICAL",  # our own lines tell what happens
        # It takes 12 s of one core; on a busy machine that is more than Prefect's limit of 20 s.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "1",
    }


def flow(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="pipeline, retrain, promotion, monitor or backfill.")],
    parameters: Annotated[
        list[str] | None, typer.Argument(help="Its parameters, as key=value.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Run a flow in this process, as a worker would."""
    _begin_flow(context.obj, name, [*(parameters or []), *(["--json"] if json else [])])


def deploy(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would change.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Apply flows/prefect.yaml to the Prefect server; what is gone from it is removed."""
    flags = [*(["--dry-run"] if dry_run else []), *(["--json"] if json else [])]
    _begin_flow(context.obj, "deploy", flags)


def stage(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of a stage of dvc.yaml.")],
    item: Annotated[str | None, typer.Argument(help="Source or task, where it has them.")] = None,
    json: JsonFlag = False,
) -> None:
    """Run one stage now, whatever is up to date; this is what dvc.yaml calls."""
    from bertops import stages
    from bertops.cli.failures import explain
    from bertops.leash import stop_with_holder
    from bertops.versioning import leave_ending

    stop_with_holder()
    try:
        report = stages.run(context.obj, name, item)
    except (Exception, KeyboardInterrupt) as error:
        message, code = explain(error)
        if not leave_ending(message, code):
            raise
        raise typer.Exit(code) from error
    leave_ending("", 0)
    if json:
        print_json(report)
    else:
        print(f"{name}{f' {item}' if item else ''}: {_brief(plain(report))}")


def _brief(report: object) -> str:
    """The numbers and words at the top of a report, in one line."""
    values = report if isinstance(report, dict) else {}
    shown = [f"{k} {v}" for k, v in values.items() if isinstance(v, int | float | str) and v != ""]
    return ", ".join(shown) or "done"


def stages(context: typer.Context, json: JsonFlag = False) -> None:
    """List the stages: up to date, stale, waiting or never run, and why."""
    from bertops import graph, versioning

    project = context.obj
    found = graph.states(
        graph.read(project), versioning.status(project), versioning.locked(project)
    )
    if json:
        print_json(
            [{"address": s.stage.address, "stage": s.stage.name, "item": s.stage.item,
              "state": s.state, "why": s.why} for s in found]
        )  # fmt: skip
    else:
        print(table([s.stage.label, s.state, "; ".join(s.why)] for s in found))


def scores(context: typer.Context, json: JsonFlag = False) -> None:
    """Print one table over all tasks: test scores over the seeds, baselines, average."""
    from bertops.finetuning.scores import score_row, score_table
    from bertops.params import load
    from bertops.paths import Paths
    from bertops.storage import read_json

    paths, params = Paths(context.obj), load(context.obj / "params.yaml")
    files = [paths.report("finetune", task.name) for task in params.tasks]
    found = [score_row(read_json(file)) for file in files if file.exists()]
    rows = [row for row in found if row is not None]
    if not rows:
        raise UsageError(
            "no task is fine-tuned yet: run bertops stage task_data TASK, then "
            "bertops stage finetune TASK, or the whole pipeline with bertops run"
        )
    if json:
        print_json(rows)
        return
    print(table(score_table(rows)))
    if waiting := [f.stem for f in files if not f.exists()]:
        print(f"not fine-tuned yet: {', '.join(waiting)}")


def report(context: typer.Context) -> None:
    """Write reports/report.html anew from what was measured, and print where it is."""
    from bertops import stages
    from bertops.paths import Paths

    paths = Paths(context.obj)
    if not paths.evaluation.exists():
        raise BertopsError("nothing to report yet: reports/evaluation is missing. Run bertops run.")
    print(stages.render_report(context.obj))


def add_to(app: typer.Typer) -> None:
    """Put these commands at the root of the command line."""
    for command in (run, stage, stages, scores, report, flow, deploy):
        app.command()(command)
