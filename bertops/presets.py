"""Presets: partial parameter files in params/ that are laid over params.yaml."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bertops.errors import UsageError
from bertops.params import validate
from bertops.problems import read_yaml
from bertops.storage import write_text

ABSENT = "(not set)"


@dataclass(frozen=True)
class Change:
    """One parameter that a preset alters."""

    place: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """`place: old → new`, in YAML's spelling of short values."""
        return f"{self.place}: {_short(self.old)} → {_short(self.new)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def available(folder: Path) -> dict[str, Path]:
    """Presets by name, sorted."""
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(folder: Path, name: str) -> Path:
    """The preset of that name; `UsageError` where there is none."""
    presets = available(folder)
    if name not in presets:
        raise UsageError(f"no preset {name!r} in {folder.name}/; there is: {', '.join(presets)}")
    return presets[name]


def use(path: Path, preset: Path, *, dry_run: bool) -> list[Change]:
    """Lay `preset` over the parameter file `path`, whose comments and order stay.

    Sections are merged key by key; a list or a value takes the place of the old one. The result
    is checked as a whole before anything is written.

    Returns:
        What changes, in the order of the preset.

    Raises:
        ParamsError: the result would have problems; `path` is left as it was.
    """
    yaml = _round_trip()
    for file in (path, preset):
        read_yaml(file)  # tells what is wrong with it better than the round-trip loader
    values, overlay = (yaml.load(file.read_text(encoding="utf-8")) for file in (path, preset))
    changes = list(_merge(values, overlay, ""))
    validate(values, path)
    if changes and not dry_run:
        text = io.StringIO()
        yaml.dump(values, text)
        write_text(path, text.getvalue())
    return changes


def _round_trip() -> YAML:
    """Reads and writes YAML with its comments, quotes and order."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000  # never rewrap a line that the user wrote
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(
        type(None), lambda shown, _: shown.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _merge(values: Any, overlay: Mapping[str, Any], place: str) -> Iterator[Change]:
    """Put `overlay` into `values`, telling each change."""
    for key, new in overlay.items():
        here = f"{place}.{key}" if place else str(key)
        old = values.get(key, ABSENT)
        if isinstance(new, dict) and isinstance(old, dict):
            yield from _merge(old, new, here)
        elif old != new:
            if key in values or not values:
                values[key] = new
            else:  # before the last key, which holds the blank line that ends the section
                values.insert(len(values) - 1, key, new)
            yield Change(here, old, new)
