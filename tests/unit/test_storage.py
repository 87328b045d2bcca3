"""Outputs: whole or not at all, whoever else writes them; and what is known by its hash."""

import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from bertops.storage import hash_code, hash_tree, write_text, write_whole

SIZE = 200


def write_folder(target: Path, content: str) -> None:
    """A folder of many files, all with the same content."""
    with write_whole(target) as partial:
        partial.mkdir()
        for number in range(SIZE):
            (partial / f"{number}.txt").write_text(content)


def test_of_several_writers_one_wins_and_none_is_mixed_in(tmp_path: Path) -> None:
    target, letters = tmp_path / "out", "abcdef"
    writers = [threading.Thread(target=write_folder, args=(target, letter)) for letter in letters]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = {path.read_text() for path in target.iterdir()}
    assert len(list(target.iterdir())) == SIZE
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def fail_in_the_middle(target: Path) -> None:
    with write_whole(target) as partial:
        partial.write_text("half")
        raise OSError("full")


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with pytest.raises(OSError, match="full"):
        fail_in_the_middle(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def die_in_the_middle(target: Path) -> None:
    with write_whole(target) as partial:
        partial.write_text("half")
        os._exit(1)


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=die_in_the_middle, args=(tmp_path / "a",)
    )
    process.start()
    process.join()
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".partial"
    with write_whole(tmp_path / "a") as living:
        assert not left.exists()
        living.write_text("slow")
        write_text(tmp_path / "a", "fast")
        assert living.exists()
    assert (tmp_path / "a").read_text() == "slow"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_hash_of_code_changes_with_a_file_and_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("x = 1\n")
    first = hash_code(tmp_path)
    assert hash_code(tmp_path) == first
    (tmp_path / "one.py").write_text("x = 2\n")
    second = hash_code(tmp_path)
    (tmp_path / "one.py").rename(tmp_path / "two.py")
    assert len({first, second, hash_code(tmp_path)}) == 3


def test_the_hash_of_a_tree_is_of_names_and_contents(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_folder(tmp_path / name, "same")
    assert hash_tree(tmp_path / "a") == hash_tree(tmp_path / "b")
    write_folder(tmp_path / "b", "other")
    assert hash_tree(tmp_path / "a") != hash_tree(tmp_path / "b")
