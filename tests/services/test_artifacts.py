"""`bertops up --artifacts s3://...`: versions lie in a bucket, which can be gone for a while."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bertops import services
from bertops.asking import open_registry
from bertops.evaluation.reads import count_reads
from bertops.inference.load import load
from bertops.inference.readers import predict
from bertops.paths import Paths
from bertops.registry.client import FilesNotMoved, Registry
from bertops.registry.history import read_state
from bertops.registry.promote import history
from bertops.registry.register import Facts, register
from bertops.registry.resolve import resolve
from bertops.release import promote_version
from bertops.storage import hash_file, hash_tree
from examples.promotion import add_noise
from tests.conftest import ROOT
from tests.integration.tiny_project import TASK, tiny_project
from tests.services.ask import free_port
from tests.services.s3 import KEYS, S3
from tests.toy import bertops

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]

BUCKET = "team"
QUICK = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "AWS_MAX_ATTEMPTS": "1"}
"""By default both ask again for minutes."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    found = S3(BUCKET, tmp_path_factory.mktemp("s3") / "moto.log")
    yield found
    found.stop()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, store: S3) -> Iterator[Path]:
    """Servers with the key of the bucket, and a project without it; version 1 is the champion."""
    folder = tiny_project(tmp_path_factory.mktemp("artifacts"))
    for place in (folder, folder.parent, folder.parent.parent):
        place.chmod(0o711)  # PostgreSQL runs as another user and passes through
    before = dict(os.environ)
    ports = services.Ports(free_port(), free_port(), free_port())
    try:
        os.environ.update(QUICK | KEYS, AWS_ENDPOINT_URL=store.address)
        where = services.up(folder, ports, worker=False, artifacts=f"s3://{BUCKET}/mlflow")
        for name in (*KEYS, "AWS_ENDPOINT_URL"):
            del os.environ[name]
        os.environ.update(where)
        register(open_registry(Paths(folder)), TASK, Paths(folder).task_model(TASK), facts(folder))
        promote_version(folder, TASK, 1, why="the first")
        yield folder
    finally:
        services.down(folder)
        os.environ.clear()
        os.environ.update(before)


def facts(project: Path) -> Facts:
    return Facts({"bertops.data.corpus": hash_tree(Paths(project).corpus)})


def copy_of(project: Path, seed: int) -> Path:
    """The model, hardly changed."""
    model = project / f"alike{seed}"
    add_noise(Paths(project).task_model(TASK), model, 0.01, seed=seed)
    return model


def export(project: Path, version: int, target: Path) -> "subprocess.CompletedProcess[str]":
    """`bertops registry export`, by the code beside these tests: the project has none."""
    words = ["registry", "export", TASK, str(version), str(target), "--json"]
    return bertops(project, *words, env={"PYTHONPATH": str(ROOT)})


def known(registry: Registry) -> tuple[list[int], dict[str, int], int]:
    """Versions, aliases and how long the history is."""
    numbers = [one.number for one in registry.versions(TASK)]
    return numbers, registry.aliases(TASK), len(history(registry, TASK))


def test_a_version_lies_in_the_bucket_and_comes_back_by_its_address(
    project: Path, store: S3, tmp_path: Path
):
    """Who loads it needs no key of the bucket: MLflow hands the files on."""
    files = [key for key in store.objects() if key.endswith("/model.safetensors")]
    assert len(files) == 1
    assert files[0].startswith("mlflow/")
    assert not (project / ".bertops/services/artifacts").exists()
    original = Paths(project).task_model(TASK)
    for address in (f"models:/{TASK}/1", f"models:/{TASK}@champion"):
        found = resolve(open_registry(Paths(project)), address, tmp_path / "cache")
        assert hash_tree(found) == hash_tree(original)
        assert predict(load(found), ["good film"]) == predict(load(original), ["good film"])


def test_a_second_version_is_compared_and_promoted(project: Path):
    registry = open_registry(Paths(project))
    second = register(registry, TASK, copy_of(project, 1), facts(project))
    looks = count_reads(Paths(project).state)[TASK]["gates"]
    assert promote_version(project, TASK, second.version, why="hardly changed").changed
    assert count_reads(Paths(project).state)[TASK]["gates"] == looks + 1
    state = read_state(registry, TASK)
    assert (state.champion, state.previous_champion) == (2, 1)


def test_an_export_is_what_transformers_loads(project: Path, tmp_path: Path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    target = tmp_path / "hub"
    done = export(project, 1, target)
    assert done.returncode == 0, done.stderr
    assert "model.safetensors" in json.loads(done.stdout)["files"]
    sums = dict(line.split("  ")[::-1] for line in (target / "SHA256SUMS").read_text().splitlines())
    assert sums == {
        str(path.relative_to(target)): hash_file(path)
        for path in target.rglob("*") if path.is_file() and path.name != "SHA256SUMS"
    }  # fmt: skip
    batch = AutoTokenizer.from_pretrained(target)(["good film"], return_tensors="pt")
    batch.pop("token_type_ids", None)
    logits = AutoModelForSequenceClassification.from_pretrained(target)(**batch).logits
    (answer,) = predict(load(Paths(project).task_model(TASK)), ["good film"])
    assert logits.softmax(-1)[0].tolist() == pytest.approx(answer["probabilities"], abs=1e-2)


@pytest.mark.fault
def test_a_bucket_that_is_gone_is_named_and_nothing_is_lost(
    project: Path, store: S3, tmp_path: Path
):
    registry = open_registry(Paths(project))
    third = register(registry, TASK, copy_of(project, 2), facts(project)).version
    fourth = copy_of(project, 3)
    before, held = known(registry), store.objects()
    store.stop()
    with pytest.raises(FilesNotMoved, match=f"fetching {TASK} version 1 failed: .*did not answer"):
        resolve(registry, f"models:/{TASK}/1", tmp_path / "cache")
    with pytest.raises(FilesNotMoved, match=f"uploading a version of {TASK} failed"):
        register(registry, TASK, fourth, facts(project))
    with pytest.raises(FilesNotMoved):
        promote_version(project, TASK, third, why="while the bucket is gone")
    exported = export(project, third, tmp_path / "hub")
    assert exported.returncode == 1
    assert "did not answer" in exported.stderr
    assert not (tmp_path / "hub").exists()
    assert not any((tmp_path / "cache").rglob("*.safetensors"))
    assert known(registry) == before

    store.start(held)
    resolve(registry, f"models:/{TASK}/1", tmp_path / "cache")
    assert promote_version(project, TASK, third, why="the bucket is back").changed
    assert register(registry, TASK, fourth, facts(project)).created
