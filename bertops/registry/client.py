"""The one door to MLflow's registry: versions, aliases, and the entries of a history."""

import contextlib
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bertops.errors import BertopsError
from bertops.registry.events import Entry, Event, parse

T = TypeVar("T")

EVENT_TAG = "bertops.event"
SETTLED_TAG = "bertops.settled"
HISTORY = ".history"

ATTEMPTS = 60
PAUSE_S = 0.05

# What MLflow says when many ask at once; the same request succeeds a moment later. Its pool holds
# 15 connections, and who reads waits there behind those who write.
COLLISIONS = (
    "Giving up after",
    "database is locked",
    "deadlock",
    "could not serialize",
    "QueuePool limit",
)

UNANSWERED = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
"""What MLflow's client says when a request did not get through, or the server failed."""


@dataclass(frozen=True)
class Version:
    """A registered version of a model."""

    name: str
    number: int
    source: str
    """Where its files lie."""
    run_id: str | None
    tags: Mapping[str, str]
    created_ms: int

    @property
    def content(self) -> str:
        """Hash of the model directory."""
        return self._hash("bertops.content")

    @property
    def package(self) -> str:
        """Hash of all its files, the model's and those beside it."""
        return self._hash("bertops.package")

    def _hash(self, tag: str) -> str:
        """A tag that is a hash, or nothing: tags name folders, and anybody may write them."""
        value = self.tags.get(tag, "")
        return value if re.fullmatch("[0-9a-f]{64}", value) else ""


class VersionMissing(BertopsError):
    """A version or an alias was asked for that does not exist."""

    def __init__(self, name: str, wanted: str) -> None:
        self.name, self.wanted = name, wanted
        super().__init__(f"{name!r} has no {wanted}. See: bertops registry list {name}")


class FilesNotMoved(BertopsError):
    """The store with the files of versions did not take them, or did not give them."""

    def __init__(self, doing: str, place: str, cause: Exception) -> None:
        self.place, self.cause = place, cause
        said = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        super().__init__(
            f"{doing} failed: the store behind {place} did not answer, or not as it should "
            f"({said}). No version and no alias was changed. See that the MLflow server and its "
            "artifact store run, and do the same again; the log of the server tells more."
        )


class Ledger(Protocol):
    """What the history and the aliases need of a store; tests have one in memory."""

    def append(self, name: str, event: Event) -> int:
        """Add an event to the history of `name`; its number, one more than the last."""

    def entries(self, name: str) -> list[Entry]:
        """The whole history of `name`."""

    def mark_settled(self, name: str, entry: Entry) -> None:
        """Note that the aliases were brought in line with an entry."""

    def gone(self, name: str, versions: Iterable[int]) -> frozenset[int]:
        """Which of these versions of `name` were deleted."""

    def aliases(self, name: str) -> dict[str, int]:
        """Where the aliases of `name` point."""

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        """Point an alias at a version, in one step; None removes it."""


class Registry:
    """MLflow's registry at one address. Implements `Ledger`.

    Args:
        address: as in `MLFLOW_TRACKING_URI`.
        artifacts: folder for the files of new experiments; None where the server decides.
        public_key: PEM file of the key that must have signed what is promoted or loaded.
    """

    def __init__(
        self, address: str, artifacts: str | None = None, public_key: Path | None = None
    ) -> None:
        self.address, self.artifacts, self.public_key = address, artifacts, public_key

    @cached_property
    def client(self) -> Any:
        """MLflow's client; importing it costs seconds, so only when it is needed."""
        os.environ.setdefault("DO_NOT_TRACK", "true")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        return MlflowClient(self.address)

    def experiment_id(self, name: str) -> str:
        """Id of the experiment `name`; made when missing, restored when it was deleted."""
        from mlflow.exceptions import MlflowException

        folder = f"{self.artifacts}/{name}" if self.artifacts else None
        try:
            return patiently(lambda: self.client.create_experiment(name, artifact_location=folder))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = patiently(lambda: self.client.get_experiment_by_name(name))
        if found.lifecycle_stage != "active":
            self.client.restore_experiment(found.experiment_id)
        return found.experiment_id

    # ── versions ──

    def names(self) -> list[str]:
        """Names of the registered models, sorted, without the histories."""
        models = _all_pages(lambda token: self.client.search_registered_models(page_token=token))
        return sorted(model.name for model in models if not model.name.endswith(HISTORY))

    def versions(self, name: str) -> list[Version]:
        """Versions of a model, ascending; none where there is no such model."""
        return [_version(found) for found in self._search(name)]

    def version(self, name: str, number: int) -> Version:
        """One version.

        Raises:
            VersionMissing: there is none of that number.
        """
        found = next((v for v in self.versions(name) if v.number == number), None)
        if found is None:
            raise VersionMissing(name, f"version {number}")
        return found

    def create_version(
        self, name: str, source: str, run_id: str, model_id: str, tags: Mapping[str, str]
    ) -> Version:
        """Register files that were uploaded as the next version of `name`."""
        self._ensure_model(name)
        return _version(
            patiently(
                lambda: self.client.create_model_version(
                    name, source, run_id=run_id, tags=dict(tags), model_id=model_id
                )
            )
        )

    def delete_version(self, version: Version) -> None:
        """Remove a version."""
        patiently(lambda: self.client.delete_model_version(version.name, str(version.number)))

    def _search(self, name: str) -> list[Any]:
        found = _all_pages(
            lambda token: self.client.search_model_versions(
                f"name = '{name}'",
                max_results=1000,
                order_by=["version_number ASC"],  # what is added meanwhile comes on the last page
                page_token=token,
            )
        )
        return sorted(found, key=lambda version: int(version.version))

    def _ensure_model(self, name: str, description: str | None = None) -> None:
        from mlflow.exceptions import MlflowException

        try:
            patiently(lambda: self.client.create_registered_model(name, description=description))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def gone(self, name: str, versions: Iterable[int]) -> frozenset[int]:
        """Which of these versions of `name` were deleted."""
        asked = set(versions)
        return frozenset(asked - {v.number for v in self.versions(name)} if asked else ())

    # ── the history ──

    def append(self, name: str, event: Event) -> int:
        """Add an event to the history of `name`; its number, one more than the last."""
        if not self._search(name + HISTORY):
            self._ensure_model(
                name + HISTORY,
                f"What happened to {name!r}, in order. Written by bertops; add only.",
            )
        made = patiently(
            lambda: self.client.create_model_version(
                name + HISTORY, f"bertops:/history/{event.kind}", tags={EVENT_TAG: event.to_json()}
            )
        )
        return int(made.version)

    def entries(self, name: str) -> list[Entry]:
        """The whole history of `name`."""
        return [
            Entry(int(v.version), parse(v.tags[EVENT_TAG]), v.tags.get(SETTLED_TAG))
            for v in self._search(name + HISTORY)
            if EVENT_TAG in v.tags
        ]

    def mark_settled(self, name: str, entry: Entry) -> None:
        """Note that the aliases were brought in line with an entry."""
        patiently(
            lambda: self.client.set_model_version_tag(
                name + HISTORY, str(entry.number), SETTLED_TAG, entry.event.digest
            )
        )

    # ── aliases ──

    def aliases(self, name: str) -> dict[str, int]:
        """Where the aliases of `name` point."""
        from mlflow.exceptions import MlflowException

        try:
            found = patiently(lambda: self.client.get_registered_model(name).aliases)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {alias: int(version) for alias, version in found.items()}

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        """Point an alias at a version, in one step; None removes it."""
        if version is None:
            patiently(lambda: self.client.delete_registered_model_alias(name, alias))
        else:
            patiently(lambda: self.client.set_registered_model_alias(name, alias, str(version)))


def patiently(action: Callable[[], T]) -> T:
    """Do it again while the store says that too many ask at once.

    MLflow itself tries three times to take the next version number, too few for fifty writers.
    """
    from mlflow.exceptions import MlflowException

    for attempt in range(ATTEMPTS):
        try:
            return action()
        except MlflowException as error:
            collided = any(sign in str(error) for sign in COLLISIONS)
            if not collided or attempt == ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0, PAUSE_S * min(attempt + 1, 20)))
    raise AssertionError("unreachable")


@contextlib.contextmanager
def moving_files(doing: str, place: str) -> Iterator[None]:
    """Around an upload or a download.

    Args:
        doing: for the error: "fetching sentiment version 3".
        place: where the files lie or shall lie.

    Raises:
        FilesNotMoved: a server or the network failed. What MLflow refuses is raised as it is.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        yield
    except MlflowException as error:
        if error.error_code not in UNANSWERED:
            raise
        raise FilesNotMoved(doing, place, error) from error
    except RequestException as error:
        raise FilesNotMoved(doing, place, error) from error


def _all_pages(search: Callable[[str | None], Any]) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = patiently(partial(search, token))
        found += page
        token = page.token
        if not token:
            return found


def _version(found: Any) -> Version:
    return Version(
        name=found.name,
        number=int(found.version),
        source=found.source,
        run_id=found.run_id or None,
        tags=dict(found.tags),
        created_ms=found.creation_timestamp,
    )
