"""dvc.yaml ↔ stages ↔ params ↔ paths ↔ flow: one graph, seen from each side."""

from pathlib import Path

import pytest

from bertops import graph, stages
from bertops.params import load
from bertops.paths import Paths
from bertops.problems import read_yaml


@pytest.fixture(scope="module")
def declared(repository: Path) -> dict[str, dict]:
    """Stages of dvc.yaml."""
    return dict(read_yaml(repository / "dvc.yaml")["stages"])


def test_every_stage_of_dvc_yaml_has_its_function_and_the_other_way_round(declared):
    assert set(declared) == {*stages.STAGES, *stages.ITEM_STAGES}


def test_every_stage_calls_itself(declared, repository: Path):
    items = {
        "ingest": " ${item.source.name}",
        "task_data": " ${item.task.name}",
        "finetune": " ${item.task.name}",
    }
    assert set(items) == set(stages.ITEM_STAGES)
    for name, body in declared.items():
        assert body["cmd"] == f"bertops stage {name}{items.get(name, '')}"


def test_every_stage_says_what_it_does(declared):
    assert all(body["desc"] for body in declared.values())


def test_the_order_of_the_file_is_one_in_which_the_stages_can_run(repository: Path):
    graph.read(repository)  # raises where it is not


def test_parameters_and_code_that_stages_depend_on_exist(declared, repository: Path):
    params = load(repository / "params.yaml").model_dump()
    for body in declared.values():
        for name in body.get("params", ()):
            value = params
            for part in name.split("."):
                value = value[part]
        for dep in body["deps"]:
            if dep.startswith("bertops"):
                assert (repository / dep).exists(), dep


def test_every_section_of_the_parameters_changes_some_stage(declared, repository: Path):
    used = {name.split(".")[0] for body in declared.values() for name in body.get("params", ())}
    # What decides about releases is no input of the graph.
    assert set(load(repository / "params.yaml").model_dump()) - used == {"registry"}


@pytest.mark.parametrize(
    ("gatherer", "items"), [("validate_raw", "corpus.sources"), ("evaluate", "tasks")]
)
def test_what_reports_on_all_items_runs_again_when_one_is_gone(declared, gatherer, items):
    """dvc leaves the files of an item that left the matrix, so its folders look as before."""
    assert items in declared[gatherer]["params"]


def test_outputs_lie_where_paths_says(declared):
    paths = Paths(Path())
    source, task = "${item.source.name}", "${item.task.name}"
    known = {str(p) for p in (
        paths.fetched, paths.raw(source), paths.quarantine(source), paths.task_data(task),
        paths.corpus, paths.ledger, paths.tokens, paths.predictions(task), paths.tokenizer,
        paths.encoder, paths.task_model(task), paths.evaluation, paths.reports / "curves",
        paths.data_card,
    )}  # fmt: skip
    for stage, body in declared.items():
        axes = {"source": source, "task": task}
        item = next((axes[axis] for axis in body.get("matrix", ())), None)
        report = str(paths.report(stage, item))
        assert set(body["outs"]) <= known | {report}


def test_nothing_that_touches_the_outside_world_is_a_stage(declared):
    assert not {"register", "gate", "promote", "notify", "report", "push"} & set(declared)
