"""Token vectors from counts."""

import numpy as np
import pytest

from bertops.pretraining.cooccurrence import cooccurrence_vectors, count_pairs
from bertops.pretraining.store import TokenStore


class ShortStore(TokenStore):
    """A store in memory."""

    def __init__(self, documents: list[list[int]]) -> None:
        self.documents = [np.array(x, np.uint16) for x in documents]
        self.ids = np.concatenate(self.documents)

    @property
    def boundaries(self) -> np.ndarray:
        return np.cumsum([0, *(len(x) for x in self.documents)])

    def read(self, start: int, length: int) -> np.ndarray:
        return self.ids[start : start + length]


def test_pairs_are_counted_within_the_window_and_never_across_documents():
    counts = count_pairs(ShortStore([[0, 1, 2], [3, 0]]), 5, window=2, most_tokens=99).toarray()
    pairs = {(int(a), int(b)) for a, b in np.argwhere(np.triu(counts))}
    assert pairs == {(0, 1), (1, 2), (0, 2), (0, 3)}
    assert np.array_equal(counts, counts.T)
    assert count_pairs(ShortStore([[0, 1, 2]]), 5, window=1, most_tokens=99).toarray()[0, 2] == 0


def test_tokens_that_keep_the_same_company_get_alike_vectors():
    rng = np.random.default_rng(0)
    animals, tools, pets, drills = range(0, 8), range(8, 16), [16, 17], [18, 19]
    documents = []
    for _ in range(300):
        company, words = (animals, pets) if rng.random() < 0.5 else (tools, drills)
        documents.append([*rng.choice(list(company), 4).tolist(), int(rng.choice(words))])
    vectors, seen = cooccurrence_vectors(ShortStore(documents), 24, 4, 5, 10**6, seed=0)
    assert seen.tolist() == [True] * 20 + [False] * 4
    assert vectors[16] @ vectors[17] > 0.9 > 0 > vectors[16] @ vectors[18]
    assert np.linalg.norm(vectors[:20], axis=1) == pytest.approx(1, abs=1e-5)


def test_same_corpus_same_vectors_and_a_limit_bounds_what_is_counted():
    store = ShortStore([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [6, 7, 6, 7]])
    first = cooccurrence_vectors(store, 8, 2, 2, 10**6, seed=1)[0]
    assert np.array_equal(first, cooccurrence_vectors(store, 8, 2, 2, 10**6, seed=1)[0])
    assert not cooccurrence_vectors(store, 8, 2, 2, 10, seed=1)[1][[6, 7]].any()


def test_too_little_text_for_the_width_gives_no_vectors():
    assert not cooccurrence_vectors(ShortStore([[1, 2]]), 8, 4, 2, 99, seed=1)[1].any()
