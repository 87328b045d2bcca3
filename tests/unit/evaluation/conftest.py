"""Answers of made-up models, small enough to see."""

from collections.abc import Callable

import numpy as np
import pytest

from bertops.evaluation.answers import Answers
from bertops.evaluation.params import CompareParams

Guess = Callable[..., Answers]


@pytest.fixture
def params() -> CompareParams:
    return CompareParams(rounds=2000)


@pytest.fixture
def guess() -> Guess:
    """A model that is right with a given chance: guess("a", 0.8) → Answers."""

    def make(
        model: str, accuracy: float, *, documents: int = 2000, classes: int = 2, seed: int = 0
    ) -> Answers:
        gold = np.random.default_rng(99).integers(0, classes, documents)
        # Not hash(model): Python salts it anew in every process.
        generator = np.random.default_rng([seed, *model.encode()])
        right = generator.random(documents) < accuracy
        other = (gold + generator.integers(1, classes, documents)) % classes
        predicted = np.where(right, gold, other)
        confidence = generator.uniform(0.55, 1, documents)
        probabilities = np.repeat((1 - confidence[:, None]) / (classes - 1), classes, axis=1)
        probabilities[np.arange(documents), predicted] = confidence
        ids = np.array([f"d{i:05d}" for i in range(documents)])
        return Answers(model, seed, "test", ids, gold, predicted, probabilities)

    return make
