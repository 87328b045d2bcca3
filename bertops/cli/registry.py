"""`bertops registry`: which versions there are, which is in use and why, and how to change that."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bertops.cli.output import JsonFlag, print_json, table

if TYPE_CHECKING:
    from bertops.registry.client import Registry, Version
    from bertops.registry.events import Entry

app = typer.Typer(help="List, compare, promote and roll back models.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Model: a task, or 'encoder'.", show_default=False)]
Number = Annotated[int, typer.Argument(help="Version.", show_default=False)]
Why = Annotated[str, typer.Option("--why", help="Reason, kept in the history.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would happen.")]

NOTHING_YET = "nothing is registered yet; bertops run does it"
ASKED = "asked for on the command line"
"""The reason in the history where a person gave none."""


@app.command("list")
def list_versions(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Model; all when left out.")] = None,
    json: JsonFlag = False,
) -> None:
    """List models and their versions with aliases."""
    registry = _open(context.obj)
    names = _names(registry, name)
    rows = [_row(v, registry.aliases(n)) for n in names for v in registry.versions(n)]
    if json:
        print_json(rows)
    elif rows:
        columns = ("name", "version", "aliases", "content", "git_commit")
        print(table([columns, *([_cell(row[c]) for c in columns] for row in rows)]))
    else:
        print(NOTHING_YET)


@app.command()
def show(context: typer.Context, name: Name, version: Number, json: JsonFlag = False) -> None:
    """Show all that is known of one version."""
    registry = _open(context.obj)
    found = registry.version(name, version)
    row = _row(found, registry.aliases(name))
    row |= {"source": found.source, "run": found.run_id, "tags": dict(sorted(found.tags.items()))}
    if json:
        print_json(row)
        return
    tags = row.pop("tags")
    print(table([key, _cell(value)] for key, value in row.items()))
    print(table(([key.removeprefix("bertops."), value] for key, value in tags.items()), "  "))


@app.command()
def compare(
    context: typer.Context, name: Name, first: Number, second: Number, json: JsonFlag = False
) -> None:
    """Compare two versions on today's test set; both are asked anew."""
    from bertops.evaluation.compare import explain
    from bertops.evidence import head_to_head
    from bertops.params import load
    from bertops.paths import Paths

    paths, params = Paths(context.obj), load(context.obj / "params.yaml")
    registry = _open(context.obj)
    duel = head_to_head(params, paths, registry, name, (first, second), "compare")
    if json:
        print_json(duel)
        return
    found = duel.comparison
    rows = [(found.first, found.first_value), (found.second, found.second_value)]
    print(table([who, f"{found.score} {value:.4f}"] for who, value in rows))
    print(explain(found, f"version {first} is better", f"version {first} is worse"))
    if found.mcnemar:
        m = found.mcnemar
        print(
            f"of {found.documents} documents only {found.first} has {m.only_first_right} right, "
            f"only {found.second} {m.only_second_right} (exact McNemar p = {m.p_value:.3g})"
        )
    for one in duel.slices:
        if one.standing == "worse":
            print(
                f"worse where {one.column} is {one.value}: {one.score} {one.other:.3f} → "
                f"{one.measured:.3f}, {one.documents} documents (p = {one.p_value:.2g}, Holm)"
            )
    for right, wrong, flips in (
        (found.first, found.second, duel.flips.gained if duel.flips else ()),
        (found.second, found.first, duel.flips.lost if duel.flips else ()),
    ):
        for flip in flips:
            print(
                f"only {right} is right: {flip.gold}, which {wrong} takes for {flip.wrong} "
                f"({flip.confidence:.0%} sure)\n    {flip.excerpt}"
            )


@app.command()
def promote(
    context: typer.Context,
    name: Name,
    version: Number,
    why: Why = ASKED,
    mode: Annotated[
        Literal["off", "dry-run", "on"] | None,
        typer.Option(help="In place of registry.mode in params.yaml.", show_default=False),
    ] = None,
    dry_run: DryRun = False,
    json: JsonFlag = False,
) -> None:
    """Promote a version to @champion, if its gates let it through."""
    from bertops import release

    done = release.promote_version(
        context.obj, name, version, mode="dry-run" if dry_run else mode, why=why
    )
    _tell(done, json)


@app.command()
def approve(
    context: typer.Context, name: Name, version: Number, why: Why, json: JsonFlag = False
) -> None:
    """Approve a version, where params.yaml asks for a person's approval."""
    from bertops.registry.promote import approve as note

    registry = _open(context.obj)
    registry.version(name, version)  # raises where there is none
    state = note(registry, name, version, why=why)
    if json:
        print_json({"name": name, "approved": sorted(state.approved)})
    else:
        print(f"approved: {name} version {version} ({why})")


@app.command()
def rollback(
    context: typer.Context,
    name: Name,
    why: Why,
    to: Annotated[int | None, typer.Option(help="A former champion; else the last one.")] = None,
    dry_run: DryRun = False,
    json: JsonFlag = False,
) -> None:
    """Go back to the champion before this one; it is loaded and tried first."""
    from bertops.registry.promote import rollback as go_back
    from bertops.registry.smoke import smoke_test

    registry, cache = _open(context.obj), _cache(context.obj)
    done = go_back(
        registry,
        name,
        why=why,
        to=to,
        smoke_test=lambda number: smoke_test(registry, name, number, cache),
        dry_run=dry_run,
    )
    _tell(done, json)


@app.command()
def history(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Model; all when left out.")] = None,
    json: JsonFlag = False,
) -> None:
    """Tell who changed what, when and why; oldest first."""
    from bertops.registry.promote import history as read

    registry = _open(context.obj)
    told = {one: read(registry, one) for one in _names(registry, name)}
    if json:
        print_json([_event(one, entry) for one, entries in told.items() for entry in entries])
    elif told:
        print("\n\n".join(_chronicle(registry, one, told[one]) for one in told))
    else:
        print(NOTHING_YET)


@app.command()
def export(
    context: typer.Context,
    name: Name,
    version: Number,
    target: Annotated[Path, typer.Argument(help="New directory.", show_default=False)],
    json: JsonFlag = False,
) -> None:
    """Write a version to a directory that transformers loads and a hub takes."""
    from bertops.registry.export import export as write

    registry = _open(context.obj)
    made = write(registry, registry.version(name, version), target, _cache(context.obj))
    if json:
        files = (path for path in sorted(made.rglob("*")) if path.is_file())
        print_json({"directory": str(made), "files": [str(f.relative_to(made)) for f in files]})
    else:
        print(f"exported: {name} version {version} to {made}")


@app.command()
def reconcile(
    context: typer.Context,
    name: Name,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep/--undo",
            help="Keep what was set, or go back to the history.",
            show_default=False,
        ),
    ],
    why: Why = ASKED,
    json: JsonFlag = False,
) -> None:
    """Settle an alias that somebody set outside bertops."""
    from bertops.registry.promote import reconcile as settle

    _tell(settle(_open(context.obj), name, keep=keep, why=why), json)


def _open(root: Path) -> "Registry":
    from bertops.asking import open_registry
    from bertops.paths import Paths

    return open_registry(Paths(root))


def _names(registry: "Registry", name: str | None) -> list[str]:
    """The model of that name, or all of them.

    Raises:
        UsageError: no such model is registered.
    """
    from bertops.errors import UsageError
    from bertops.problems import did_you_mean

    known = registry.names()
    if name is None:
        return known
    if name not in known:
        there = f"there are: {', '.join(known)}" if known else NOTHING_YET
        raise UsageError(f"no model {name!r} is registered{did_you_mean(name, known)}; {there}")
    return [name]


def _cache(root: Path) -> Path:
    from bertops.paths import Paths

    return Paths(root).state / "models"


def _tell(done: Any, json: bool) -> None:
    if json:
        print_json(done)
        return
    for gate in done.gates:
        print(f"  {gate.gate:<24} {'pass' if gate.passed else 'FAIL'}  {gate.said}")
    print(done.sentence)


def _row(version: "Version", aliases: dict[str, int]) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.number,
        "aliases": sorted(alias for alias, number in aliases.items() if number == version.number),
        "content": version.content[:12],
        "git_commit": version.tags.get("bertops.git_commit", "")[:12],
    }


def _cell(value: Any) -> str:
    return " ".join(f"@{alias}" for alias in value) if isinstance(value, list) else str(value)


def _event(name: str, entry: "Entry") -> dict[str, Any]:
    from dataclasses import asdict

    return {"name": name, "number": entry.number} | asdict(entry.event)


def _chronicle(registry: "Registry", name: str, entries: Sequence["Entry"]) -> str:
    """The history of one model, under its name."""
    from bertops.registry.promote import lost

    if not entries:
        return f"{name}: no history yet"
    lines = [name, table((_told(entry) for entry in entries), "  ")]
    if beaten := lost(registry, name):
        lines.append(f"  ({beaten} attempts came second in a race and changed nothing)")
    return "\n".join(lines)


def _told(entry: "Entry") -> list[str]:
    """One line of the history: when, what, which versions, who, why."""
    event = entry.event
    moved = event.kind in ("promoted", "rolled_back", "adopted")
    before = "none" if event.from_version is None else str(event.from_version)
    versions = f"{before} → {event.to_version}" if moved else str(event.to_version)
    return [str(entry.number), event.when, event.kind, versions, event.who, event.why]
