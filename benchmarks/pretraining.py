"""Our pretraining loop against the HF Trainer, in turns: tokens/s and time to a held-out loss.

The peer is the recipe of run_mlm.py: `Trainer` and `DataCollatorForLanguageModeling` over
concatenated chunks, as it comes (fp32) and with bf16. Same model (BERT 4x256, 16,384 tokens), same
rows of 128, same batch, same mask of 15 %, same peak learning rate, same optimizer. Text: the movie
reviews of the extra `quickstart`.

The bars of the project are for two CPU cores with AMX; the result says what this machine has.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

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

WORK = ROOT / ".bertops/benchmarks/pretraining"
VOCAB_SIZE, ROW_LENGTH, BATCH_ROWS, MASK, RATE = 16_384, 128, 32, 0.15, 1e-3
WARMUP_STEPS = 20

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


def prepare_text() -> None:
    """Tokenizer and token stores of the reviews, once."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    if (WORK / "tokens").is_dir():
        return
    texts = [row["text"] for row in review_rows() if row["source"] == "imdb"]
    for split, some in (("train", texts[1000:]), ("validation", texts[:1000])):
        folder = WORK / "corpus" / split
        folder.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table({"text": some}), folder / "part-00000.parquet")
    wanted = TokenizerParams(vocab_size=VOCAB_SIZE)
    train_tokenizer(WORK / "corpus/train", WORK / "tokenizer", wanted)
    params = PretrainingParams().tokenize
    tokenize_corpus(WORK / "corpus", WORK / "tokenizer", WORK / "tokens", params)


def model_params() -> ModelParams:
    """BERT 4x256."""
    return ModelParams(architecture="bert", preset="mini", max_positions=ROW_LENGTH)


# ── our side ──


def our_run() -> Run:
    """A run of ours, ready for its first step."""
    params = PretrainParams(
        pretraining=PretrainingParams(
            packing=PackingParams(row_length=ROW_LENGTH), masking=MaskingParams(rate=MASK)
        ),
        model=model_params(),
        training=TrainingParams(
            budget=BudgetParams(steps=10**6),
            batch_rows=BATCH_ROWS,
            optimizer=OptimizerParams(learning_rate=RATE, beta2=0.999),
        ),
    )
    source = open_source(WORK / "tokens/train", WORK / "tokenizer", params.pretraining, 0)
    held_out = open_source(WORK / "tokens/validation", WORK / "tokenizer", params.pretraining, 0)
    return prepare(source, held_out, WORK / "none", params, NullTracker())


def our_steps(run: Run) -> Iterator[int]:
    """Train without end; yields the tokens of each step."""
    guard = SpikeGuard(False, [], run.device)
    with run.feed.from_step(1) as batches:
        for step, batch in enumerate(batches, start=1):
            set_learning_rate(run.optimizer, RATE * min(1.0, step / WARMUP_STEPS))
            train_step(run, run.objective, guard, step, batch)
            yield batch.tokens


# ── the peer ──


class Chunks(torch.utils.data.Dataset[dict[str, Any]]):
    """Documents between [CLS] and [SEP], end to end, cut into rows: run_mlm.py's group_texts."""

    def __init__(self, store: TokenStore, vocab: Vocab) -> None:
        parts: list[NDArray[np.integer]] = []
        for start, length in zip(store.boundaries.tolist(), store.lengths.tolist(), strict=False):
            parts += [np.array([vocab.cls]), store.read(start, length), np.array([vocab.sep])]
        ids = np.concatenate(parts)
        self._rows = ids[: len(ids) // ROW_LENGTH * ROW_LENGTH].reshape(-1, ROW_LENGTH)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self._rows[index].tolist()}


class Peer:
    """The HF Trainer on the same model, stopped and continued from outside."""

    def __init__(self, source: Source, bf16: bool, clock: Clock = time.perf_counter) -> None:
        self.model = build_model(model_params(), source.vocab, seed=0)
        self._clock = clock
        self.bf16, self._chunks = bf16, Chunks(source.store, source.vocab)

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
        clock = self._clock

        class Watch(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
                ends.append(clock())
                control.should_training_stop = limit()
                return control

        arguments = TrainingArguments(
            output_dir=str(WORK / "trainer"),
            per_device_train_batch_size=BATCH_ROWS,
            learning_rate=RATE,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=WARMUP_STEPS,
            max_steps=10**6,
            bf16=self.bf16,
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(WORK / "tokenizer")
        collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=MASK)
        Trainer(
            self.model, arguments, collator, train_dataset=self._chunks, callbacks=[Watch()]
        ).train()
        return ends


# ── what is measured ──


def measure_speed(rounds: int, steps: int, clock: Clock) -> dict[str, list[float]]:
    """Tokens per second of each side in each round, taking turns; first steps not counted."""
    run = our_run()
    source = run.feed.batches.source
    ours, peers = (
        our_steps(run),
        {
            "fp32": Peer(source, False, clock),
            "bf16": Peer(source, True, clock),
        },
    )
    speeds: dict[str, list[float]] = {"ours": [], "fp32": [], "bf16": []}
    for _ in range(rounds):
        next(ours)
        begun = clock()
        tokens = sum(next(ours) for _ in range(steps))
        speeds["ours"].append(Turn(clock() - begun, tokens).speed)
        for name, peer in peers.items():
            counter = iter(range(steps + 1))
            ends = peer.steps(lambda counter=counter: next(counter) == steps)  # type: ignore[misc]
            turn = Turn(ends[-1] - ends[0], steps * BATCH_ROWS * ROW_LENGTH)
            speeds[name].append(turn.speed)
        print("  ".join(f"{name} {values[-1]:,.0f}" for name, values in speeds.items()), flush=True)
    return speeds


def measure_time_to_loss(peer_seconds: float, clock: Clock) -> dict[str, dict[str, float]]:
    """For each peer: its held-out loss after so many seconds, and our time to the same loss."""
    run = our_run()
    source = run.feed.batches.source
    assert run.validator is not None
    results = {}
    for name, bf16 in (("fp32", False), ("bf16", True)):
        peer = Peer(source, bf16, clock)
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
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    prepare_text()
    # One thread's CPU time is the same on a busy machine; several threads also wait in it.
    clock = time.process_time if given.threads == 1 else time.perf_counter
    speeds = measure_speed(given.rounds, given.steps, clock)
    losses = measure_time_to_loss(given.peer_minutes * 60, clock) if given.peer_minutes else {}
    median = {name: statistics.median(values) for name, values in speeds.items()}
    ratios = {f"tokens/s against Trainer {p}": median["ours"] / median[p] for p in ("fp32", "bf16")}
    least = {"fp32": (5.0, 1 / 6), "bf16": (3.0, 1 / 4)}
    bars = {
        f"tokens/s against Trainer {p}, ×": Bar(median["ours"] / median[p], at_least=least[p][0])
        for p in ("fp32", "bf16")
    }
    for p, result in losses.items():
        share = result.get("our_seconds", float("inf")) / (given.peer_minutes * 60)
        ratios[f"time to the loss of Trainer {p}"] = share
        bars[f"time to the loss of Trainer {p}, share"] = Bar(share, at_most=least[p][1])
    finish(
        "pretraining",
        ratios,
        bars,
        given.json,
        threads=given.threads,
        tokens_per_second=median,
        losses=losses,
    )


if __name__ == "__main__":
    main()
