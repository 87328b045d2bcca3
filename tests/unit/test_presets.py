from pathlib import Path

import pytest

from bertops import presets
from bertops.errors import UsageError
from bertops.evaluation.behaviour import find_file
from bertops.params import load
from bertops.problems import ParamsError


@pytest.fixture
def project(tmp_path: Path, repository: Path) -> Path:
    (tmp_path / "params.yaml").write_text((repository / "params.yaml").read_text())
    (tmp_path / "params").mkdir()
    return tmp_path


def preset(project: Path, text: str) -> Path:
    path = project / "params/mine.yaml"
    path.write_text(text)
    return path


def test_only_what_the_preset_names_changes_and_comments_stay(project: Path):
    path = project / "params.yaml"
    before = path.read_text()
    changes = presets.use(path, preset(project, "tokenizer: {vocab_size: 4096}\n"), dry_run=False)
    after = path.read_text()
    assert [(c.place, c.new) for c in changes] == [("tokenizer.vocab_size", 4096)]
    assert set(after.splitlines()) - set(before.splitlines()) == {"  vocab_size: 4096"}


def test_a_dry_run_tells_the_same_and_writes_nothing(project: Path):
    path = project / "params.yaml"
    before = path.read_text()
    changes = presets.use(path, preset(project, "tokenizer: {vocab_size: 4096}\n"), dry_run=True)
    assert len(changes) == 1
    assert path.read_text() == before


def test_using_a_preset_twice_changes_nothing_the_second_time(project: Path):
    path = project / "params.yaml"
    mine = preset(project, "tokenizer: {vocab_size: 4096}\ncorpus: {dedup: {near: false}}\n")
    assert len(presets.use(path, mine, dry_run=False)) == 2
    assert presets.use(path, mine, dry_run=False) == []


def test_a_preset_that_would_break_the_parameters_is_refused_whole(project: Path):
    path = project / "params.yaml"
    before = path.read_text()
    with pytest.raises(ParamsError):
        presets.use(path, preset(project, "tokenizer: {vocab_size: 0}\n"), dry_run=False)
    assert path.read_text() == before


def test_an_unknown_preset_is_told_with_those_there_are(project: Path):
    preset(project, "split: {}\n")
    with pytest.raises(UsageError, match="there is: mine"):
        presets.find(project / "params", "yours")


def test_every_preset_of_the_project_fits_its_parameters(repository: Path, project: Path):
    for name, path in presets.available(repository / "params").items():
        presets.use(project / "params.yaml", path, dry_run=True)
        assert name


def test_the_chinese_preset_is_evaluated_in_chinese(project: Path, repository: Path):
    presets.use(project / "params.yaml", repository / "params/zh.yaml", dry_run=False)
    params = load(project / "params.yaml")
    cases = {task: some for task, some in params.evaluation.behaviour.cases.items() if some}
    pairs = params.evaluation.bias.pairs
    assert set(cases) <= {task.name for task in params.tasks}
    names = [*pairs, *(name for some in cases.values() for name in some)]
    assert names
    assert all(name.endswith(".zh") and find_file(name).exists() for name in names)
    assert not any(s.replace("[MASK]", "").isascii() for s in params.evaluation.fill_mask.sentences)
