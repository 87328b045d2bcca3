"""Meta-tests: simulated models of known worth go through the real comparison and the real gates."""

import numpy as np
import pytest

from bertops.evaluation.answers import Answers
from bertops.evaluation.compare import compare
from bertops.evaluation.params import CompareParams
from bertops.evaluation.scores.classification import ACCURACY
from bertops.registry.decide import _judge
from bertops.registry.gates import Evidence, run_gates
from bertops.registry.params import GateParams

ROUNDS = 200
DOCUMENTS = 600
ENOUGH = 4000
"""So many that a comparison is not underpowered: the interval alone decides."""
# Where the true rate is 5 %, 200 rounds show more than 18 with a chance of under 1 %.
AT_MOST = 18
COMPARE = CompareParams(rounds=500)


def simulated(gold, accuracy, generator, model="m"):
    """Answers that are right with probability `accuracy`, independently."""
    right = generator.random(len(gold)) < accuracy
    predicted = np.where(right, gold, 1 - gold)
    probabilities = np.eye(2)[predicted]
    ids = np.arange(len(gold)).astype(str)
    return Answers(model, 0, "test", ids, gold, predicted, probabilities)


def promoted(candidate, champion, against="better"):
    """Whether the gates let the candidate replace the champion."""
    found = compare([candidate], [champion], ACCURACY, COMPARE)
    value = ACCURACY.of(candidate)
    evidence = Evidence(
        "accuracy", value, value - 0.04, value + 0.04, len(candidate), 0.5,
        against_control=found, against_champion=found, slices=(), leaked=0,
    )  # fmt: skip
    params = GateParams(against_champion=against)
    return all(result.passed for result in run_gates(evidence, params, has_champion=True))


def rate(candidate_accuracy, champion_accuracy, against="better", documents=DOCUMENTS):
    generator = np.random.default_rng(7)
    outcomes = []
    for _ in range(ROUNDS):
        gold = generator.integers(0, 2, documents)
        candidate = simulated(gold, candidate_accuracy, generator)
        champion = simulated(gold, champion_accuracy, generator)
        outcomes.append(promoted(candidate, champion, against))
    return sum(outcomes)


@pytest.mark.parametrize("documents", [DOCUMENTS, ENOUGH])
def test_a_model_no_better_than_the_champion_is_promoted_in_at_most_a_twentieth_of_rounds(
    documents,
):
    assert rate(0.8, 0.8, documents=documents) <= AT_MOST


def test_with_enough_documents_the_power_of_the_test_is_not_what_holds_luck_back():
    generator = np.random.default_rng(7)
    gold = generator.integers(0, 2, ENOUGH)
    found = compare(
        [simulated(gold, 0.8, generator)], [simulated(gold, 0.8, generator)], ACCURACY, COMPARE
    )
    assert found.detectable < COMPARE.detectable


@pytest.mark.parametrize("against", ["better", "not_worse", "not_significantly_worse"])
def test_a_model_known_to_be_worse_is_blocked(against):
    assert rate(0.68, 0.8, against) == 0


def test_a_model_known_to_be_better_gets_through():
    assert rate(0.9, 0.8) > 0.8 * ROUNDS


def test_a_model_trained_on_shuffled_labels_is_blocked():
    assert rate(0.5, 0.8, "not_significantly_worse") == 0


def test_shuffled_labels_do_not_pass_even_as_the_first_champion():
    generator = np.random.default_rng(3)
    passed = 0
    for _ in range(ROUNDS):
        gold = generator.integers(0, 2, DOCUMENTS)
        answers = simulated(gold, 0.5, generator)
        value = ACCURACY.of(answers)
        half = 1.96 * (value * (1 - value) / DOCUMENTS) ** 0.5
        floor = max(np.mean(gold == 0), np.mean(gold == 1))
        control = compare([answers], [simulated(gold, 0.5, generator)], ACCURACY, COMPARE)
        evidence = Evidence(
            "accuracy", value, value - half, value + half, DOCUMENTS, float(floor),
            against_control=control, leaked=0,
        )  # fmt: skip
        passed += all(r.passed for r in run_gates(evidence, GateParams(), has_champion=False))
    assert passed <= AT_MOST


def test_evidence_that_cannot_be_gathered_refuses():
    def gather(champion):
        raise FileNotFoundError("test.parquet")

    (result,) = _judge(gather, 1, GateParams())
    assert (result.gate, result.passed) == ("evidence", False)
    assert "FileNotFoundError: test.parquet" in result.said
