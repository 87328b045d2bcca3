"""Packing: no token lost, no row overfull, hardly any padding."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertops.pretraining.packing import SPECIALS_PER_PIECE, fit_pieces, plan_rows


def boundaries(lengths):
    return np.cumsum([0, *lengths], dtype=np.int64)


@given(
    lengths=st.lists(st.integers(0, 300), max_size=60),
    row_length=st.integers(8, 130),
)
def test_every_token_stands_in_exactly_one_row(lengths, row_length):
    plan = plan_rows(boundaries(lengths), row_length)
    covered = [
        place
        for start, length in zip(plan.starts, plan.lengths, strict=True)
        for place in range(start, start + length)
    ]
    assert sorted(covered) == list(range(sum(lengths)))
    assert plan.first[0] == 0
    assert plan.first[-1] == len(plan.lengths)
    assert np.all(plan.row_tokens <= row_length)
    assert plan.tokens == sum(lengths) + SPECIALS_PER_PIECE * len(plan.lengths)


@given(lengths=st.lists(st.integers(1, 300), max_size=40), row_length=st.integers(8, 60))
def test_no_piece_reaches_over_the_end_of_its_document(lengths, row_length):
    edges = boundaries(lengths)
    plan = plan_rows(edges, row_length)
    document = np.searchsorted(edges, plan.starts, side="right")
    last = np.searchsorted(edges, plan.starts + plan.lengths - 1, side="right")
    assert np.array_equal(document, last)


@given(sizes=st.lists(st.integers(3, 64), max_size=80))
def test_best_fit_never_leaves_two_half_empty_rows(sizes):
    longest_first = sorted(sizes, reverse=True)
    rows = fit_pieces(longest_first, 64)
    used = np.bincount(rows, weights=longest_first) if sizes else np.zeros(0)
    assert np.all(used <= 64)
    assert np.sum(used <= 32) <= 1


def test_the_fullest_row_that_fits_is_taken():
    assert fit_pieces([7, 6, 3, 2, 1], 10).tolist() == [0, 1, 0, 1, 1]


def test_an_empty_store_has_no_rows():
    plan = plan_rows(boundaries([]), 16)
    assert (plan.rows, plan.tokens, plan.fill_rate) == (0, 0, 0)


def test_a_plan_depends_on_nothing_but_the_lengths():
    lengths = np.random.default_rng(0).integers(1, 200, 500)
    one, two = (plan_rows(boundaries(lengths), 64) for _ in range(2))
    assert np.array_equal(one.starts, two.starts)
    assert np.array_equal(one.first, two.first)


@pytest.mark.parametrize("row_length", [128, 512])
def test_rows_of_wikipedia_are_98_percent_full(row_length, shared_data):
    """Packing sees lengths alone, so words may stand for tokens."""
    with gzip.open(shared_data / "en-wikipedia/valid.jsonl.gz", "rt", encoding="utf-8") as file:
        lengths = [len(json.loads(line)["text"].split()) for line in file]
    assert plan_rows(boundaries(lengths), row_length).fill_rate >= 0.98
