"""Scores of label sets and of tags: hits, predicted and gold counts, summed over documents."""

from collections.abc import Callable, Sequence

import numpy as np

from bertops.evaluation.answers import Answers
from bertops.evaluation.scores.base import Floats, Score, f1_of, mean, with_count


def _set_rows(answers: Answers) -> Floats:
    """[n, 3 * K]: hits, predicted, gold of each label that is declared: K for every model."""
    labels = answers.labels
    gold, predicted = (
        np.array([[label in row for label in labels] for row in side], dtype=float)
        for side in (answers.gold, answers.predicted)
    )
    return np.concatenate([gold * predicted, predicted, gold], axis=1)


def _macro(sums: Floats) -> Floats:
    """Mean of F1 over all labels, as scikit-learn has it for label sets."""
    hits, predicted, gold = np.split(sums, 3, axis=-1)
    return f1_of(hits, predicted, gold).mean(axis=-1)


def _micro(sums: Floats) -> Floats:
    return f1_of(*(part.sum(axis=-1) for part in np.split(sums, 3, axis=-1)))


def _same_set(answers: Answers) -> Floats:
    pairs = zip(answers.gold, answers.predicted, strict=True)
    return with_count(np.array([sorted(g) == sorted(p) for g, p in pairs]))


def entities(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Start, end and type of the entities in IOB2 tags, strictly: as seqeval counts them."""
    from seqeval.scheme import IOB2, Entities  # an extra, for tasks that tag

    found = Entities([list(tags)], scheme=IOB2).entities[0]
    return {(e.start, e.end, e.tag) for e in found}


def _entity_rows(answers: Answers) -> Floats:
    """[n, 3]: entities right in type and both ends, predicted, gold."""
    rows = []
    for gold, predicted in zip(answers.gold, answers.predicted, strict=True):
        theirs, ours = entities(gold), entities(predicted)
        rows.append([len(theirs & ours), len(ours), len(theirs)])
    return np.array(rows, dtype=float)


def _hits_per(column: int) -> Callable[[Floats], Floats]:
    return lambda sums: sums[..., 0] / np.maximum(sums[..., column], 1)


def _tag_rows(answers: Answers) -> Floats:
    """[n, 2]: tags that are right, words."""
    pairs = zip(answers.gold, answers.predicted, strict=True)
    return np.array([[sum(map(str.__eq__, g, p)), len(g)] for g, p in pairs], dtype=float)


LABEL_SETS = (
    Score("f1_micro", _set_rows, _micro),
    Score("f1_macro", _set_rows, _macro),
    Score("accuracy", _same_set, mean),
)
TAGS = (
    Score("entity_f1", _entity_rows, lambda sums: f1_of(*np.moveaxis(sums, -1, 0))),
    Score("entity_precision", _entity_rows, _hits_per(1)),
    Score("entity_recall", _entity_rows, _hits_per(2)),
    Score("tag_accuracy", _tag_rows, lambda sums: sums[..., 0] / np.maximum(sums[..., 1], 1)),
)
