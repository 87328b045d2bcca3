"""Gaps between groups are found where they are; the attack on training data can tell."""

import dataclasses

import numpy as np
import pytest

from bertops.evaluation.behaviour import find_file
from bertops.evaluation.bias import _common_places, group_gaps, read_pairs, score_pairs
from bertops.evaluation.flips import find_flips
from bertops.evaluation.memorization import auc_with_interval
from bertops.evaluation.params import BiasParams, CompareParams
from tests.unit.evaluation.conftest import Guess

TEXTS = ("she sang", "he sang", "they sang", "he met her")


def spoken(guess: Guess, women_wrong: float):
    answers = guess("a", 0.9)
    texts = np.array([TEXTS[i % 4] for i in range(len(answers))], dtype=object)
    spoil = (texts == "she sang") & (np.random.default_rng(1).random(len(answers)) < women_wrong)
    predicted = np.where(spoil, 1 - answers.gold, answers.predicted)
    return dataclasses.replace(answers, predicted=predicted, columns={"text": texts})


def test_a_group_that_is_served_worse_is_found(guess: Guess, params: CompareParams) -> None:
    (found,) = group_gaps(spoken(guess, 0.2), BiasParams(), params)
    assert found.groups == ("women", "men")
    assert found.documents == (500, 500)  # "he met her" speaks of both and is left out
    assert found.standing == "gap"
    assert found.gap == pytest.approx(found.accuracy[0] - found.accuracy[1])
    assert found.low < found.gap < found.high < 0


def test_a_gap_is_ruled_out_only_where_the_whole_interval_is_narrow(
    guess: Guess, params: CompareParams
) -> None:
    answers = spoken(guess, 0.0)
    (found,) = group_gaps(answers, BiasParams(max_gap=0.1), params)
    assert -0.1 < found.low < found.high < 0.1
    assert found.standing == "no gap"
    (found,) = group_gaps(answers, BiasParams(max_gap=found.high - 0.001), params)
    assert found.standing == "not ruled out"


def test_small_groups_are_not_judged(guess: Guess, params: CompareParams) -> None:
    answers = spoken(guess, 0.0)
    strict = BiasParams(min_documents=501)
    assert group_gaps(answers, strict, params)[0].standing == "too small"


def test_words_within_words_name_no_group(guess: Guess, params: CompareParams) -> None:
    answers = guess("a", 0.9)
    columns = {"text": np.array(["the theme of others"] * len(answers), dtype=object)}
    assert group_gaps(dataclasses.replace(answers, columns=columns), BiasParams(), params) == []


def test_without_pairs_there_is_no_pair_score() -> None:
    assert score_pairs(None, None, {}, 0.95) == []
    assert score_pairs(None, None, {"gender": []}, 0.95) == []


def test_a_word_inside_of_another_chinese_word_makes_no_group(
    guess: Guess, params: CompareParams
) -> None:
    answers = guess("a", 0.9, documents=400)
    texts = ("她在唱歌", "他在唱歌", "其他都很好", "吉他弹得好")
    columns = {"text": np.array([texts[i % 4] for i in range(400)], dtype=object)}
    (found,) = group_gaps(
        dataclasses.replace(answers, columns=columns), BiasParams(min_documents=10), params
    )
    assert found.documents == (100, 100)


@pytest.mark.parametrize("name", ["pairs.en", "pairs.zh"])
def test_pairs_differ_and_share_most_of_their_words(name: str) -> None:
    pairs = read_pairs(find_file(name))
    for first, second in (pair for some in pairs.values() for pair in some):
        words = first.split(), second.split()
        assert first != second
        assert len(_common_places(*words)) >= len(words[0]) - 2, (first, second)


def test_documents_flipped_both_ways_are_shown_surest_first(guess: Guess) -> None:
    first, second = guess("a", 0.8, documents=200), guess("b", 0.8, documents=200)
    found = find_flips(first, second, ("no", "yes"), limit=3)
    assert len(found.gained) == len(found.lost) == 3
    sure = [flip.confidence for flip in found.gained]
    assert sure == sorted(sure, reverse=True)
    assert all(flip.gold != flip.wrong for flip in found.gained + found.lost)


def test_the_attack_finds_an_overfitted_model_and_not_an_honest_one(params: CompareParams) -> None:
    generator = np.random.default_rng(0)
    honest = auc_with_interval(generator.normal(4, 1, 300), generator.normal(4, 1, 300), params)
    assert honest[1] < 0.5 < honest[2]
    overfitted = auc_with_interval(
        generator.normal(1, 0.5, 300), generator.normal(4, 1, 300), params
    )
    assert overfitted[0] > 0.98
    assert overfitted[3] > 0.7


def test_interval_of_the_auc_covers_as_promised(params: CompareParams) -> None:
    """200 draws from one law: about 95 % of the intervals hold one half."""
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        _, low, high, _ = auc_with_interval(
            generator.normal(size=60), generator.normal(size=60), params
        )
        covered += low <= 0.5 <= high
    assert 180 <= covered <= 199


def test_of_three_classes_each_counts_in_a_group_s_accuracy(
    guess: Guess, params: CompareParams
) -> None:
    answers = guess("a", 1.0, classes=3)
    women = np.arange(len(answers)) % 2 == 0
    texts = np.where(women, "she sang", "he sang").astype(object)
    # Mixed up are the first two classes alone; who is asked for the last one sees no difference.
    swapped = np.array([1, 0, 2])[answers.gold]
    spoiled = dataclasses.replace(
        answers, predicted=np.where(women, swapped, answers.gold), columns={"text": texts}
    )
    (found,) = group_gaps(spoiled, BiasParams(), params)
    assert found.accuracy == (pytest.approx(spoiled.correct[women].mean()), 1.0)
    assert found.low < found.gap < found.high < 0
