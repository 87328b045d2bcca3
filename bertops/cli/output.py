"""How results are printed: for people by default, for programs with --json."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, for a program to read.")]


def plain(value: Any) -> Any:
    """A report as values that JSON knows."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value


def print_json(value: Any) -> None:
    """Print a report as JSON on stdout."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False, default=_inner))


def _inner(value: Any) -> Any:
    """What stands within a list or a table of values."""
    found = plain(value)
    return str(value) if found is value else found


def table(rows: Iterable[Sequence[str]], indent: str = "") -> str:
    """Rows as aligned columns; the last column keeps its own length."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
    return "\n".join(indent + line for line in lines)
