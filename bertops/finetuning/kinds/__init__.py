"""The kinds of tasks, by the name they have in params.yaml. A new kind is one class here, and its
reader in `bertops.inference`."""

from bertops.finetuning.kinds.answering import Answering
from bertops.finetuning.kinds.base import TaskKind
from bertops.finetuning.kinds.classification import Classification
from bertops.finetuning.kinds.embedding import Embedding
from bertops.finetuning.kinds.regression import Regression
from bertops.finetuning.kinds.summarization import Summarization
from bertops.finetuning.kinds.tagging import Tagging
from bertops.finetuning.kinds.translation import Translation
from bertops.finetuning.params import TaskParams

KINDS: dict[str, type[TaskKind]] = {
    "classification": Classification,
    "regression": Regression,
    "tagging": Tagging,
    "answering": Answering,
    "summarization": Summarization,
    "translation": Translation,
    "embedding": Embedding,
}


def kind_of(task: TaskParams) -> TaskKind:
    """What the task's kind does for the task."""
    return KINDS[task.kind](task)
