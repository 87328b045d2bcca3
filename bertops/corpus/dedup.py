"""Across all shards: lines that many documents share, exact and near copies, and which one stays.

The document that stays for a cluster is the one in the most protected split (test before
validation before train, so that no copy of held-out text is trained on), then the longest, then
the one with the smallest id. Nothing depends on the order of files or shards.
"""

from collections.abc import Sequence

import polars as pl

from bertops.corpus.minhash import clusters
from bertops.corpus.params import DedupParams

KEYS = ("doc_id", "source", "file", "row", "split", "text_hash", "words")
"""What documents are numbered by, and known to be exact copies."""
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
        keys: for each shard, columns KEYS; `shard` and `place` are added: where the document is
            found again.
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
