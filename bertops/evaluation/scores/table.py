"""Which scores a kind of task has."""

from bertops.errors import UsageError
from bertops.evaluation.answers import Answers
from bertops.evaluation.scores.base import Score
from bertops.evaluation.scores.classification import MANY_CLASSES, TWO_CLASSES
from bertops.evaluation.scores.numbers import NUMBERS
from bertops.evaluation.scores.spans import LABEL_SETS, TAGS
from bertops.evaluation.scores.texts import ANSWERS, SEARCHES, SUMMARIES, TRANSLATIONS

BY_KIND = {
    "regression": NUMBERS,
    "tagging": TAGS,
    "answering": ANSWERS,
    "summarization": SUMMARIES,
    "translation": TRANSLATIONS,
}


class NoSuchScore(UsageError):
    """A task is to be judged by a metric that cannot be resampled."""

    def __init__(self, metric: str, known: list[str]) -> None:
        self.metric = metric
        super().__init__(
            f"the evaluation has no score {metric!r} for this kind of task; it has "
            f"{', '.join(known)}. Set the task's metric in params.yaml to one of them."
        )


def scores_for(kind: str, answers: Answers) -> tuple[Score, ...]:
    """The scores that make sense for a kind of task and answers like these."""
    if kind == "classification":
        if not answers.classes:
            return LABEL_SETS
        return TWO_CLASSES if answers.classes == 2 else MANY_CLASSES
    if kind == "embedding":
        return NUMBERS if isinstance(answers.gold[0], float) else SEARCHES
    return BY_KIND[kind]


def score_named(metric: str, scores: tuple[Score, ...]) -> Score:
    """The score of that name; `NoSuchScore` where there is none."""
    found = {score.name: score for score in scores}
    if metric not in found:
        raise NoSuchScore(metric, list(found))
    return found[metric]
