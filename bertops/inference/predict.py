"""Labels with probabilities, or numbers, for texts and pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertops.inference.card import TaskCard
from bertops.inference.encode import encode
from bertops.inference.reader import Encoded, Example, Features, Prediction, Reader

# N examples, F features, C classes


class SequenceReader(Reader):
    """Classification and regression: one row of logits for a text or a pair.

    Classification predicts a label name, with probabilities in the order of `card.labels`;
    multi-label: the list of labels with a probability of at least 0.5. Regression predicts a
    number. Windows of a long text are averaged before anything is decided.
    """

    model_class = "AutoModelForSequenceClassification"

    def tokenize(self, examples: Sequence[Example]) -> list[Features]:
        """Token ids, cut as the card says."""
        second = [e["text_b"] for e in examples] if self.card.pair else None
        return encode([e["text"] for e in examples], second, self.tokenizer, self.card)

    def predict(self, model: Any, encoded: Encoded) -> list[Prediction]:
        """Labels or numbers."""
        logits_FC = np.asarray(self.outputs(model, encoded, _logits), dtype=np.float64)
        logits_NC = _mean_by_row(logits_FC, [f.row for f in encoded.features])
        return decide(logits_NC, self.card)


def decide(logits_NC: np.ndarray, card: TaskCard) -> list[Prediction]:
    """Predictions from logits, float [N, C]."""
    if card.kind == "regression":
        return [{"prediction": float(row[0]), "probabilities": None} for row in logits_NC]
    return [_label(row, card) for row in probabilities(logits_NC, card.multi_label)]


def probabilities(logits_NC: np.ndarray, multi_label: bool = False) -> np.ndarray:
    """Softmax over the last axis, or a sigmoid for each; float64."""
    if multi_label:
        return 1 / (1 + np.exp(-logits_NC))
    shifted = np.exp(logits_NC - logits_NC.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _label(row: np.ndarray, card: TaskCard) -> Prediction:
    shares = row.tolist()
    if card.multi_label:
        label: Any = [name for name, p in zip(card.labels, shares, strict=True) if p >= 0.5]
    else:
        label = card.labels[int(row.argmax())]
    return {"prediction": label, "probabilities": shares}


def _logits(outputs: Any, lengths: Sequence[int]) -> list[Any]:
    return list(outputs.logits.float().cpu().numpy())


def _mean_by_row(values_FC: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Mean over the features of each example, [N, C]."""
    count = max(rows) + 1
    sums = np.zeros((count, values_FC.shape[1]))
    np.add.at(sums, list(rows), values_FC)
    return sums / np.bincount(rows, minlength=count)[:, None]
