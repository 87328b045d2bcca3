"""Signatures, tampering and export of registered versions, on a real SQLite store."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bertops.errors import UsageError
from bertops.inference.load import ModelRefused
from bertops.registry.client import Registry
from bertops.registry.decide import decide
from bertops.registry.export import export
from bertops.registry.gates import Evidence
from bertops.registry.params import GateParams, RegistryParams
from bertops.registry.promote import promote, rollback
from bertops.registry.register import Facts, register
from bertops.registry.resolve import ContentChanged, fetch, resolve
from bertops.registry.signing import SignatureRefused, sign
from bertops.registry.smoke import smoke_test
from bertops.storage import hash_tree
from tests.integration.mlflow_models import fresh_store, tiny_model
from tests.unit.registry.comparisons import comparison
from tests.unit.registry.test_signing import key_pair

FACTS = Facts(lineage={"bertops.git_commit": "c" * 40, "bertops.dvc_lock": "lock"})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return fresh_store(tmp_path_factory.mktemp("mlflow") / "mlflow.db")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return key_pair(tmp_path_factory.mktemp("keys"), "owner")


@pytest.fixture
def registry(store, keys):
    """A registry that wants signatures."""
    return Registry(store.address, store.artifacts, public_key=keys[1])


@pytest.fixture
def version(request, registry, keys, tmp_path):
    """A signed version, of a name of its own."""
    name = request.node.name.removeprefix("test_")[:50].replace("[", "-").replace("]", "")
    made = register(registry, name, tiny_model(tmp_path / "model"), FACTS, signing_key=keys[0])
    return registry.version(name, made.version)


def evidence(champion):
    control = comparison("better")
    return Evidence("accuracy", 0.8, 0.78, 0.82, 1000, 0.5, against_control=control, leaked=0)


def test_a_signed_version_is_promoted_and_loaded(registry, version, tmp_path):
    decision = decide(registry, version.name, 1, evidence, GateParams())
    assert decision.gates[0].gate == "signature"
    assert decision.passed
    assert resolve(registry, f"models:/{version.name}/1", tmp_path / "cache").is_dir()


def test_an_unsigned_version_is_neither_promoted_nor_loaded(registry, store, tmp_path):
    register(registry, "unsigned", tiny_model(tmp_path / "model"), FACTS)
    decision = decide(registry, "unsigned", 1, evidence, GateParams())
    assert [gate.gate for gate in decision.refused_by] == ["signature"]
    with pytest.raises(SignatureRefused, match=r"no model\.sig"):
        resolve(registry, "models:/unsigned/1", tmp_path / "cache")
    without_key = Registry(store.address, store.artifacts)
    assert resolve(without_key, "models:/unsigned/1", tmp_path / "cache").is_dir()


def alter(package):
    file = package / "data/model/config.json"
    file.write_text(file.read_text().replace('"hidden_size": 16', '"hidden_size": 17'))


def alter_beside(package):
    (package / "requirements.txt").write_text("evil\n")


def remove(package):
    (package / "data/model/tokenizer_config.json").unlink()


def add(package):
    (package / "data/model/more.json").write_text("{}")


def add_beside(package):
    (package / "report.html").write_text("<script>")


@pytest.mark.parametrize("tamper", [alter, alter_beside, remove, add, add_beside])
@pytest.mark.parametrize("where", ["store", "cache"])
def test_altered_missing_and_added_files_are_refused(registry, version, tmp_path, tamper, where):
    cache = tmp_path / "cache"
    place = Path(version.source) if where == "store" else fetch(registry, version, cache)
    tamper(place)
    with pytest.raises(ContentChanged):
        resolve(registry, f"models:/{version.name}/1", cache)
    if where == "store":
        decision = decide(registry, version.name, 1, evidence, GateParams())
        assert [gate.gate for gate in decision.refused_by] == ["signature"]
        assert not (cache / version.name).exists() or not list((cache / version.name).iterdir())


def test_files_and_tags_forged_together_still_fail_the_signature(registry, version, tmp_path):
    place = Path(version.source)
    alter(place)
    for tag, path in (("content", place / "data/model"), ("package", place)):
        registry.client.set_model_version_tag(version.name, "1", f"bertops.{tag}", hash_tree(path))
    with pytest.raises(SignatureRefused, match="config"):
        resolve(registry, f"models:/{version.name}/1", tmp_path / "cache")


def test_a_forger_who_signs_with_another_key_is_refused(registry, version, tmp_path):
    place = Path(version.source)
    alter(place)
    sign(place, key_pair(tmp_path, "forger")[0])
    for tag, path in (("content", place / "data/model"), ("package", place)):
        registry.client.set_model_version_tag(version.name, "1", f"bertops.{tag}", hash_tree(path))
    with pytest.raises(SignatureRefused):
        resolve(registry, f"models:/{version.name}/1", tmp_path / "cache")


@pytest.mark.parametrize("source", ["/etc/../etc", "file:///tmp/%2e%2e/etc"])
def test_a_version_whose_address_climbs_is_refused(registry, tmp_path, source):
    name = f"climbing-{len(source)}"
    registry.client.create_registered_model(name)
    registry.client.create_model_version(name, source, tags={"bertops.content": "0" * 64})
    with pytest.raises(ModelRefused, match=r"\.\."):
        resolve(registry, f"models:/{name}/1", tmp_path / "cache")
    assert not list(tmp_path.rglob("passwd"))


@pytest.mark.parametrize("tag", ["../../evil", "", "0" * 63 + "/"])
def test_a_tag_that_is_no_hash_never_becomes_a_path(registry, tmp_path, tag):
    name = f"tagged-{len(tag)}"
    registry.client.create_registered_model(name)
    tags = {"bertops.content": tag, "bertops.package": tag}
    registry.client.create_model_version(name, str(tmp_path), tags=tags)
    version = registry.version(name, 1)
    assert (version.content, version.package) == ("", "")
    with pytest.raises(ContentChanged):
        resolve(registry, f"models:/{name}/1", tmp_path / "cache")


def test_a_rollback_to_a_tampered_version_changes_nothing(registry, keys, tmp_path):
    for seed in (1, 2):
        model = tiny_model(tmp_path / f"model-{seed}", seed=seed)
        register(registry, "back", model, FACTS, signing_key=keys[0])
    loose = GateParams()
    first = decide(registry, "back", 1, evidence, loose)
    promote(registry, first, RegistryParams())
    second = decide(registry, "back", 2, evidence, loose)
    passed = [gate for gate in second.gates if gate.passed]
    promote(registry, type(second)("back", 2, 1, tuple(passed)), RegistryParams())
    alter(Path(registry.version("back", 1).source))
    with pytest.raises(ContentChanged):
        rollback(
            registry,
            "back",
            why="x",
            smoke_test=lambda n: smoke_test(registry, "back", n, tmp_path / "cache"),
        )
    assert registry.aliases("back")["champion"] == 2


def test_an_export_is_signed_complete_and_loads_with_transformers(
    registry, version, keys, tmp_path
):
    made = export(registry, version, tmp_path / "hub", tmp_path / "cache")
    names = {path.name for path in made.iterdir()}
    assert {"README.md", "LICENSE", "SHA256SUMS", "sbom.cdx.json", "model.sig"} <= names
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=made, check=True)
    command = [
        *(sys.executable, "-m", "model_signing", "verify", "key", str(made)),
        *("--signature", str(made / "model.sig"), "--public_key", str(keys[1])),
    ]
    assert subprocess.run(command, capture_output=True).returncode == 0

    from transformers import pipeline

    classify = pipeline("text-classification", model=str(made), device="cpu")
    assert 0.5 <= classify("good movie")[0]["score"] <= 1
    with pytest.raises(UsageError, match="there already"):
        export(registry, version, made, tmp_path / "cache")


def test_the_sbom_is_valid_cyclonedx_and_names_the_weights(registry, version, tmp_path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    package = fetch(registry, version, tmp_path / "cache")
    text = (package / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    sbom = json.loads(text)
    files = {file["name"]: file["hashes"] for file in sbom["metadata"]["component"]["components"]}
    assert files["model.safetensors"][0]["alg"] == "SHA-256"
    assert {"torch", "transformers", "mlflow"} <= {part["name"] for part in sbom["components"]}


def test_serving_refuses_a_package_that_would_load_something_else(registry, version, tmp_path):
    import mlflow.pyfunc

    package = tmp_path / "altered"
    shutil.copytree(version.source, package)
    (package / "data/model/evil.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelRefused):
        mlflow.pyfunc.load_model(str(package))
