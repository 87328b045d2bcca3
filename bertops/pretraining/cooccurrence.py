"""Token vectors from co-occurrence counts: a start for the embeddings that costs seconds.

A masked language model spends its first steps on learning which tokens keep which company. That
much can be counted: factorizing the positive pointwise mutual information of tokens within a
window gives vectors of the quality of word2vec, on a CPU, in one pass. Training then begins with
embeddings that mean something, and spends its minutes on what counting cannot give.

Source: Levy and Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization"; Levy,
Goldberg and Dagan 2015, "Improving Distributional Similarity with Lessons Learned from Word
Embeddings" (context smoothing 0.75, square root of the singular values).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bertops.pretraining.store import TokenStore
from bertops.progress import progress

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# V tokens of the vocabulary, D dimensions

CONTEXT_SMOOTHING = 0.75  # Levy, Goldberg and Dagan 2015, section 3.1
NEVER = -1  # stands between documents and after the last one


def cooccurrence_vectors(
    store: TokenStore, vocab_size: int, dimensions: int, window: int, most_tokens: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors of all tokens that the store holds, with mean 0 and length 1.

    Args:
        window: tokens on either side that count as company; never across documents.
        most_tokens: tokens of the store that are counted, from its start; bounds time and memory.
        seed: of the randomized factorization.

    Returns:
        vectors_VD: fp32; rows of tokens that were not seen are 0.
        seen_V: which tokens have a vector. None where too few tokens keep company for
            `dimensions` vectors.
    """
    from sklearn.utils.extmath import randomized_svd

    information = positive_information(count_pairs(store, vocab_size, window, most_tokens))
    seen_V = np.diff(information.indptr) > 0
    vectors_VD = np.zeros((vocab_size, dimensions), np.float32)
    if seen_V.sum() <= dimensions:
        return vectors_VD, np.zeros(vocab_size, np.bool_)
    left, values, _ = randomized_svd(information, dimensions, n_iter=3, random_state=seed)
    weighted = left * np.sqrt(values)
    centred = weighted - weighted[seen_V].mean(0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    vectors_VD[seen_V] = (centred / np.maximum(lengths, 1e-6))[seen_V]
    return vectors_VD, seen_V


def count_pairs(
    store: TokenStore, vocab_size: int, window: int, most_tokens: int
) -> csr_matrix[np.float32]:
    """How often two tokens stand within `window` of each other: symmetric (V, V) counts."""
    from scipy.sparse import coo_matrix, csr_matrix

    ids = _with_gaps(store, most_tokens)
    counts = csr_matrix((vocab_size, vocab_size), dtype=np.float32)
    for distance in progress(range(1, window + 1), what="counting co-occurrence", unit="offset"):
        first, second = ids[:-distance], ids[distance:]
        inside = (first != NEVER) & (second != NEVER) & _same_document(ids, distance)
        ones = np.ones(int(inside.sum()), np.float32)
        pairs = (first[inside], second[inside])
        counts = counts + coo_matrix((ones, pairs), (vocab_size, vocab_size)).tocsr()
    return (counts + counts.T).tocsr()


def positive_information(counts: csr_matrix[np.float32]) -> csr_matrix[np.float32]:
    """Positive pointwise mutual information of the counts, in nats: sparse (V, V)."""
    from scipy.sparse import csr_matrix

    pairs = counts.tocoo()
    occurrences = np.asarray(counts.sum(1)).ravel()
    context = occurrences**CONTEXT_SMOOTHING
    context /= context.sum()
    values = np.log(pairs.data / (occurrences[pairs.row] * context[pairs.col]))
    kept = values > 0
    index = (pairs.row[kept], pairs.col[kept])
    return csr_matrix((values[kept].astype(np.float32), index), counts.shape)


def _with_gaps(store: TokenStore, most_tokens: int) -> NDArray[np.int32]:
    """Whole documents from the start of the store, at least one, with NEVER after each."""
    ends = store.boundaries[1:]
    documents = max(1, int(np.searchsorted(ends, most_tokens, side="right")))
    starts, lengths = store.boundaries[:documents], store.lengths[:documents]
    pieces = [store.read(int(a), int(n)) for a, n in zip(starts, lengths, strict=True)]
    gap = np.array([NEVER], np.int32)
    return np.concatenate([part for piece in pieces for part in (piece.astype(np.int32), gap)])


def _same_document(ids: NDArray[np.int32], distance: int) -> NDArray[np.bool_]:
    """Whether no gap lies between a position and the one `distance` further on."""
    gaps = np.cumsum(ids == NEVER)
    return gaps[:-distance] == gaps[distance:]
