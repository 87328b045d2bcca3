"""The stage: token store + tokenizer → a pretrained encoder in Hugging Face form."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

from bertops.errors import UsageError
from bertops.model.build import build_model
from bertops.model.initial import load_initial
from bertops.model.size import count_parameters, flops_per_token
from bertops.pretraining.batches import Batches, Source, open_source
from bertops.runtime import device as this_device
from bertops.storage import hash_code, hash_file, hash_tree, write_text, write_whole
from bertops.tracker import Tracker
from bertops.training import checkpoint
from bertops.training.checkpoint import Checkpoints
from bertops.training.distributed import World, join_world, refuse_apart
from bertops.training.embeddings import start_embeddings
from bertops.training.feed import Feed
from bertops.training.launch import pretrain_distributed, starts_processes
from bertops.training.loop import Run, train
from bertops.training.objective import Objective
from bertops.training.optimizer import build_optimizer
from bertops.training.params import PretrainParams, TrainingParams
from bertops.training.precision import compute_dtype
from bertops.training.schedule import plan_budget, plan_ramp
from bertops.training.state import TrainState
from bertops.training.throughput import Meter
from bertops.training.validation import Validator

PACKAGES = Path(__file__).parents[1]
CODE = tuple(PACKAGES / name for name in ("model", "pretraining", "training"))
"""What decides how a model is trained; the stage `pretrain` depends on the same in dvc.yaml."""

CURVE_COLUMNS = (
    "step",
    "tokens",
    "loss",
    "learning_rate",
    "gradient_norm",
    "skipped",
    "validation_loss",
    "validation_accuracy",
    "follow_loss",
    "follow_accuracy",
)
HELD_OUT_COLUMNS = ("step", "validation_loss", "validation_accuracy")
HELD_OUT_CURVE = "held_out.csv"
"""The steps after which held-out documents were asked: `dvc plots` draws an empty field as 0."""


@dataclass(frozen=True)
class PretrainReport:
    """What was trained and how well it predicts hidden tokens of held-out documents."""

    parameters: int
    steps: int
    tokens: int
    """Tokens seen, padding not counted."""
    epochs: float
    rows: int
    row_length: int
    fill_rate: float
    """Share of the positions in all rows that hold a token, 0 to 1."""
    loss: float
    """Mean over the last logged steps, in nats, at the training mask."""
    validation_loss: float | None
    """At a mask of 15 %, in nats; None without validation documents."""
    validation_perplexity: float | None
    validation_accuracy: float | None
    weights_sha256: str

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


class TooFewRows(UsageError):
    """There are not enough rows to go round."""


def refuse_too_few(rows: int, params: TrainingParams, processes: int) -> None:
    """Raise TooFewRows unless the corpus fills a step and a step feeds every process."""
    batch_rows = params.batch_rows
    fewest = min(batch_rows, params.ramp_from_rows or batch_rows)
    if rows < batch_rows:
        raise TooFewRows(
            f"the corpus fills {rows:,} rows, fewer than the {batch_rows:,} of one step. Lower "
            "training.batch_rows or pretraining.packing.row_length, or add text."
        )
    if fewest < processes:
        raise TooFewRows(
            f"a step has {fewest:,} rows for {processes:,} processes. Raise "
            "training.batch_rows (and ramp_from_rows) or start fewer processes."
        )


def pretrain(
    tokens: Path,
    tokenizer: Path,
    target: Path,
    checkpoints: Path,
    params: PretrainParams,
    tracker: Tracker,
    curve: Path | None = None,
    origin: str | Path | None = None,
) -> PretrainReport:
    """Train a masked language model and save it to `target` with its tokenizer.

    A run that was interrupted carries on from its newest valid checkpoint; one whose inputs or
    parameters changed finds none and begins afresh. With more than one GPU, or where
    `training.distributed` asks for it, the work is done by one process each.

    Args:
        tokens: token stores, train/ and validation/.
        tokenizer: directory in Hugging Face form; must be the one the stores were written with.
        target: directory to write, for `AutoModelForMaskedLM.from_pretrained`.
        checkpoints: folder of all runs; this run's lie in one named by its inputs and parameters.
        curve: CSV to write, a row for each logged step; HELD_OUT_CURVE goes beside it.
        origin: model to carry on from, where `params.model.init_from` names one that must be
            fetched first (models:/name@alias); by default what it names.

    Raises:
        TokenizerMismatch, StoreDamaged, InitialModelUnfit: the inputs do not fit.
        TooFewRows: the corpus does not fill one step, or a step has fewer rows than processes.
        FoldersApart: several machines do not see the same files.
        Interrupted, TrainingDiverged, CheckpointNotWritten: see `loop.train`; on several devices
            the last two come as WorkersFailed with their text.
    """
    if starts_processes(params.training.distributed):
        places = {
            "tokens": tokens, "tokenizer": tokenizer, "origin": origin,
            "target": target, "checkpoints": checkpoints, "curve": curve,
        }  # fmt: skip
        return pretrain_distributed(places, params, tracker)
    world = join_world(this_device())
    refuse_apart(world, checkpoints)
    source, held_out = (
        open_source(tokens / split, tokenizer, params.pretraining, params.training.seed)
        for split in ("train", "validation")
    )
    refuse_too_few(source.count, params.training, world.size)
    if world.leads:
        source.store.verify()
        held_out.store.verify()
    origin = origin or params.model.init_from
    folder = checkpoints / run_key(source, held_out, params, origin)
    run = prepare(source, held_out, folder, params, tracker, origin, world)
    tracker.log_params(params.model_dump())
    train(run)
    if world.leads:
        _export(run.objective.model, tokenizer, target)
        if curve is not None:
            write_text(curve, render_curve(run.state.history))
            measured = [
                {name: row[name] for name in HELD_OUT_COLUMNS}
                for row in run.state.history
                if "validation_loss" in row
            ]
            write_text(curve.with_name(HELD_OUT_CURVE), render_curve(measured, HELD_OUT_COLUMNS))
    world.barrier()
    return _report(run, source, target)


def run_key(
    source: Source, held_out: Source, params: PretrainParams, origin: str | Path | None = None
) -> str:
    """Name of a run's folder: a hash of all that decides its outcome, 16 hexadecimal digits."""
    inputs = {
        "params": params.model_dump(mode="json"),
        "tokenizer": source.vocab.sha256,
        "train": source.store.manifest.files,
        "validation": held_out.store.manifest.files,
        "origin": hash_tree(Path(origin)) if origin and Path(origin).exists() else None,
        "code": hash_code(*CODE),
        "versions": [torch.__version__, transformers.__version__],
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def prepare(
    source: Source,
    held_out: Source,
    folder: Path,
    params: PretrainParams,
    tracker: Tracker,
    origin: str | Path | None = None,
    world: World | None = None,
) -> Run:
    """A run that is ready for its next step: the first, or the one after its newest checkpoint.

    Args:
        folder: the run's checkpoints, as `run_key` names it.
        origin: model to carry on from; None is fresh weights.
        world: the processes that train together; by default this one alone.
    """
    device, world = this_device(), world or World()
    training, masking = params.training, params.pretraining.masking
    pairs = params.pretraining.objective == "mlm_nsp"
    if origin is None:
        model = build_model(params.model, source.vocab, training.seed, next_sentence=pairs)
    else:
        model = load_initial(
            origin,
            source.vocab,
            source.rows.row_length,
            next_sentence=pairs,
            architecture=params.model.architecture,
            dropout=params.model.dropout,
        )
    model.to(device)  # type: ignore[arg-type]
    optimizer = build_optimizer(model, training.optimizer)
    checkpoints = Checkpoints(folder, training.keep_checkpoints)
    newest = checkpoints.latest()
    state = checkpoint.load(newest, model, optimizer) if newest else TrainState()
    if newest is None and origin is None:
        start_embeddings(model, source.store, training.embeddings, training.seed)
    flops = flops_per_token(model.config, source.rows.row_length, masking.rate)
    most_rows, ramp = training.microbatch_rows, plan_ramp(training)
    validator = Validator(held_out, training.validation_rows, most_rows) if held_out.count else None
    return Run(
        objective=Objective(
            model, compute_dtype(training.precision, device), compiled=training.compile
        ),
        optimizer=optimizer,
        feed=Feed(Batches(source, masking, training.seed), ramp, most_rows, device, world),
        validator=validator,
        checkpoints=checkpoints,
        budget=plan_budget(training.budget, source.tokens_per_row, ramp),
        params=training,
        tracker=tracker,
        meter=Meter(device, flops, world.size),
        state=state,
        device=device,
        world=world,
    )


def _export(model: PreTrainedModel, tokenizer: Path, target: Path) -> None:
    """Write weights (fp32, safetensors), configuration and tokenizer; stock classes load them."""
    with write_whole(target) as partial:
        model.save_pretrained(partial)
        for path in sorted(tokenizer.iterdir()):
            shutil.copyfile(path, partial / path.name)


def render_curve(
    history: Iterable[Mapping[str, float]], columns: Sequence[str] = CURVE_COLUMNS
) -> str:
    """Columns of the history as CSV; an empty field where nothing was measured."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def _report(run: Run, source: Source, target: Path) -> PretrainReport:
    last = run.state.history[-1]
    held_out_loss = last.get("validation_loss")
    return PretrainReport(
        parameters=count_parameters(run.objective.model),
        steps=run.state.step,
        tokens=run.state.tokens,
        epochs=round(run.feed.ramp.first_row(run.state.step + 1) / source.count, 4),
        rows=source.count,
        row_length=source.rows.row_length,
        fill_rate=round(source.fill_rate, 6),
        loss=last["loss"],
        validation_loss=held_out_loss,
        validation_perplexity=math.exp(held_out_loss) if held_out_loss is not None else None,
        validation_accuracy=last.get("validation_accuracy"),
        weights_sha256=hash_file(target / "model.safetensors"),
    )
