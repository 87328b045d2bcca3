"""What is told of a model after promotion, and by which hashes."""

from pathlib import Path

import pytest

from bertops.params import load
from bertops.paths import Paths
from bertops.registry.decide import Decision
from bertops.registry.gates import GateResult
from bertops.registry.promote import promote
from bertops.registry.register import Registered
from bertops.registry.smoke import SmokeTestFailed
from bertops.release import promote_all
from bertops.stages import lineage_tags
from bertops.storage import hash_tree
from tests.unit.registry.memory_ledger import MemoryLedger


def test_a_version_with_the_champions_files_is_told_as_the_champion(
    repository: Path, tmp_path: Path
):
    params, ledger = load(repository / "params.yaml"), MemoryLedger()
    first = Decision("sentiment", 1, None, (GateResult("beats_majority", True, "clears it"),))
    promote(ledger, first, params.registry)
    same = Registered("sentiment", 2, True, "files of version 1", None)
    again = Decision("sentiment", 2, 1, (), already=True)
    (found,) = promote_all(params, Paths(tmp_path), ledger, [same], [again])
    assert (found.version, found.standing, found.champion) == (1, "champion", None)
    assert found.gates == first.gates


def test_a_version_that_gives_no_answer_is_not_promoted(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def gives_none(registry: object, name: str, version: int, cache: Path) -> None:
        raise SmokeTestFailed(name, version, float("nan"))

    monkeypatch.setattr("bertops.release.smoke_test", gives_none)
    params, ledger = load(repository / "params.yaml"), MemoryLedger()
    passed = Decision("sentiment", 1, None, (GateResult("beats_majority", True, "clears it"),))
    new = Registered("sentiment", 1, True, "version 1", None)
    with pytest.raises(SmokeTestFailed, match="Nothing was changed"):
        promote_all(params, Paths(tmp_path), ledger, [new], [passed])
    assert ledger.aliases("sentiment") == {}


def test_the_lineage_has_the_hash_of_everything_a_model_is_made_from(tmp_path: Path):
    paths = Paths(tmp_path)
    for folder in (paths.corpus, paths.tokenizer):
        folder.mkdir(parents=True)
        (folder / "file").write_text(folder.name)
    tags = lineage_tags(paths)
    assert tags["bertops.data.corpus"] == hash_tree(paths.corpus)
    assert tags["bertops.data.tokenizer"] == hash_tree(paths.tokenizer)
    assert "bertops.data.encoder" not in tags, "it is not made yet"
