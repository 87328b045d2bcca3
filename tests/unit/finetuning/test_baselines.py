"""Baselines fit any texts: what they cannot count, they leave out."""

import pytest

from bertops.finetuning.baselines import TfidfClassifier
from bertops.finetuning.params import TaskParams

TASK = TaskParams(name="t", labels=("a", "b"), data=({"path": "x.jsonl", "split": "by_hash"},))
TEXTS = {
    "words that stand once": [f"name{number}" for number in range(300)],
    "single characters": list("ABC12👍👎"),
    "single characters, many": [chr(0x1F300 + number) for number in range(300)],
    "sentences": [f"the film was {word}" for word in ("good", "bad", "fine")] * 100,
}


@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
def test_tfidf_fits_texts_of_any_kind(texts):
    rows = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(texts)]
    found = TfidfClassifier(rows, rows[:10], TASK).predict(rows)
    assert len(found) == len(rows)
    assert {one["prediction"] for one in found} <= {"a", "b"}
