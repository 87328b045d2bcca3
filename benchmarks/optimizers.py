"""AdamW against Muon on the model of the quickstart: held-out loss after the same CPU-seconds.

Muon (Jordan et al. 2024; `torch.optim.Muon`) takes the matrices inside the layers, AdamW all else,
as its authors have it; its updates are scaled to the size of AdamW's (Liu et al. 2025, "Muon is
scalable", §2.2), so one rate is right for both, and multiples of it are tried. Schedule, data and
seed are the same. bertops has no Muon as long as it does not win here.

Needs the token store of the quickstart: run the pipeline first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Muon

from benchmarks.report import ROOT, Bar, finish, parser
from bertops import params as declared
from bertops.paths import Paths
from bertops.pretraining.batches import open_source
from bertops.tracker import NullTracker
from bertops.training.loop import Run, train_step
from bertops.training.optimizer import build_optimizer, set_learning_rate
from bertops.training.params import OptimizerParams
from bertops.training.pretrain import prepare
from bertops.training.schedule import learning_rate
from bertops.training.spikes import SpikeGuard

PATHS = Paths(ROOT)


class MuonAndAdamW:
    """Both, behind what the training loop asks of an optimizer."""

    def __init__(self, model: nn.Module, params: OptimizerParams, multiple: float) -> None:
        inner = {
            id(p) for name, p in model.named_parameters() if ".layers." in name and p.ndim == 2
        }
        assert inner, "the model has no matrices inside layers"
        matrices = [p for p in model.parameters() if id(p) in inner]
        self.muon = Muon(matrices, weight_decay=params.weight_decay, adjust_lr_fn="match_rms_adamw")
        for parameter in matrices:
            parameter.requires_grad_(False)  # hidden from AdamW for a moment
        self.adamw = build_optimizer(model, params)
        for parameter in matrices:
            parameter.requires_grad_(True)
        self.multiple = multiple

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Of AdamW; Muon follows their rate."""
        return self.adamw.param_groups

    def step(self) -> None:
        """One update of all weights."""
        for group in self.muon.param_groups:
            group["lr"] = self.multiple * self.adamw.param_groups[0]["lr"]
        self.muon.step()
        self.adamw.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.muon.zero_grad(set_to_none)
        self.adamw.zero_grad(set_to_none)


def fresh_run() -> Run:
    """The quickstart's run before its first step."""
    wanted = declared.load(ROOT / "params.yaml").pretrain
    source, held_out = (
        open_source(PATHS.tokens / split, PATHS.tokenizer, wanted.pretraining, wanted.training.seed)
        for split in ("train", "validation")
    )
    return prepare(source, held_out, ROOT / ".bertops/benchmarks/none", wanted, NullTracker())


def loss_after(seconds: float, choose: Callable[[Run], Any]) -> tuple[float, int]:
    """Held-out loss and steps after CPU-seconds of training, the schedule fitted to them."""
    run = fresh_run()
    run.optimizer = choose(run)
    guard = SpikeGuard(False, [], run.device)
    spent, began, step = 0.0, time.process_time(), 0
    with run.feed.from_step(1) as batches:
        while spent < seconds:
            step += 1
            set_learning_rate(run.optimizer, learning_rate(spent / seconds, run.params))
            train_step(run, run.objective, guard, step, next(batches))
            spent = time.process_time() - began
    assert run.validator is not None
    return run.validator.score(run.objective, run.device).loss, step


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--seconds", type=float, default=150, help="CPU-seconds of each training.")
    made.add_argument(
        "--multiples",
        type=float,
        nargs="+",
        default=[0.5, 1, 2],
        help="Muon's rate, times AdamW's.",
    )
    options = made.parse_args()
    torch.set_num_threads(1)
    sides: dict[str, Callable[[Run], Any]] = {"AdamW": lambda run: run.optimizer}
    for multiple in options.multiples:
        sides[f"Muon, rate × {multiple:g}"] = lambda run, multiple=multiple: MuonAndAdamW(
            run.objective.model, run.params.optimizer, multiple
        )
    found = {}
    for name, choose in sides.items():
        loss, steps = found[name] = loss_after(options.seconds, choose)
        print(f"{name:<20} held-out loss {loss:.4f} after {steps} steps", flush=True)
    adamw, best = found["AdamW"][0], min(loss for n, (loss, _) in found.items() if n != "AdamW")
    finish(
        "optimizers",
        {"loss of the best Muon over AdamW's": best / adamw},
        {"loss that AdamW leaves to Muon, nats": Bar(adamw - best, at_most=0)},
        options.json,
        seconds=options.seconds,
        losses={name: {"loss": loss, "steps": steps} for name, (loss, steps) in found.items()},
    )


if __name__ == "__main__":
    main()
