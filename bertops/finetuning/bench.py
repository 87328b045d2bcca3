"""Bench: everything that the runs of one task share, read and encoded once."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from bertops import metrics
from bertops.errors import UsageError
from bertops.finetuning.data import read_split, split_names
from bertops.finetuning.kinds import kind_of
from bertops.finetuning.kinds.base import Feature, TaskKind
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.finetuning.predictions import Predictions
from bertops.inference.card import TaskCard
from bertops.inference.quiet import quiet_transformers
from bertops.inference.reader import Encoded, Example, Prediction, Reader
from bertops.inference.readers import READERS
from bertops.storage import hash_code, hash_file, hash_tree

PACKAGES = Path(__file__).parent.parent
CODE = tuple(PACKAGES / name for name in ("finetuning", "inference", "model"))
"""What decides how a model is fine-tuned and scored."""
Scores = dict[str, float]


@dataclass(frozen=True)
class Bench:
    """A task with its rows as text and as token ids."""

    kind: TaskKind
    reader: Reader
    params: FinetuningParams
    encoder: str
    encoded: Mapping[str, Encoded]
    """By split."""

    @property
    def task(self) -> TaskParams:
        """The task."""
        return self.kind.task

    @property
    def examples(self) -> dict[str, Sequence[Example]]:
        """The rows as text, by split."""
        return {split: encoded.examples for split, encoded in self.encoded.items()}

    @property
    def pad_id(self) -> int:
        """Token id of the padding."""
        return self.reader.tokenizer.pad_token_id

    def training_features(self) -> list[Feature]:
        """Inputs of the training rows with their targets; each window of a text is one."""
        return self.kind.training_rows(self.encoded["train"], self.reader.tokenizer)

    def predict(self, model: Any, split: str) -> list[Prediction]:
        """Predictions for a split, in its order."""
        return self.reader.predict(model, self.encoded[split])

    def score(self, split: str, predictions: Sequence[Mapping[str, Any]]) -> Scores:
        """All metrics of the task, its own first."""
        gold = [self.kind.gold(example) for example in self.examples[split]]
        found = [row["prediction"] for row in predictions]
        names = dict.fromkeys([self.task.metric, *self.task.metrics])
        return {name: metrics.score(name, gold, found, self.reader.card.labels) for name in names}

    def scores(self, predictions: Predictions) -> dict[str, Scores]:
        """The metrics of every split."""
        return {split: self.score(split, rows) for split, rows in predictions.items()}

    def scored_splits(self) -> list[str]:
        """Splits to predict: all but train."""
        return [name for name in self.encoded if name != "train"]


def open_bench(
    task: TaskParams,
    data: Path,
    encoder: str,
    params: FinetuningParams,
    splits: Sequence[str] | None = None,
) -> Bench:
    """Read splits of a task, all of them by default, and encode them with `encoder`'s tokenizer.

    Raises:
        UsageError: there is no such encoder, or it reads fewer tokens than the task asks for.
    """
    quiet_transformers()
    positions = _positions(encoder)
    lengths = {"max_length": task.max_length}
    if task.kind == "translation":  # the decoder is a copy of the encoder, and begins with [CLS]
        lengths["target_length"] = task.target_length
    for name, length in lengths.items():
        if length > positions:
            raise UsageError(
                f"task {task.name!r} asks for {name} {length}, "
                f"the encoder {encoder} reads {positions}; lower tasks.{name}"
            )
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
    reader = READERS[task.kind](tokenizer, _card(task), params.precision)
    names = splits or split_names(data)
    encoded = {name: reader.encode(read_split(data, name)) for name in names}
    return Bench(kind_of(task), reader, params, encoder, encoded)


def _positions(encoder: str) -> int:
    try:
        return int(transformers.AutoConfig.from_pretrained(encoder).max_position_embeddings)
    except OSError as error:
        raise UsageError(
            f"no encoder {encoder!r}: neither a model directory nor to be had from Hugging Face's "
            "hub; check init_from of the task"
        ) from error


def key_of(task: TaskParams, data: Path, encoder: str, params: FinetuningParams) -> str:
    """Name of what is kept of a task's runs: changes with anything that changes a result."""
    values = {
        "task": task.model_dump(mode="json"),
        "params": params.model_dump(mode="json"),
        "data": hash_tree(data),
        "encoder": hash_tree(Path(encoder)) if Path(encoder).exists() else encoder,
        "code": [hash_code(*CODE), hash_file(Path(metrics.__file__))],
        "versions": [torch.__version__, transformers.__version__],
    }
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    return f"{task.name}-{digest[:16]}"


def _card(task: TaskParams) -> TaskCard:
    return TaskCard(
        task=task.name,
        kind=task.kind,
        labels=task.label_names,
        multi_label=task.multi_label,
        pair=task.columns.text_b is not None,
        strip_html=task.strip_html,
        max_length=task.max_length,
        long_texts=task.long_texts,
        metric=task.metric,
        unanswerable=task.unanswerable,
        summary_share=task.summary_share,
        target_length=task.target_length,
    )
