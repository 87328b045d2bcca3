"""What MLflow loads to serve a version: our own loader, so that no pickle is needed.

`mlflow models serve` imports this module by the name in the MLmodel file; bertops must be
installed where it runs. mlflow.transformers was tried first: with transformers 5.23 it cannot log
a model directory (AttributeError in build_flavor_config_from_local_checkpoint), and it would load
models with remote code.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertops.errors import UsageError
from bertops.inference.load import Loaded, ModelRefused, load
from bertops.inference.stream import MAX_CHARACTERS
from bertops.registry.package import LOADER, MODEL
from bertops.registry.safety import check_package
from bertops.registry.signing import public_key, verify

if TYPE_CHECKING:
    import pandas as pd

MAX_TEXTS = 1024


class Served:
    """A model behind MLflow's pyfunc interface: a table in, a table out."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def predict(self, table: "pd.DataFrame", params: dict[str, Any] | None = None) -> Any:
        """One row of answers for each row of `text` (and `text_b`, for a task on pairs).

        A task gives `prediction` and `probabilities`; an encoder gives, for each text with one
        mask, `prediction` (the likeliest token) and its `probability`.
        """
        import pandas as pd

        if len(table) > MAX_TEXTS:
            raise _refuse(f"{len(table)} texts in one request; at most {MAX_TEXTS} are answered")
        longest = max((len(str(text)) for row in table.values for text in row), default=0)
        if longest > MAX_CHARACTERS:
            raise _refuse(f"a text of {longest:,} characters; at most {MAX_CHARACTERS:,} are read")
        try:
            rows = self._fill(table) if self._loaded.card is None else self._ask(table)
        except UsageError as error:
            raise _refuse(str(error)) from error
        return pd.DataFrame(rows)

    def _ask(self, table: "pd.DataFrame") -> list[dict[str, Any]]:
        from bertops.inference.readers import ask

        columns = [str(column) for column in table.columns]
        return ask(self._loaded, [dict(zip(columns, row, strict=True)) for row in table.values])

    def _fill(self, table: "pd.DataFrame") -> list[dict[str, Any]]:
        from bertops.inference.fill_mask import fill_mask

        found = [masks[0][0] for masks in fill_mask(self._loaded, list(table["text"]), top=1)]
        return [{"prediction": f.token, "probability": f.probability} for f in found]


def _refuse(reason: str) -> Exception:
    """An error that MLflow's server answers with 400."""
    from mlflow.exceptions import MlflowException

    return MlflowException.invalid_parameter_value(reason)


def _load_pyfunc(path: str) -> Served:
    """The name and signature that MLflow asks of a loader module.

    Raises:
        ModelRefused: the package was altered to load something else.
        SignatureRefused: `BERTOPS_PUBLIC_KEY` is set, and its owner did not sign these files.
    """
    from bertops.inference.card import read_card

    directory = Path(path).resolve()
    package = directory.parents[1]
    if directory != package / MODEL:
        raise ModelRefused(path, f"an MLmodel file of ours points at {MODEL}")
    check_package(package, MODEL, LOADER)
    if (key := public_key()) is not None:
        verify(package, key)
    return Served(load(directory, masked_lm=read_card(directory) is None))
