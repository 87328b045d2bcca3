"""Our pretraining loop against the HF Trainer, in turns: tokens/s and time to a held-out loss.

The peer is the recipe of run_mlm.py: `Trainer` and `DataCollatorForLanguageModeling` over
concatenated chunks, as it comes (fp32) and with bf16. Both sides have the same model, rows, batch,
mask, peak learning rate and optimizer. Text: the movie reviews of the extra `quickstart`.

On a CPU: BERT 4x256, 16,384 tokens, rows of 128, mask 15 %; the bars are for two cores with AMX.
With --device cuda: BERT-base, 30,528 tokens, rows of 512, mask 30 %, against the Trainer with bf16
alone; the bar is 650,000 tokens/s on one H200. The result says what this machine has.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.report import ROOT, Bar, finish, parser
from benchmarks.texts import review_rows
from bertops import runtime
from bertops.model.build import build_model
from bertops.model.params import ModelParams
from bertops.pretraining.batches import Source, open_source
from bertops.pretraining.params import MaskingParams, PackingParams, PretrainingParams
from bertops.pretraining.store import TokenStore
from bertops.pretraining.tokenize import tokenize_corpus
from bertops.tokenizer.load import Vocab
from bertops.tokenizer.params import TokenizerParams
from bertops.tokenizer.train import train_tokenizer
from bertops.tracker import NullTracker
from bertops.training.loop import Run, train_step
from bertops.training.objective import Objective
from bertops.training.optimizer import set_learning_rate
from bertops.training.params import BudgetParams, OptimizerParams, PretrainParams, TrainingParams
from bertops.training.pretrain import prepare
from bertops.training.spikes import SpikeGuard
from bertops.training.validation import Validator

WARMUP_STEPS = 20


@dataclass(frozen=True)
class Setting:
    """What both sides train."""

    preset: Literal["mini", "base"]
    vocab_size: int
    row_length: int
    batch_rows: int
    mask: float
    learning_rate: float
    peers: dict[str, bool]
    """By name, whether it trains in bf16."""
    bars: dict[str, tuple[float, float]]
    """By peer: least ratio of tokens/s, most share of its time to its loss."""
    least_speed: float | None = None
    """Least tokens/s on one H200."""
    compile: bool = False
    """Whether our encoder goes through torch.compile."""

    @property
    def work(self) -> Path:
        """Tokenizer and token stores; they differ by the vocabulary alone."""
        return ROOT / f".bertops/benchmarks/pretraining-{self.vocab_size}"


CPU = Setting(
    preset="mini",
    vocab_size=16_384,
    row_length=128,
    batch_rows=32,
    mask=0.15,
    learning_rate=1e-3,
    peers={"fp32": False, "bf16": True},
    bars={"fp32": (5.0, 1 / 6), "bf16": (3.0, 1 / 4)},
)
CUDA = Setting(
    preset="base",
    vocab_size=30_528,
    row_length=512,
    batch_rows=128,
    mask=0.3,
    learning_rate=1e-4,
    peers={"bf16": True},
    bars={},
    least_speed=650_000,
)

Clock = Callable[[], float]


@dataclass(frozen=True)
class Turn:
    """What one side did in one turn."""

    seconds: float
    tokens: int

    @property
    def speed(self) -> float:
        """Tokens per second, padding not counted."""
        return self.tokens / self.seconds


# ── the text ──


def prepare_text(setting: Setting) -> None:
    """Tokenizer and token stores of the reviews, once."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    work = setting.work
    if (work / "tokens").is_dir():
        return
    texts = [row["text"] for row in review_rows() if row["source"] == "imdb"]
    for split, some in (("train", texts[1000:]), ("validation", texts[:1000])):
        folder = work / "corpus" / split
        folder.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table({"text": some}), folder / "part-00000.parquet")
    wanted = TokenizerParams(vocab_size=setting.vocab_size)
    train_tokenizer(work / "corpus/train", work / "tokenizer", wanted)
    params = PretrainingParams().tokenize
    tokenize_corpus(work / "corpus", work / "tokenizer", work / "tokens", params)


def model_params(setting: Setting) -> ModelParams:
    """BERT of the wanted size."""
    return ModelParams(architecture="bert", preset=setting.preset, max_positions=setting.row_length)


# ── our side ──


def our_run(setting: Setting) -> Run:
    """A run of ours, ready for its first step."""
    work = setting.work
    params = PretrainParams(
        pretraining=PretrainingParams(
            packing=PackingParams(row_length=setting.row_length),
            masking=MaskingParams(rate=setting.mask),
        ),
        model=model_params(setting),
        training=TrainingParams(
            budget=BudgetParams(steps=10**6),
            batch_rows=setting.batch_rows,
            compile=setting.compile,
            optimizer=OptimizerParams(learning_rate=setting.learning_rate, beta2=0.999),
        ),
    )
    source = open_source(work / "tokens/train", work / "tokenizer", params.pretraining, 0)
    held_out = open_source(work / "tokens/validation", work / "tokenizer", params.pretraining, 0)
    return prepare(source, held_out, work / "none", params, NullTracker())


def our_steps(run: Run) -> Iterator[int]:
    """Train without end; yields the tokens of each step."""
    guard = SpikeGuard(False, [], run.device)
    with run.feed.from_step(1) as batches:
        for step, batch in enumerate(batches, start=1):
            rate = run.params.optimizer.learning_rate
            set_learning_rate(run.optimizer, rate * min(1.0, step / WARMUP_STEPS))
            train_step(run, run.objective, guard, step, batch)
            yield batch.tokens


# ── the peer ──


class Chunks(torch.utils.data.Dataset[dict[str, Any]]):
    """Documents between [CLS] and [SEP], end to end, cut into rows: run_mlm.py's group_texts."""

    def __init__(self, store: TokenStore, vocab: Vocab, row_length: int) -> None:
        parts: list[NDArray[np.integer]] = []
        for start, length in zip(store.boundaries.tolist(), store.lengths.tolist(), strict=False):
            parts += [np.array([vocab.cls]), store.read(start, length), np.array([vocab.sep])]
        ids = np.concatenate(parts)
        self._rows = ids[: len(ids) // row_length * row_length].reshape(-1, row_length)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self._rows[index].tolist()}


class Peer:
    """The HF Trainer on the same model, stopped and continued from outside."""

    def __init__(self, setting: Setting, source: Source, bf16: bool, clock: Clock) -> None:
        self.model = build_model(model_params(setting), source.vocab, seed=0)
        self._setting, self._clock, self._bf16 = setting, clock, bf16
        self._chunks = Chunks(source.store, source.vocab, setting.row_length)

    def steps(self, limit: Callable[[], bool]) -> list[float]:
        """Train until `limit()`; returns when each step ended. Weights are kept in between."""
        from transformers import (
            AutoTokenizer,
            DataCollatorForLanguageModeling,
            Trainer,
            TrainerCallback,
            TrainingArguments,
        )

        ends: list[float] = []
        clock, setting = self._clock, self._setting

        class Watch(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
                ends.append(clock())
                control.should_training_stop = limit()
                return control

        arguments = TrainingArguments(
            output_dir=str(setting.work / "trainer"),
            per_device_train_batch_size=setting.batch_rows,
            learning_rate=setting.learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=WARMUP_STEPS,
            max_steps=10**6,
            bf16=self._bf16,
            use_cpu=runtime.device().type == "cpu",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(setting.work / "tokenizer")
        collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=setting.mask)
        Trainer(
            self.model, arguments, collator, train_dataset=self._chunks, callbacks=[Watch()]
        ).train()
        return ends


# ── what is measured ──


def measure_speed(
    setting: Setting, rounds: int, steps: int, clock: Clock
) -> dict[str, list[float]]:
    """Tokens per second of each side in each round, taking turns; first steps not counted."""
    run = our_run(setting)
    source, ours = run.feed.batches.source, our_steps(run)
    peers = {name: Peer(setting, source, bf16, clock) for name, bf16 in setting.peers.items()}
    speeds: dict[str, list[float]] = {"ours": [], **{name: [] for name in peers}}
    for _ in range(rounds):
        next(ours)
        begun = clock()
        tokens = sum(next(ours) for _ in range(steps))
        speeds["ours"].append(Turn(clock() - begun, tokens).speed)
        for name, peer in peers.items():
            counter = iter(range(steps + 1))
            ends = peer.steps(lambda counter=counter: next(counter) == steps)  # type: ignore[misc]
            turn = Turn(ends[-1] - ends[0], steps * setting.batch_rows * setting.row_length)
            speeds[name].append(turn.speed)
        print("  ".join(f"{name} {values[-1]:,.0f}" for name, values in speeds.items()), flush=True)
    return speeds


def measure_time_to_loss(
    setting: Setting, peer_seconds: float, clock: Clock
) -> dict[str, dict[str, float]]:
    """For each peer: its held-out loss after so many seconds, and our time to the same loss."""
    run = our_run(setting)
    source = run.feed.batches.source
    assert run.validator is not None
    results = {}
    for name, bf16 in setting.peers.items():
        peer = Peer(setting, source, bf16, clock)
        end = clock() + peer_seconds
        peer.steps(lambda end=end: clock() >= end)  # type: ignore[misc]
        results[name] = {"loss": held_out_loss(peer.model, run.validator)}
    target = min(result["loss"] for result in results.values())
    for seconds, loss in our_curve(run, target, peer_seconds, clock):
        for result in results.values():
            if loss <= result["loss"]:
                result.setdefault("our_seconds", seconds)
    return results


def our_curve(
    run: Run, target: float, most_seconds: float, clock: Clock
) -> Iterator[tuple[float, float]]:
    """Seconds of training and held-out loss, every ten steps, until `target` or out of time."""
    assert run.validator is not None
    seconds, steps = 0.0, our_steps(run)
    while seconds < most_seconds:
        begun = clock()
        for _ in range(10):
            next(steps)
        seconds += clock() - begun
        loss = run.validator.score(run.objective, run.device).loss
        yield seconds, loss
        if loss <= target:
            return


def held_out_loss(model: Any, validator: Validator) -> float:
    """Masked-LM loss on the held-out rows, in fp32, the same way for everybody."""
    return validator.score(Objective(model, torch.float32), model.device).loss


def main() -> None:
    """Measure, print, keep."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5, help="Turns of each side.")
    options.add_argument("--steps", type=int, default=10, help="Steps of a turn.")
    options.add_argument(
        "--peer-minutes", type=float, default=5.0, help="Time the peer gets to reach its loss."
    )
    options.add_argument(
        "--threads", type=int, default=runtime.threads(), help="1: seconds are CPU-seconds."
    )
    options.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options.add_argument("--compile", action="store_true", help="Ours with torch.compile.")
    given = options.parse_args()
    os.environ["BERTOPS_DEVICE"] = given.device
    setting = replace(CUDA if given.device == "cuda" else CPU, compile=given.compile)
    torch.set_num_threads(given.threads)
    prepare_text(setting)
    clock = _clock(given.device, given.threads)
    speeds = measure_speed(setting, given.rounds, given.steps, clock)
    minutes = given.peer_minutes
    losses = measure_time_to_loss(setting, minutes * 60, clock) if minutes else {}
    median = {name: statistics.median(values) for name, values in speeds.items()}
    ratios, bars = compared(setting, median, losses, minutes * 60)
    name = "pretraining" if given.device == "cpu" else "pretraining_cuda"
    name += "_compiled" if given.compile else ""
    finish(
        name,
        ratios,
        bars,
        given.json,
        threads=given.threads,
        tokens_per_second=median,
        losses=losses,
    )


def _clock(device: str, threads: int) -> Clock:
    """Seconds that count, on one thread its CPU time, which is the same on a busy machine."""
    if device == "cuda":
        return _cuda_seconds
    return time.process_time if threads == 1 else time.perf_counter


def _cuda_seconds() -> float:
    """The time, once the device has done what it was given."""
    torch.cuda.synchronize()
    return time.perf_counter()


def compared(
    setting: Setting,
    median: dict[str, float],
    losses: dict[str, dict[str, float]],
    peer_seconds: float,
) -> tuple[dict[str, float], dict[str, Bar]]:
    """Ratios to each peer, and the bars that this setting has."""
    ratios, bars = {}, {}
    for peer in setting.peers:
        least, most = setting.bars.get(peer, (None, None))
        faster = median["ours"] / median[peer]
        ratios[f"tokens/s against Trainer {peer}"] = faster
        if least is not None:
            bars[f"tokens/s against Trainer {peer}, ×"] = Bar(faster, at_least=least)
        if peer not in losses:
            continue
        share = losses[peer].get("our_seconds", float("inf")) / peer_seconds
        ratios[f"time to the loss of Trainer {peer}"] = share
        if most is not None:
            bars[f"time to the loss of Trainer {peer}, share"] = Bar(share, at_most=most)
    if setting.least_speed is not None:
        bars["tokens/s on one H200"] = Bar(median["ours"], at_least=setting.least_speed)
    return ratios, bars


if __name__ == "__main__":
    main()
