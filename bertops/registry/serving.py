"""What MLflow loads to serve a version: our own loader, so that no pickle is needed.

`mlflow models serve` imports this module by the name in the MLmodel file; bertops must be
installed where it runs. mlflow.transformers was tried first: with transformers 5.23 it cannot log
a model directory (AttributeError in build_flavor_config_from_local_checkpoint), and it would load
models with remote code.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertops.errors import BertopsError
from bertops.inference.load import Loaded, load

if TYPE_CHECKING:
    import pandas as pd

MAX_TEXTS = 1024


class BadRequest(BertopsError):
    """A request that no answer can be given to."""


class Served:
    """A model behind MLflow's pyfunc interface: a table in, a table out."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def predict(self, table: "pd.DataFrame", params: dict[str, Any] | None = None) -> Any:
        """One row of answers for each row of `text` (and `second`, for a task on pairs).

        A task gives `prediction` and `probabilities`; an encoder gives, for each text with one
        mask, `prediction` (the likeliest token) and its `probability`.
        """
        import pandas as pd

        texts = [str(text) for text in table["text"]]
        if len(texts) > MAX_TEXTS:
            raise _refuse(f"{len(texts)} texts in one request; at most {MAX_TEXTS} are answered")
        if self._loaded.card is None:
            return pd.DataFrame(self._fill(texts))
        from bertops.inference.predict import predict

        second = [str(text) for text in table["second"]] if "second" in table else None
        return pd.DataFrame(predict(self._loaded, texts, second))

    def _fill(self, texts: list[str]) -> list[dict[str, Any]]:
        from bertops.errors import UsageError
        from bertops.inference.fill_mask import fill_mask

        try:
            found = [masks[0][0] for masks in fill_mask(self._loaded, texts, top=1)]
        except UsageError as error:
            raise _refuse(str(error)) from error
        return [{"prediction": f.token, "probability": f.probability} for f in found]


def _refuse(reason: str) -> Exception:
    """An error that MLflow's server answers with 400."""
    from mlflow.exceptions import MlflowException

    return MlflowException.invalid_parameter_value(reason)


def _load_pyfunc(path: str) -> Served:
    """The name and signature that MLflow asks of a loader module."""
    from bertops.inference.card import read_card

    return Served(load(Path(path), masked_lm=read_card(Path(path)) is None))
