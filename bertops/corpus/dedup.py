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
    pairs = candidate_pairs(_band(documents, key_files, name) for name in band_names(params))
    split = documents.select("entry", "split")
    pairs = (
        pairs.join(split.rename({"entry": "a", "split": "a_split"}), on="a")
        .join(split.rename({"entry": "b", "split": "b_split"}), on="b")
        .filter((pl.col("a_split") != "evaluation") | (pl.col("b_split") == "train"))
        .select("a", "b")
        .sort("a", "b")
    )
    wanted = pl.concat([pairs["a"], pairs["b"]]).unique()
    compared = documents.filter(pl.col("entry").is_in(wanted.implode()))
    hashes = _shingles_of(compared, text_files, params)
    schema = {"a": pl.UInt32, "b": pl.UInt32, "similarity": pl.Float64}
    return pl.DataFrame(list(verified(pairs, hashes, params.min_jaccard)), schema, orient="row")


def _band(documents: pl.DataFrame, key_files: Sequence[Path], name: str) -> pl.DataFrame:
    """Columns `entry` and `band` of one band of all documents that have words."""
    tables = [
        pl.read_parquet(file, columns=[name])
        .with_row_index("place")
        .with_columns(shard=pl.lit(i, pl.UInt32))
        for i, file in enumerate(key_files)
    ]
    found = pl.concat(tables).rename({name: "band"})
    return (
        documents.filter(pl.col("words") > 0)
        .select("entry", "shard", "place")
        .join(found, on=["shard", "place"])
        .select("entry", "band")
    )


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
