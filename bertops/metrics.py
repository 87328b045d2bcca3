"""Metrics by name, with one signature: `metric(gold, predicted, labels) -> float`.

`gold` and `predicted` are aligned sequences of whatever the kind of task speaks: label names,
numbers, tag sequences, texts. `labels` are the label names in the order the task declares them;
metrics without classes ignore them. Every metric is better when higher. The work is done by
scikit-learn, scipy, seqeval, rouge-score and sacrebleu.
"""

import re
import string
from collections import Counter
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
    """A scikit-learn precision, recall or F1.

    `binary`: of the last label that is declared. `macro`: the mean over the classes that are gold
    or predicted anywhere; of label sets over all that are declared. As scikit-learn has both, and
    the evaluation too.
    """

    def metric(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
        import sklearn.metrics

        options: dict[str, Any] = {"average": average, "zero_division": 0}
        if average == "binary":
            options["pos_label"] = labels[-1]
        elif _holds_sets(gold):
            gold, predicted = _indicators(gold, labels), _indicators(predicted, labels)
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


def _entities(function: str) -> Metric:
    """An entity counts when its type and both ends are right: seqeval, strict, IOB2."""

    def metric(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
        import seqeval.metrics
        from seqeval.scheme import IOB2

        if not any(tag != "O" for tags in gold for tag in tags):
            return 0.0
        strict = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
        sides = [list(map(list, side)) for side in (gold, predicted)]
        return float(getattr(seqeval.metrics, function)(*sides, **strict))

    return metric


def tag_accuracy(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
    """Share of words whose tag is right."""
    pairs = [pair for g, p in zip(gold, predicted, strict=True) for pair in zip(g, p, strict=True)]
    return sum(g == p for g, p in pairs) / max(1, len(pairs))


def answer_words(text: str) -> list[str]:
    """Words of an answer as SQuAD compares them: no case, punctuation or English articles.

    A Chinese, Japanese or Korean character is a word of its own, as in CMRC 2018.
    Source: Rajpurkar et al. 2016, evaluate-v1.1.py; Cui et al. 2019, cmrc2018_evaluate.py.
    """
    words = re.findall(
        r"[\u3040-\u9fff\uac00-\ud7af]|[^\s\u3040-\u9fff\uac00-\ud7af]+", text.lower()
    )
    bare = (
        re.sub(rf"[{re.escape(string.punctuation)}，。！？、：；“”‘’（）《》]", "", w)
        for w in words
    )
    return [word for word in bare if word and word not in ("a", "an", "the")]


def _answers(compare: Callable[[list[str], list[str]], float]) -> Metric:
    """Mean over questions of the best comparison with an accepted answer (none: the empty one)."""

    def metric(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
        return sum(
            max(compare(answer_words(g), answer_words(p)) for g in accepted or [""])
            for accepted, p in zip(gold, predicted, strict=True)
        ) / len(gold)

    return metric


def _word_f1(gold: list[str], predicted: list[str]) -> float:
    if not gold or not predicted:
        return float(gold == predicted)
    shared = sum((Counter(gold) & Counter(predicted)).values())
    return 2 * shared / (len(gold) + len(predicted))


class _RougeWords:
    """Tokenizer for rouge-score that keeps other scripts: words, and single CJK characters."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"[\u3040-\u9fff]|[^\W_\u3040-\u9fff]+", text.lower())


def _rouge(name: str) -> Metric:
    """Mean ROUGE F1 (Lin 2004)."""

    def metric(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer([name], tokenizer=_RougeWords())
        pairs = zip(gold, predicted, strict=True)
        return sum(scorer.score(g, p)[name].fmeasure for g, p in pairs) / len(gold)

    return metric


def bleu(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
    """Corpus BLEU of sacrebleu, 0 to 100; Chinese is compared character by character."""
    import sacrebleu

    chinese = sum("\u4e00" <= c <= "\u9fff" for text in gold[:100] for c in text)
    tokenize = "zh" if chinese > 0.2 * sum(map(len, gold[:100])) else "13a"
    return float(sacrebleu.corpus_bleu(list(predicted), [list(gold)], tokenize=tokenize).score)


def chrf(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
    """Corpus chrF2 of sacrebleu, 0 to 100."""
    import sacrebleu

    return float(sacrebleu.corpus_chrf(list(predicted), [list(gold)]).score)


def mrr(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
    """Mean of 1 / rank of the right one among those listed; 0 where it is not listed."""
    pairs = zip(gold, predicted, strict=True)
    return sum(1 / (p.index(g) + 1) if g in p else 0.0 for g, p in pairs) / len(gold)


def _recall_at(top: int) -> Metric:
    """Share of rows whose right one is among the first `top`."""

    def metric(gold: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]) -> float:
        return sum(g in p[:top] for g, p in zip(gold, predicted, strict=True)) / len(gold)

    return metric


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
    "entity_f1": _entities("f1_score"),
    "entity_precision": _entities("precision_score"),
    "entity_recall": _entities("recall_score"),
    "tag_accuracy": tag_accuracy,
    "exact_match": _answers(lambda gold, predicted: float(gold == predicted)),
    "answer_f1": _answers(_word_f1),
    "rouge1": _rouge("rouge1"),
    "rouge2": _rouge("rouge2"),
    "rougeL": _rouge("rougeL"),
    "bleu": bleu,
    "chrf": chrf,
    "mrr": mrr,
    "recall_at_1": _recall_at(1),
    "recall_at_10": _recall_at(10),
}
