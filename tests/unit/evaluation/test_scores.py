"""Every score equals the one of scikit-learn, on the whole and on resampled documents."""

import dataclasses
from typing import Any

import numpy as np
import polars as pl
import pytest
import sklearn.metrics as reference

from bertops import metrics
from bertops.evaluation.answers import Answers, as_values
from bertops.evaluation.bootstrap import MULTINOMIAL_LIMIT, interval, resampled_sums
from bertops.evaluation.scores.base import Score
from bertops.evaluation.scores.classification import ECE, F1, MANY_CLASSES, TWO_CLASSES
from bertops.evaluation.scores.numbers import NUMBERS
from bertops.evaluation.scores.spans import LABEL_SETS
from bertops.evaluation.scores.table import BY_KIND, NoSuchScore, score_named, scores_for
from bertops.evaluation.scores.texts import SEARCHES
from bertops.finetuning.params import TaskParams
from tests.unit.evaluation.conftest import Guess


def expected(answers: Answers) -> dict[str, float]:
    gold, predicted, probabilities = answers.gold, answers.predicted, answers.probabilities
    classes = np.arange(probabilities.shape[1])
    one_hot = gold[:, None] == classes
    return {
        "accuracy": reference.accuracy_score(gold, predicted),
        "f1_macro": reference.f1_score(gold, predicted, average="macro"),
        "mcc": reference.matthews_corrcoef(gold, predicted),
        "log_loss": reference.log_loss(gold, probabilities, labels=classes),
        "brier": ((probabilities - one_hot) ** 2).sum(axis=1).mean(),
    }


@pytest.mark.parametrize("classes", [2, 5])
def test_scores_equal_those_of_scikit_learn(guess: Guess, classes: int) -> None:
    answers = guess("a", 0.7, classes=classes, documents=300)
    for name, value in expected(answers).items():
        score = score_named(name, scores_for("classification", answers))
        assert score.of(answers) == pytest.approx(value, abs=1e-12), name


def test_a_class_that_a_split_lacks_costs_nothing_in_either_place(guess: Guess) -> None:
    answers, names = guess("a", 1.0, classes=2), ("x", "y", "absent")
    three = dataclasses.replace(
        answers, probabilities=np.pad(answers.probabilities, [(0, 0), (0, 1)])
    )
    gold = [names[i] for i in answers.gold]
    score = score_named("f1_macro", scores_for("classification", three))
    assert score.of(three) == metrics.score("f1_macro", gold, gold, names) == 1


def test_f1_is_that_of_the_last_of_two_classes(guess: Guess) -> None:
    answers = guess("a", 0.7, documents=300)
    value = reference.f1_score(answers.gold, answers.predicted, pos_label=1)
    assert F1.of(answers) == pytest.approx(value)
    with pytest.raises(NoSuchScore, match="f1_macro"):
        score_named("f1", scores_for("classification", guess("a", 0.7, classes=3)))


def test_a_constant_guess_has_scores_and_no_division_by_zero(guess: Guess) -> None:
    answers = guess("a", 0.7, documents=50)
    constant = Answers(
        "a",
        0,
        "test",
        answers.ids,
        answers.gold,
        np.zeros(50, dtype=int),
        np.tile([0.6, 0.4], (50, 1)),
    )
    values = {score.name: score.of(constant) for score in scores_for("classification", constant)}
    assert all(np.isfinite(list(values.values())))
    assert values["mcc"] == 0


def test_calibration_error_worked_by_hand() -> None:
    # Two documents at confidence 0.9, one right: |0.9 - 0.5|; one at 0.6, right: |0.6 - 1|.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    answers = Answers(
        "a", 0, "test", np.array(["x", "y", "z"]), np.array([0, 1, 1]), np.array([0, 0, 1]),
        probabilities,
    )  # fmt: skip
    assert ECE.of(answers) == pytest.approx(2 / 3 * 0.4 + 1 / 3 * 0.4)


def test_drawing_equal_documents_together_changes_no_distribution() -> None:
    generator = np.random.default_rng(0)
    few = generator.integers(0, 2, (200, 1)).astype(float)
    many = np.concatenate([few, np.arange(200.0)[:, None]], axis=1)  # all rows differ
    assert len(np.unique(many, axis=0)) > MULTINOMIAL_LIMIT
    together = resampled_sums(few, 20_000, seed=1)[:, 0]
    one_by_one = resampled_sums(many, 20_000, seed=2)[:, 0]
    assert together.mean() == pytest.approx(one_by_one.mean(), abs=0.2)
    assert together.std() == pytest.approx(one_by_one.std(), rel=0.03)


def test_interval_of_a_share_is_that_of_the_textbook() -> None:
    right = np.array([1.0] * 800 + [0.0] * 200)[:, None]
    low, high = interval(resampled_sums(right, 20_000, seed=0)[:, 0] / 1000, 0.95)
    normal = 1.96 * (0.8 * 0.2 / 1000) ** 0.5
    assert low == pytest.approx(0.8 - normal, abs=0.002)
    assert high == pytest.approx(0.8 + normal, abs=0.002)


def test_same_seed_same_rounds() -> None:
    rows = np.random.default_rng(0).random((100, 3))
    assert (resampled_sums(rows, 50, seed=4) == resampled_sums(rows, 50, seed=4)).all()
    assert (resampled_sums(rows, 50, seed=4) != resampled_sums(rows, 50, seed=5)).any()


def said(gold: list[Any], predicted: list[Any], labels: tuple[str, ...] = ()) -> Answers:
    """Answers of a task without classes."""
    sides = [as_values(pl.Series(values)) for values in (gold, predicted)]
    ids = np.array([str(i) for i in range(len(gold))])
    return Answers("a", 0, "test", ids, *sides, np.empty((len(gold), 0)), labels=labels)


TAGGED = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "I-LOC"], ["B-PER", "B-PER", "O"]]
GUESSED = [["B-PER", "I-PER", "O", "B-PER"], ["O", "B-LOC"], ["B-PER", "I-PER", "O"]]
SPOKEN = ["a dog runs over the green grass", "two men cook in a kitchen", "it rains"]
WRITTEN = ["a dog runs on green grass", "two men are cooking in the kitchen", "it rains"]


@pytest.mark.parametrize(
    ("kind", "gold", "predicted", "labels"),
    [
        ("regression", [1.0, 2.5, 3.0, 5.0], [0.5, 2.0, 4.0, 4.5], ()),
        ("tagging", TAGGED, GUESSED, ()),
        ("answering", [["red", "dark red"], [], ["the 7 dwarfs"]], ["Red.", "x", "7 dwarfs"], ()),
        ("summarization", SPOKEN, WRITTEN, ()),
        ("translation", SPOKEN, WRITTEN, ()),
        ("embedding", ["a", "b", "c"], [["a", "b"], ["a", "b"], ["a"]], ()),
        ("classification", [["x"], ["x", "y"], []], [["x"], ["y"], ["y"]], ("x", "y")),
        ("classification", [["x"], ["x", "y"], []], [["x"], ["y"], ["y"]], ("x", "y", "absent")),
    ],
)
def test_scores_of_every_kind_equal_the_metrics(
    kind: str, gold: list[Any], predicted: list[Any], labels: tuple[str, ...]
) -> None:
    answers = said(gold, predicted, labels)
    for score in scores_for(kind, answers):
        value = metrics.score(score.name, gold, predicted, labels)
        assert score.of(answers) == pytest.approx(value), score.name


@pytest.mark.parametrize("kind", ["regression", "translation", "tagging"])
def test_sums_of_drawn_documents_give_the_score_of_those_documents(kind: str) -> None:
    sides = {"regression": ([1.0, 2.0, 4.0], [1.5, 1.0, 3.0]), "translation": (SPOKEN, WRITTEN)}
    gold, predicted = sides.get(kind, (TAGGED, GUESSED))
    answers, drawn = said(gold, predicted), np.array([0, 2, 2, 1])
    for score in scores_for(kind, answers):
        if score.name == "spearman":  # ranks are those among all documents
            continue
        value = float(score.value(score.contributions(answers)[drawn].sum(axis=0)))
        again = said([gold[i] for i in drawn], [predicted[i] for i in drawn])
        assert value == pytest.approx(score.of(again)), score.name


def test_the_evaluation_has_a_score_for_every_metric_of_a_task() -> None:
    def metrics_of(kind: str, **more: Any) -> set[str]:
        data = [{"path": "a.jsonl", "split": "by_hash"}]
        return set(TaskParams(name="t", data=data, kind=kind, **more).metrics)

    scores: list[tuple[set[str], tuple[Score, ...]]] = [
        *((metrics_of(kind), known) for kind, known in BY_KIND.items()),
        (metrics_of("embedding"), NUMBERS),
        (metrics_of("embedding", columns={"label": None}), SEARCHES),
        (metrics_of("classification", labels=["a", "b"]), TWO_CLASSES),
        (metrics_of("classification", labels=["a", "b", "c"]), MANY_CLASSES),
        (metrics_of("classification", labels=["a", "b"], multi_label=True), LABEL_SETS),
    ]
    for names, known in scores:
        assert names <= {score.name for score in known}
        assert names <= metrics.METRICS.keys()
