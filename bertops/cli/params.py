"""`bertops params`: show, check and switch the parameters."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bertops.cli.output import JsonFlag, print_json

app = typer.Typer(help="Show, check and switch the parameters.", no_args_is_help=True)

Section = Annotated[
    str | None, typer.Argument(help="Dotted name, as in `training`; default: everything.")
]


@app.command()
def show(context: typer.Context, section: Section = None, json: JsonFlag = False) -> None:
    """Print the parameters as they apply, defaults filled in."""
    import yaml

    from bertops.params import load, section_of

    values = section_of(load(context.obj / "params.yaml"), section)
    if json:
        print_json(values)
    else:
        print(yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip())


@app.command()
def check(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Another file than params.yaml.")] = None,
    json: JsonFlag = False,
) -> None:
    """Check the parameters and list every problem, with place, value and remedy."""
    from bertops.params import load
    from bertops.problems import ParamsError

    path = file or context.obj / "params.yaml"
    try:
        params = load(path)
    except ParamsError as error:
        if not json:
            raise
        print_json({"file": str(path), "problems": [asdict(one) for one in error.problems]})
        raise typer.Exit(error.exit_code) from None
    sources, tasks = len(params.corpus.sources), len(params.tasks)
    if json:
        print_json({"file": str(path), "problems": [], "sources": sources, "tasks": tasks})
    else:
        print(f"{path.name}: no problems ({sources} sources, {tasks} tasks)")


@app.command()
def use(
    context: typer.Context,
    preset: Annotated[str, typer.Argument(help="Name of a file in params/, as in `reviews`.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would change.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Lay a preset from params/ over params.yaml; comments and order stay."""
    from bertops import presets

    path = context.obj / "params.yaml"
    changes = presets.use(path, presets.find(context.obj / "params", preset), dry_run=dry_run)
    if json:
        print_json([change.__dict__ for change in changes])
        return
    verb = "would change" if dry_run else "changed"
    print(f"{verb} {len(changes)} values of params.yaml" + (":" if changes else ""))
    for change in changes:
        print(f"  {change}")
