"""Classification of texts and of pairs: one label of several, or any number of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bertops.finetuning.baselines import Majority, TfidfClassifier
from bertops.finetuning.kinds.base import (
    BadRow,
    Baseline,
    Example,
    Feature,
    TaskKind,
    new_model,
    read_label,
    read_pair,
)
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.inference.reader import Features

SEQUENCE_MODEL = "AutoModelForSequenceClassification"


class Classification(TaskKind):
    """Binary, multi-class and multi-label classification, of one text or of two."""

    def read(self, values: Mapping[str, Any], task: TaskParams) -> Example:
        """Texts, and `label`: a name, or for multi-label a list of names."""
        raw = read_label(values, task)
        if not task.multi_label:
            return read_pair(values, task) | {"label": _name_of(raw, task)}
        parts = raw if isinstance(raw, list) else str(raw).split(task.label_separator)
        names = {_name_of(part, task) for part in parts if str(part).strip()}
        return read_pair(values, task) | {"label": [x for x in task.label_names if x in names]}

    def class_of(self, example: Example) -> str | None:
        """The label; of several, all of them in one name."""
        label = example["label"]
        return label if isinstance(label, str) else "+".join(label) or "none"

    def build(self, encoder: str, task: TaskParams, params: FinetuningParams, fresh: bool) -> Any:
        """`AutoModelForSequenceClassification`."""
        problem = (
            "multi_label_classification" if task.multi_label else "single_label_classification"
        )
        return new_model(SEQUENCE_MODEL, encoder, task, params, fresh, problem)

    def training_rows(
        self,
        features: Sequence[Features],
        examples: Sequence[Example],
        task: TaskParams,
        tokenizer: Any,
    ) -> list[Feature]:
        """Each window of a text learns the text's label: its index, or 0/1 for each label."""
        targets = [_target(example["label"], task) for example in examples]
        return [f.inputs() | {"labels": targets[f.row]} for f in features]

    def gold(self, example: Example) -> Any:
        """The label name, or the list of them."""
        return example["label"]

    def baselines(
        self, train: Sequence[Example], validation: Sequence[Example], task: TaskParams
    ) -> Mapping[str, Baseline]:
        """The most frequent label, and TF-IDF + logistic regression."""
        return {
            "majority": Majority(train, task.label_names),
            "tfidf": TfidfClassifier(train, validation, task),
        }

    def loss(self, train: Sequence[Example], task: TaskParams, params: FinetuningParams) -> Any:
        """Cross-entropy with classes weighed by the inverse of their frequency, if asked."""
        if params.class_weights == "none" or task.multi_label:
            return None
        return weighted_cross_entropy(balanced_weights(train, task.label_names))


def _name_of(raw: Any, task: TaskParams) -> str:
    """Name of a raw label value.

    Raises:
        BadRow: the value is not in the schema.
    """
    value = str(raw).strip()
    if isinstance(task.labels, dict):
        if value in task.labels:
            return task.labels[value]
    elif value in task.labels:
        return value
    raise BadRow("unknown label", f"{value!r} is not among {', '.join(task.labels)}")


def _target(label: Any, task: TaskParams) -> Any:
    if task.multi_label:
        return [float(name in label) for name in task.label_names]
    return task.label_names.index(label)


def balanced_weights(train: Sequence[Example], names: Sequence[str]) -> list[float]:
    """n / (classes × n of the class), 0 for a class without rows: scikit-learn's `balanced`."""
    counts = Counter(example["label"] for example in train)
    return [len(train) / (len(names) * counts[n]) if counts[n] else 0.0 for n in names]


def weighted_cross_entropy(weights: Sequence[float]) -> Any:
    """A loss in the form of HF Trainer's `compute_loss_func`."""
    import torch

    def loss(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        weight = torch.tensor(weights, device=outputs.logits.device)
        return torch.nn.functional.cross_entropy(outputs.logits.float(), labels, weight=weight)

    return loss
