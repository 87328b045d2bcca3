import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertops.metrics import METRICS, UnknownMetric, score

LABELS = ("negative", "positive")


def named(bits):
    return [LABELS[bit] for bit in bits]


def test_metrics_of_two_classes_worked_by_hand():
    gold, predicted = named([1, 1, 1, 0, 0]), named([1, 1, 0, 1, 0])
    # TP 2, FP 1, FN 1, TN 1
    assert score("accuracy", gold, predicted, LABELS) == pytest.approx(3 / 5)
    assert score("precision", gold, predicted, LABELS) == pytest.approx(2 / 3)
    assert score("recall", gold, predicted, LABELS) == pytest.approx(2 / 3)
    assert score("f1", gold, predicted, LABELS) == pytest.approx(2 / 3)
    assert score("f1_macro", gold, predicted, LABELS) == pytest.approx((2 / 3 + 1 / 2) / 2)
    # (2·1 − 1·1) / √(3·3·2·2)
    assert score("mcc", gold, predicted, LABELS) == pytest.approx(1 / 6)


def test_f1_is_of_the_label_that_is_declared_last():
    gold, predicted = named([1, 0, 0]), named([0, 0, 0])
    assert score("f1", gold, predicted, LABELS) == 0
    assert score("f1", gold, predicted, LABELS[::-1]) == pytest.approx(4 / 5)


def test_correlations_worked_by_hand():
    assert score("spearman", [1.0, 2.0, 3.0], [1.0, 4.0, 9.0], ()) == pytest.approx(1)
    assert score("pearson", [1.0, 2.0, 3.0], [3.0, 2.0, 1.0], ()) == pytest.approx(-1)
    assert score("negative_mse", [1.0, 2.0], [1.0, 4.0], ()) == -2


def test_a_constant_guess_correlates_with_nothing():
    assert score("pearson", [1.0, 2.0], [3.0, 3.0], ()) == 0


def test_label_sets_are_compared_whole_and_label_by_label():
    gold, predicted = [["a"], ["a", "b"], []], [["a"], ["b"], []]
    assert score("accuracy", gold, predicted, ("a", "b")) == pytest.approx(2 / 3)
    assert score("f1_micro", gold, predicted, ("a", "b")) == pytest.approx(4 / 5)


@given(st.lists(st.integers(0, 1), min_size=1))
def test_gold_predicted_as_it_is_has_accuracy_one(bits):
    assert score("accuracy", named(bits), named(bits), LABELS) == 1


@pytest.mark.parametrize("name", ["accuracy", "f1", "f1_macro", "precision", "recall", "mcc"])
def test_the_gold_scores_one(name):
    gold = named([0, 1, 1, 0])
    assert score(name, gold, gold, LABELS) == 1


def test_an_unknown_metric_names_the_known_ones():
    with pytest.raises(UnknownMetric) as error:
        score("acuracy", ["a"], ["a"], ())
    assert all(name in str(error.value) for name in METRICS)


def test_sequences_of_different_length_are_refused():
    with pytest.raises(ValueError, match="1 predictions for 2 gold"):
        score("accuracy", ["a", "b"], ["a"], ())
