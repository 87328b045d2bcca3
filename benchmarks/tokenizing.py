"""Memory and speed of tokenizing: a corpus of any size, and the peer that most people use.

The corpus is made of movie reviews, sentences of two in turns (extra `quickstart`), in two sizes;
what the larger needs beyond the smaller tells what 10 GB would need. The peer is `datasets.map`
with the same tokenizer and a process for each processor, as in `run_mlm.py`; both sides are
processes of their own, in turns, over the smaller corpus.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import psutil

from benchmarks.corpus_memory import peak_gb, reviews, varied
from benchmarks.report import ROOT, Bar, finish, parser
from bertops.pretraining.params import TokenizeParams
from bertops.pretraining.tokenize import tokenize_corpus
from bertops.runtime import threads
from bertops.tokenizer.params import TokenizerParams
from bertops.tokenizer.train import train_tokenizer

WORK = ROOT / ".bertops/benchmarks/tokenizing"
PART_MB = 128
VOCAB = 16_384
TARGET_MB = 10_000


def main() -> None:
    """Measure and report."""
    options = _options()
    if options.side:
        print(json.dumps(SIDES[options.side](Path(options.folder))))
        return
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        sizes = (options.megabytes / 4, options.megabytes)
        for place, megabytes in zip((small, large), sizes, strict=True):
            _write_corpus(place, megabytes)
        train_tokenizer(
            small / "corpus/train", Path(folder) / "tokenizer", TokenizerParams(vocab_size=VOCAB)
        )
        turns = [
            {side: _ask(side, small) for side in ("ours", "peer")} for _ in range(options.rounds)
        ]
        first, last = turns[0]["ours"], _ask("ours", large)
    grown = (last["peak_gb"] - first["peak_gb"]) / (sizes[1] - sizes[0])
    finish(
        "tokenizing",
        {
            "text per second over datasets.map": statistics.median(
                turn["peer"]["seconds"] / turn["ours"]["seconds"] for turn in turns
            )
        },
        {
            "memory for 10 GB of text, GB": Bar(
                last["peak_gb"] + max(grown, 0.0) * (TARGET_MB - sizes[1]), at_most=2
            )
        },
        options.json,
        megabytes=sizes,
        peak_gb=[first["peak_gb"], last["peak_gb"]],
        mb_per_s=sizes[1] / last["seconds"],
        turns=turns,
    )


def _options() -> Any:
    made = parser(__doc__)
    made.add_argument("--megabytes", type=float, default=1000, help="Size of the larger corpus.")
    made.add_argument("--rounds", type=int, default=3, help="Turns of each side.")
    made.add_argument("--side", choices=SIDES, help="Run one side alone, over --folder.")
    made.add_argument("--folder", help="Folder of a corpus, for --side.")
    return made.parse_args()


def _write_corpus(folder: Path, megabytes: float) -> None:
    """Parts of `PART_MB`, as the stage `clean` leaves them."""
    target = folder / "corpus/train"
    target.mkdir(parents=True)
    tables: list[pl.DataFrame] = []
    for table in varied(reviews(), megabytes):
        tables.append(table.select("text"))
        if sum(t.estimated_size() for t in tables) >= PART_MB * 1e6:
            _write_part(target, tables)
    if tables:
        _write_part(target, tables)


def _write_part(target: Path, tables: list[pl.DataFrame]) -> None:
    number = len(list(target.iterdir()))
    pl.concat(tables).write_parquet(target / f"part-{number:05d}.parquet", row_group_size=1024)
    tables.clear()


def _ask(side: str, folder: Path) -> dict[str, float]:
    """What a process of its own says of one side."""
    command = [sys.executable, "-m", "benchmarks.tokenizing", "--side", side]
    done = subprocess.run(
        [*command, "--folder", str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def _ours(folder: Path) -> dict[str, float]:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as target:
        tokenize_corpus(
            folder / "corpus",
            folder.parent / "tokenizer",
            Path(target) / "tokens",
            TokenizeParams(),
        )
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_gb": peak_gb(psutil.Process())}


def _peer(folder: Path) -> dict[str, float]:
    """`datasets.map`, batched, in processes, as in run_mlm.py."""
    import datasets
    from transformers import AutoTokenizer

    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(folder.parent / "tokenizer")
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        files = sorted(str(path) for path in (folder / "corpus/train").iterdir())
        texts = datasets.load_dataset("parquet", data_files=files, cache_dir=cache)["train"]
        start = time.perf_counter()
        texts.map(
            lambda rows: tokenizer(rows["text"], return_special_tokens_mask=True),
            batched=True,
            num_proc=threads(),
            remove_columns=["text"],
        )
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_gb": peak_gb(psutil.Process())}


SIDES = {"ours": _ours, "peer": _peer}


if __name__ == "__main__":
    main()
