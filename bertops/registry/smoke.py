"""Smoke test: a version is fetched, checked, loaded and asked something before it is trusted."""

import math
from collections.abc import Iterator
from pathlib import Path

from bertops.errors import BertopsError
from bertops.inference.fill_mask import fill_mask
from bertops.inference.load import load
from bertops.inference.readers import ask
from bertops.registry.client import Registry
from bertops.registry.resolve import resolve

QUESTION = "One of the best films I have seen this year."


class SmokeTestFailed(BertopsError):
    """A version loads but gives no usable answer."""

    def __init__(self, name: str, version: int, answer: object) -> None:
        self.name, self.version, self.answer = name, version, answer
        super().__init__(
            f"{name} version {version} was loaded and asked {QUESTION!r}; its answer is not "
            f"usable: {answer!r}. Nothing was changed. Choose another version: bertops registry "
            f"list {name}."
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
        text = f"One of the best {loaded.tokenizer.mask_token} ."
        answer: object = fill_mask(loaded, [text], top=1)[0][0][0].probability
    else:
        answer = ask(loaded, [{"text": QUESTION, "text_b": QUESTION}])[0]
    if not all(map(math.isfinite, _numbers(answer))):
        raise SmokeTestFailed(name, version, answer)


def _numbers(answer: object) -> Iterator[float]:
    """Every number in an answer, however nested."""
    if isinstance(answer, float):
        yield answer
    elif isinstance(answer, dict | list):
        for part in answer.values() if isinstance(answer, dict) else answer:
            yield from _numbers(part)
