import contextlib

import pytest
import yaml

from bertops.document import SplitParams
from bertops.finetuning import tune as tune_module
from bertops.finetuning.data import prepare_task
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.finetuning.tune import tune_task
from bertops.tracker import MemoryTracker


@pytest.fixture
def tune(task, project, encoder, quick):
    prepare_task(task, SplitParams(), project / "data", project)

    def run(trials, task=task, **more):
        data, studies = project / "data", project / "studies"
        return tune_task(task, data, encoder, studies, quick, trials, **more)

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
    assert len({str(one.params) for _, one in trackers}) == 3  # none was drawn twice
    pasted = TaskParams(**task.model_dump() | {"overrides": report.overrides})
    assert FinetuningParams().for_task(pasted).epochs == 1
    assert report.to_yaml().startswith("    overrides: {learning_rates: [")
    assert tune(3, pasted) == report  # of the same study


def test_what_is_pasted_keeps_what_the_task_had(tune, task):
    weighted = task.model_copy(update={"overrides": {"class_weights": "balanced", "epochs": 7}})
    report = tune(1, weighted)
    pasted = TaskParams(**task.model_dump() | yaml.safe_load(report.to_yaml()))
    found = FinetuningParams().for_task(pasted)
    assert (found.class_weights, found.epochs) == ("balanced", 1)
    (rate,) = report.overrides["learning_rates"]
    assert found.learning_rates == pytest.approx((rate,), rel=0.005)


def test_a_pruned_trial_is_no_failure_of_its_run(tune, monkeypatch):
    import optuna

    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: trial.number > 0)
    ended = []

    @contextlib.contextmanager
    def tracker(number):
        kept = MemoryTracker()
        yield kept  # an error in the block would come out here
        ended.append(kept.tags["bertops.trial_state"])

    report = tune(2, tracker=tracker)
    assert (report.finished, report.pruned) == (1, 1)
    assert ended == ["finished", "pruned"]


def test_a_search_works_without_a_test_split(tune, project):
    (project / "data/test.parquet").unlink()
    assert tune(1).finished == 1


def test_a_changed_task_begins_a_study_of_its_own(tune, task):
    assert tune(2).finished == 2
    assert tune(1, task.model_copy(update={"max_length": 16})).finished == 1


def test_a_search_starts_from_an_encoder_of_the_registry(tune, task, encoder):
    asked = []

    def resolve(address):
        asked.append(address)
        return encoder

    from_registry = task.model_copy(update={"init_from": "models:/encoder@champion"})
    assert tune(1, from_registry, resolve=resolve).finished == 1
    assert asked == ["models:/encoder@champion"]
