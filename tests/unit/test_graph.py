from pathlib import Path

import pytest

from bertops import graph

PARAMS = "sources: [{name: a, path: in/a}, {name: b, path: in/b}]\nsize: 1\n"
DVC = """
stages:
  read:
    matrix: {source: "${sources}"}
    cmd: "true"
    deps: ["${item.source.path}"]
    outs: ["raw/${item.source.name}"]
  join: {cmd: "true", deps: [raw], params: [size], outs: [joined: {cache: true}]}
  count: {cmd: "true", deps: [joined/part], outs: [counted]}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "dvc.yaml").write_text(DVC)
    return tmp_path


def test_items_of_a_list_become_stages_with_the_names_that_dvc_gives(project: Path):
    stages = graph.read(project).stages
    assert [s.address for s in stages] == ["read@source0", "read@source1", "join", "count"]
    assert [s.label for s in stages] == ["read a", "read b", "join", "count"]
    assert stages[1].deps == ("in/b",)


def test_a_stage_needs_those_whose_output_holds_or_lies_in_what_it_reads(project: Path):
    found = graph.read(project)
    assert [s.label for s in found.upstream(found.stage("join"))] == ["read a", "read b"]
    assert [s.label for s in found.upstream(found.stage("count"))] == ["join"]


def test_a_stage_behind_a_stale_one_is_waiting(project: Path):
    found = graph.states(
        graph.read(project),
        {"read@source1": ["in/b modified"]},
        ["read@source0", "read@source1", "join"],
    )
    assert [s.state for s in found] == ["up to date", "stale", "waiting", "never run"]
    assert found[2].why == ("read b may change what it reads",)


def test_stages_out_of_order_are_refused(project: Path):
    swapped = DVC.replace("  count: {cmd", "  zzz: {cmd").replace("deps: [raw]", "deps: [counted]")
    (project / "dvc.yaml").write_text(swapped)
    with pytest.raises(graph.GraphError, match="lists 'join' before 'zzz'"):
        graph.read(project)


def test_a_parameter_that_params_yaml_lacks_is_told(project: Path):
    (project / "params.yaml").write_text("size: 1\n")
    with pytest.raises(graph.GraphError, match="'sources'"):
        graph.read(project)


def test_a_parameter_that_a_stage_depends_on_must_be_there(project: Path):
    (project / "params.yaml").write_text(PARAMS.replace("size: 1", ""))
    with pytest.raises(graph.GraphError, match="stage 'join' depends on parameter 'size'"):
        graph.read(project)
