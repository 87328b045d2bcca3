"""Problems of a parameter file: all of them at once, each with its place, value and remedy."""

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bertops.errors import UsageError

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a parameter file."""

    place: str
    """Dotted name of the parameter."""
    value: str
    """What stands there, shortened; a dash where nothing does."""
    remedy: str


class ParamsError(UsageError):
    """A parameter file has problems; all of them are listed."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path, self.problems = path, tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        place, value = (
            max(len(getattr(p, column)) for p in problems) for column in ("place", "value")
        )
        lines = [f"  {p.place:<{place}}   {p.value:<{value}}   {p.remedy}" for p in problems]
        super().__init__("\n".join([f"{path.name} has {count}", *lines]))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML 1.2 file holds: the dialect DVC reads, so both see the same values.

    Raises:
        ParamsError: the file is missing, no UTF-8, no YAML, has a key twice, or is no mapping.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        remedy = "no such file; run bertops in the folder that holds params.yaml, or pass --project"
        raise ParamsError(path, [Problem(str(path), "-", remedy)]) from None
    except UnicodeDecodeError as error:
        remedy = f"not UTF-8 at byte {error.start}; save the file as UTF-8"
        raise ParamsError(path, [Problem(str(path), "-", remedy)]) from None
    except MarkedYAMLError as error:
        raise ParamsError(path, [_yaml_problem(error)]) from None
    except YAMLError as error:
        raise ParamsError(path, [Problem(str(path), "-", str(error))]) from None
    if not isinstance(values, dict):
        remedy = "must be a mapping of sections, as in `corpus:`"
        raise ParamsError(path, [Problem(str(path), _shown(values), remedy)])
    return values


def _yaml_problem(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "-"
    said = (error.problem or error.context or "not YAML").strip().splitlines()[0]
    return Problem(place, "-", f"not valid YAML: {said}")


def problems(model: type[BaseModel], error: ValidationError) -> Iterator[Problem]:
    """What pydantic found, as place, value and remedy, in the words of the parameter file."""
    for found in error.errors(include_url=False):
        place: Place = found["loc"]
        fields = _fields_at(model, place[:-1])
        # Tags of unions stand in pydantic's places, but not in the file.
        shown = ".".join(str(part) for part in place if not _is_tag(part)) or "(whole file)"
        missing = found["type"] == "missing"
        value = "-" if missing else _shown(found["input"])
        yield Problem(shown, value, _remedy(found, fields))


def _is_tag(part: str | int) -> bool:
    return isinstance(part, str) and (part[:1].isupper() or "[" in part)


def _shown(value: Any) -> str:
    text = "(a section)" if isinstance(value, dict | BaseModel) else repr(value)
    return text if len(text) <= 32 else text[:29] + "..."


_WHOLE, _NUMBER = "must be a whole number", "must be a number"
_TYPES = {
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text; put it in quotes",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a section of `key: value` lines",
    "model_type": "must be a section of `key: value` lines",
}


def _remedy(found: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    """What to do about one of pydantic's findings."""
    name, context = str(found["loc"][-1]) if found["loc"] else "", found.get("ctx", {})
    match found["type"]:
        case "extra_forbidden":
            return f"unknown key{did_you_mean(name, fields)}"
        case "missing":
            about = fields[name].description if name in fields else None
            return f"missing: {about}" if about else "missing"
        case "literal_error" | "enum":
            known = [
                word.strip("' ") for word in context["expected"].replace(" or ", ",").split(",")
            ]
            return f"must be {context['expected']}{did_you_mean(str(found['input']), known)}"
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch":
            return f"must be spelled as {context['pattern']}"
        case kind if kind in _TYPES:
            return _TYPES[kind]
        case _:
            said = found["msg"].replace("Input should be", "must be").replace("a valid ", "a ")
            return said[:1].lower() + said[1:]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'rate'?` where a known word is close to `word`, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _fields_at(model: type[BaseModel], place: Place) -> dict[str, Any]:
    """Fields of the sections that stand at `place` below `model`."""
    models = [model]
    for part in place:
        if isinstance(part, int) or not any(part in m.model_fields for m in models):
            continue  # an index of a list, or a tag of a union: the sections stay the same
        fields = [m.model_fields[part] for m in models if part in m.model_fields]
        models = [inner for field in fields for inner in sections_in(field.annotation)]
    return {name: field for m in models for name, field in m.model_fields.items()}


def sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Section classes inside an annotation such as `tuple[A | B, ...] | None`."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (tuple, list, dict, Union, types.UnionType):
        for inner in get_args(annotation):
            yield from sections_in(inner)
