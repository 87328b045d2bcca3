"""Baselines: what can be reached without an encoder."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from bertops.finetuning.params import TaskParams
from bertops.inference.reader import Example, Prediction

# Inverse regularisation of the linear models; validation chooses.
_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)


class Majority:
    """Predicts the most frequent label of the training rows, with their shares."""

    def __init__(self, train: Sequence[Example], names: Sequence[str]) -> None:
        labels = [example["label"] for example in train]
        keys = Counter(label if isinstance(label, str) else tuple(label) for label in labels)
        best = max(keys, key=lambda key: keys[key])
        self._label = best if isinstance(best, str) else list(best)
        has = [[n == x if isinstance(x, str) else n in x for n in names] for x in labels]
        self._shares = np.mean(has, axis=0).tolist()

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """The same for every example."""
        return [{"prediction": self._label, "probabilities": self._shares} for _ in examples]


class Mean:
    """Predicts the mean of the training rows."""

    def __init__(self, train: Sequence[Example]) -> None:
        self._mean = float(np.mean([example["label"] for example in train]))

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """The same for every example."""
        return [{"prediction": self._mean, "probabilities": None} for _ in examples]


class TfidfFeatures:
    """Sparse features of texts: TF-IDF of words and word pairs.

    A pair gives both texts and what they share (the smaller of the two weights). Text in Chinese,
    Japanese or Korean script, which has no spaces, is cut into one to three characters instead,
    and so are texts whose words are all different, such as names. Of many texts, what stands in
    one alone does not count, unless nothing else is left.
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        texts = [e["text"] for e in examples] + [e["text_b"] for e in examples if "text_b" in e]
        self._vectorizer = _fit_vectorizer(texts)

    def __call__(self, examples: Sequence[Example]) -> Any:
        """Features of the examples, sparse [rows, features]."""
        import scipy.sparse

        first = self._vectorizer.transform([e["text"] for e in examples])
        if not examples or "text_b" not in examples[0]:
            return first
        second = self._vectorizer.transform([e["text_b"] for e in examples])
        shared = first.minimum(second)
        cosine = scipy.sparse.csr_matrix(first.multiply(second).sum(axis=1))
        return scipy.sparse.hstack([first, second, shared, cosine], format="csr")


def _fit_vectorizer(texts: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    make = partial(TfidfVectorizer, sublinear_tf=True, max_features=200_000)
    characters: dict[str, Any] = {"analyzer": "char", "ngram_range": (1, 3)}
    min_rows = 2 if len(texts) >= 200 else 1
    spaceless = sum(map(_cjk_share, texts[:1000])) > 0.3 * min(len(texts), 1000)
    for options in ([] if spaceless else [{"ngram_range": (1, 2)}]) + [characters]:
        with contextlib.suppress(ValueError):  # nothing in the texts that counts
            return make(min_df=min_rows, **options).fit(texts)
    return make(**characters).fit(texts)


def _cjk_share(text: str) -> float:
    return sum("\u3040" <= c <= "\u9fff" or "\uac00" <= c <= "\ud7af" for c in text) / len(text)


class TfidfClassifier:
    """TF-IDF + logistic regression; its regularisation is chosen on the validation rows."""

    def __init__(
        self, train: Sequence[Example], validation: Sequence[Example], task: TaskParams
    ) -> None:
        self._names = task.label_names
        self._features = TfidfFeatures(train)
        inputs, held_out = self._features(train), self._features(validation)
        gold = self._targets(validation)
        fitted = [self._fit(inputs, self._targets(train), c) for c in _STRENGTHS]
        self._model = max(fitted, key=lambda model: model.score(held_out, gold))

    def _targets(self, examples: Sequence[Example]) -> Any:
        labels = [example["label"] for example in examples]
        if isinstance(labels[0], str):
            return [self._names.index(label) for label in labels]
        return np.array([[name in label for name in self._names] for label in labels], dtype=int)

    def _fit(self, inputs: Any, targets: Any, strength: float) -> Any:
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier

        model = LogisticRegression(C=strength, max_iter=1000)
        several = isinstance(targets, np.ndarray)
        return (OneVsRestClassifier(model) if several else model).fit(inputs, targets)

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Labels with probabilities in the order the task declares them."""
        found = self._model.predict_proba(self._features(examples))
        several = not isinstance(examples[0]["label"], str)
        # A label without a training row has no column of its own.
        columns = range(len(self._names)) if several else self._model.classes_
        probabilities = np.zeros((len(examples), len(self._names)))
        probabilities[:, list(columns)] = found
        return [
            {
                "prediction": [n for n, p in zip(self._names, row, strict=True) if p >= 0.5]
                if several
                else self._names[int(row.argmax())],
                "probabilities": row.tolist(),
            }
            for row in probabilities
        ]


class TfidfRegressor:
    """TF-IDF + ridge regression; its regularisation is chosen on the validation rows."""

    def __init__(
        self, train: Sequence[Example], validation: Sequence[Example], task: TaskParams
    ) -> None:
        from sklearn.linear_model import Ridge

        self._features = TfidfFeatures(train)
        inputs, held_out = self._features(train), self._features(validation)
        targets, gold = ([e["label"] for e in x] for x in (train, validation))
        fitted = [Ridge(alpha=1 / c, random_state=0).fit(inputs, targets) for c in _STRENGTHS]
        self._model = max(fitted, key=lambda model: model.score(held_out, gold))

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Numbers."""
        found = self._model.predict(self._features(examples))
        return [{"prediction": float(value), "probabilities": None} for value in found]
