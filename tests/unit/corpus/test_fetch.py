from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from bertops.corpus.errors import SourceMissing
from bertops.corpus.fetch import fetch
from bertops.corpus.params import FetchItem
from bertops.extras import PackageMissing


def test_a_file_of_a_package_is_copied(tmp_path: Path):
    item = FetchItem(name="notice.py", package="email", file="__init__.py")
    report = fetch([item], tmp_path / "fetched")
    assert (tmp_path / "fetched/notice.py").stat().st_size == report.files[0].bytes > 0


def test_nothing_to_fetch_gives_an_empty_folder(tmp_path: Path):
    assert fetch([], tmp_path / "fetched").files == ()
    assert list((tmp_path / "fetched").iterdir()) == []


def test_a_dataset_folder_becomes_parquet(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/train.csv").write_text("text,label\nhello,1\nworld,0\n")
    item = FetchItem(name="mine.parquet", hub="mine")
    fetch([item], tmp_path / "fetched", tmp_path)
    assert pl.read_parquet(tmp_path / "fetched/mine.parquet")["text"].to_list() == [
        "hello",
        "world",
    ]


def test_one_that_fails_leaves_what_was_fetched_before(tmp_path: Path):
    good = FetchItem(name="notice.py", package="email", file="__init__.py")
    fetch([good], tmp_path / "fetched")
    with pytest.raises(PackageMissing):
        fetch([good, FetchItem(name="b", package="no_such", file="b")], tmp_path / "fetched")
    with pytest.raises(SourceMissing):
        fetch([FetchItem(name="b", package="email", file="none")], tmp_path / "fetched")
    assert (tmp_path / "fetched/notice.py").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a"},
        {"name": "a", "package": "email"},
        {"name": "a", "package": "email", "file": "b", "hub": "c"},
        {"name": "a.csv", "hub": "c"},
        {"name": "../a", "package": "email", "file": "b"},
    ],
)
def test_an_item_that_cannot_be_meant_is_refused(wrong: dict[str, str]):
    with pytest.raises(ValidationError):
        FetchItem.model_validate(wrong)
