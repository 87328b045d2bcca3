"""From verdicts to the tables CORPUS and LEDGER, shard by shard."""

from collections.abc import Iterator, Sequence

import polars as pl

from bertops.corpus.judge import ledger_rows
from bertops.corpus.params import CorpusParams
from bertops.corpus.shard import key_of
from bertops.corpus.verdicts import Signed, Verdicts


def corpus_rows(
    shards: Sequence[Signed], verdicts: Verdicts, split: str, params: CorpusParams
) -> Iterator[pl.DataFrame]:
    """Table CORPUS of one split."""
    config = key_of({"params": params.model_dump_json(exclude={"parallel", "sources"})})
    clustered = pl.col("entry").is_in(verdicts.clustered.implode())
    stays = verdicts.documents.filter(pl.col("split") == split).join(
        verdicts.drops, on="entry", how="anti"
    )
    for number, shard in enumerate(shards):
        if shard.ledger is None:
            continue
        mine = stays.filter(pl.col("shard") == number).sort("place")
        texts = pl.read_parquet(shard.texts).with_row_index("place")
        found = mine.select("place", "entry", "text_hash").join(
            texts, on="place", maintain_order="left"
        )
        yield found.with_columns(
            cluster=pl.when(clustered).then("doc_id"),
            config=pl.lit(config),
        )


def ledger_entries(shards: Sequence[Signed], verdicts: Verdicts) -> Iterator[pl.DataFrame]:
    """Table LEDGER: for each shard what the first pass dropped, then what comparing dropped.

    Nothing is said of documents of the test split but that they were set aside.
    """
    known = verdicts.documents.select("entry", "shard", "place", "split")
    reasons = (
        verdicts.drops.with_columns(first=pl.int_range(pl.len()).over("entry") == 0)
        .join(known, on="entry", maintain_order="left")
        .filter(pl.col("split") != "test")
        .drop("split")
    )
    for number, shard in enumerate(shards):
        if shard.ledger is None:
            continue
        yield pl.read_parquet(shard.ledger)
        mine = reasons.filter(pl.col("shard") == number).sort("place", maintain_order=True)
        texts = pl.read_parquet(shard.texts).with_row_index("place")
        yield ledger_rows(mine.join(texts, on="place", maintain_order="left"))
