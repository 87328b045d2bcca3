"""A corpus of any size in bounded memory: what each worker holds while gigabytes are cleaned.

Real text with variations, as much as asked for: sentences of two movie reviews in turns (extra
`quickstart`). Everything of the stage `clean` is done, near-duplicates included, by two processes.
"""

from __future__ import annotations

import os

os.environ.update(
    dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
)

import contextlib
import random
import re
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import polars as pl
import psutil

from benchmarks.report import Bar, finish, parser
from benchmarks.texts import review_rows
from bertops.corpus.clean import clean_corpus
from bertops.corpus.params import (
    C4Params,
    CorpusParams,
    GopherQualityParams,
    NormalizeParams,
    PiiParams,
    RuleParams,
    SourceParams,
)
from bertops.corpus.tables import RAW, write_parts
from bertops.document import SplitParams, document_id
from bertops.parallel import ParallelParams

SHARD_BYTES = 128 << 20

SOURCE = SourceParams(name="reviews", path="reviews.csv")
# The published thresholds, and C4 removing lines, as datatrove has them.
PUBLISHED = RuleParams(
    gopher_quality=GopherQualityParams(min_alphabetic_words=0.8), c4=C4Params(drop_lines=True)
)
PARAMS = CorpusParams(
    sources=(SOURCE,),
    normalize=NormalizeParams(markup=False, urls="keep", full_width=False),
    rules=PUBLISHED,
    pii=PiiParams(kinds=("email", "ip")),
)
NO_SPLIT = SplitParams(validation=0, test=0)


def reviews() -> list[str]:
    """Texts of the quickstart corpus, line breaks instead of their `<br />`."""
    rows = [row["text"] for row in review_rows() if row["source"] == "imdb"]
    return [text.replace("<br />", "\n") for text in dict.fromkeys(rows)]


def raw_table(texts: Sequence[str], first: int = 0) -> pl.DataFrame:
    """Table RAW of texts; `first` is the row of the first one."""
    rows = [
        {"doc_id": document_id(t), "source": "reviews", "file": "f", "row": i, "text": t}
        for i, t in enumerate(texts, first)
    ]
    return pl.DataFrame(rows, RAW)


def whole_run(tables: Iterable[pl.DataFrame], workers: int, part_bytes: int) -> float:
    """Seconds by the clock to clean the documents, laid out in shards of some size."""
    params = PARAMS.model_copy(update={"parallel": ParallelParams(workers=workers)})
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_parts(tables, root / "raw", RAW, 1 << 40, part_bytes)
        start = time.perf_counter()
        clean_corpus(
            {"reviews": root / "raw"}, {}, root / "corpus", root / "ledger", params, NO_SPLIT
        )
        return time.perf_counter() - start


def varied(texts: Sequence[str], megabytes: float) -> Iterator[pl.DataFrame]:
    """Real text with variations, to the size asked for: sentences of two reviews in turns."""
    rng, size, made = random.Random(2), 0.0, 0
    while size < megabytes * 1e6:
        some = []
        for _ in range(1000):
            left, right = (rng.choice(texts).split(". ") for _ in range(2))
            some.append(". ".join(s for pair in zip(left, right, strict=False) for s in pair))
            size += len(some[-1].encode())
        yield raw_table(some, made)
        made += len(some)


class WorkerMemory:
    """Most memory that one worker process held while the block ran.

    Asked of the processes themselves: the resource usage of a child begins at what its parent
    held when it was born.
    """

    def __enter__(self) -> Self:
        self.gb, self._over = 0.0, threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        me = psutil.Process()
        while not self._over.wait(0.1):
            for worker in me.children(recursive=True):
                with contextlib.suppress(psutil.Error, OSError):
                    self.gb = max(self.gb, peak_gb(worker))


def peak_gb(process: psutil.Process) -> float:
    """The peak so far, where the system keeps it; else what it holds now."""
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) or ["0"]
        return int(peak) / 2**20
    return float(process.memory_info().rss) / 2**30


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--megabytes", type=float, default=5000, help="Size of the corpus.")
    made.add_argument("--workers", type=int, default=2, help="Processes.")
    options = made.parse_args()
    with WorkerMemory() as memory:
        seconds = whole_run(varied(reviews(), options.megabytes), options.workers, SHARD_BYTES)
    finish(
        "corpus_memory",
        {"MB of text per second": options.megabytes / seconds},
        {"memory of a worker, GB": Bar(memory.gb, at_most=0.5)},
        options.json,
        megabytes=options.megabytes,
        workers=options.workers,
        parent_gb=peak_gb(psutil.Process()),
    )


if __name__ == "__main__":
    main()
