from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from bertops.errors import UsageError
from bertops.params import load, section_of, validate
from bertops.problems import ParamsError, read_yaml


@pytest.fixture
def values(repository: Path) -> dict[str, Any]:
    return deepcopy(read_yaml(repository / "params.yaml"))


def refused(values: dict[str, Any]) -> str:
    with pytest.raises(ParamsError) as caught:
        validate(values, Path("params.yaml"))
    return str(caught.value)


def test_the_parameters_of_the_project_have_no_problems(repository: Path):
    assert load(repository / "params.yaml").tasks


def test_problems_of_different_sections_are_told_together(values):
    values["tokenizer"]["vocab_size"] = -1
    values["split"]["tset"] = 0.1
    text = refused(values)
    assert "2 problems" in text
    assert "tokenizer.vocab_size" in text
    assert "did you mean 'test'?" in text


def test_two_tasks_of_one_name_are_refused(values):
    values["tasks"].append(values["tasks"][0])
    assert "two tasks are named 'sentiment'" in refused(values)


def test_no_task_takes_the_name_of_the_encoder(values):
    values["tasks"][0]["name"] = "encoder"
    assert "a task is named 'encoder'" in refused(values)


def test_a_task_must_name_the_folder_that_dvc_watches(values):
    values["tasks"][0]["path"] = "elsewhere"
    assert "is not in elsewhere" in refused(values)


def test_a_source_must_name_a_path_that_dvc_can_watch(values):
    values["corpus"]["sources"] = [{"name": "books", "hub": "books"}]
    assert "needs a `path` to a file or folder" in refused(values)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("texts/*.txt", "`path: texts` and `files: '*.txt'`"),
        ("texts/20[12]?/**/a.txt", "`path: texts` and `files: '20[12]?/**/a.txt'`"),
        ("s3://bucket/a/*.jsonl", "`path: s3://bucket/a` and `files: '*.jsonl'`"),
    ],
)
def test_a_glob_is_told_how_to_be_written(values, path, told):
    values["corpus"]["sources"] = [{"name": "books", "path": path}]
    assert told in " ".join(refused(values).split())


def test_rows_longer_than_the_model_takes_are_refused_before_anything_runs(values):
    values["model"]["max_positions"] = 64
    assert "row_length (128) is more than model.max_positions (64)" in refused(values)


def test_init_from_in_the_parameters_of_the_project_is_told_the_lines_to_take_out(values):
    values["model"]["init_from"] = "somewhere"
    lines = ("layers", "hidden", "heads", "intermediate", "local_attention", "attention_pattern")
    told = " ".join(refused(values).split())
    assert f"init_from brings its own; leave out {', '.join(lines)}" in told
    for line in lines:
        del values["model"][line]
    assert validate(values, Path("params.yaml")).model.architecture == "modernbert"


def test_a_dotted_place_gives_its_values(values):
    params = validate(values, Path("params.yaml"))
    assert section_of(params, "split.test") == 0.2
    with pytest.raises(UsageError, match="did you mean 'split'"):
        section_of(params, "spilt")


def test_an_unknown_task_is_told_with_those_there_are(values):
    with pytest.raises(UsageError, match="It has: sentiment"):
        validate(values, Path("params.yaml")).task("sentimant")
