"""Registering, promoting, rolling back and resolving on a real SQLite store."""

import pytest

from bertops.inference.load import ModelRefused, load
from bertops.inference.readers import predict
from bertops.registry.client import Registry, VersionMissing
from bertops.registry.decide import decide
from bertops.registry.gates import Evidence
from bertops.registry.history import ForeignAliasWrite, check_aliases, read_state
from bertops.registry.params import RegistryParams
from bertops.registry.promote import (
    PromotionRefused,
    history,
    promote,
    reconcile,
    rollback,
)
from bertops.registry.register import EXPERIMENT, Facts, register
from bertops.registry.resolve import ContentChanged, resolve
from bertops.storage import hash_tree
from bertops.tracking.mlflow_tracker import MLflowTracker
from tests.integration.mlflow_models import fresh_store, tiny_model
from tests.unit.registry.comparisons import comparison

PARAMS = RegistryParams()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return fresh_store(tmp_path_factory.mktemp("mlflow") / "mlflow.db")


@pytest.fixture
def registry(store):
    return Registry(store.address, store.artifacts)


@pytest.fixture
def name(request):
    """A model name of its own for each test."""
    return request.node.name.removeprefix("test_")[:60]


def facts(lock="lock-1", **more):
    lineage = {"bertops.git_commit": "c" * 40, "bertops.dvc_lock": lock}
    return Facts(lineage=lineage, **more)


def good(champion, verdict="better"):
    """Evidence that passes every gate, but for the comparison with the champion."""
    return Evidence(
        score="accuracy",
        value=0.82,
        low=0.80,
        high=0.84,
        documents=1000,
        floor=0.5,
        against_control=comparison("not worse"),
        against_champion=comparison(verdict) if champion else None,
        slices=(),
        leaked=0,
    )


def registered(registry, name, folder, seed):
    model = tiny_model(folder / f"model-{seed}", seed=seed)
    return register(registry, name, model, facts(f"lock-{seed}"))


def promoted(registry, name, version, verdict="better"):
    decision = decide(
        registry, name, version, lambda champion: good(champion, verdict), PARAMS.gates
    )
    return promote(registry, decision, PARAMS)


def test_a_version_finds_its_training_run_and_carries_its_lineage(store, registry, name, tmp_path):
    model = tiny_model(tmp_path / "model", seed=11)
    with MLflowTracker(
        store, "training", "x", tmp_path / "run.json", system_metrics=False, every_s=0.05
    ) as tracker:
        tracker.set_content(hash_tree(model))
    made = register(registry, name, model, facts(metrics={"accuracy": 0.8}))
    version = registry.version(name, made.version)
    run = registry.client.get_run(version.run_id)
    assert run.info.run_name == "x"
    assert run.data.metrics["accuracy"] == 0.8
    assert version.tags["bertops.git_commit"] == "c" * 40
    assert registry.aliases(name) == {"challenger": made.version}


def test_a_deleted_experiment_of_registrations_is_restored(registry, name, tmp_path):
    client, model = registry.client, tiny_model(tmp_path / "model", seed=13)
    client.delete_experiment(registry.experiment_id(EXPERIMENT))
    made = register(registry, name, model, facts())
    assert registry.aliases(name) == {"challenger": made.version}


def test_the_same_thing_is_registered_once_and_says_so(registry, name, tmp_path):
    model = tiny_model(tmp_path / "model", seed=12)
    first = register(registry, name, model, facts())
    again = register(registry, name, model, facts())
    other = register(registry, name, model, facts(lock="another"))
    assert (first.version, first.created) == (1, True)
    assert (again.version, again.created) == (1, False)
    assert "registered before" in again.sentence
    assert (other.version, other.created) == (2, True)
    assert [entry.event.kind for entry in history(registry, name)] == ["registered"] * 2


def test_a_pickle_in_the_directory_is_not_registered(registry, name, tmp_path):
    model = tiny_model(tmp_path / "model", seed=13)
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelRefused, match="holds pytorch_model"):
        register(registry, name, model, facts())
    assert registry.versions(name) == []


def test_promotion_refusal_rollback_and_their_history(registry, name, tmp_path):
    versions = [registered(registry, name, tmp_path, seed).version for seed in (1, 2, 3)]
    assert promoted(registry, name, versions[0]).sentence.startswith("promoted")
    promoted(registry, name, versions[1])
    assert registry.aliases(name) == {"champion": 2, "previous_champion": 1, "challenger": 3}

    with pytest.raises(PromotionRefused, match="against_champion: worse") as refusal:
        promoted(registry, name, versions[2], "worse")
    assert refusal.value.exit_code == 3
    with pytest.raises(PromotionRefused, match="inconclusive"):
        promoted(registry, name, versions[2], "inconclusive")
    assert registry.aliases(name)["champion"] == 2

    rollback(registry, name, why="complaints")
    assert registry.aliases(name) == {"champion": 1, "challenger": 3}
    kinds = [entry.event.kind for entry in history(registry, name)]
    assert kinds[3:] == ["promoted", "promoted", "refused", "refused", "rolled_back"]
    last = history(registry, name)[-1].event
    assert (last.from_version, last.to_version, last.why) == (2, 1, "complaints")


def test_old_versions_may_be_deleted_in_mlflow(registry, name, tmp_path):
    for seed in (1, 2, 3):
        promoted(registry, name, registered(registry, name, tmp_path, seed).version)
    registry.client.delete_model_version(name, "1")
    rollback(registry, name, why="complaints")
    assert registry.aliases(name) == {"champion": 2}
    promoted(registry, name, registered(registry, name, tmp_path, 4).version)
    registry.client.delete_model_version(name, "2")
    assert registered(registry, name, tmp_path, 5).version == 5
    promoted(registry, name, 5)
    assert registry.aliases(name) == {"champion": 5, "previous_champion": 4}


def test_a_dry_run_says_would_and_changes_nothing(registry, name, tmp_path):
    registered(registry, name, tmp_path, 1)
    before = read_state(registry, name)
    decision = decide(registry, name, 1, good, PARAMS.gates)
    said = promote(registry, decision, PARAMS, dry_run=True)
    assert said.sentence.startswith("would promote")
    assert not said.changed
    assert read_state(registry, name) == before
    assert "champion" not in registry.aliases(name)


def test_an_alias_set_in_the_ui_is_found_and_can_be_kept_or_undone(
    registry, name, tmp_path, monkeypatch
):
    monkeypatch.setattr("bertops.registry.history.FOREIGN_PATIENCE_S", 0)
    for seed in (1, 2):
        promoted(registry, name, registered(registry, name, tmp_path, seed).version)
    registry.client.set_registered_model_alias(name, "champion", "1")
    with pytest.raises(ForeignAliasWrite, match="set outside bertops"):
        rollback(registry, name, why="x")
    reconcile(registry, name, keep=False, why="a slip")
    assert registry.aliases(name)["champion"] == 2
    registry.client.set_registered_model_alias(name, "champion", "1")
    reconcile(registry, name, keep=True, why="an incident")
    assert check_aliases(registry, name).champion == 1
    assert history(registry, name)[-1].event.kind == "adopted"


def test_an_address_becomes_a_directory_that_inference_loads(registry, name, tmp_path):
    model = tiny_model(tmp_path / "model", seed=5)
    register(registry, name, model, facts())
    promoted(registry, name, 1)
    local = resolve(registry, f"models:/{name}@champion", tmp_path / "cache")
    assert hash_tree(local) == hash_tree(model)
    answers = predict(load(local), ["good movie"])
    assert answers == predict(load(model), ["good movie"])
    with pytest.raises(VersionMissing):
        resolve(registry, f"models:/{name}@nobody", tmp_path / "cache")
    (local / "config.json").write_text("{}")
    with pytest.raises(ContentChanged):
        resolve(registry, f"models:/{name}/1", tmp_path / "cache")


@pytest.mark.parametrize("task", [True, False])
def test_the_package_serves_without_a_pickle(registry, name, tmp_path, task):
    import mlflow.pyfunc

    name = f"served-{task}"
    model = tiny_model(tmp_path / "model", seed=6, task=task)
    made = register(registry, name, model, facts())
    source = registry.version(name, made.version).source
    served = mlflow.pyfunc.load_model(source)
    text = "good movie" if task else "good [MASK]"
    answer = served.predict([{"text": text}, {"text": text}])
    assert len(answer) == 2
    assert {"prediction"} < set(answer.columns)
    files = [p.suffix for p in tmp_path.rglob("*")]
    assert not {".pkl", ".bin", ".pt"} & set(files)
