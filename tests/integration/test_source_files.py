"""A source of some files of a folder: DVC watches the folder, and only those files are read."""

import re
from pathlib import Path

import polars as pl
import pytest

from bertops import graph, versioning
from tests.toy import toy_project

INGEST, VALIDATE = "ingest@source0", "validate_raw"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project with a source that is a glob, and two files of it."""
    folder = toy_project(tmp_path / "project")
    params = (folder / "params.yaml").read_text()
    declared = re.compile(r"( +)- *\{name: toy.*?\}|( +)- name: toy\n(?: +\w+: .*\n)*")
    source = "{name: toy, path: notes, files: '**/*.txt'}"
    (folder / "params.yaml").write_text(declared.sub(f"    - {source}\n", params, count=1))
    for name, text in (("one.txt", "one"), ("deep/er/two.txt", "two"), ("about.md", "no note")):
        write(folder, name, text)
    return folder


def write(project: Path, name: str, text: str) -> None:
    path = project / "notes" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def read(project: Path) -> list[str]:
    return pl.read_parquet(project / "data/raw/toy")["text"].to_list()


def test_a_glob_is_watched_by_its_folder(project: Path):
    assert "notes" in graph.read(project).stage(INGEST).deps
    assert versioning.reproduce(project, INGEST) == "ran"
    assert read(project) == ["two", "one"]
    assert versioning.reproduce(project, INGEST) == "up to date"
    write(project, "deep/three.txt", "three")
    assert versioning.status(project)[INGEST] == ["notes modified"]
    assert versioning.reproduce(project, INGEST) == "ran"
    assert sorted(read(project)) == ["one", "three", "two"]


def test_a_file_beside_the_glob_changes_nothing_behind_ingest(project: Path):
    versioning.reproduce(project, INGEST)
    before = versioning.locked(project)[INGEST]["outs"]
    write(project, "draft.md", "not to be read")
    assert versioning.reproduce(project, INGEST) == "ran"
    assert versioning.locked(project)[INGEST]["outs"] == before
