"""Rubbish in: one clear error, an exit code, nothing half-written, and the next run carries on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toy import bertops, environment, toy_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return toy_project(tmp_path / "project")


def change(project: Path, old: str, new: str) -> None:
    path = project / "params.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def fails(project: Path, stage: str, *told: str, code: int = 1) -> None:
    """The stage fails with one paragraph that tells all of it, and leaves no output."""
    ran = bertops(project, "stage", *stage.split())
    assert ran.returncode == code, ran.stderr
    for part in told:
        assert part in ran.stderr, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "bug of bertops" not in ran.stderr
    assert leftovers(project) == []


def leftovers(project: Path) -> list[Path]:
    return [p for p in (project / "data").rglob("*") if p.suffix == ".partial"]


def succeeds(project: Path, stage: str) -> str:
    ran = bertops(project, "stage", *stage.split())
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize(
    ("stage", "missing"),
    [
        ("validate_raw", "data/raw/toy (written by ingest toy)"),
        ("clean", "data/raw/toy (written by ingest toy)"),
        ("finetune sentiment", "models/encoder (written by pretrain)"),
        ("evaluate", "models/encoder (written by pretrain)"),
    ],
)
def test_a_stage_before_its_time_names_what_it_lacks(project: Path, stage: str, missing: str):
    fails(project, stage, "reads what is not there", missing, "dvc repro")


def test_a_task_that_starts_from_another_encoder_does_not_lack_ours(project: Path):
    change(project, "- name: sentiment\n", "- name: sentiment\n    init_from: models/other\n")
    ran = bertops(project, "stage", "finetune", "sentiment")
    assert "data/tasks/sentiment (written by task_data sentiment)" in ran.stderr
    assert "models/encoder" not in ran.stderr


def test_a_missing_source(project: Path):
    change(project, "toy, path: texts/reviews.csv", "toy, path: texts/none.csv")
    fails(project, "ingest toy", "source 'toy'", "texts/none.csv", "params.yaml")


def test_an_empty_source(project: Path):
    (project / "texts/reviews.csv").write_text("text,label\n")
    fails(project, "ingest toy", "no document in texts/reviews.csv")


def test_a_csv_without_the_named_column(project: Path):
    (project / "texts/reviews.csv").write_text("body,label\nhello,1\n")
    fails(project, "ingest toy", "no column 'text'", "it has body, label", "text_column")


def test_one_broken_json_line_costs_that_line(project: Path):
    (project / "texts/some.jsonl").write_text('{"text": "one"}\n{"text": \n{"text": "three"}\n')
    change(project, "toy, path: texts/reviews.csv", "toy, path: texts/some.jsonl")
    assert "read 3, kept 2" in succeeds(project, "ingest toy")
    assert "quarantined 1" in succeeds(project, "ingest toy")


def test_bytes_that_are_no_utf_8_cost_no_other_line(project: Path):
    lines = [b'{"text": "first"}', b'{"text": "caf\xe9 \xff\xfe"}', b'{"text": "last"}']
    (project / "texts/some.jsonl").write_bytes(b"\n".join(lines))
    change(project, "toy, path: texts/reviews.csv", "toy, path: texts/some.jsonl")
    assert "read 3" in succeeds(project, "ingest toy")


def test_a_label_that_is_not_in_the_schema(project: Path):
    with (project / "texts/reviews.csv").open("a") as file:
        file.write('"An odd one out.",maybe\n')
    fails(project, "task_data sentiment", "sentiment", "maybe", "reviews.csv", code=3)


def test_a_missing_task_file(project: Path):
    (project / "texts/elsewhere.csv").unlink()
    fails(project, "task_data sentiment", "texts/elsewhere.csv")


def test_a_corpus_too_small_for_the_vocabulary(project: Path):
    for stage in ("ingest toy", "task_data sentiment", "clean"):
        succeeds(project, stage)
    change(project, "vocab_size: 512", "vocab_size: 30000")
    fails(project, "tokenizer", "too small for the vocabulary", "30,000", "vocab_size")
    assert not (project / "models/tokenizer").exists()


def test_several_faults_in_the_parameters_are_told_together_before_anything_runs(project: Path):
    change(project, "vocab_size: 512", "vocab_size: 5\n  vocabsize: 6")
    change(project, "epochs: 1", "epochs: none")
    ran = bertops(project, "run")
    assert ran.returncode == 2
    assert "3 problems" in ran.stderr
    assert "did you mean 'vocab_size'?" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (project / "data").exists()


def test_a_run_outside_of_a_repository_says_so(project: Path):
    subprocess.run(["rm", "-rf", ".git"], cwd=project, check=True)
    ran = bertops(project, "stages")
    assert ran.returncode == 1
    assert "not a git repository" in ran.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.fault
def test_a_full_disk(project: Path, small_disk: Path):
    (project / "data").symlink_to(small_disk)
    fails(project, "ingest toy", "full", "Make room")
    assert list(small_disk.rglob("*.parquet")) == []


def test_a_read_only_disk(project: Path, small_disk: Path):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    (project / "data").symlink_to(small_disk)
    fails(project, "ingest toy", "read-only")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)]
)
def test_a_stage_that_is_stopped_leaves_nothing_that_looks_finished(
    project: Path, number: int, code: int
):
    texts = project / "texts/reviews.csv"
    header, rows = texts.read_bytes().split(b"\n", 1)
    texts.write_bytes(header + b"\n" + rows * 200)
    stage = subprocess.Popen(
        [sys.executable, "-m", "bertops", "stage", "ingest", "toy"],
        cwd=project, env=environment(project), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not leftovers(project):
        assert stage.poll() is None, "the stage ended before it could be stopped"
        time.sleep(0.01)
    stage.send_signal(number)
    assert stage.wait(timeout=60) == code
    assert not (project / "data/raw/toy").exists()
    texts.write_bytes(header + b"\n" + rows)
    assert "kept 400" in succeeds(project, "ingest toy")
    assert leftovers(project) == []
