"""Labels with probabilities, or numbers, for texts and pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertops.inference.card import TaskCard
from bertops.inference.encode import Features, encode
from bertops.inference.forward import forward
from bertops.inference.load import Loaded

# N texts, C classes


def predict(
    loaded: Loaded, texts: Sequence[str], second: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """One prediction for each text, or each pair: `prediction` and `probabilities`.

    Classification: a label name and probabilities in the order of `card.labels`; multi-label: the
    list of labels with a probability of at least 0.5. Regression: a number and None.
    """
    card = loaded.task_card()
    clean = loaded.clean
    second = [clean(text) for text in second] if second is not None else None
    features = encode([clean(text) for text in texts], second, loaded.tokenizer, card)
    return predict_features(loaded.model, features, loaded.tokenizer.pad_token_id, card)


def predict_features(
    model: Any,
    features: Sequence[Features],
    pad_id: int,
    card: TaskCard,
    precision: str = "auto",
) -> list[dict[str, Any]]:
    """As `predict`, for texts that are token ids already; windows of a text are averaged."""
    rows = forward(model, [f.inputs() for f in features], pad_id, _logits, precision)
    logits_NC = _mean_by_row(np.asarray(rows, dtype=np.float64), [f.row for f in features])
    if card.kind == "regression":
        return [{"prediction": float(row[0]), "probabilities": None} for row in logits_NC]
    return [_decide(row, card) for row in probabilities(logits_NC, card.multi_label)]


def probabilities(logits_NC: np.ndarray, multi_label: bool) -> np.ndarray:
    """Softmax over classes, or a sigmoid for each; float64 [N, C]."""
    if multi_label:
        return 1 / (1 + np.exp(-logits_NC))
    shifted = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _decide(row: np.ndarray, card: TaskCard) -> dict[str, Any]:
    shares = row.tolist()
    if card.multi_label:
        label: Any = [name for name, p in zip(card.labels, shares, strict=True) if p >= 0.5]
    else:
        label = card.labels[int(row.argmax())]
    return {"prediction": label, "probabilities": shares}


def _logits(outputs: Any, lengths: Sequence[int]) -> list[Any]:
    return list(outputs.logits.float().cpu().numpy())


def _mean_by_row(values_FC: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Mean over the features of each text, [N, C]."""
    count = max(rows) + 1
    sums = np.zeros((count, values_FC.shape[1]))
    np.add.at(sums, list(rows), values_FC)
    return sums / np.bincount(rows, minlength=count)[:, None]
