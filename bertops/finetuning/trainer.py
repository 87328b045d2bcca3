"""One run: a model, a seed, a learning rate. The loop is HF Trainer's."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from bertops import runtime
from bertops.errors import BertopsError
from bertops.finetuning.kinds.base import IGNORED, Feature, on_one_device
from bertops.finetuning.lora import merged, with_lora
from bertops.finetuning.params import FinetuningParams
from bertops.inference.forward import pad
from bertops.model.quick import quick_forward


class RunDiverged(BertopsError):
    """The model gives no finite numbers any more."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        super().__init__(
            f"the model's outputs are not finite after epoch {epoch}; "
            "lower finetuning.learning_rates, or set precision: fp32"
        )


@dataclass
class Curve:
    """What happened during a run."""

    validation: list[float] = field(default_factory=list)
    """Metric of the task after each epoch."""
    best_epoch: int = 0
    """1-based; its weights are the model's."""


class KeepBest(TrainerCallback):
    """Scores the model after every epoch, keeps the best weights in memory, stops when told.

    In memory because a fine-tuning run is short: one copy of the weights instead of a checkpoint
    for every epoch. Ties keep the earlier epoch.
    """

    def __init__(self, score: Callable[[Any], float], patience: int) -> None:
        self.curve = Curve()
        self._score, self._patience = score, patience
        self._weights: dict[str, Any] = {}

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Score, keep, perhaps stop."""
        model, curve = kwargs["model"], self.curve
        curve.validation.append(self._score(model))
        epoch = len(curve.validation)
        if epoch == 1 or curve.validation[-1] > curve.validation[curve.best_epoch - 1]:
            curve.best_epoch = epoch
            self._weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        if self._patience and epoch - curve.best_epoch >= self._patience:
            control.should_training_stop = True
        return control

    def restore(self, model: Any) -> None:
        """Give the model its best weights back."""
        model.load_state_dict(self._weights)


class LogSteps(TrainerCallback):
    """Hands the losses to a function."""

    def __init__(self, log: Callable[[int, dict[str, float]], None]) -> None:
        self._log = log

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Pass on what Trainer logs while it trains."""
        logs = kwargs.get("logs") or {}
        values = {name: float(logs[name]) for name in ("loss", "learning_rate") if name in logs}
        if values:
            self._log(state.global_step, values)


def train(
    build: Callable[[], Any],
    rows: Sequence[Feature],
    pad_id: int,
    score: Callable[[Any], float],
    *,
    seed: int,
    learning_rate: float,
    params: FinetuningParams,
    loss: Any = None,
    make_trainer: Callable[..., Any] | None = None,
    log: Callable[[int, dict[str, float]], None] = lambda step, values: None,
) -> tuple[Any, Curve]:
    """Train and return the model with the weights of its best epoch, and how it went.

    Deterministic on a CPU for the same arguments and number of threads.

    Args:
        build: makes the model; what is new in it is drawn after seeding.
        score: metric on the validation rows, higher is better.
        make_trainer: as `hf_trainer`, for models that have a trainer of their own.

    Raises:
        RunDiverged: from `score`, when the outputs are not finite.
    """
    runtime.seed_everything(seed)
    model = build()
    if params.lora is not None:
        model = with_lora(model, params.lora)
    keeper = KeepBest(score, params.patience)
    with tempfile.TemporaryDirectory() as unused:
        arguments = _arguments(unused, seed, learning_rate, params, len(rows))
        make = make_trainer or partial(hf_trainer, readings=2 if params.rdrop else 1)
        trainer = make(model, rows, arguments, pad_id, loss)
        trainer.add_callback(keeper)
        trainer.add_callback(LogSteps(log))
        trainer.remove_callback(PrinterCallback)
        with quick_forward(model):
            trainer.train()
    keeper.restore(model)
    trained = trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    return merged(trained), keeper.curve


def hf_trainer(
    model: Any,
    rows: Sequence[Feature],
    arguments: dict[str, Any],
    pad_id: int,
    loss: Any,
    readings: int = 1,
) -> Trainer:
    """HF Trainer over rows of token ids, in batches of similar length, on one device.

    Args:
        readings: how often a batch stands in its step.
    """
    args = TrainingArguments(
        **arguments, train_sampling_strategy="group_by_length", remove_unused_columns=False
    )
    return Trainer(
        model=model,
        args=on_one_device(args),
        train_dataset=list(rows),
        data_collator=lambda batch: collate([*batch] * readings, pad_id),
        compute_loss_func=loss,
    )


def collate(rows: Sequence[Feature], pad_id: int) -> dict[str, Any]:
    """Padded tensors; lists of target ids are filled up with IGNORED."""
    import torch

    inputs = [{k: v for k, v in row.items() if k in _INPUTS} for row in rows]
    targets = {}
    for name in rows[0].keys() - _INPUTS:
        values = [row[name] for row in rows]
        if isinstance(values[0], list) and not isinstance(values[0][0], float):
            length = max(map(len, values))
            values = [value + [IGNORED] * (length - len(value)) for value in values]
        targets[name] = torch.tensor(values)
    return pad(inputs, pad_id) | targets


_INPUTS = {"input_ids", "token_type_ids"}


def _arguments(
    folder: str, seed: int, learning_rate: float, params: FinetuningParams, rows: int
) -> dict[str, Any]:
    """Arguments that every trainer gets. Nothing is saved, evaluated or reported by it."""
    device = runtime.device()
    steps = params.epochs * -(-rows // params.batch_rows)
    bf16 = params.precision == "bf16" or (
        params.precision == "auto" and runtime.has_fast_bf16(device)
    )
    return {
        "output_dir": folder,
        "seed": seed,
        "num_train_epochs": params.epochs,
        "per_device_train_batch_size": params.batch_rows,
        "learning_rate": learning_rate,
        "warmup_steps": int(params.warmup_share * steps),
        "weight_decay": params.weight_decay,
        "activation_checkpointing": params.gradient_checkpointing,
        "bf16": bf16,
        "use_cpu": device.type == "cpu",
        "dataloader_pin_memory": device.type == "cuda",
        "save_strategy": "no",
        "eval_strategy": "no",
        "logging_steps": 20,
        "disable_tqdm": True,
        "report_to": "none",
    }
