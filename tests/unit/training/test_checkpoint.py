"""Checkpoints: whole, verified, found again; what is damaged is named and passed over."""

import json
import shutil
import subprocess
import sys
import warnings

import pytest

from bertops.errors import Interrupted
from bertops.training.checkpoint import FILES, MANIFEST, CheckpointDamaged, Checkpoints, verify
from tests import engine


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory):
    """Work folder of a run of 10 steps with a checkpoint every 4."""
    work = tmp_path_factory.mktemp("finished")
    engine.run(inputs, work, engine.toy_params(10))
    return work


def folder_of(work):
    (folder,) = (work / "checkpoints").iterdir()
    return folder


def test_a_checkpoint_holds_no_pickle_and_latest_names_the_newest(finished):
    folder = folder_of(finished)
    names = [path.name for path in Checkpoints(folder, 2).all()]
    assert names[-1] == "step-00000010"
    assert (folder / "latest").read_text() == "step-00000010\n"
    assert {p.name for p in (folder / names[-1]).iterdir()} == {*FILES, MANIFEST}


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_one_flipped_byte_in_any_file_is_detected(name, finished, tmp_path):
    path = tmp_path / "step-00000010"
    shutil.copytree(folder_of(finished) / path.name, path)
    verify(path)
    content = bytearray((path / name).read_bytes())
    for place in (0, len(content) // 2, len(content) - 1):
        content[place] ^= 1
        (path / name).write_bytes(content)
        with pytest.raises(CheckpointDamaged, match="changed since it was written"):
            verify(path)
        content[place] ^= 1


@pytest.mark.fault
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(finished, inputs, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    newest, before = reversed(Checkpoints(folder_of(tmp_path), 2).all()[-2:])
    (newest / FILES[0]).write_bytes(b"x" + (newest / FILES[0]).read_bytes()[1:])
    tracker = engine.MemoryTracker()
    with pytest.warns(UserWarning, match=r"step-00000010 is damaged: model\.safetensors"):
        engine.run(inputs, tmp_path, engine.toy_params(10), tracker)
    assert tracker.metrics[0][0] > int(before.name.removeprefix("step-"))
    assert engine.outcome(tmp_path) == engine.outcome(finished)


def test_an_unfinished_write_is_no_checkpoint(finished, tmp_path):
    shutil.copytree(folder_of(finished), tmp_path / "run")
    (tmp_path / "run/.step-00000012.partial").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Checkpoints(tmp_path / "run", 2).latest().name == "step-00000010"


def test_what_a_killed_process_left_goes_with_the_next_save(inputs, tmp_path):
    params = engine.toy_params(8, save_every_steps=4, validate_every_steps=4)
    engine.run(inputs, tmp_path, params)
    folder = folder_of(tmp_path)
    for left in (".step-00000006.other-host.7.partial", ".step-00000004.removed"):
        shutil.copytree(folder / "step-00000004", folder / left)
    (folder / "step-00000008").rename(tmp_path / "lost")
    engine.run(inputs, tmp_path, params)
    assert sorted(path.name for path in folder.iterdir()) == [
        "latest", "step-00000004", "step-00000008",
    ]  # fmt: skip


def test_the_newest_and_the_best_are_never_pruned(inputs, tmp_path):
    engine.run(
        inputs,
        tmp_path,
        engine.toy_params(40, validate_every_steps=2, save_every_steps=2, keep_checkpoints=2),
    )
    folder = folder_of(tmp_path)
    names = [path.name for path in Checkpoints(folder, 2).all()]
    state = json.loads((folder / names[-1] / "state.json").read_text())
    kept = {"step-00000038", "step-00000040", f"step-{state['best_step']:08d}"}
    assert set(names) == kept


def test_the_best_has_a_checkpoint_although_no_save_was_due(inputs, tmp_path):
    params = engine.toy_params(
        40, validate_every_steps=3, save_every_steps=16, log_every_steps=1, keep_checkpoints=2
    )
    with pytest.raises(Interrupted):
        engine.run(inputs, tmp_path, params, engine.StoppingTracker(stop_at=11))
    folder = folder_of(tmp_path)
    newest = Checkpoints(folder, 2).latest()
    best = json.loads((newest / "state.json").read_text())["best_step"]
    assert best in (3, 6, 9)
    assert (folder / f"step-{best:08d}" / "model.safetensors").is_file()


def test_sigterm_leaves_a_checkpoint_of_the_last_step(inputs, tmp_path):
    with pytest.raises(Interrupted, match="stopped after step 6") as caught:
        engine.run(
            inputs,
            tmp_path,
            engine.toy_params(10, log_every_steps=1),
            engine.StoppingTracker(stop_at=6),
        )
    assert caught.value.exit_code == 130
    assert Checkpoints(folder_of(tmp_path), 2).latest().name == "step-00000006"
    assert not (tmp_path / "encoder").exists()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from tests import engine
from bertops.training.checkpoint import CheckpointNotWritten
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    engine.run(Path(sys.argv[1]), Path(sys.argv[2]), engine.toy_params(10, log_every_steps=1))
except CheckpointNotWritten as error:
    print(error)
    sys.exit(7)
"""


@pytest.mark.fault
def test_a_full_disk_is_a_named_error_and_the_previous_checkpoint_loads(
    inputs, tmp_path, repository
):
    """A limit on the size of files stands for the disk: writing fails in the middle of a file."""
    with pytest.raises(Interrupted):
        engine.run(
            inputs,
            tmp_path,
            engine.toy_params(10, log_every_steps=1),
            engine.StoppingTracker(stop_at=5),
        )
    before = {path: path.read_bytes() for path in folder_of(tmp_path).rglob("*") if path.is_file()}
    command = [sys.executable, "-c", FULL_DISK, str(inputs), str(tmp_path), "100000"]
    failed = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120)
    assert failed.returncode == 7, failed.stderr
    assert "could not write the checkpoint" in failed.stdout
    assert "Earlier checkpoints are intact" in failed.stdout
    after = {path: path.read_bytes() for path in folder_of(tmp_path).rglob("*") if path.is_file()}
    assert after == before
    engine.run(inputs, tmp_path, engine.toy_params(10, log_every_steps=1))
