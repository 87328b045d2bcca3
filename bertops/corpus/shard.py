"""What is done to one shard, each a pure function of files: judge it, then sign what is left.

Results lie in folders named by a hash of everything they depend on, so that a killed run resumes,
a new file costs only itself, and changed parameters or inputs never reuse old results.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from bertops.corpus.decontaminate import MATCHES, Index, find_overlaps
from bertops.corpus.judge import JUDGED, judge_batch
from bertops.corpus.minhash import band_names, bands
from bertops.corpus.params import CorpusParams, SourceParams
from bertops.corpus.rules.flat import split_lines
from bertops.corpus.shingles import Words, content_words, shingles, text_hashes
from bertops.corpus.tables import LEDGER, batches, write_part
from bertops.document import SplitParams
from bertops.storage import write_whole

LINES = pl.Schema({"source": pl.String, "hash": pl.UInt64, "documents": pl.UInt32})


def judge_shard(
    raw: Path, target: Path, source: SourceParams, params: CorpusParams, split: SplitParams
) -> None:
    """Judge every document of one raw part; writes kept/, ledger/ and lines/ under `target`."""
    with write_whole(target) as partial:
        judged = [judge_batch(batch, source, params, split) for batch in batches(raw)]
        kept = pl.concat([JUDGED.to_frame(), *(one.kept for one in judged)])
        write_part(kept, partial / "kept", 0)
        ledger = pl.concat([LEDGER.to_frame(), *(one.ledger for one in judged)])
        write_part(ledger, partial / "ledger", 0)
        write_part(_line_counts(kept), partial / "lines", 0)


def _line_counts(kept: pl.DataFrame) -> pl.DataFrame:
    """In how many documents of the shard each line stands, for lines with a letter or digit."""
    training = kept.filter(pl.col("split") != "test")
    lines = split_lines(training["text"]).filter(pl.col("line").str.contains(r"\w"))
    counted = lines.unique(["document", "hash"]).group_by("hash").agg(documents=pl.len())
    source = training["source"][0] if len(training) else ""
    rows = counted.with_columns(source=pl.lit(source)).sort("hash")
    return rows.select(LINES.names()).cast(LINES)


def keys_schema(params: CorpusParams) -> pl.Schema:
    """Columns of keys/: what documents are numbered and compared by."""
    own = ("doc_id", "source", "file", "row", "split")
    return pl.Schema(
        [
            *((name, JUDGED[name]) for name in own),
            ("text_hash", pl.String()),
            ("words", pl.Int64()),
            ("characters", pl.Int64()),
            *((name, pl.UInt64()) for name in band_names(params.dedup)),
        ]
    )


def sign_shard(
    judged: Path, target: Path, boilerplate: pl.Series, index: Index | None, params: CorpusParams
) -> None:
    """Strip boilerplate and compute what documents are compared by.

    Args:
        judged: what `judge_shard` wrote.
        target: gets texts/ (table JUDGED, stripped), keys/ (text hash, word count, bands) and
            matches/ (overlaps with evaluation texts, by row of texts/).
        boilerplate: hashes of the lines to strip.
        index: n-grams of the evaluation texts; None where there are none.
        params: corpus parameters.
    """
    texts, matches = [JUDGED.to_frame()], [MATCHES.to_frame()]
    keys = [keys_schema(params).to_frame()]
    row = 0
    with write_whole(target) as partial:
        for batch in batches(judged / "kept/part-00000.parquet"):
            batch = strip_lines(batch, boilerplate)
            words = content_words(batch["text"])
            keys.append(sign(batch, words, params))
            if index is not None:
                training = (batch["split"] == "train").to_numpy()
                found = find_overlaps(words, training, index)
                matches.append(found.with_columns(pl.col("document") + row))
            texts.append(batch)
            row += len(batch)
        write_part(pl.concat(texts), partial / "texts", 0)
        write_part(pl.concat(keys), partial / "keys", 0)
        write_part(pl.concat(matches), partial / "matches", 0)


def sign(batch: pl.DataFrame, words: Words, params: CorpusParams) -> pl.DataFrame:
    """What the documents of a batch (table JUDGED) are compared by; columns `keys_schema`."""
    hashes, offsets = shingles(words, params.dedup.ngram)
    return (
        batch.select("doc_id", "source", "file", "row", "split")
        .with_columns(
            text_hashes(words, batch["text"]),
            words=pl.Series(words.end - words.start),
            characters=batch["text"].str.len_chars().cast(pl.Int64),
        )
        .hstack(bands(hashes, offsets, params.dedup))
    )


def strip_lines(batch: pl.DataFrame, boilerplate: pl.Series) -> pl.DataFrame:
    """The batch without the lines whose hash is in `boilerplate`; edits say how many."""
    if not len(boilerplate):
        return batch
    lines = split_lines(batch["text"]).with_columns(
        strip=pl.col("hash").is_in(boilerplate.implode())
    )
    hit = (
        lines.group_by("document", maintain_order=True)
        .agg(
            pl.col("line").filter(~pl.col("strip")).str.join("\n").alias("stripped"),
            pl.col("strip").sum().alias("count"),
        )
        .filter(pl.col("count") > 0)
    )
    rows = hit["document"]
    edits = [
        json.dumps(json.loads(old) | {"boilerplate_lines": count})
        for old, count in zip(batch["edits"].gather(rows), hit["count"], strict=True)
    ]
    stripped = hit["stripped"].str.replace_all("\n{3,}", "\n\n").str.strip_chars()
    return batch.with_columns(
        batch["text"].scatter(rows, stripped),
        batch["edits"].scatter(rows, pl.Series(edits, dtype=pl.String)),
    )


def key_of(facts: Mapping[str, str]) -> str:
    """Name of a result: 32 hexadecimal digits of everything that it depends on."""
    text = json.dumps(dict(facts), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
