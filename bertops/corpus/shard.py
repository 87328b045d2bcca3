"""What is done to one shard, each a pure function of files: judge it, then sign what is left.

Results lie in folders named by a hash of everything they depend on, so that a killed run resumes,
a new file costs only itself, and changed parameters or inputs never reuse old results.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from bertops.corpus.clock import Clock
from bertops.corpus.decontaminate import MATCHES, find_overlaps, load_indexes
from bertops.corpus.dedup import KEYS
from bertops.corpus.judge import JUDGED, judge_batch
from bertops.corpus.minhash import band_names, bands
from bertops.corpus.params import CorpusParams, SourceParams
from bertops.corpus.rules.flat import per_document, split_lines, split_words
from bertops.corpus.shingles import shingles, text_hashes
from bertops.corpus.tables import LEDGER, PartWriter, batches, only_part, write_single
from bertops.corpus.words import Words, content_words
from bertops.document import SplitParams
from bertops.storage import write_json, write_whole

SECONDS = "seconds.json"
SIGNED = pl.Schema(dict(JUDGED) | {"characters": pl.Int64(), "words": pl.Int64()})
"""Documents as they will be in the corpus, if comparing them with all others leaves them."""
LINES = pl.Schema({"source": pl.String, "hash": pl.UInt64, "documents": pl.UInt32})


def judge_shard(
    raw: Path, target: Path, source: SourceParams, params: CorpusParams, split: SplitParams
) -> None:
    """Judge every document of one raw part; writes kept/, ledger/ and lines/ under `target`."""
    lines, clock = [LINES.to_frame()], Clock()
    with (
        write_whole(target) as partial,
        PartWriter(partial / "kept", JUDGED) as kept,
        PartWriter(partial / "ledger", LEDGER) as ledger,
    ):
        for batch in batches(raw):
            judged = judge_batch(batch, source, params, split, clock)
            kept.write(judged.kept)
            ledger.write(judged.ledger)
            lines.append(_line_counts(judged.kept, params.dedup.boilerplate_min_words))
        counts = pl.concat(lines).group_by("source", "hash").agg(pl.col("documents").sum())
        write_single(counts.sort("hash").select(LINES.names()).cast(LINES), partial / "lines")
        write_json(partial / SECONDS, clock.seconds)


def _line_counts(kept: pl.DataFrame, min_words: int) -> pl.DataFrame:
    """In how many documents of a batch each line stands, for lines of enough words: table LINES.

    Short lines are headings as often as they are buttons, and cost little either way.
    """
    training = kept.filter(pl.col("split") != "test")
    lines = split_lines(training["text"])
    words = content_words(lines["line"])
    lines = lines.filter(pl.Series(words.end - words.start) >= min_words)
    counted = lines.unique(["document", "hash"]).group_by("hash").agg(documents=pl.len())
    source = training["source"][0] if len(training) else ""
    return counted.with_columns(source=pl.lit(source)).select(LINES.names()).cast(LINES)


def keys_schema(params: CorpusParams) -> pl.Schema:
    """Columns of keys/: what documents are numbered and compared by."""
    own = JUDGED | {"text_hash": pl.String(), "words": pl.Int64()}
    return pl.Schema(
        [
            *((name, own[name]) for name in KEYS),
            *((name, pl.UInt64()) for name in band_names(params.dedup)),
        ]
    )


def sign_shard(
    judged: Path, target: Path, boilerplate: Path, index: Path | None, params: CorpusParams
) -> None:
    """Strip boilerplate and compute what documents are compared by.

    Args:
        judged: what `judge_shard` wrote.
        target: gets texts/ (table SIGNED, stripped), keys/ (`keys_schema`) and matches/ (overlaps
            with evaluation texts, by row of texts/).
        boilerplate: Parquet file with the hashes of the lines to strip.
        index: folder with the n-grams of the evaluation texts; None where there are none.
        params: corpus parameters.
    """
    lines = pl.read_parquet(boilerplate)["hash"]
    indexes = load_indexes(index) if index else ()
    row = 0
    with (
        write_whole(target) as partial,
        PartWriter(partial / "texts", SIGNED) as texts,
        PartWriter(partial / "keys", keys_schema(params)) as keys,
        PartWriter(partial / "matches", MATCHES) as matches,
    ):
        for kept in batches(only_part(judged / "kept")):
            batch = strip_lines(kept, lines, params.dedup.boilerplate_max_stripped)
            words = content_words(batch["text"])
            texts.write(_counted(batch))
            keys.write(sign(batch, words, params))
            training = (batch["split"] == "train").to_numpy()
            found = find_overlaps(words, training, indexes)
            matches.write(found.with_columns(pl.col("document") + row))
            row += len(batch)


def _counted(batch: pl.DataFrame) -> pl.DataFrame:
    """Table SIGNED: the batch with its characters and words, punctuation apart."""
    words = split_words(batch["text"]).filter(pl.col("word").str.contains(r"\w"))
    counts = per_document(words, len(batch), pl.len().alias("words"))["words"].fill_null(0)
    return batch.with_columns(counts, characters=pl.col("text").str.len_chars())


def sign(batch: pl.DataFrame, words: Words, params: CorpusParams) -> pl.DataFrame:
    """What the documents of a batch (table JUDGED) are compared by; columns `keys_schema`."""
    hashes, offsets = shingles(words, params.dedup.ngram)
    return (
        batch.select("doc_id", "source", "file", "row", "split")
        .with_columns(
            text_hashes(words, batch["text"]),
            words=pl.Series(words.end - words.start),
        )
        .hstack(bands(hashes, offsets, params.dedup))
    )


def strip_lines(batch: pl.DataFrame, boilerplate: pl.Series, max_share: float) -> pl.DataFrame:
    """The batch without the lines whose hash is in `boilerplate`; edits say how many.

    A document that would lose more than `max_share` of its characters is left whole: it is a copy
    of other documents rather than a page with a banner, and copies are judged later.
    """
    if not len(boilerplate):
        return batch
    is_hit = pl.col("hash").is_in(boilerplate.implode())
    hit = (
        split_lines(batch["text"])
        .with_columns(strip=is_hit)
        .group_by("document", maintain_order=True)
        .agg(
            pl.col("line").filter(~pl.col("strip")).str.join("\n").alias("stripped"),
            pl.col("strip").sum().alias("count"),
            share=pl.col("length").filter("strip").sum() / pl.col("length").sum(),
        )
        .filter(pl.col("count") > 0, pl.col("share") <= max_share)
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
