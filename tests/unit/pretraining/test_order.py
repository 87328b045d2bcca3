"""Every row once per epoch, at any place without the ones before it."""

import numpy as np

from bertops.pretraining.order import RowOrder


def test_an_epoch_is_a_permutation_and_the_next_another():
    order = RowOrder(rows=50, seed=3)
    epochs, rows = order.at(0, 150)
    assert np.array_equal(epochs, np.repeat([0, 1, 2], 50))
    for epoch in range(3):
        assert sorted(rows[epoch * 50 : (epoch + 1) * 50]) == list(range(50))
    assert not np.array_equal(rows[:50], rows[50:100])


def test_any_place_is_reached_without_those_before_it():
    _, straight = RowOrder(rows=50, seed=3).at(0, 400)
    _, jumped = RowOrder(rows=50, seed=3).at(337, 20)
    assert np.array_equal(jumped, straight[337:357])


def test_a_seed_decides():
    assert not np.array_equal(RowOrder(50, 1).at(0, 50)[1], RowOrder(50, 2).at(0, 50)[1])


def test_a_step_larger_than_an_epoch_takes_rows_of_several():
    epochs, rows = RowOrder(rows=4, seed=0).at(2, 9)
    assert epochs.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert sorted(rows[2:6]) == [0, 1, 2, 3]
