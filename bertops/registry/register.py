"""Register: a model directory and its lineage become a version; the same thing never twice."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertops.registry.client import Registry, Version, moving_files
from bertops.registry.events import Event, State
from bertops.registry.export import sign_package
from bertops.registry.history import new_event, record
from bertops.registry.package import Contents, build_package
from bertops.storage import hash_tree

IDENTITY = ("bertops.git_commit", "bertops.dvc_lock", "bertops.content")
"""Tags that together say whether two versions are the same thing."""

EXPERIMENT = "bertops-registered"
"""Holds the runs of models whose training run is not in this store."""


@dataclass(frozen=True)
class Registered:
    """A version, new or found."""

    name: str
    version: int
    created: bool
    """False when the same commit, dvc.lock and files were registered before."""
    content: str
    run_id: str | None

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        if self.created:
            return f"registered {self.name} version {self.version}"
        return f"{self.name} version {self.version} is the same thing, registered before"


@dataclass(frozen=True)
class Facts:
    """What goes with a version besides its files."""

    lineage: Mapping[str, str]
    """Tags of the lineage, as `Lineage.tags()` gives them."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Numbers to compare versions by in MLflow's views."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Further tags, such as metrics with their intervals."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files to keep inside the version, by name: evaluation.json, report.html."""
    license: str = "apache-2.0"


def register(
    registry: Registry,
    name: str,
    model_dir: Path,
    facts: Facts,
    *,
    who: str | None = None,
    signing_key: Path | None = None,
) -> Registered:
    """Register a model directory as a version of `name` and point `@challenger` at it.

    Idempotent on git commit, dvc.lock hash and content hash: the second time, and for the second
    of two processes that do it at once, the existing version is returned.

    Args:
        who: name for the history; the account's when left out.
        signing_key: private key to sign the version with; unsigned without one.

    Raises:
        FilesNotMoved: the store did not take the files; there is no new version.
        ModelRefused: the directory holds more than a model in safetensors needs.
        KeyUnusable: the key cannot be read or is of another kind.
    """
    content = hash_tree(model_dir)
    tags = dict(facts.lineage) | dict(facts.tags) | {"bertops.content": content}
    tags["bertops.license"] = facts.license
    found = _same(registry, name, tags)
    created = found is None
    if found is None:
        mine = _upload(registry, name, model_dir, tags, facts, signing_key)
        found = _same(registry, name, tags) or mine
        if found.number != mine.number:  # another process was first; its version stands
            registry.delete_version(mine)
            created = False
    version = found
    record(registry, name, lambda state: _registration(state, version, who))
    return Registered(name, version.number, created, content, version.run_id)


def _same(registry: Registry, name: str, tags: Mapping[str, str]) -> Version | None:
    """The earliest version with the same identity."""
    wanted = [tags.get(tag, "") for tag in IDENTITY]
    for version in registry.versions(name):
        if [version.tags.get(tag, "") for tag in IDENTITY] == wanted:
            return version
    return None


def _registration(state: State, version: Version, who: str | None) -> Event | None:
    """The event, unless this version is in the history already."""
    if any(
        entry.event.kind == "registered" and entry.event.to_version == version.number
        for entry in state.accepted
    ):
        return None
    why = f"files {version.content[:12]}"
    return new_event(state, "registered", version.number, why, who)


def _upload(
    registry: Registry,
    name: str,
    model_dir: Path,
    tags: Mapping[str, str],
    facts: Facts,
    signing_key: Path | None,
) -> Version:
    """Bring the package into the store and make a version of it."""
    client = registry.client
    run = _training_run(client, tags["bertops.content"]) or _own_run(registry, name, tags)
    run_id = run.info.run_id
    model = client.create_logged_model(
        run.info.experiment_id, name=name, source_run_id=run_id, tags=dict(tags)
    )
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "package"
        contents = Contents(name, facts.license, model.model_id, run_id, facts.files)
        build_package(package, model_dir, contents)
        if signing_key is not None:
            sign_package(package, signing_key, Path(folder))
        tags = dict(tags) | {"bertops.package": hash_tree(package)}
        with moving_files(f"uploading a version of {name}", model.artifact_location):
            client.log_model_artifacts(model.model_id, str(package))
    client.finalize_logged_model(model.model_id, "READY")
    for metric, value in facts.metrics.items():
        client.log_metric(run_id, metric, value, model_id=model.model_id)
    # The address of the files, not models:/<id>: MLflow looks that up in the process-wide store.
    return registry.create_version(name, model.artifact_location, run_id, model.model_id, tags)


def _training_run(client: Any, content: str) -> Any:
    """The run that made these files, found by the hash it noted at its end; None if none did."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.`bertops.content` = '{content}'", max_results=1)
    return found[0] if found else None


def _own_run(registry: Registry, name: str, tags: Mapping[str, str]) -> Any:
    """A run to hang the version on where its training was not tracked here."""
    run = registry.client.create_run(
        registry.experiment_id(EXPERIMENT), run_name=f"register-{name}", tags=dict(tags)
    )
    registry.client.set_terminated(run.info.run_id)
    return run
