"""Answers to questions: the span of a passage that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertops.inference.encode import cut_repeated
from bertops.inference.reader import Encoded, Example, Features, Prediction, Reader

# L tokens of an input
MAX_ANSWER_TOKENS = 40


@dataclass(frozen=True)
class _Span:
    score: float
    start: int
    """Of its first character in the passage."""
    end: int


class AnswerReader(Reader):
    """Finds in `text` (the passage) the answer to `text_b` (the question).

    `prediction` is a piece of the passage, `start` its first character (-1 for no answer), and
    `probabilities` how sure it is against there being none. Long passages are read in windows
    with the question repeated in each, as in Devlin et al. 2019, section 4.2 and 4.3.
    """

    model_class = "AutoModelForQuestionAnswering"
    needs = ("text", "text_b")

    def tokenize(self, examples: Sequence[Example]) -> list[Features]:
        """Token ids; `places` has (start, end) in the passage, None outside of it."""
        length = self.card.max_length
        encoded = self.tokenizer(
            cut_repeated([e["text_b"] for e in examples], self.tokenizer, length),
            [e["text"] for e in examples],
            truncation="only_second",
            max_length=length,
            stride=length // 4,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
        )
        features = []
        for index, ids in enumerate(encoded["input_ids"]):
            offsets, sides = encoded["offset_mapping"][index], encoded.sequence_ids(index)
            places = [
                tuple(place) if side == 1 else None
                for place, side in zip(offsets, sides, strict=True)
            ]
            types = encoded["token_type_ids"][index] if "token_type_ids" in encoded else None
            row = encoded["overflow_to_sample_mapping"][index]
            features.append(Features(row, ids, types, places))
        return features

    def predict(self, model: Any, encoded: Encoded) -> list[Prediction]:
        """The best span of each passage."""

        def read(outputs: Any, lengths: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
            starts = outputs.start_logits.float().cpu().numpy()
            ends = outputs.end_logits.float().cpu().numpy()
            rows = zip(starts, ends, lengths, strict=True)
            return [(start[:n], end[:n]) for start, end, n in rows]

        logits, features = self.outputs(model, encoded, read), encoded.features
        found = []
        for example, group in encoded.by_example():
            spans = [best_span(logits[i][0], logits[i][1], features[i].places) for i in group]
            # A window without the answer points at [CLS]: there is none only if all windows do.
            nothing = min(float(logits[i][0][0] + logits[i][1][0]) for i in group)
            best = max(spans, key=lambda span: span.score)
            found.append(_answer(example["text"], best, nothing, self.card.unanswerable))
        return found


def best_span(start_L: np.ndarray, end_L: np.ndarray, places: Sequence[Any]) -> _Span:
    """The likeliest span of the passage, of at most MAX_ANSWER_TOKENS tokens."""
    inside = np.array([place is not None and place[0] < place[1] for place in places])
    if not inside.any():
        return _Span(-np.inf, 0, 0)
    start_L = np.where(inside, start_L, -np.inf)
    end_L = np.where(inside, end_L, -np.inf)
    scores_LL = start_L[:, None] + end_L[None, :]
    length = np.arange(len(places))[None, :] - np.arange(len(places))[:, None]
    scores_LL = np.where((length >= 0) & (length < MAX_ANSWER_TOKENS), scores_LL, -np.inf)
    first, last = divmod(int(scores_LL.argmax()), len(places))
    return _Span(float(scores_LL[first, last]), places[first][0], places[last][1])


def _answer(passage: str, best: _Span, nothing: float, unanswerable: bool) -> Prediction:
    sure = float(1 / (1 + np.exp(min(nothing - best.score, 700.0))))
    if best.score == -np.inf or (unanswerable and nothing > best.score):
        return {"prediction": "", "probabilities": [sure], "start": -1}
    text = passage[best.start : best.end]
    return {"prediction": text, "probabilities": [sure], "start": best.start}
