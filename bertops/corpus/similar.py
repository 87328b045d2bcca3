"""Pairs of documents that are nearly equal, among all documents of all shards.

Workers find and verify them, in three rounds with files between:

1. which documents share a band of their signatures, band by band;
2. the shingles of those documents, shard by shard;
3. how many of them the two of a pair share, some thousand pairs at a time.

However large the corpus, a worker holds some million hashes, a row group of texts, or the
shingles of two documents. A document is known here by its rank among those that are compared.
"""

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bertops.corpus.minhash import band_names, jaccard, pairs_of_band
from bertops.corpus.params import DedupParams
from bertops.corpus.shingles import shingles
from bertops.corpus.tables import batches
from bertops.corpus.words import content_words
from bertops.parallel import Workers

MOST_HASHES = 2_000_000
"""Hashes of one band that a worker sorts at once, in an eighth of a GB."""
LEAST_HASHES = 500_000
"""Hashes in a task, where there are as many; fewer are not worth a worker's while."""
TASK_PAIRS = 20_000
"""Pairs in a task: about a second."""

RANKS, PAIRS = "ranks.bin", "pairs.bin"
PAIR_BYTES = 48  # shard, begin and count of the shingles of two documents, int64


def similar_pairs(
    documents: pl.DataFrame,
    key_files: Sequence[Path],
    text_files: Sequence[Path],
    params: DedupParams,
    folder: Path,
    workers: Workers,
) -> pl.DataFrame:
    """Pairs of documents that are nearly equal: columns `a`, `b`, `similarity`.

    Pairs are verified on the texts. A pair with an evaluation text is of use only when the other
    is a training document; the others are not looked at.

    Args:
        documents: `numbered` documents, without exact copies.
        key_files: for each shard, the file with the bands.
        text_files: for each shard, the file with the texts, in the same order of rows.
        params: bands and the least similarity.
        folder: where workers put what other workers read.
        workers: who does the work; how many changes nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    documents = documents.filter(pl.col("words") > 0)
    pairs = _candidates(documents, key_files, params, folder, workers)
    split = documents["split"]
    held_out = (split == "evaluation").to_numpy()[pairs[:, 0]]
    training = (split == "train").to_numpy()[pairs[:, 1]]
    pairs = pairs[~held_out | training]
    similarity = _similarities(documents, pairs, text_files, params, folder, workers)
    entry = documents["entry"].to_numpy()[pairs]
    found = pl.DataFrame({"a": entry[:, 0], "b": entry[:, 1], "similarity": similarity})
    return found.filter(pl.col("similarity") >= params.min_jaccard)


def _candidates(
    documents: pl.DataFrame,
    key_files: Sequence[Path],
    params: DedupParams,
    folder: Path,
    workers: Workers,
) -> NDArray[np.int64]:
    """Pairs that share a band, shape (pairs, 2): two ranks, the smaller first; each once, sorted.

    A band of very many documents is cut into parts by its hashes, which leaves buckets whole.
    """
    _write_ranks(documents, key_files, folder / RANKS)
    parts = max(1, -(-len(documents) // MOST_HASHES))
    slices = [(band, part) for band in band_names(params) for part in range(parts)]
    in_a_task = max(1, LEAST_HASHES * parts // max(1, len(documents)))
    tasks = [
        (key_files, folder / RANKS, slices[begin : begin + in_a_task], parts)
        for begin in range(0, len(slices), in_a_task)
    ]
    found = workers.run(pairs_in_slices, tasks, "compare: bands", "tasks")
    both = np.unique(np.concatenate(found))
    return np.stack([both >> np.uint64(32), both & np.uint64(0xFFFFFFFF)], axis=1).astype(np.int64)


def _write_ranks(documents: pl.DataFrame, key_files: Sequence[Path], target: Path) -> None:
    """The rank of every row of all shards, one after the other; -1 where it is not compared."""
    lengths = [pq.read_metadata(file).num_rows for file in key_files]
    begin = np.cumsum([0, *lengths])
    ranks = np.full(begin[-1], -1, np.int64)
    rows = begin[documents["shard"].to_numpy()] + documents["place"].to_numpy()
    ranks[rows] = np.arange(len(documents))
    ranks.tofile(target)


def pairs_in_slices(
    key_files: Sequence[Path], ranks: Path, slices: Sequence[tuple[str, int]], parts: int
) -> NDArray[np.uint64]:
    """Pairs that share a hash in some bands, sorted.

    Args:
        key_files: for each shard, the file with the bands.
        ranks: what `_write_ranks` wrote.
        slices: bands, and of each the part to look at: the hashes with that remainder.
        parts: what they are divided by.

    Returns:
        A number for each pair: the smaller rank in the upper 32 bits, the larger in the lower.
    """
    found = [np.empty(0, np.uint64)]
    for band, part in slices:
        hashes, rank = _slice(key_files, ranks, band, part, parts)
        first, second = rank[pairs_of_band(hashes)].T.astype(np.uint64)
        found.append(first << np.uint64(32) | second)
    return np.unique(np.concatenate(found))


def _slice(
    key_files: Sequence[Path], ranks: Path, band: str, part: int, parts: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes of a part of a band and the ranks of their documents, in the order of the ranks."""
    hashes, chosen, begin = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], 0
    for file in key_files:
        column = pl.read_parquet(file, columns=[band])[band].to_numpy()
        rank = np.fromfile(ranks, np.int64, len(column), offset=begin * 8)
        mine = (rank >= 0) & (column % np.uint64(parts) == part)
        hashes.append(column[mine])
        chosen.append(rank[mine])
        begin += len(column)
    rank = np.concatenate(chosen)
    order = np.argsort(rank)
    return np.concatenate(hashes)[order], rank[order]


def _similarities(
    documents: pl.DataFrame,
    pairs: NDArray[np.int64],
    text_files: Sequence[Path],
    params: DedupParams,
    folder: Path,
    workers: Workers,
) -> NDArray[np.float64]:
    """The similarity of each pair; 0 for one that cannot be similar enough."""
    ranks, begins = np.unique(pairs), range(0, len(pairs), TASK_PAIRS)
    compared = documents.select("shard", "place").with_row_index("rank")[ranks]
    where = _shingled(compared, text_files, params, folder, workers)
    with (folder / PAIRS).open("wb") as file:
        for begin in begins:
            some = pairs[begin : begin + TASK_PAIRS]
            where[np.searchsorted(ranks, some)].tofile(file)
    tasks = [
        (folder, begin, min(TASK_PAIRS, len(pairs) - begin), params.min_jaccard) for begin in begins
    ]
    found = workers.run(similarities, tasks, "compare: pairs", "tasks")
    return np.concatenate([np.empty(0), *found])


def _shingled(
    compared: pl.DataFrame,
    text_files: Sequence[Path],
    params: DedupParams,
    folder: Path,
    workers: Workers,
) -> NDArray[np.int64]:
    """Have the shingles of documents written; where: columns shard, begin and count of each.

    Args:
        compared: columns rank, shard, place; the result is in the order of the ranks.
    """
    compared = compared.sort("shard", "place")
    tasks = [
        (text_files[int(shard)], rows["place"].to_numpy(), params.ngram, folder / f"{shard}.bin")
        for (shard,), rows in compared.group_by("shard", maintain_order=True)
    ]
    counts = workers.run(write_shingles, tasks, "compare: shingles")
    count = np.concatenate([np.empty(0, np.int64), *counts])
    return (
        compared.with_columns(count=count)
        .with_columns(begin=pl.col("count").cum_sum().over("shard") - pl.col("count"))
        .sort("rank")
        .select(pl.col("shard", "begin", "count").cast(pl.Int64))
        .to_numpy()
    )


def write_shingles(
    texts: Path, places: NDArray[np.uint32], n: int, target: Path
) -> NDArray[np.int64]:
    """Write the shingles of some documents of a shard, of each the different ones, sorted.

    Args:
        texts: the texts of the shard.
        places: rows of the documents, ascending.
        n: words in a shingle.
        target: gets u64 after u64, document after document.

    Returns:
        How many each document has.
    """
    begin, counts = 0, []
    with target.open("wb") as file:
        for batch in batches(texts, ["text"]):
            mine = places[(places >= begin) & (places < begin + len(batch))] - begin
            begin += len(batch)
            if len(mine):
                hashes, offsets = shingles(content_words(batch["text"].gather(mine)), n)
                different, count = _different(hashes, offsets.astype(np.int64))
                different.tofile(file)
                counts.append(count)
    return np.concatenate([np.empty(0, np.int64), *counts])


def _different(
    hashes: NDArray[np.uint64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The different hashes of each document, sorted, and how many there are.

    As numpy.unique of one document after the other, in half the time.
    """
    hashes = hashes.copy()
    for begin, end in pairwise(offsets.tolist()):
        hashes[begin:end].sort()
    first = np.append(True, hashes[1:] != hashes[:-1])
    first[offsets[:-1]] = True  # every document has one shingle or more
    return hashes[first], np.add.reduceat(first, offsets[:-1], dtype=np.int64)


def similarities(folder: Path, begin: int, count: int, min_jaccard: float) -> NDArray[np.float64]:
    """The similarity of `count` pairs from the pair `begin` on.

    0 where the numbers of shingles say that not even a full overlap would be enough.
    """
    rows = np.fromfile(folder / PAIRS, np.int64, 6 * count, offset=PAIR_BYTES * begin)
    found = np.zeros(count)
    place, left = list[int](), np.empty(0, np.uint64)  # many pairs in a row have the same left one
    for number, (one, other) in enumerate(rows.reshape(count, 2, 3).tolist()):
        shorter, longer = sorted((one[2], other[2]))
        if shorter >= min_jaccard * longer:
            if place != one:
                place, left = one, _shingles_at(f"{folder}/{one[0]}.bin", *one[1:])
            right = _shingles_at(f"{folder}/{other[0]}.bin", *other[1:])
            found[number] = jaccard(left, right)
    return found


def _shingles_at(path: str, begin: int, count: int) -> NDArray[np.uint64]:
    """Called twice for a pair: numpy.fromfile and Path would take as long as comparing them."""
    file = os.open(path, os.O_RDONLY)
    try:
        return np.frombuffer(os.pread(file, 8 * count, 8 * begin), np.uint64)
    finally:
        os.close(file)
