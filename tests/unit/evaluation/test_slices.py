"""Weak slices are found, chance is not taken for weakness, confidence is measured."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from bertops.evaluation.answers import Answers, as_values
from bertops.evaluation.calibration import calibrate, fit_temperature, reliability, soften
from bertops.evaluation.compare import compare
from bertops.evaluation.params import CompareParams, SliceParams
from bertops.evaluation.scores.classification import ACCURACY, ECE, LOG_LOSS
from bertops.evaluation.scores.numbers import NEGATIVE_MSE
from bertops.evaluation.scores.table import score_named, scores_for
from bertops.evaluation.slices import compare_slices, cut, slice_gaps
from tests.unit.evaluation.conftest import Guess

SLICES = SliceParams(lengths=(100,), min_documents=50)


def with_columns(answers: Answers, weak: float = 0.0) -> Answers:
    """Two large sources and a tiny one; in source b a share of the answers is made wrong."""
    generator = np.random.default_rng(5)
    source = np.where(np.arange(len(answers)) % 2 == 0, "a", "b").astype("<U4")
    source[:20] = "tiny"
    spoiled = (source == "b") & (generator.random(len(answers)) < weak)
    predicted = np.where(spoiled, 1 - answers.gold, answers.predicted)
    length = generator.integers(10, 200, len(answers))
    columns = {"slice.source": source, "length": length, "label": source}
    return dataclasses.replace(answers, predicted=predicted, columns=columns)


def test_slices_divide_the_documents_by_column_and_by_length(guess: Guess) -> None:
    found = [(c, v, int(m.sum())) for c, v, m in cut(with_columns(guess("a", 0.8)), SLICES)]
    assert [name for name, _, _ in found] == ["source"] * 3 + ["length"] * 2
    assert sum(n for name, _, n in found if name == "source") == 2000
    assert [value for name, value, _ in found if name == "length"] == [
        "under 100 characters",
        "100 characters or more",
    ]


def test_a_weak_slice_is_worse_and_a_tiny_one_is_not_judged(
    guess: Guess, params: CompareParams
) -> None:
    found = {s.value: s for s in slice_gaps(with_columns(guess("a", 0.9), 0.15), SLICES, params)}
    assert found["b"].standing == "worse"
    assert found["a"].standing == "no difference shown"
    assert (found["tiny"].standing, found["tiny"].p_value) == ("too small", None)


def test_false_alarms_are_rare_however_many_slices_there_are(
    guess: Guess, params: CompareParams
) -> None:
    """Holm: one evaluation in twenty has any false alarm; 30 evaluations of 20 slices."""
    slices = SliceParams(lengths=(), min_documents=50)
    part = np.array([str(i % 20) for i in range(2000)])
    alarms = 0
    for seed in range(30):
        answers = dataclasses.replace(guess("a", 0.8, seed=seed), columns={"slice.part": part})
        alarms += any(s.standing == "worse" for s in slice_gaps(answers, slices, params))
    assert alarms <= 4  # binomial(30, 0.05) exceeds 4 once in 60 times


def test_a_slice_on_which_the_candidate_lost_is_found(guess: Guess, params: CompareParams) -> None:
    champion = with_columns(guess("champion", 0.85))
    worse_on_b = dataclasses.replace(with_columns(guess("champion", 0.85), 0.1), model="candidate")
    slices = compare_slices(worse_on_b, champion, ACCURACY, SLICES, params)
    found = {s.value: s.standing for s in slices}
    assert (found["a"], found["b"]) == ("no difference shown", "worse")


def test_slices_of_a_task_without_classes_are_judged_by_its_score(params: CompareParams) -> None:
    generator = np.random.default_rng(0)
    gold = generator.normal(size=1000)
    near = gold + generator.normal(scale=0.1, size=1000)
    source = np.where(np.arange(1000) % 2 == 0, "a", "b")
    champion = Answers(
        "champion", 0, "test", np.arange(1000).astype(str), gold, near, np.empty((1000, 0)),
        {"slice.source": source},
    )  # fmt: skip
    off = near + np.where(source == "b", generator.normal(scale=0.1, size=1000), 0)
    candidate = dataclasses.replace(champion, model="candidate", predicted=off)
    a, b = compare_slices(candidate, champion, NEGATIVE_MSE, SLICES, params)
    assert (a.standing, b.standing) == ("no difference shown", "worse")
    assert b.score == "negative_mse"
    assert b.low < b.measured < b.high
    assert b.other > b.high


def test_label_sets_are_compared_though_models_name_different_labels(params: CompareParams) -> None:
    names = ("x", "y", "z")
    gold = [[names[i % 2]] for i in range(400)]
    source = np.where(np.arange(400) % 4 < 2, "a", "b")
    said = {
        "champion": gold,
        "candidate": [["z"] if i % 5 == 0 else row for i, row in enumerate(gold)],
    }
    candidate, champion = (
        Answers(
            model, 0, "test", np.arange(400).astype(str), as_values(pl.Series(gold)),
            as_values(pl.Series(said[model])), np.empty((400, 0)), {"slice.source": source}, names,
        )
        for model in ("candidate", "champion")
    )  # fmt: skip
    f1_macro = score_named("f1_macro", scores_for("classification", champion))
    whole = compare([candidate], [champion], f1_macro, params)
    assert -1 <= whole.low < whole.difference < whole.high <= 0
    for one in compare_slices(candidate, champion, f1_macro, SLICES, params):
        assert 0 <= one.low <= one.measured <= one.high <= 1
        assert one.standing == "worse"


def test_softening_keeps_the_order_of_classes() -> None:
    sharp = np.array([[0.99, 0.01], [0.2, 0.8]])
    soft = soften(sharp, 2.0)
    assert (soft.argmax(axis=1) == sharp.argmax(axis=1)).all()
    assert soft.max() < 0.99
    assert soften(sharp, 1.0) == pytest.approx(sharp)


def test_temperature_of_an_overconfident_model_is_found(guess: Guess) -> None:
    honest = calibrated(guess)
    sharper = dataclasses.replace(honest, probabilities=soften(honest.probabilities, 0.5))
    assert fit_temperature(honest) == pytest.approx(1, abs=0.1)
    assert fit_temperature(sharper) == pytest.approx(2, abs=0.2)


def test_scaling_helps_an_overconfident_model(guess: Guess, params: CompareParams) -> None:
    honest = calibrated(guess)
    sharper = dataclasses.replace(honest, probabilities=soften(honest.probabilities, 0.4))
    found = calibrate(sharper, sharper, params)
    assert found.ece_scaled[0] < found.ece[0]
    assert found.ece[1] <= found.ece[0] <= found.ece[2]
    assert ECE.of(honest) < 0.04
    assert LOG_LOSS.of(honest) < LOG_LOSS.of(sharper)


def test_bins_of_the_diagram_hold_every_document_once(guess: Guess, params: CompareParams) -> None:
    bins = reliability(guess("a", 0.8), params)
    assert sum(b.documents for b in bins) == 2000
    assert all(b.low <= b.accuracy <= b.high for b in bins)


def calibrated(guess: Guess) -> Answers:
    """A model that is right as often as it says."""
    answers = guess("a", 0.8, documents=4000)
    generator = np.random.default_rng(3)
    confidence = generator.uniform(0.5, 1, 4000)
    right = generator.random(4000) < confidence
    predicted = np.where(right, answers.gold, 1 - answers.gold)
    probabilities = np.empty((4000, 2))
    probabilities[np.arange(4000), predicted] = confidence
    probabilities[np.arange(4000), 1 - predicted] = 1 - confidence
    return dataclasses.replace(answers, predicted=predicted, probabilities=probabilities)
