"""Texts that models are measured on, made comparable with the corpus."""

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

import polars as pl

from bertops.corpus.decontaminate import build_indexes, save_indexes
from bertops.corpus.judge import JUDGED
from bertops.corpus.normalize import normalize
from bertops.corpus.params import CorpusParams
from bertops.corpus.shard import keys_schema, sign
from bertops.corpus.tables import write_single
from bertops.corpus.words import content_words
from bertops.document import document_id
from bertops.storage import write_whole

BATCH = 1_000


def write_evaluation_texts(
    texts: Mapping[str, Iterable[str]], target: Path, params: CorpusParams
) -> None:
    """Make evaluation texts comparable: repaired as the corpus is, and signed like a shard.

    Writes texts/ (table JUDGED, split `evaluation`) and keys/, and index/ with the n-grams. A text
    that stands twice counts once, for the first set by name.
    """
    tables, keys = [JUDGED.to_frame()], [keys_schema(params).to_frame()]
    for name in sorted(texts):
        for batch in _batched(texts[name]):
            table = _judged(name, batch, params)
            tables.append(table)
            keys.append(sign(table, content_words(table["text"]), params))
    with write_whole(target) as partial:
        write_single(pl.concat(tables), partial / "texts")
        write_single(pl.concat(keys), partial / "keys")
        by_set = {
            name: [table["text"] for table in tables if name in table["source"]] for name in texts
        }
        (partial / "index").mkdir()
        save_indexes(build_indexes(by_set, params.decontaminate), partial / "index")


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
