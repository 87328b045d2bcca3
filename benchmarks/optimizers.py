"""AdamW against Muon on the model of the quickstart: held-out loss after the same CPU-seconds.

Schedule, data and seed are the same; Muon's rate is tried in multiples of AdamW's. Muon stays an
option of bertops for as long as it wins here.

Needs the token store of the quickstart: run the pipeline first.
"""

from __future__ import annotations

import time

import torch

from benchmarks.report import ROOT, Bar, finish, parser
from bertops import params as declared
from bertops.paths import Paths
from bertops.pretraining.batches import open_source
from bertops.tracker import NullTracker
from bertops.training.loop import Run, train_step
from bertops.training.optimizer import set_learning_rate
from bertops.training.params import OptimizerParams
from bertops.training.pretrain import prepare
from bertops.training.schedule import learning_rate
from bertops.training.spikes import SpikeGuard

PATHS = Paths(ROOT)


def fresh_run(optimizer: OptimizerParams) -> Run:
    """The quickstart's run before its first step, with another optimizer."""
    wanted = declared.load(ROOT / "params.yaml").pretrain
    training = wanted.training.model_copy(update={"optimizer": optimizer})
    wanted = wanted.model_copy(update={"training": training})
    source, held_out = (
        open_source(PATHS.tokens / split, PATHS.tokenizer, wanted.pretraining, training.seed)
        for split in ("train", "validation")
    )
    return prepare(source, held_out, ROOT / ".bertops/benchmarks/none", wanted, NullTracker())


def loss_after(seconds: float, optimizer: OptimizerParams) -> tuple[float, int]:
    """Held-out loss and steps after CPU-seconds of training, the schedule fitted to them."""
    run = fresh_run(optimizer)
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
    made.add_argument("--seconds", type=float, default=90, help="CPU-seconds of each training.")
    made.add_argument(
        "--multiples", type=float, nargs="+", default=[1, 2, 4], help="Muon's rates over AdamW's."
    )
    options = made.parse_args()
    torch.set_num_threads(1)
    given = declared.load(ROOT / "params.yaml").training.optimizer
    sides = {"AdamW": given.model_copy(update={"name": "adamw"})} | {
        f"Muon, rate × {m:g}": given.model_copy(update={"name": "muon", "muon_multiple": m})
        for m in options.multiples
    }
    found = {}
    for name, optimizer in sides.items():
        loss, steps = found[name] = loss_after(options.seconds, optimizer)
        print(f"{name:<20} held-out loss {loss:.4f} after {steps} steps", flush=True)
    adamw, best = found["AdamW"][0], min(loss for n, (loss, _) in found.items() if n != "AdamW")
    finish(
        "optimizers",
        {"loss of the best Muon over AdamW's": best / adamw},
        {"loss that AdamW leaves to Muon, nats": Bar(adamw - best, at_least=0)},
        options.json,
        seconds=options.seconds,
        losses={name: {"loss": loss, "steps": steps} for name, (loss, steps) in found.items()},
    )


if __name__ == "__main__":
    main()
