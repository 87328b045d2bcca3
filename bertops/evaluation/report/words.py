"""How names and numbers are written for people; page and card write them alike."""

from collections.abc import Callable
from typing import Any

MODELS = {
    "pretrained": "pretrained",
    "control": "not pretrained",
    "tfidf": "TF-IDF + linear",
    "majority": "majority class",
}
"""Names for people, in the order of the report."""


def name_of(model: str) -> str:
    """What people call a model."""
    return MODELS.get(model, model.replace("_", " "))


def p_value(value: float | None) -> str:
    """A p-value; it is kept to five digits, and none is 0."""
    if value is None:
        return "–"
    return "< 0.00001" if value < 1e-5 else f"{value:.2g}"


def figure(value: Any) -> str:
    """A gate's number or word; a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("_", " ")


FILTERS: dict[str, Callable[..., str]] = {
    "number": lambda value: f"{value:,}",
    "percent": lambda value: f"{100 * value:.1f} %",
    "points": lambda value: f"{100 * value:+.1f}",
    "model": name_of,
    "figure": figure,
    "p_value": p_value,
}
"""For templates."""
