"""Our rule chain and near-duplicate step against datatrove's: speed, verdicts, recall, memory.

Text: the movie reviews of the extra `quickstart`; datatrove is the extra `oracle`. Both sides get
the same documents in turns, and time is CPU time of one thread. datatrove fetches the model of
its language filter when it runs, so its side calls py3langid, document by document.

How much two processes gain depends on the machine, too: two virtual processors may be the halves of
one. So two cleanings of one process each, at the same time, tell what could be gained at all.

datatrove is imported where it is used: every worker process of ours imports this module, too.
"""

from __future__ import annotations

import os

os.environ.update(
    dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
)

import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import polars as pl

from benchmarks.corpus_memory import (
    NO_SPLIT,
    PARAMS,
    PUBLISHED,
    SOURCE,
    WorkerMemory,
    raw_table,
    reviews,
    varied,
    whole_run,
)
from benchmarks.report import Bar, finish, parser
from bertops.corpus.dedup import near_copies, numbered
from bertops.corpus.ingest import SHARD_BYTES, SHARD_FILL
from bertops.corpus.judge import judge_batch
from bertops.corpus.rules.judge import measure, rules_of
from bertops.corpus.shard import keys_schema, sign
from bertops.corpus.similar import similar_pairs
from bertops.corpus.tables import only_part, write_single
from bertops.corpus.words import content_words
from bertops.document import document_id
from bertops.parallel import ParallelParams, Workers

PART_BYTES = int(SHARD_BYTES * SHARD_FILL)
"""Size of a shard as `ingest` writes them, on average."""


def cpu_seconds(function: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def megabytes(texts: Sequence[str]) -> float:
    """Size of texts in UTF-8."""
    return sum(len(text.encode()) for text in texts) / 1e6


# ── the rule chain ──


def our_chain(texts: Sequence[str]) -> None:
    """Everything that is done to a batch before documents are compared."""
    judge_batch(raw_table(texts), SOURCE, PARAMS, NO_SPLIT)


def chain_ratio(texts: Sequence[str], rounds: int, documents: int) -> dict[str, float]:
    """MB per CPU-second of both sides, in turns; datatrove gets the first quarter of a batch.

    Our side gets batches of the size that it works in; datatrove has no batches.
    """
    from benchmarks import datatrove_side

    theirs = datatrove_side.Chain()
    theirs.run(texts[:20])  # models are loaded before anything is timed
    our_chain(texts[:20])
    speeds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(rounds):
        batch = texts[number * documents : (number + 1) * documents]
        quarter = batch[: documents // 4]
        speeds["ours"].append(megabytes(batch) / cpu_seconds(partial(our_chain, batch)))
        speeds["theirs"].append(megabytes(quarter) / cpu_seconds(partial(theirs.run, quarter)))
    return {name: statistics.median(values) for name, values in speeds.items()}


def our_verdicts(texts: Sequence[str]) -> list[str | None]:
    """First failed rule of each text, in the order of datatrove's filters; None: kept."""
    series = pl.Series("text", texts, dtype=pl.String)
    language = pl.repeat("en", len(texts), eager=True).alias("language")
    measures, _ = measure(series, language, PUBLISHED)
    table = measures.with_columns(language)
    names = [
        pl.when(rule.failed()).then(pl.lit(rule.name.split(".")[0])) for rule in rules_of(PUBLISHED)
    ]
    return table.select(pl.coalesce(names)).to_series().to_list()


def verdict_agreement(texts: Sequence[str]) -> tuple[float, list[dict[str, str | None]]]:
    """Share of documents on which both say the same, split into words alike; and the others."""
    ours = [v for i in range(0, len(texts), 1000) for v in our_verdicts(texts[i : i + 1000])]
    from benchmarks import datatrove_side

    with datatrove_side.our_words():
        theirs = datatrove_side.verdicts(texts)
    different = [
        {"id": document_id(text), "ours": a, "theirs": b}
        for text, a, b in zip(texts, ours, theirs, strict=True)
        if a != b
    ]
    return 1 - len(different) / len(texts), different


# ── near duplicates ──


def with_copies(texts: Sequence[str], share: float, rng: random.Random) -> tuple[list[str], int]:
    """`texts`, and after them a copy of every fifth with that share of its words replaced."""
    vocabulary = sorted({word for text in texts[:200] for word in text.split()})
    copies = []
    for text in texts[::5]:
        words = text.split(" ")
        for place in rng.sample(range(len(words)), max(1, round(share * len(words)))):
            words[place] = rng.choice(vocabulary)
        copies.append(" ".join(words))
    return [*texts, *copies], len(copies)


def our_pairs(table: pl.DataFrame, folder: Path) -> set[tuple[int, int]]:
    """Near-duplicate pairs by row, found as `clean_corpus` finds them.

    Args:
        table: documents, which lie in `folder / texts` as well.
        folder: gets what documents are compared by.
    """
    keys = [keys_schema(PARAMS).to_frame()]
    for start in range(0, len(table), 1000):
        batch = table.slice(start, 1000)
        keys.append(sign(batch, content_words(batch["text"]), PARAMS))
    write_single(pl.concat(keys), folder / "keys")
    documents = numbered([pl.concat(keys)])
    files = [only_part(folder / "keys")], [only_part(folder / "texts")]
    with Workers(ParallelParams(workers=1)) as workers:
        pairs = similar_pairs(documents, *files, PARAMS.dedup, folder / "comparing", workers)
    near_copies(pairs)
    place = dict(documents.select("entry", "place").iter_rows())
    return {(min(place[a], place[b]), max(place[a], place[b])) for a, b, _ in pairs.iter_rows()}


def jaccard(left: str, right: str) -> float:
    """Share of common runs of five words: the obvious way, as a reference."""
    a, b = (
        {" ".join(words[i : i + 5]) for i in range(max(len(words) - 4, 1))}
        for words in (content_words(pl.Series([text])).lists[0].to_list() for text in (left, right))
    )
    return len(a & b) / len(a | b)


def near_duplicates(texts: Sequence[str], few: int, many: int, rounds: int) -> dict[str, float]:
    """Speed of both sides in turns, their ratio, and how well the planted copies are found."""
    from benchmarks import datatrove_side

    rng = random.Random(1)
    sample, copies = with_copies(texts[:many], 0.02, rng)
    small, _ = with_copies(texts[:few], 0.02, rng)
    turns, pairs = [], set[tuple[int, int]]()
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            table = raw_table(sample).with_columns(split=pl.lit("train"))
            write_single(table, Path(folder) / "texts")
            ours = cpu_seconds(partial(_keep, pairs, table, Path(folder)))
        with tempfile.TemporaryDirectory() as folder:
            theirs = cpu_seconds(partial(datatrove_side.near_duplicates, small, Path(folder)))
        turns.append((megabytes(sample) / ours, megabytes(small) / theirs))
    result = {
        "ours": statistics.median(ours for ours, _ in turns),
        "theirs": statistics.median(theirs for _, theirs in turns),
        "ratio": statistics.median(ours / theirs for ours, theirs in turns),
    }
    planted = {(5 * i, many + i) for i in range(copies)}
    found = {pair for pair in planted if jaccard(sample[pair[0]], sample[pair[1]]) >= 0.8}
    result["recall"] = len(found & pairs) / len(found)
    result["precision"] = sum(jaccard(sample[a], sample[b]) >= 0.7 for a, b in pairs) / len(pairs)
    return result


def _keep(pairs: set[tuple[int, int]], table: pl.DataFrame, folder: Path) -> None:
    pairs |= our_pairs(table, folder)


# ── two processes ──


def clean_alone(megabytes: float) -> float:
    """Seconds of a cleaning by one process."""
    return whole_run(varied(reviews(), megabytes), 1, PART_BYTES)


def gained_by_two(megabytes: float) -> float:
    """How much more two cleanings of one process each get done at once than one alone does."""
    alone = clean_alone(megabytes)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context) as pool:
        together = max(pool.map(clean_alone, [megabytes] * 2))
    return 2 * alone / together


def main() -> None:
    """Measure and report."""
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--documents", type=int, default=1000, help="A round of the rule chain.")
    arguments.add_argument("--megabytes", type=float, default=120, help="For the scaling.")
    options = arguments.parse_args()
    texts = reviews()
    random.Random(0).shuffle(texts)
    chain = chain_ratio(texts, options.rounds, options.documents)
    agreement, different = verdict_agreement(texts[:5000])
    near = near_duplicates(texts, few=300, many=6000, rounds=options.rounds)
    with WorkerMemory() as memory:
        one, two = (
            whole_run(varied(texts, options.megabytes), workers, PART_BYTES) for workers in (1, 2)
        )
    possible = gained_by_two(options.megabytes)
    ratios = {
        "rule chain: ours over datatrove": chain["ours"] / chain["theirs"],
        "near duplicates: ours over datatrove": near["ratio"],
        "two processes over one": one / two,
        "two cleanings at once over one": possible,
    }
    bars = {
        "rule chain: ours over datatrove": Bar(ratios["rule chain: ours over datatrove"], 20),
        "rule chain: equal verdicts": Bar(agreement, 0.99),
        "near duplicates: ours over datatrove": Bar(near["ratio"], 50),
        "near duplicates: recall": Bar(near["recall"], 0.91),
        "near duplicates: precision": Bar(near["precision"], 0.99),
        "two processes over one": Bar(one / two, 1.75),
        "two processes, share of what two cleanings gain": Bar(one / two / possible, 1.75 / 2),
        "memory of a worker, GB": Bar(memory.gb, at_most=0.5),
    }
    finish(
        "corpus",
        ratios,
        bars,
        options.json,
        mb_per_cpu_second={"chain": chain, "near_duplicates": near},
        different_verdicts=different,
    )


if __name__ == "__main__":
    main()
