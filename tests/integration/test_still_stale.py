"""After the last stage DVC is asked once more, and a run that it does not find clean says so."""

from pathlib import Path
from typing import Any

import pytest

from bertops import versioning
from flows import pipeline
from tests.conftest import begin_repository

STEADY = "stages:\n  count: {cmd: cp in.txt out.txt, deps: [in.txt], outs: [out.txt]}\n"
SPOIL = "  spoil: {cmd: echo more >> in.txt; cp out.txt end, deps: [out.txt], outs: [end]}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One stage; its task runs without Prefect's server."""
    monkeypatch.setattr(pipeline, "reproduce", pipeline.reproduce.fn)
    (tmp_path / "params.yaml").write_text("{}\n")
    (tmp_path / "dvc.yaml").write_text(STEADY)
    (tmp_path / "in.txt").write_text("one\n")
    (tmp_path / ".dvc").mkdir()
    begin_repository(tmp_path)
    return tmp_path


def test_a_run_ends_with_nothing_stale(project: Path):
    pipeline.bring_up_to_date(project, [])
    assert (project / "out.txt").read_text() == "one\n"
    assert versioning.status(project) == {}


def test_a_stage_that_changes_the_input_of_another_is_told_at_the_end(project: Path):
    (project / "dvc.yaml").write_text(STEADY + SPOIL)
    with pytest.raises(pipeline.StillStale, match=r"\(count: in\.txt modified\)") as told:
        pipeline.bring_up_to_date(project, [])
    assert told.value.stale == {"count": ["in.txt modified"]}


def test_an_input_that_somebody_changes_meanwhile_is_told_at_the_end(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    work = pipeline.reproduce

    def disturbed(*arguments: Any, **options: Any) -> Any:
        done = work(*arguments, **options)
        (project / "in.txt").write_text("two\n")
        return done

    monkeypatch.setattr(pipeline, "reproduce", disturbed)
    with pytest.raises(pipeline.StillStale, match="bertops stages"):
        pipeline.bring_up_to_date(project, [])
    monkeypatch.setattr(pipeline, "reproduce", work)
    pipeline.bring_up_to_date(project, [])
    assert (project / "out.txt").read_text() == "two\n"
