"""dvc.yaml as a graph: its stages in order, and which stage needs which.

DVC resolves the same file when it runs; a contract test holds both to the same names. Reading it
here costs milliseconds, asking DVC costs most of a second for each question.
"""

import itertools
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from bertops.errors import BertopsError
from bertops.problems import read_yaml


class GraphError(BertopsError):
    """dvc.yaml does not fit params.yaml."""


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml, or one cell of a `matrix`."""

    address: str
    """What DVC calls it: `clean`, or `ingest@source0` for the first source of a list."""
    name: str
    """Name in dvc.yaml, without the item."""
    item: str | None
    """Name of the item that it works on; None for a stage without items."""
    deps: tuple[str, ...]
    outs: tuple[str, ...]

    @property
    def label(self) -> str:
        """What people call it: `ingest imdb`."""
        return f"{self.name} {self.item}" if self.item else self.name


@dataclass(frozen=True)
class Graph:
    """The stages of a project in an order in which they can run."""

    stages: tuple[Stage, ...]

    def stage(self, address: str) -> Stage:
        """The stage of that DVC address."""
        return next(stage for stage in self.stages if stage.address == address)

    def upstream(self, stage: Stage) -> list[Stage]:
        """Stages whose outputs `stage` reads, in the order of the graph."""
        return [
            other
            for other in self.stages
            if any(overlap(out, dep) for out in other.outs for dep in stage.deps)
        ]


State = Literal["up to date", "stale", "waiting", "never run"]


@dataclass(frozen=True)
class StageState:
    """Whether a stage has to run, and why."""

    stage: Stage
    state: State
    why: tuple[str, ...]


def states(
    graph: Graph, stale: Mapping[str, Sequence[str]], locked: Container[str]
) -> list[StageState]:
    """The state of every stage, in the order of the graph.

    Args:
        stale: what `versioning.status` found: reasons by address.
        locked: addresses that have an entry in dvc.lock, as those that ran once.
    """
    found: dict[str, StageState] = {}
    for stage in graph.stages:
        moving = [s.label for s in graph.upstream(stage) if found[s.address].state != "up to date"]
        if stage.address not in locked:
            found[stage.address] = StageState(stage, "never run", ())
        elif stage.address in stale:
            found[stage.address] = StageState(stage, "stale", tuple(stale[stage.address]))
        elif moving:
            why = (f"{', '.join(moving)} may change what it reads",)
            found[stage.address] = StageState(stage, "waiting", why)
        else:
            found[stage.address] = StageState(stage, "up to date", ())
    return list(found.values())


def overlap(one: str, other: str) -> bool:
    """Whether one path is the other, or lies below it."""
    a, b = PurePosixPath(one), PurePosixPath(other)
    return a.is_relative_to(b) or b.is_relative_to(a)


def read(root: Path) -> Graph:
    """The graph of the project in `root`.

    Raises:
        ParamsError: dvc.yaml or params.yaml cannot be read.
        GraphError: dvc.yaml names a parameter that params.yaml lacks, or the order of its stages
            is none in which they can run.
    """
    params = read_yaml(root / "params.yaml")
    declared = read_yaml(root / "dvc.yaml").get("stages", {})
    graph = Graph(tuple(s for name, body in declared.items() for s in _expand(name, body, params)))
    _check_order(graph)
    return graph


def _check_order(graph: Graph) -> None:
    seen: set[str] = set()
    for stage in graph.stages:
        late = [other.name for other in graph.upstream(stage) if other.address not in seen]
        if late:
            raise GraphError(
                f"dvc.yaml lists {stage.name!r} before {late[0]!r}, whose output it reads. "
                "Stages run in the order of the file: move it below."
            )
        seen.add(stage.address)


def _expand(name: str, body: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[Stage]:
    if "matrix" not in body:
        yield _stage(name, name, None, body, params)
        return
    axes = {axis: list(enumerate(_values(some, params))) for axis, some in body["matrix"].items()}
    for combination in itertools.product(*axes.values()):
        chosen = list(zip(axes, combination, strict=True))
        key = "-".join(
            f"{axis}{place}" if isinstance(value, Mapping | list) else str(value)
            for axis, (place, value) in chosen
        )
        scope = {**params, "item": {axis: value for axis, (_, value) in chosen}, "key": key}
        label = " ".join(_name(value) for _, (_, value) in chosen)
        yield _stage(f"{name}@{key}", name, label, body, scope)


def _values(some: Any, params: Mapping[str, Any]) -> Sequence[Any]:
    """Values of one axis of a matrix: a list, or the name of one in params.yaml."""
    if isinstance(some, str):
        some = _look_up(some.removeprefix("${").removesuffix("}"), params)
    return some or ()


def _name(item: Any) -> str:
    return str(item["name"] if isinstance(item, Mapping) and "name" in item else item)


def _stage(
    address: str, name: str, item: str | None, body: Mapping[str, Any], scope: Mapping[str, Any]
) -> Stage:
    for parameter in body.get("params", ()):
        if isinstance(parameter, str) and not _has(parameter, scope):
            raise GraphError(
                f"stage {name!r} depends on parameter {parameter!r}, which params.yaml lacks. "
                f"Add the section; `{parameter}: {{}}` takes every default."
            )
    outs = [*body.get("outs", ()), *body.get("metrics", ()), *body.get("plots", ())]
    return Stage(
        address=address,
        name=name,
        item=item,
        deps=tuple(_fill(str(dep), scope) for dep in body.get("deps", ())),
        outs=tuple(_fill(_path(out), scope) for out in outs),
    )


def _path(out: str | Mapping[str, Any]) -> str:
    """An output is a path, or a path with options below it."""
    return out if isinstance(out, str) else next(iter(out))


def _fill(text: str, scope: Mapping[str, Any]) -> str:
    return re.sub(r"\$\{([^}]+)\}", lambda found: str(_look_up(found[1], scope)), text)


def _has(dotted: str, values: Mapping[str, Any]) -> bool:
    try:
        _look_up(dotted, values)
    except GraphError:
        return False
    return True


def _look_up(dotted: str, values: Mapping[str, Any]) -> Any:
    found: Any = values
    for part in dotted.strip().split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise GraphError(f"dvc.yaml asks params.yaml for {dotted!r}, which it does not have")
        found = found[part]
    return found
