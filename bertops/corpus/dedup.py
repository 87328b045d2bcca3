"""Across all shards: lines that many documents share, exact and near copies, and which one stays.

The document that stays for a cluster is the one in the most protected split (test before
validation before train, so that no copy of held-out text is trained on), then the longest, then
the one with the smallest id. Nothing depends on the order of files or shards.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bertops.corpus.minhash import band_names, candidate_pairs, clusters, verified
from bertops.corpus.params import DedupParams
from bertops.corpus.shingles import content_words, shingles

PROTECTION = {"evaluation": 0, "test": 1, "validation": 2, "train": 3}


def boilerplate_lines(counts: pl.LazyFrame, documents: int, params: DedupParams) -> pl.Series:
    """Hashes of the lines that stand in too many documents of one source.

    Args:
        counts: columns `hash` and `documents` of all shards of the source.
        documents: number of documents of the source.
        params: from how many documents, and which share of the source, a line is boilerplate.
    """
    if not params.boilerplate_documents:
        return pl.Series("hash", [], pl.UInt64)
    least = max(params.boilerplate_documents, params.boilerplate_share * documents)
    summed = counts.group_by("hash").agg(pl.col("documents").sum())
    found = summed.filter(pl.col("documents") >= least).select("hash")
    return found.collect(engine="streaming").to_series().sort()


def numbered(keys: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All documents in the order in which they speak for their copies, with `entry` as number.

    Args:
        keys: for each shard, columns doc_id, source, file, row, split, text_hash, words; `shard`
            and `place` are added: where the document is found again.
    """
    placed = [
        table.with_row_index("place").with_columns(shard=pl.lit(number, pl.UInt32))
        for number, table in enumerate(keys)
    ]
    protection = pl.col("split").replace_strict(PROTECTION, return_dtype=pl.UInt8)
    order = [protection, -pl.col("words").cast(pl.Int64), "doc_id", "source", "file", "row"]
    return pl.concat(placed).sort(order).with_row_index("entry")


def exact_copies(documents: pl.DataFrame) -> pl.DataFrame:
    """Documents whose words were all seen: columns `entry`, `kept` (the entry that stays)."""
    kept = pl.col("entry").min().over("text_hash")
    return documents.select("entry", kept=kept).filter(pl.col("entry") != pl.col("kept"))


def similar_pairs(
    documents: pl.DataFrame,
    key_files: Sequence[Path],
    text_files: Sequence[Path],
    params: DedupParams,
) -> pl.DataFrame:
    """Pairs of documents that are nearly equal: columns `a`, `b`, `similarity`.

    Pairs are verified on the texts. A pair with an evaluation text is of use only when the other
    is a training document; the others are not looked at.

    Args:
        documents: `numbered` documents, without exact copies.
        key_files: for each shard, the file with the bands.
        text_files: for each shard, the file with the texts, in the same order of rows.
        params: bands and the least similarity.
    """
    documents = documents.filter(pl.col("words") > 0)
    rows = _rows(documents, key_files)
    columns = (_column(key_files, name)[rows] for name in band_names(params))
    places = candidate_pairs(columns)
    split = documents["split"]
    held_out = (split == "evaluation").to_numpy()[places[:, 0]]
    training = (split == "train").to_numpy()[places[:, 1]]
    pairs = documents["entry"].to_numpy()[places[~held_out | training]]
    compared = documents.filter(pl.col("entry").is_in(np.unique(pairs)))
    hashes = _shingles_of(compared, text_files, params)
    found = list(verified(map(tuple, pairs.tolist()), hashes, params.min_jaccard))
    schema = {"a": pl.UInt32, "b": pl.UInt32, "similarity": pl.Float64}
    return pl.DataFrame(found, schema, orient="row")


def _rows(documents: pl.DataFrame, key_files: Sequence[Path]) -> NDArray[np.int64]:
    """Where the documents stand when the rows of all shards are counted through."""
    lengths = [pq.read_metadata(file).num_rows for file in key_files]
    begin = np.concatenate([[0], np.cumsum(lengths)])
    return begin[documents["shard"].to_numpy()] + documents["place"].to_numpy()


def _column(files: Sequence[Path], name: str) -> NDArray[np.uint64]:
    """One column of all shards."""
    return pl.read_parquet(list(files), columns=[name])[name].to_numpy()


def _shingles_of(
    documents: pl.DataFrame, text_files: Sequence[Path], params: DedupParams
) -> dict[int, NDArray[np.uint64]]:
    """Sorted different shingles of each document, by entry."""
    found: dict[int, NDArray[np.uint64]] = {}
    for (shard,), rows in documents.sort("shard", "place").group_by("shard", maintain_order=True):
        texts = pl.read_parquet(text_files[int(shard)], columns=["text"])["text"].gather(
            rows["place"]
        )  # type: ignore[arg-type]
        hashes, offsets = shingles(content_words(texts), params.ngram)
        for entry, (start, end) in zip(rows["entry"], _spans(offsets), strict=True):
            found[entry] = np.unique(hashes[start:end])
    return found


def _spans(offsets: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    bounds = offsets.tolist()
    return pairwise(bounds)


def near_copies(pairs: pl.DataFrame) -> pl.DataFrame:
    """Documents that are not the first of their cluster.

    Returns:
        Columns `entry`, `kept` (the entry that stays) and `similarity` (the best to a member).
    """
    kept = clusters(pairs.select("a", "b").iter_rows())
    best: dict[int, float] = {}
    for a, b, similarity in pairs.iter_rows():
        best[a] = max(best.get(a, 0.0), similarity)
        best[b] = max(best.get(b, 0.0), similarity)
    rows = [(e, first, best[e]) for e, first in kept.items() if e != first]
    schema = {"entry": pl.UInt32, "kept": pl.UInt32, "similarity": pl.Float64}
    return pl.DataFrame(rows, schema, orient="row")
