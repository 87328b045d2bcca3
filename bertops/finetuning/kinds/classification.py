"""Classification of texts and of pairs: one label of several, or any number of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bertops.finetuning.baselines import Majority, TfidfClassifier
from bertops.finetuning.kinds.base import (
    BadRow,
    Baseline,
    Feature,
    TaskKind,
    read_label,
    read_pair,
)
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.inference.reader import Encoded, Example


class Classification(TaskKind):
    """Binary, multi-class and multi-label classification, of one text or of two."""

    def read(self, values: Mapping[str, Any]) -> Example:
        """Texts, and `label`: a name, or for multi-label a list of names."""
        task, raw = self.task, read_label(values, self.task)
        if not task.multi_label:
            return read_pair(values, task) | {"label": _name_of(raw, task)}
        parts = raw if isinstance(raw, list) else str(raw).split(task.label_separator)
        names = {_name_of(part, task) for part in parts if str(part).strip()}
        return read_pair(values, task) | {"label": [x for x in task.label_names if x in names]}

    def class_of(self, example: Example) -> str | None:
        """The label; of several, all of them in one name."""
        label = example["label"]
        return label if isinstance(label, str) else "+".join(label) or "none"

    @property
    def problem_type(self) -> str:
        """One label, or several."""
        return f"{'multi' if self.task.multi_label else 'single'}_label_classification"

    def training_rows(self, encoded: Encoded, tokenizer: Any) -> list[Feature]:
        """Each window of a text learns the text's label: its index, or 0/1 for each label."""
        targets = [_target(example["label"], self.task) for example in encoded.examples]
        return [f.inputs() | {"labels": targets[f.row]} for f in encoded.features]

    def baselines(
        self, train: Sequence[Example], validation: Sequence[Example]
    ) -> Mapping[str, Baseline]:
        """The most frequent label, and TF-IDF + logistic regression."""
        return {
            "majority": Majority(train, self.task.label_names),
            "tfidf": TfidfClassifier(train, validation, self.task),
        }

    def loss(self, train: Sequence[Example], params: FinetuningParams) -> Any:
        """Cross-entropy with classes weighed by the inverse of their frequency, if asked, and with
        R-Drop, if asked."""
        import torch

        from bertops.finetuning.losses import binary_cross_entropy, cross_entropy, rdrop

        several = self.task.multi_label
        weights = None
        if params.class_weights == "balanced" and not several:
            weights = balanced_weights(train, self.task.label_names)
        own = binary_cross_entropy if several else cross_entropy(weights)
        if params.rdrop:
            return rdrop(
                own, params.rdrop, torch.sigmoid if several else partial(torch.softmax, dim=-1)
            )
        return own if weights else None


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
