import subprocess

import pytest

from bertops.storage import hash_file
from bertops.tracking.lineage import read_lineage


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True
        )

    git("init")
    (tmp_path / "file").write_text("one")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    git("add", ".")
    git("commit", "-m", "first")
    return tmp_path


def test_a_clean_tree_is_known_by_its_commit_and_lock(repository):
    lineage = read_lineage(repository, {"corpus": "abc"})
    assert len(lineage.git_commit) == 40
    assert not lineage.git_dirty
    assert lineage.dvc_lock == hash_file(repository / "dvc.lock")
    assert lineage.tags()["bertops.data.corpus"] == "abc"


def test_a_changed_file_makes_it_dirty_but_a_changed_lock_does_not(repository):
    (repository / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    assert not read_lineage(repository).git_dirty
    (repository / "file").write_text("two")
    assert read_lineage(repository).git_dirty


def test_outside_a_repository_there_is_no_commit_and_no_error(tmp_path):
    lineage = read_lineage(tmp_path)
    assert lineage.git_commit is None
    assert lineage.dvc_lock is None
    assert "torch" in lineage.packages
