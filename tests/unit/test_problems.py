from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, ValidationError

from bertops.problems import ParamsError, Problem, problems, read_yaml
from bertops.section import Section


class Masking(Section):
    rate: float = Field(gt=0, lt=1, description="Share of tokens to predict.")


class Source(Section):
    name: str
    kind: Literal["csv", "jsonl"] = "csv"


class Whole(Section):
    masking: Masking
    sources: tuple[Source, ...] = ()
    fallback: Source | None = None


def found(values: object) -> list[Problem]:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(values)
    return list(problems(Whole, caught.value))


def test_every_problem_is_told_with_place_value_and_remedy():
    assert found(
        {"masking": {"rate": 1.5, "rat": 2}, "sources": [{"name": "a", "kind": "tsv"}]}
    ) == [
        Problem("masking.rate", "1.5", "must be less than 1"),
        Problem("masking.rat", "2", "unknown key; did you mean 'rate'?"),
        Problem("sources.0.kind", "'tsv'", "must be 'csv' or 'jsonl'; did you mean 'csv'?"),
    ]


def test_a_close_name_is_suggested_inside_lists_and_optional_sections():
    places = {p.place: p.remedy for p in found(
        {"masking": {"rate": 0.1}, "sources": [{"name": "a", "kin": 1}], "fallback": {"nam": "x"}}
    )}  # fmt: skip
    assert places["sources.0.kin"] == "unknown key; did you mean 'kind'?"
    assert places["fallback.nam"] == "unknown key; did you mean 'name'?"


def test_a_missing_key_is_told_with_what_it_means():
    assert found({"masking": {}}) == [
        Problem("masking.rate", "-", "missing: Share of tokens to predict.")
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"a: 1\na: 2\n", "line 2, column 1"),
        (b"a: [1\n", "not valid YAML"),
        (b"caf\xe9: 1\n", "not UTF-8 at byte 3"),
        (b"- a\n", "must be a mapping"),
        (b"", "must be a mapping"),
    ],
    ids=["doubled key", "open bracket", "latin-1", "list", "empty"],
)
def test_a_broken_file_is_told_where_it_breaks(tmp_path: Path, text: bytes, told: str):
    path = tmp_path / "params.yaml"
    path.write_bytes(text)
    with pytest.raises(ParamsError, match=told):
        read_yaml(path)


def test_a_missing_file_says_what_to_do(tmp_path: Path):
    with pytest.raises(ParamsError, match="no such file"):
        read_yaml(tmp_path / "params.yaml")


def test_numbers_are_read_as_yaml_1_2_has_them(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_text("rate: 1e-3\nswitch: on\n")
    assert read_yaml(path) == {"rate": 0.001, "switch": "on"}
