"""TaskKind: what a kind of task must be able to do."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from bertops.errors import BertopsError
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.inference.markup import strip_html
from bertops.inference.reader import Encoded, Example, Prediction
from bertops.inference.readers import READERS
from bertops.model.build import DROPOUTS

Feature = dict[str, Any]
"""A training row: arguments of the model with its targets, not padded."""

IGNORED = -100
"""Target of a token that teaches nothing: torch's `ignore_index`."""


class BadRow(Exception):
    """A row that cannot become an example; never leaves the package."""

    def __init__(self, problem: str, detail: str, *, fatal: bool = True) -> None:
        self.problem, self.detail, self.fatal = problem, detail, fatal
        super().__init__(f"{problem}: {detail}")


class NothingDropped(BertopsError):
    """R-Drop was asked for, and the encoder reads a row the same way each time."""

    def __init__(self, encoder: str) -> None:
        super().__init__(
            f"finetuning.rdrop compares two readings with other dropout, and {encoder} drops "
            "nothing; set finetuning.dropout too (0.1 is usual), or rdrop to 0"
        )


class Baseline(Protocol):
    """A fitted model without an encoder."""

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Predictions in the form that `bertops.inference` gives them."""


@dataclass(frozen=True)
class TaskKind(ABC):
    """One class for each kind of task, one object for each task.

    How examples become token ids, and outputs predictions, is its `Reader` in `bertops.inference`.
    """

    task: TaskParams

    packages: ClassVar[tuple[str, ...]] = ()
    """Modules of the extra `tasks` that this kind needs."""

    make_trainer: ClassVar[Any] = None
    """Makes the trainer in place of `trainer.hf_trainer`, with its arguments."""

    @property
    def problem_type(self) -> str | None:
        """What transformers calls the problem, where one class of models solves several."""
        return None

    @abstractmethod
    def read(self, values: Mapping[str, Any]) -> Example:
        """The example in a row as it was read; its `label` is what the model learns.

        Raises:
            BadRow: the row has no example; `fatal` when the file, not the row, is at fault.
        """

    @abstractmethod
    def training_rows(self, encoded: Encoded, tokenizer: Any) -> list[Feature]:
        """What the model learns: inputs with targets, as its loss expects them."""

    @abstractmethod
    def baselines(
        self, train: Sequence[Example], validation: Sequence[Example]
    ) -> Mapping[str, Baseline]:
        """Models without an encoder, fitted, by name."""

    def identity(self, values: Mapping[str, Any]) -> str:
        """The raw text that finds a row again."""
        columns = self.task.columns
        raw = str(values[columns.text])
        return f"{raw}\n{values[columns.text_b]}" if columns.text_b else raw

    def group(self, values: Mapping[str, Any]) -> str:
        """The raw text that decides the split of a row; rows that share it stay together.

        Raises:
            BadRow: no such column as `columns.group`.
        """
        columns = self.task.columns
        column = columns.group or (columns.text if columns.text_b else None)
        return str(read_column(values, column)) if column else self.identity(values)

    def class_of(self, example: Example) -> str | None:
        """The class that an example counts for in reports; None where there are no classes."""
        return None

    def gold(self, example: Example) -> Any:
        """What the metrics compare with."""
        return example["label"]

    def build(self, encoder: str, params: FinetuningParams, fresh: bool) -> Any:
        """The model: the encoder with a new head, or, when `fresh`, all of it new.

        What is new is drawn from torch's global generator. By itself the model is of the class
        that the kind's `Reader` loads, and knows the names of its labels.
        """
        import transformers

        names = self.task.label_names
        labels = {
            "num_labels": len(names),
            "id2label": dict(enumerate(names)),
            "label2id": {name: index for index, name in enumerate(names)},
        }
        config = transformers.AutoConfig.from_pretrained(encoder, **(labels if names else {}))
        config.problem_type = self.problem_type
        places = DROPOUTS.get(config.model_type, ())
        if params.dropout is not None:
            config.update(dict.fromkeys(places, params.dropout))
        if params.classifier_dropout is not None:
            config.classifier_dropout = params.classifier_dropout
        if params.rdrop and not any(getattr(config, name) for name in places):
            raise NothingDropped(encoder)
        model_class = getattr(transformers, READERS[self.task.kind].model_class)
        if fresh:
            return model_class.from_config(config)
        return model_class.from_pretrained(encoder, config=config)

    def loss(self, train: Sequence[Example], params: FinetuningParams) -> Any:
        """A loss for HF Trainer's `compute_loss_func`; None: the model's own."""
        return None


def read_column(values: Mapping[str, Any], column: str | None) -> Any:
    """What stands in a column; a missing one is a `BadRow`."""
    if column is None or column not in values:
        raise BadRow("missing column", f"{column!r} is not among {', '.join(map(str, values))}")
    return values[column]


def read_text(values: Mapping[str, Any], column: str, task: TaskParams) -> str:
    """The text in a column, with HTML taken out when the task says so.

    Raises:
        BadRow: no such column (fatal), or nothing but whitespace in it.
    """
    value = read_column(values, column)
    text = "" if value is None else str(value)
    if task.strip_html:
        text = strip_html(text)
    if not text.strip():
        raise BadRow("empty text", f"column {column!r}", fatal=False)
    return text


def read_pair(values: Mapping[str, Any], task: TaskParams) -> Example:
    """`text`, and `text_b` where the task has pairs."""
    example = {"text": read_text(values, task.columns.text, task)}
    if task.columns.text_b:
        example["text_b"] = read_text(values, task.columns.text_b, task)
    return example


def read_label(values: Mapping[str, Any], task: TaskParams) -> Any:
    """The raw label of a row; a missing column is a `BadRow`."""
    return read_column(values, task.columns.label)


def read_number(values: Mapping[str, Any], task: TaskParams) -> float:
    """The label of a row as a number.

    Raises:
        BadRow: no such column, or no finite number in it.
    """
    raw = read_label(values, task)
    try:
        number = float(raw)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise BadRow("unknown label", f"{raw!r} is no number")
    return number


def on_one_device(arguments: Any) -> Any:
    """Arguments of a trainer that stays on one GPU where it sees several.

    By itself it would share batches out among all of them with nn.DataParallel, each batch as many
    times larger, while warm-up and rates were chosen for `batch_rows`.
    """
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments
