"""`bertops up`, `down`, `ui`: the servers of one machine."""

import os
import sys
from typing import Annotated, Literal

import typer

from bertops.cli.output import table
from bertops.errors import UsageError

Which = Annotated[Literal["mlflow", "prefect"], typer.Argument(help="Which of the two.")]


def up(
    context: typer.Context,
    prefect_port: Annotated[int, typer.Option(help="Loopback port of Prefect.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="Loopback port of MLflow.")] = 5000,
    postgres_port: Annotated[int, typer.Option(help="Loopback port of PostgreSQL.")] = 54329,
    worker: Annotated[bool, typer.Option(help="Also start a worker for the pool cpu.")] = True,
    artifacts: Annotated[
        str | None,
        typer.Option(help="Where MLflow keeps files: s3://bucket/mlflow; default: the project."),
    ] = None,
) -> None:
    """Start Prefect, MLflow, a worker, and PostgreSQL where installed; loopback, with passwords."""
    from bertops import services

    ports = services.Ports(prefect_port, mlflow_port, postgres_port)
    services.up(context.obj, ports, worker=worker, artifacts=artifacts)
    print(
        table([
            ("Prefect", f"http://127.0.0.1:{prefect_port}"),
            ("MLflow", f"http://127.0.0.1:{mlflow_port}"),
            ("user, password", "bertops, see .bertops/services/password"),
            ("use them", ". .bertops/services/env && bertops deploy"),
            ("stop them", "make down"),
        ])
    )  # fmt: skip


def down(context: typer.Context) -> None:
    """Stop what `bertops up` started; nothing that they keep is lost."""
    from bertops import services

    stopped = services.down(context.obj)
    print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


def ui(
    context: typer.Context,
    which: Which,
    port: Annotated[int | None, typer.Option(help="Loopback port; default 5000 or 4200.")] = None,
) -> None:
    """Open the UI of MLflow or Prefect on what `bertops run` kept in this project."""
    from bertops.paths import Paths

    paths = Paths(context.obj)
    kept = paths.mlflow_store if which == "mlflow" else paths.state / "prefect/prefect.db"
    if not kept.exists():
        raise UsageError(f"{which} has nothing to show yet: {kept} is missing. Run bertops run.")
    number = str(port or {"mlflow": 5000, "prefect": 4200}[which])
    if which == "mlflow":
        command = ["mlflow", "ui", "--backend-store-uri", f"sqlite:///{kept}", "--port", number]
        os.environ.setdefault(
            "MLFLOW_SERVER_ALLOWED_HOSTS", f"127.0.0.1:{number},localhost:{number}"
        )
    else:
        command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", number]
        os.environ["PREFECT_HOME"] = str(kept.parent)
    os.environ |= {"DO_NOT_TRACK": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    print(f"http://127.0.0.1:{number}   (Ctrl-C ends it)", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", *command])


def add_to(app: typer.Typer) -> None:
    """Put these commands at the root of the command line."""
    for command in (up, down, ui):
        app.command()(command)
