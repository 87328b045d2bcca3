"""Where runs and models are kept: a SQLite file inside the project, or the server that is set."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bertops.errors import BertopsError
from bertops.storage import write_text

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Store:
    """A tracking store and registry that is ready for use."""

    address: str
    """As in `MLFLOW_TRACKING_URI`: an absolute `sqlite:///` address or that of a server."""
    artifacts: str | None
    """Folder for the files of new experiments; None where the server decides."""


class StoreUnusable(BertopsError):
    """The local store cannot be created or opened."""

    def __init__(self, file: Path, cause: BaseException) -> None:
        self.file, self.cause = file, cause
        super().__init__(
            f"the MLflow store {file} cannot be opened: {cause}. Free space or fix its "
            "permissions; a file that is broken may be moved away, and a new one is begun."
        )


def open_store(file: Path) -> Store:
    """The store to use: `MLFLOW_TRACKING_URI` where that is set, else the SQLite `file`.

    A new file gets its tables under a lock, since two processes that create them at once fail
    (seen with MLflow 3.17). Costs 3 s the first time and nothing afterwards.

    Raises:
        StoreUnusable: the file cannot be created or opened.
    """
    be_quiet()
    address = os.environ.get("MLFLOW_TRACKING_URI")
    if address:
        return Store(address, None)
    file = file.absolute()
    store = Store(f"sqlite:///{file}", str(file.parent / "artifacts"))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with lock(file.with_suffix(".lock")):
            _make_tables(file, store.address)
    except Exception as error:
        raise StoreUnusable(file, error) from error
    return store


def be_quiet() -> None:
    """Switch MLflow's telemetry off for this process and its children, unless already decided."""
    os.environ.setdefault("DO_NOT_TRACK", "true")  # MLflow wants the word, not 1
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")


@contextlib.contextmanager
def lock(file: Path) -> Iterator[None]:
    """Hold a lock between processes of this machine; a holder that dies lets go of it."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _make_tables(file: Path, address: str) -> None:
    """Create or migrate the tables, once for each version of MLflow."""
    made_by = file.with_suffix(".version")
    if file.exists() and made_by.exists() and made_by.read_text().strip() == version("mlflow"):
        return
    from mlflow import MlflowClient

    MlflowClient(address).search_experiments(max_results=1)
    write_text(made_by, version("mlflow") + "\n")


def experiment_id(store: Store, name: str) -> str:
    """Id of the experiment `name`; safe when several processes ask at once.

    It is made when missing. One that was deleted holds on to its name, so it is restored.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(store.address)
    found = client.get_experiment_by_name(name)
    if found is None:
        folder = f"{store.artifacts}/{name}" if store.artifacts else None
        try:
            return client.create_experiment(name, artifact_location=folder)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
            assert found is not None
    if found.lifecycle_stage != "active":
        _restore(client, found)
    return found.experiment_id


def _restore(client: Any, experiment: Any) -> None:
    """Take back that an experiment was deleted, unless another process just did."""
    from mlflow.exceptions import MlflowException

    try:
        client.restore_experiment(experiment.experiment_id)
    except MlflowException:
        if client.get_experiment(experiment.experiment_id).lifecycle_stage != "active":
            raise
    log.warning("tracking: the deleted experiment %s is restored", experiment.name)


def did_not_answer(error: object) -> bool:
    """Whether an error is the server's or the network's, so that asking again may help."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and error.error_code in (
        "INTERNAL_ERROR",  # also of every request that did not get through
        "TEMPORARILY_UNAVAILABLE",
        "REQUEST_LIMIT_EXCEEDED",
    )
