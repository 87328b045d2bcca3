"""Write the reference pages from the code: `python -m docs.generate`; a test compares them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from bertops import release
from bertops.cli.app import app
from bertops.environment import SERVER_VARIABLES, VARIABLES, Variable
from bertops.params import Params
from bertops.problems import read_yaml, sections_in

ROOT = Path(__file__).parents[1]
HEAD = "<!-- Written by `python -m docs.generate`; change the code, not this page. -->\n"


def parameters() -> str:
    """Every parameter with its type, default, bounds and meaning."""
    parts = ["# Parameters\n", "All of params.yaml. `bertops params show` prints what applies.\n"]
    for name, field in Params.model_fields.items():
        parts += [f"## {name}\n", f"{field.description}\n", _table(_rows(field.annotation, name))]
    return _page(parts)


def _rows(annotation: Any, place: str) -> Iterator[tuple[str, ...]]:
    for section in sections_in(annotation):
        many = "[]" if "tuple" in str(annotation) and place.count(".") < 3 else ""
        for name, field in section.model_fields.items():
            here = f"{place}{many}.{name}"
            if list(sections_in(field.annotation)):
                yield from _rows(field.annotation, here)
            else:
                yield f"`{here}`", _default(field), field.description or ""


def _default(field: Any) -> str:
    if field.is_required():
        return "*required*"
    value = field.default_factory() if field.default_factory else field.default
    if value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        return ""
    text = repr(value)
    return f"`{text}`" if len(text) <= 60 else f"`{text[:57]}...`"


def commands() -> str:
    """Every command with its arguments and options."""
    parts = [
        "# Commands\n",
        "Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed, "
        "2 used wrongly, 3 a gate said no, 130 interrupted.\n",
    ]
    for name, command in _commands(typer.main.get_command(app), "bertops"):
        parts += [f"## {name}\n", f"{command.help}\n"]
        rows = [(f"`{_spelled(p)}`", getattr(p, "help", "") or "") for p in command.params
                if p.name != "help"]  # fmt: skip
        if rows:
            parts.append(_table(rows, ("argument", "meaning")))
    return _page(parts)


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, below in command.commands.items():
        if getattr(below, "commands", None):
            yield from _commands(below, f"{path} {name}")
        else:
            yield f"{path} {name}", below


def _spelled(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def pipeline() -> str:
    """Every stage with what it reads, what makes it stale and what it writes."""
    parts = ["# Stages\n", "The graph of dvc.yaml, in the order in which it runs.\n"]
    for name, body in read_yaml(ROOT / "dvc.yaml")["stages"].items():
        inner = body.get("do", body)
        each = " (once for each item)" if "do" in body else ""
        parts += [f"## {name}\n", f"{inner['desc']}{each}.\n", _stage(inner)]
    parts += ["## After the graph\n", _first_lines(release)]
    return _page(parts)


def _stage(body: Mapping[str, Any]) -> str:
    def listed(names: Any) -> str:
        return ", ".join(f"`{name}`" for name in names) or "nothing"

    return (
        f"- reads {listed(body['deps'])}\n"
        f"- parameters {listed(body.get('params', ()))}\n"
        f"- writes {listed(body['outs'])}\n"
    )


def _first_lines(module: Any) -> str:
    return f"```\n{(module.__doc__ or '').strip()}\n```\n"


def environment() -> str:
    """Every environment variable: those of a run, then those of servers and containers."""
    intro = "Where and how, never what: what changes a result stands in params.yaml.\n"
    servers = "Passwords come from `.env`, secrets of the cluster, or files of mode 0600.\n"
    parts = ["# Environment variables\n", intro, _variables(VARIABLES)]
    return _page([*parts, "## Servers and containers\n", servers, _variables(SERVER_VARIABLES)])


def _variables(variables: Sequence[Variable]) -> str:
    rows = [(f"`{v.name}`", v.default, v.meaning) for v in variables]
    return _table(rows, ("variable", "without it", "meaning"))


def _table(rows: Any, head: tuple[str, ...] = ("parameter", "default", "meaning")) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    escaped = (tuple(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in lines)
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped) + "\n"


def _page(parts: list[str]) -> str:
    return HEAD + "\n" + "\n".join(parts)


PAGES: Mapping[str, Callable[[], str]] = {
    "parameters.md": parameters,
    "commands.md": commands,
    "stages.md": pipeline,
    "environment.md": environment,
}
"""Reference pages by file name."""


def main() -> None:
    """Write every page."""
    for name, make in PAGES.items():
        (ROOT / "docs/reference" / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
