"""Our forward pass put into a stock model against the stock one, in turns: fine-tuning, predicting.

The model is that of the quickstart, ModernBERT 3x192, as HF Trainer calls it: a classifier under
autocast where the processor multiplies bf16. The same batches, one side after the other; tokens per
CPU-second, so that neighbours on the machine do not matter.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from benchmarks.report import ROOT, Bar, finish, parser
from bertops import params
from bertops.inference.forward import autocast
from bertops.model.build import build_config
from bertops.model.quick import quick_forward
from bertops.tokenizer.load import Vocab

SIDES: dict[str, Callable[[Any], Any]] = {
    "stock": lambda model: contextlib.nullcontext(),
    "ours": quick_forward,
}


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--threads", type=int, default=1, help="Threads of torch.")
    made.add_argument("--steps", type=int, default=8, help="Batches of one turn.")
    made.add_argument("--rounds", type=int, default=5, help="Turns of each side.")
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    declared = params.load(ROOT / "params.yaml")
    model, batch = _model(declared), _batch(declared)
    speeds: dict[str, dict[str, list[float]]] = {
        work.__name__: {side: [] for side in SIDES} for work in (train, predict)
    }
    for _ in range(options.rounds):
        for work in (train, predict):
            for side, within in SIDES.items():
                with within(model):
                    seconds = work(model, batch, options.steps)
                speeds[work.__name__][side].append(options.steps * batch.numel() / seconds)
    ratios = {
        f"{name}: ours / stock": statistics.median(
            a / b for a, b in zip(sides["ours"], sides["stock"], strict=True)
        )
        for name, sides in speeds.items()
    }
    medians = {
        name: {side: round(statistics.median(values)) for side, values in sides.items()}
        for name, sides in speeds.items()
    }
    bars = {name: Bar(ratio, at_least=1.1) for name, ratio in ratios.items()}
    finish(
        "finetuning", ratios, bars, options.json, tokens_per_cpu_s=medians, rows=list(batch.shape)
    )


def _model(declared: params.Params) -> Any:
    """A classifier of two labels with fresh weights, in the shape that params.yaml declares."""
    pieces = {str(i): i for i in range(declared.tokenizer.vocab_size)}
    vocab = Vocab(pieces, pad=0, unk=1, cls=2, sep=3, mask=4, endings=(), sha256="")
    config = build_config(declared.model, vocab)
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config)


def _batch(declared: params.Params) -> Tensor:
    """[rows, tokens] random ids: the batch of fine-tuning at the task's full length."""
    shape = (declared.finetuning.batch_rows, declared.tasks[0].max_length)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(10, declared.tokenizer.vocab_size, shape, generator=generator)


def train(model: Any, batch_BL: Tensor, steps: int) -> float:
    """CPU-seconds of training steps: forward, backward, AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    labels_B = torch.arange(len(batch_BL)) % 2
    model.train()
    began = time.process_time()
    for _ in range(steps):
        with autocast(model.device):
            loss = model(input_ids=batch_BL, labels=labels_B).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return (time.process_time() - began) / torch.get_num_threads()


def predict(model: Any, batch_BL: Tensor, steps: int) -> float:
    """CPU-seconds of asking for logits."""
    model.eval()
    began = time.process_time()
    for _ in range(steps):
        with torch.inference_mode(), autocast(model.device):
            model(input_ids=batch_BL)
    return (time.process_time() - began) / torch.get_num_threads()


if __name__ == "__main__":
    main()
