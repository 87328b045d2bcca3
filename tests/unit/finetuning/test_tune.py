import contextlib

import pytest

from bertops.document import SplitParams
from bertops.finetuning import tune as tune_module
from bertops.finetuning.data import prepare_task
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.finetuning.tune import tune_task
from bertops.tracker import MemoryTracker


@pytest.fixture
def tune(task, project, encoder, quick):
    prepare_task(task, SplitParams(), project / "data", project)

    def run(trials, **more):
        study = project / "study.db"
        return tune_task(task, project / "data", encoder, study, quick, trials, **more)

    return run


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """One epoch for each trial."""
    suggest = tune_module.suggest
    monkeypatch.setattr(tune_module, "suggest", lambda trial: suggest(trial) | {"epochs": 1})


def test_a_search_goes_on_where_it_was_and_gives_values_to_paste(tune, task):
    trackers = []

    @contextlib.contextmanager
    def tracker(number):
        trackers.append((number, MemoryTracker()))
        yield trackers[-1][1]

    assert tune(1, tracker=tracker).finished == 1
    report = tune(3, tracker=tracker)
    assert report.finished + report.pruned == 3
    assert [number for number, _ in trackers] == [0, 1, 2]
    assert all(one.params and one.metrics for _, one in trackers)
    pasted = TaskParams(**task.model_dump() | {"overrides": report.overrides})
    assert FinetuningParams().for_task(pasted).epochs == 1
    assert report.to_yaml().startswith("    overrides: {learning_rates: [")


def test_a_search_works_without_a_test_split(tune, project):
    (project / "data/test.parquet").unlink()
    assert tune(1).finished == 1
