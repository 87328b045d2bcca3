"""Metrics by name, with one signature: `metric(gold, predicted, labels) -> float`.

`gold` and `predicted` are aligned sequences of whatever the kind of task speaks: label names,
numbers, tag sequences, texts. `labels` are the label names in the order the task declares them;
metrics without classes ignore them. Every metric is better when higher. The work is done by
scikit-learn, scipy and seqeval.
"""

from collections.abc import Callable, Sequence
from typing import Any

from bertops.errors import UsageError

Metric = Callable[[Sequence[Any], Sequence[Any], Sequence[str]], float]


class UnknownMetric(UsageError):
    """A metric was named that is not in the table."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"unknown metric {name!r}; known are {', '.join(sorted(METRICS))}")


def score(name: str, gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
    """Value of the metric `name`.

    Raises:
        UnknownMetric: no metric has that name.
        ValueError: the sequences differ in length or are empty.
    """
    if name not in METRICS:
        raise UnknownMetric(name)
    if len(gold) != len(predicted) or not len(gold):
        raise ValueError(f"{name} of {len(predicted)} predictions for {len(gold)} gold values")
    return METRICS[name](gold, predicted, labels)


def accuracy(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
    """Share of predictions that equal the gold value (for label sets: the whole set)."""
    return sum(g == p for g, p in zip(gold, predicted, strict=True)) / len(gold)


def _averaged(function: str, average: str) -> Metric:
    """A scikit-learn precision, recall or F1. `binary`: of the last label that is declared."""

    def metric(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
        import sklearn.metrics

        options: dict[str, Any] = {"average": average, "zero_division": 0}
        if average == "binary":
            options["pos_label"] = labels[-1]
        elif _holds_sets(gold):
            gold, predicted = _indicators(gold, labels), _indicators(predicted, labels)
        else:
            options["labels"] = list(labels)
        return float(getattr(sklearn.metrics, function)(gold, predicted, **options))

    return metric


def _holds_sets(values: Sequence[Any]) -> bool:
    return not isinstance(values[0], str) and isinstance(values[0], Sequence)


def _indicators(values: Sequence[Sequence[str]], labels: Sequence[str]) -> Any:
    """Label sets as 0/1 rows [rows, labels]."""
    from sklearn.preprocessing import MultiLabelBinarizer

    return MultiLabelBinarizer(classes=list(labels)).fit_transform(values)


def mcc(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
    """Matthews correlation coefficient, -1 to 1; 0 for a constant guess."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(gold, predicted))


def _correlation(function: str) -> Metric:
    """A correlation from scipy; 0 where it is not defined because one side is constant."""

    def metric(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
        import scipy.stats

        if len(set(gold)) < 2 or len(set(predicted)) < 2:
            return 0.0
        return float(getattr(scipy.stats, function)(gold, predicted).statistic)

    return metric


def negative_mse(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
    """Mean squared error with the sign turned, so that higher is better."""
    return -sum((g - p) ** 2 for g, p in zip(gold, predicted, strict=True)) / len(gold)


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "precision": _averaged("precision_score", "binary"),
    "recall": _averaged("recall_score", "binary"),
    "f1": _averaged("f1_score", "binary"),
    "f1_macro": _averaged("f1_score", "macro"),
    "f1_micro": _averaged("f1_score", "micro"),
    "mcc": mcc,
    "pearson": _correlation("pearsonr"),
    "spearman": _correlation("spearmanr"),
    "negative_mse": negative_mse,
}
