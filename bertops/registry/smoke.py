"""Smoke test: a version is fetched, checked, loaded and asked something before it is trusted."""

import math
from pathlib import Path

from bertops.errors import BertopsError
from bertops.inference.fill_mask import fill_mask
from bertops.inference.load import load
from bertops.inference.predict import predict
from bertops.registry.client import Registry
from bertops.registry.resolve import resolve

QUESTION = "One of the best films I have seen this year."


class SmokeTestFailed(BertopsError):
    """A version loads but gives no usable answer."""

    def __init__(self, name: str, version: int, answer: object) -> None:
        self.name, self.version, self.answer = name, version, answer
        super().__init__(
            f"{name} version {version} was loaded and asked {QUESTION!r}; its answer is not "
            f"usable: {answer!r}. Nothing was changed. Choose another version with --to."
        )


def smoke_test(registry: Registry, name: str, version: int, cache: Path) -> None:
    """Fetch, check and load a version, and ask it one thing.

    Raises:
        SmokeTestFailed: the answer holds no finite probability or number.
        ContentChanged, ModelRefused: the files are not fit to load.
    """
    address = f"models:/{name}/{version}"
    directory = resolve(registry, address, cache)
    loaded = load(directory, masked_lm=not (directory / "bertops.json").exists())
    if loaded.card is None:
        found = fill_mask(loaded, [f"One of the best {loaded.tokenizer.mask_token} ."], top=1)
        numbers = [found[0][0][0].probability]
    else:
        second = [QUESTION] if loaded.card.pair else None
        answer = predict(loaded, [QUESTION], second)[0]
        numbers = answer["probabilities"] or [answer["prediction"]]
    if not all(math.isfinite(number) for number in numbers):
        raise SmokeTestFailed(name, version, numbers)
