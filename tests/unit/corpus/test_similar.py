"""Near copies over all shards: the same pairs and verdicts, however the work is spread."""

from itertools import combinations
from pathlib import Path

import polars as pl
import pytest

from bertops.corpus import similar
from bertops.corpus.dedup import KEYS, numbered
from bertops.corpus.judge import JUDGED
from bertops.corpus.minhash import band_names
from bertops.corpus.params import DedupParams
from bertops.corpus.shard import keys_schema, sign
from bertops.corpus.similar import similar_pairs
from bertops.corpus.tables import write_parts, write_single
from bertops.corpus.words import content_words
from bertops.document import SplitParams, document_id
from bertops.parallel import ParallelParams, Workers
from tests.unit.corpus.test_clean import changed, params_of, prose, run

TEXTS = [prose(seed, 80) for seed in range(30)]
COPIES = [changed(text, 1, seed) for seed in range(4) for text in TEXTS[:9]]
PARAMS = params_of()


def shards_of(texts: list[str], folder: Path, size: int) -> pl.DataFrame:
    """Write texts/ and keys/ as `sign_shard` does; the keys, with shard and place."""
    rows = [{"doc_id": document_id(t), "source": "s", "file": "f", "row": i, "text": t,
             "split": "train"} for i, t in enumerate(texts)]  # fmt: skip
    missing = [pl.lit(None, JUDGED[c]).alias(c) for c in JUDGED if c not in rows[0]]
    table = pl.DataFrame(rows).with_columns(missing).select(JUDGED.names()).cast(JUDGED)
    keys = []
    for number, batch in enumerate(table.iter_slices(size)):
        keys.append(sign(batch, content_words(batch["text"]), PARAMS))
        write_parts([batch], folder / f"{number}/texts", JUDGED, 1 << 40, 1 << 40)
        write_single(keys[-1].cast(keys_schema(PARAMS)), folder / f"{number}/keys")
    return numbered(keys)


def pairs_of(documents: pl.DataFrame, folder: Path, workers: int) -> list[tuple[int, int, float]]:
    shards = range(documents["shard"].n_unique())
    files = ([folder / f"{n}/{kind}/part-00000.parquet" for n in shards]
             for kind in ("keys", "texts"))  # fmt: skip
    with Workers(ParallelParams(workers=workers)) as some:
        found = similar_pairs(
            documents.select("entry", "shard", "place", *KEYS),
            *files,
            PARAMS.dedup,
            folder / f"comparing-{workers}",
            some,
        )
    return found.rows()


def obvious(documents: pl.DataFrame, texts: list[str], params: DedupParams) -> set[tuple[int, int]]:
    """Every two documents that share a band and are similar enough, looked at one by one."""
    by_id = {document_id(text): text for text in texts}
    found = set()
    for one, other in combinations(documents.iter_rows(named=True), 2):
        if any(one[band] == other[band] for band in band_names(params)):
            a, b = (runs(by_id[row["doc_id"]], params.ngram) for row in (one, other))
            if len(a & b) / len(a | b) >= params.min_jaccard:
                found.add((one["entry"], other["entry"]))
    return found


def runs(text: str, n: int) -> set[tuple[str, ...]]:
    words = text.rstrip(".").split()
    return {tuple(words[place : place + n]) for place in range(len(words) - n + 1)}


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tasks for few documents."""
    monkeypatch.setattr(similar, "LEAST_HASHES", 1)
    monkeypatch.setattr(similar, "TASK_PAIRS", 7)


def test_pairs_are_those_of_the_obvious_way(tmp_path: Path) -> None:
    documents = shards_of(TEXTS + COPIES, tmp_path, size=13)
    found = pairs_of(documents, tmp_path, workers=1)
    expected = obvious(documents, TEXTS + COPIES, PARAMS.dedup)
    assert [(a, b) for a, b, _ in found] == sorted(expected)
    assert len(expected) > 50


def test_pairs_are_the_same_for_any_number_of_workers_and_any_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = shards_of(TEXTS + COPIES, tmp_path, size=13)
    expected = pairs_of(documents, tmp_path, workers=1)
    monkeypatch.setattr(similar, "LEAST_HASHES", 1)
    monkeypatch.setattr(similar, "MOST_HASHES", 20)
    monkeypatch.setattr(similar, "TASK_PAIRS", 7)
    for workers in (1, 2, 3):
        assert pairs_of(documents, tmp_path, workers) == expected


@pytest.mark.usefixtures("small_tasks")
def test_verdicts_are_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    texts, leak = {"s": TEXTS + COPIES}, {"t": [changed(TEXTS[3], 1, 99), TEXTS[20]]}
    hashes = set()
    for workers in (1, 2, 3):
        params = params_of(parallel=ParallelParams(workers=workers))
        found = run(tmp_path / str(workers), texts, params, SplitParams(), leak, shard=13)
        assert {"dedup.near", "decontaminate.ngram"} <= set(found.report.dropped)
        hashes.add(found.hashes)
    assert len(hashes) == 1


def test_without_copies_nothing_is_verified(tmp_path: Path) -> None:
    documents = shards_of(TEXTS, tmp_path, size=13)
    assert pairs_of(documents, tmp_path, workers=1) == []
    assert pairs_of(documents.clear(), tmp_path, workers=1) == []
