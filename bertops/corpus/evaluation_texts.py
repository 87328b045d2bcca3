"""Texts that models are measured on, made comparable with the corpus."""

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

import polars as pl

from bertops.corpus.decontaminate import Index, build_index
from bertops.corpus.judge import JUDGED
from bertops.corpus.normalize import normalize
from bertops.corpus.params import CorpusParams
from bertops.corpus.shard import keys_schema, sign
from bertops.corpus.shingles import content_words
from bertops.corpus.tables import batches, write_part
from bertops.document import document_id
from bertops.storage import write_whole

BATCH = 1_000


def write_evaluation_texts(
    texts: Mapping[str, Iterable[str]], target: Path, params: CorpusParams
) -> None:
    """Write texts/ and keys/ of all evaluation sets, like those of a shard, as split `evaluation`.

    Texts are repaired as the corpus is; a text that stands in several sets counts for the first.
    """
    tables, keys = [JUDGED.to_frame()], [keys_schema(params).to_frame()]
    for name in sorted(texts):
        for batch in _batched(texts[name]):
            table = _judged(name, batch, params)
            tables.append(table)
            keys.append(sign(table, content_words(table["text"]), params))
    with write_whole(target) as partial:
        write_part(pl.concat(tables), partial / "texts", 0)
        write_part(pl.concat(keys), partial / "keys", 0)


def _batched(texts: Iterable[str]) -> Iterable[list[str]]:
    iterator = iter(texts)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _judged(name: str, texts: list[str], params: CorpusParams) -> pl.DataFrame:
    """Table JUDGED of evaluation texts; what they have none of is null."""
    repaired, _ = normalize(pl.Series("text", texts, dtype=pl.String), params.normalize)
    known = pl.DataFrame(
        {"doc_id": [document_id(text) for text in texts], "text": repaired}
    ).with_columns(source=pl.lit(name), file=pl.lit(name), split=pl.lit("evaluation"))
    missing = [pl.lit(None).alias(column) for column in JUDGED if column not in known.columns]
    table = known.with_row_index("row").with_columns(missing)
    return table.select(JUDGED.names()).cast(JUDGED).unique("doc_id", maintain_order=True)


def load_index(directory: Path, params: CorpusParams) -> Index:
    """The n-grams of the texts that `write_evaluation_texts` wrote."""
    by_set: dict[str, list[pl.Series]] = {}
    for batch in batches(directory / "texts/part-00000.parquet"):
        for (name,), rows in batch.group_by("source", maintain_order=True):
            by_set.setdefault(str(name), []).append(rows["text"])
    return build_index(by_set, params.decontaminate)
