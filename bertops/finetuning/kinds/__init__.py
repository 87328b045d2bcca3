"""The kinds of tasks, by the name they have in params.yaml. A new kind is one class here."""

from bertops.finetuning.kinds.base import TaskKind
from bertops.finetuning.kinds.classification import Classification
from bertops.finetuning.kinds.regression import Regression

KINDS: dict[str, TaskKind] = {"classification": Classification(), "regression": Regression()}


def kind_of(name: str) -> TaskKind:
    """The kind by its name."""
    return KINDS[name]
