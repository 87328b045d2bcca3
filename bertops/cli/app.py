"""The root command: mounts the others and turns errors into exit codes."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bertops import __version__
from bertops.cli import corpus, doctor, inference, params, pipeline, registry, services
from bertops.cli.failures import end_on_sigterm, tell
from bertops.environment import PROJECT

app = typer.Typer(
    name="bertops",
    help="Pretrain, fine-tune, evaluate and operate BERT-class encoders.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"bertops {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    project: Annotated[
        Path, typer.Option(help="Folder that holds params.yaml.", envvar=PROJECT)
    ] = Path(),
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Pretrain, fine-tune, evaluate and operate BERT-class encoders."""
    context.obj = project.resolve()


pipeline.add_to(app)
services.add_to(app)
app.add_typer(params.app, name="params")
app.command("doctor")(doctor.doctor)
app.add_typer(corpus.app, name="corpus")
app.add_typer(registry.app, name="registry")
app.add_typer(inference.app)


def main() -> None:
    """Run the command line; every error becomes one paragraph and an exit code."""
    end_on_sigterm()
    try:
        sys.exit(typer.main.get_command(app).main(standalone_mode=False))
    except typer.TyperException as misuse:
        if said := misuse.format_message():  # nothing when the help was printed already
            print(f"error: {said}", file=sys.stderr)
        sys.exit(misuse.exit_code)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(tell(KeyboardInterrupt()))
    except Exception as error:
        sys.exit(tell(error))
