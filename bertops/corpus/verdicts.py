"""What the comparison of all documents decides: which of them go, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bertops.corpus.decontaminate import contaminated
from bertops.corpus.dedup import KEYS, exact_copies, near_copies, numbered
from bertops.corpus.params import CorpusParams
from bertops.corpus.similar import similar_pairs
from bertops.corpus.tables import only_part
from bertops.parallel import Workers

DROPS = pl.Schema(
    {
        "entry": pl.UInt32,
        "step": pl.String,
        "rule": pl.String,
        "value": pl.Float64,
        "threshold": pl.Float64,
        "duplicate_of": pl.String,
        "detail": pl.String,
    }
)


@dataclass(frozen=True)
class Signed:
    """Folder of one signed shard, or of the evaluation texts, which have no ledger."""

    folder: Path
    ledger: Path | None

    @property
    def texts(self) -> Path:
        """Table SIGNED; of evaluation texts, table JUDGED."""
        return only_part(self.folder / "texts")

    @property
    def keys(self) -> Path:
        """What the documents are compared by, in the order of the texts."""
        return only_part(self.folder / "keys")

    @property
    def matches(self) -> Path:
        """Table MATCHES: overlaps with evaluation texts."""
        return only_part(self.folder / "matches")


@dataclass(frozen=True)
class Verdicts:
    """Every document with its number, and what is said against it."""

    documents: pl.DataFrame
    """`numbered` documents: entry, shard, place, doc_id, split …"""
    drops: pl.DataFrame
    """Table DROPS; the first one of a document is the one that counts."""
    clustered: pl.Series
    """Entries that stay for at least one copy."""


def compare(
    shards: Sequence[Signed], folder: Path, params: CorpusParams, workers: Workers
) -> Verdicts:
    """Find copies and contamination among all documents of all shards; workers use `folder`."""
    documents = numbered([pl.read_parquet(shard.keys, columns=list(KEYS)) for shard in shards])
    own = documents.filter(pl.col("split") != "evaluation")
    exact = exact_copies(own if params.dedup.exact else own.clear())
    compared = _compared(documents.join(exact, on="entry", how="anti"), params)
    keys, texts = [shard.keys for shard in shards], [shard.texts for shard in shards]
    pairs = similar_pairs(compared, keys, texts, params.dedup, folder, workers)
    is_evaluation = pl.col("a").is_in(_entries(documents, "evaluation").implode())
    near = near_copies(pairs.filter(~is_evaluation if params.dedup.near else pl.lit(False)))
    found = [
        _copies(exact.with_columns(similarity=pl.lit(1.0)), documents, "dedup.exact", 1.0),
        _copies(near, documents, "dedup.near", params.dedup.min_jaccard),
    ]
    if params.decontaminate.enabled:
        copies = pl.concat([exact["entry"], near["entry"]])
        found.append(_overlaps(documents, copies, shards, params))
        found.append(_near_evaluation(pairs.filter(is_evaluation), documents, params))
    drops = pl.concat(found).sort("entry", maintain_order=True)
    return Verdicts(documents, drops, pl.concat([exact["kept"], near["kept"]]).unique())


def _entries(documents: pl.DataFrame, split: str) -> pl.Series:
    return documents.filter(pl.col("split") == split)["entry"]


def _compared(documents: pl.DataFrame, params: CorpusParams) -> pl.DataFrame:
    """The documents whose near copies any step asks for."""
    if not params.dedup.near:
        documents = documents.filter(pl.col("split").is_in(["evaluation", "train"]))
    if not (params.decontaminate.enabled and params.decontaminate.near_copies):
        documents = documents.filter(pl.col("split") != "evaluation")
    return documents


def _copies(
    copies: pl.DataFrame, documents: pl.DataFrame, rule: str, threshold: float
) -> pl.DataFrame:
    kept = documents.select(kept="entry", duplicate_of="doc_id")
    rows = copies.join(kept, on="kept", how="left", maintain_order="left")
    return _drops(
        rows, rule, pl.col("similarity"), pl.lit(threshold), duplicate_of=pl.col("duplicate_of")
    )


def _overlaps(
    documents: pl.DataFrame, copies: pl.Series, shards: Sequence[Signed], params: CorpusParams
) -> pl.DataFrame:
    """Training documents that share runs of words with evaluation texts.

    A page that was crawled many times makes no phrase of what stands in it: `copies` do not count.
    """
    tables = [
        pl.read_parquet(shard.matches).with_columns(shard=pl.lit(number, pl.UInt32))
        for number, shard in enumerate(shards)
        if shard.ledger is not None
    ]
    is_copy = pl.col("entry").is_in(copies.implode())
    train = documents.filter(split="train").select("shard", "place", "entry", copy=is_copy)
    matches = pl.concat(tables).rename({"document": "place"}).join(train, on=["shard", "place"])
    rows = contaminated(matches.sort("entry", maintain_order=True), params.decontaminate)
    detail = pl.format("{}: {}", "evaluation", "overlap")
    least = pl.lit(float(params.decontaminate.min_matches))
    return _drops(rows, "decontaminate.ngram", pl.col("matches"), least, detail=detail)


def _near_evaluation(
    pairs: pl.DataFrame, documents: pl.DataFrame, params: CorpusParams
) -> pl.DataFrame:
    """Training documents that are nearly an evaluation text; the most similar one is named."""
    evaluation = documents.select(a="entry", detail="source", duplicate_of="doc_id")
    rows = (
        pairs.sort("b", "similarity", "a", descending=[False, True, False])
        .unique("b", keep="first", maintain_order=True)
        .join(evaluation, on="a", maintain_order="left")
        .rename({"b": "entry"})
    )
    return _drops(
        rows,
        "decontaminate.near_copy",
        pl.col("similarity"),
        pl.lit(params.dedup.min_jaccard),
        duplicate_of=pl.col("duplicate_of"),
        detail=pl.col("detail"),
    )


def _drops(
    rows: pl.DataFrame,
    rule: str,
    value: pl.Expr,
    threshold: pl.Expr,
    duplicate_of: pl.Expr = pl.lit(None),  # noqa: B008  # an expression is a value
    detail: pl.Expr = pl.lit(None),  # noqa: B008
) -> pl.DataFrame:
    return rows.select(
        "entry",
        step=pl.lit(rule.split(".")[0]),
        rule=pl.lit(rule),
        value=value,
        threshold=threshold,
        duplicate_of=duplicate_of,
        detail=detail,
    ).cast(DROPS)
