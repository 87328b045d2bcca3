"""What may be said of two models, and what may not."""

import dataclasses

import numpy as np
import pytest

from bertops.evaluation.compare import (
    NotTheSameDocuments,
    compare,
    explain,
    judge,
    mcnemar,
    minimum_detectable_effect,
)
from bertops.evaluation.params import CompareParams
from bertops.evaluation.scores.classification import ACCURACY, F1_MACRO, LOG_LOSS
from tests.unit.evaluation.conftest import Guess


def test_a_clear_difference_is_found_in_its_direction(guess: Guess, params: CompareParams) -> None:
    good, bad = [guess("good", 0.85)], [guess("bad", 0.75)]
    for score in (ACCURACY, F1_MACRO):
        assert compare(good, bad, score, params).verdict == "better"
        assert compare(bad, good, score, params).verdict == "worse"


def test_it_is_told_of_how_many_seeds_a_value_is_the_mean(
    guess: Guess, params: CompareParams
) -> None:
    runs = [guess("a", 0.8, documents=100, seed=seed) for seed in (1, 2)]
    assert compare(runs, [guess("b", 0.7, documents=100)], ACCURACY, params).seeds == (2, 1)


def test_less_loss_is_better(guess: Guess, params: CompareParams) -> None:
    found = compare([guess("good", 0.9)], [guess("bad", 0.7)], LOG_LOSS, params)
    assert found.first_value < found.second_value
    assert found.difference > 0


def test_a_model_is_not_better_than_itself(guess: Guess, params: CompareParams) -> None:
    found = compare([guess("a", 0.8)], [guess("a", 0.8)], ACCURACY, params)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert found.verdict == "not worse"


def test_equal_models_on_few_documents_are_inconclusive(
    guess: Guess, params: CompareParams
) -> None:
    few = [guess("a", 0.8, documents=60)], [guess("b", 0.8, documents=60)]
    found = compare(*few, ACCURACY, params)
    assert found.verdict == "inconclusive"
    assert found.detectable > params.detectable


def test_a_small_win_of_an_underpowered_test_is_not_called_better() -> None:
    params = CompareParams(detectable=0.03)
    assert judge(0.06, 0.001, 0.12, detectable=0.085, params=params) == "inconclusive"
    assert judge(0.30, 0.24, 0.36, detectable=0.085, params=params) == "better"
    assert judge(0.02, 0.001, 0.04, detectable=0.028, params=params) == "better"


def test_a_loss_is_called_by_its_name_whatever_the_power() -> None:
    assert judge(-0.06, -0.12, -0.001, detectable=0.085, params=CompareParams()) == "worse"


def test_not_worse_needs_an_interval_within_the_margin() -> None:
    params = CompareParams(margin=0.01)
    assert judge(0, -0.009, 0.009, detectable=0.01, params=params) == "not worse"
    assert judge(0, -0.011, 0.011, detectable=0.01, params=params) == "inconclusive"


def test_different_documents_are_not_compared(guess: Guess, params: CompareParams) -> None:
    first, fewer = guess("a", 0.8), guess("b", 0.8, documents=1999)
    relabelled = dataclasses.replace(guess("b", 0.8), gold=1 - first.gold)
    for second in (fewer, relabelled):
        with pytest.raises(NotTheSameDocuments, match="same documents"):
            compare([first], [second], ACCURACY, params)


def test_same_input_same_output(guess: Guess, params: CompareParams) -> None:
    sides = [guess("a", 0.8)], [guess("b", 0.78)]
    assert compare(*sides, ACCURACY, params) == compare(*sides, ACCURACY, params)


def test_spread_of_seeds_widens_the_interval(guess: Guess, params: CompareParams) -> None:
    base = [guess("b", 0.8)]
    steady = compare([guess("a", 0.8, seed=s) for s in range(3)], base, ACCURACY, params)
    shaky = [guess("a", accuracy, seed=s) for s, accuracy in enumerate((0.7, 0.8, 0.9))]
    spread = compare(shaky, base, ACCURACY, params)
    assert spread.high - spread.low > 1.5 * (steady.high - steady.low)


def test_mcnemar_worked_by_hand(guess: Guess) -> None:
    truth = guess("a", 1.0, documents=10)
    wrong_once = dataclasses.replace(truth, predicted=truth.predicted.copy())
    wrong_once.predicted[0] = 1 - truth.gold[0]
    found = mcnemar(truth, wrong_once)
    assert (found.only_first_right, found.only_second_right, found.p_value) == (1, 0, 1.0)
    wrong_often = dataclasses.replace(truth, predicted=truth.predicted.copy())
    wrong_often.predicted[:6] = 1 - truth.gold[:6]
    assert mcnemar(truth, wrong_often).p_value == pytest.approx(2 * 0.5**6)


def test_minimum_detectable_effect_is_found_as_often_as_promised() -> None:
    """Simulated: differences around the effect, with a known error, tested at 95 %."""
    params = CompareParams(power=0.8)
    effect = minimum_detectable_effect(1.0, params)
    differences = np.random.default_rng(0).normal(effect, 1, 20_000)
    assert (differences > 1.96).mean() == pytest.approx(0.8, abs=0.01)


def test_the_sentence_has_the_numbers(guess: Guess, params: CompareParams) -> None:
    found = dataclasses.replace(
        compare([guess("a", 0.8)], [guess("b", 0.8)], ACCURACY, params),
        verdict="better", difference=0.018, low=0.004, high=0.031, detectable=0.015,
    )  # fmt: skip
    smallest = "; smallest effect this test can find: 1.5 points"
    said = ("pretraining pays", "pretraining does not pay")
    assert explain(found, *said) == f"pretraining pays: +1.8 points [0.4, 3.1]{smallest}"
    worse = dataclasses.replace(found, verdict="worse", difference=-0.018, low=-0.031, high=-0.004)
    lost = f"pretraining does not pay: -1.8 points [-3.1, -0.4]{smallest}"
    assert explain(worse, *said) == lost
    open_one = dataclasses.replace(found, verdict="inconclusive", low=-0.004, detectable=0.02)
    assert explain(open_one, *said) == (
        "not yet 'pretraining pays': inconclusive, +1.8 points [-0.4, 3.1]; "
        "smallest effect this test can find: 2.0 points"
    )
