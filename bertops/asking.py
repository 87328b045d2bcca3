"""`bertops.load`: a model by directory or registry address; and the registry of a project."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bertops.inference.load import Loaded
    from bertops.paths import Paths
    from bertops.registry.client import Registry


def load(reference: str | Path, project: Path = Path(), *, masked_lm: bool = False) -> "Loaded":
    """Open a fine-tuned model, or with `masked_lm` a pretrained one; call it with texts.

    Args:
        reference: a directory, or `models:/name@alias` or `models:/name/version`, which the
            registry of `project` (or the server that MLFLOW_TRACKING_URI names) resolves.

    Raises:
        UsageError: there is no such model.
        ModelRefused: it is not fit to load.
    """
    from bertops.inference.load import load as open_model

    return open_model(
        reference, lambda address: from_registry(address, project), masked_lm=masked_lm
    )


def from_registry(address: str, project: Path) -> Path:
    """The checked files behind a registry address, kept under `.bertops/models`."""
    from bertops.paths import Paths
    from bertops.registry.resolve import resolve

    paths = Paths(project.resolve())
    return resolve(open_registry(paths), address, paths.state / "models")


def open_registry(paths: "Paths") -> "Registry":
    """The registry of the project, or that of the server that is set.

    It asks for the signatures that params.yaml wants.
    """
    from bertops.params import load as load_params
    from bertops.registry.client import Registry
    from bertops.tracking.store import open_store

    store = open_store(paths.mlflow_store)
    file = paths.root / "params.yaml"
    key = load_params(file).registry.public_key if file.exists() else None
    return Registry(store.address, store.artifacts, paths.root / key if key else None)
