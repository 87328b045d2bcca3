"""Near duplicates: MinHash signatures in bands, candidate pairs verified by Jaccard, clusters.

Source: Broder 1997, "On the resemblance and containment of documents"; banding as in Leskovec,
Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4. Signatures are by rensa.

Everything is a function of the documents alone: neither the order of files nor the number of
workers changes a pair, a cluster or which document is kept.
"""

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bertops.corpus.params import DedupParams

BUCKET = 8  # documents up to which all pairs of a bucket are compared


def band_names(params: DedupParams) -> list[str]:
    """Names of the columns that hold the hashes of the bands."""
    return [f"band_{i}" for i in range(params.bands)]


def bands(
    shingle_hashes: NDArray[np.uint64], offsets: NDArray[np.uint64], params: DedupParams
) -> pl.DataFrame:
    """One row a document, one u64 for each band of its signature.

    Two documents of Jaccard similarity s share a band with probability 1 - (1 - s**rows)**bands.
    """
    import rensa

    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        shingle_hashes, offsets, params.bands * params.rows, params.seed
    )
    signature = np.array(matrix.to_rows(), dtype=np.uint64)
    signature = signature.reshape(len(offsets) - 1, params.bands, params.rows)
    combined = np.zeros(signature.shape[:2], np.uint64)
    for row in range(params.rows):
        combined = (combined + signature[:, :, row]) * np.uint64(0x9E3779B97F4A7C15)
    return pl.DataFrame(combined, band_names(params))


def pairs_of_band(band: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Pairs of documents that share the hash of one band.

    All pairs of a small bucket; of a large one, each document with the first and with its
    neighbour. A bucket of many is one large cluster, or an accident; all its pairs would be its
    square.

    Args:
        band: the hash of every document, in an order that depends on the documents alone.

    Returns:
        Shape (pairs, 2): the places of two documents, the smaller first.
    """
    order = np.argsort(band, kind="stable")
    band = band[order]
    begins = np.concatenate([[True], band[1:] != band[:-1]])
    bucket = np.cumsum(begins) - 1
    large = np.bincount(bucket)[bucket] > BUCKET
    found = []
    for distance in range(1, BUCKET):
        same = bucket[:-distance] == bucket[distance:]
        if distance > 1:
            same &= ~large[:-distance]
        first = np.flatnonzero(same)
        found.append(np.stack([order[first], order[first + distance]], axis=1))
    star = np.flatnonzero(large & ~begins)
    head = order[np.flatnonzero(begins)[bucket[star]]]
    return np.concatenate([*found, np.stack([head, order[star]], axis=1)])


def jaccard(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> float:
    """Shared of all different shingles; both arrays are sorted and without repetition."""
    shared = len(np.intersect1d(left, right, assume_unique=True))
    union = len(left) + len(right) - shared
    return shared / union if union else 1.0


def clusters(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Entry → smallest entry of its cluster, for every entry that has a pair.

    Clusters are connected components; the smallest entry speaks for all.
    """
    parent: dict[int, int] = {}

    def find(entry: int) -> int:
        root = entry
        while parent.setdefault(root, root) != root:
            root = parent[root]
        while parent[entry] != root:
            parent[entry], entry = root, parent[entry]
        return root

    for a, b in pairs:
        low, high = sorted((find(a), find(b)))
        parent[high] = low
    return {entry: find(entry) for entry in sorted(parent)}
