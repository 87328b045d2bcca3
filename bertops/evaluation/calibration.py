"""Does a confidence of 0.8 mean right four times out of five?

ECE and Brier score with intervals, before and after one temperature that is fitted on validation,
and the bins of the reliability diagram.

Source: Guo et al. 2017, "On calibration of modern neural networks".
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from statsmodels.stats.proportion import proportion_confint

from bertops.evaluation.answers import Answers
from bertops.evaluation.bootstrap import interval, resampled_sums
from bertops.evaluation.params import CompareParams
from bertops.evaluation.scores.classification import BRIER, ECE

TINY = 1e-12  # probabilities of 0 have no logarithm
DIAGRAM_BINS = 10


@dataclass(frozen=True)
class Bin:
    """Documents of similar confidence."""

    confidence: float
    """Mean confidence."""
    accuracy: float
    low: float
    high: float
    """Bounds of the Wilson interval of the accuracy."""
    documents: int


@dataclass(frozen=True)
class Calibration:
    """How far confidence can be believed on the test set."""

    temperature: float
    """Fitted on validation; above 1 the model is too sure of itself."""
    ece: tuple[float, float, float]
    brier: tuple[float, float, float]
    """Value and bounds of the interval, as the model is."""
    ece_scaled: tuple[float, float, float]
    brier_scaled: tuple[float, float, float]
    """The same after dividing logits by the temperature."""
    bins: tuple[Bin, ...]
    """As the model is; bins without a document are left out."""


def calibrate(validation: Answers, test: Answers, params: CompareParams) -> Calibration:
    """Measure calibration on the test set; the temperature sees validation alone."""
    temperature = fit_temperature(validation)
    scaled = dataclasses.replace(test, probabilities=soften(test.probabilities, temperature))
    (ece, brier), (ece_scaled, brier_scaled) = (
        _with_intervals(answers, params) for answers in (test, scaled)
    )
    return Calibration(
        temperature, ece, brier, ece_scaled, brier_scaled, tuple(reliability(test, params))
    )


def soften(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities [n, K] of logits divided by `temperature`; order of classes is kept."""
    logits = np.log(np.maximum(probabilities, TINY)) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def fit_temperature(answers: Answers) -> float:
    """The temperature with the least log loss, between 1/20 and 20."""

    def loss(log_temperature: float) -> float:
        probabilities = soften(answers.probabilities, float(np.exp(log_temperature)))
        likelihood = probabilities[np.arange(len(answers)), answers.gold]
        return float(-np.log(np.maximum(likelihood, TINY)).mean())

    bounds = (-np.log(20), np.log(20))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _with_intervals(answers: Answers, params: CompareParams) -> list[tuple[float, float, float]]:
    """ECE and Brier score, each with the bounds of its interval."""
    parts = [score.contributions(answers) for score in (ECE, BRIER)]
    sums = resampled_sums(np.concatenate(parts, axis=1), params.rounds, params.seed)
    drawn = np.split(sums, [parts[0].shape[1]], axis=1)
    return [
        (score.of(answers), *interval(score.value(values), params.confidence))
        for score, values in zip((ECE, BRIER), drawn, strict=True)
    ]


def reliability(answers: Answers, params: CompareParams) -> list[Bin]:
    """The bins of the reliability diagram, by rising confidence."""
    confidence = answers.probabilities.max(axis=1)
    place = np.clip(np.ceil(confidence * DIAGRAM_BINS).astype(int) - 1, 0, DIAGRAM_BINS - 1)
    bins = []
    for number in np.unique(place):
        chosen = place == number
        right, documents = int(answers.correct[chosen].sum()), int(chosen.sum())
        low, high = proportion_confint(right, documents, 1 - params.confidence, method="wilson")
        mean = float(confidence[chosen].mean())
        bins.append(Bin(mean, right / documents, float(low), float(high), documents))
    return bins
