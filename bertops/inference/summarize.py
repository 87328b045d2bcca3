"""Extractive summaries: the sentences of a document that say most."""

import math
import re
from collections.abc import Sequence
from typing import Any

from bertops.inference.reader import Encoded, Example, Prediction
from bertops.inference.tag import TagReader

KEEP = "keep"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


def split_sentences(text: str) -> list[str]:
    """Sentences of a text, cut after Latin or Chinese end punctuation."""
    return [part for part in _SENTENCE_END.split(text) if part and part.strip()]


class SummaryReader(TagReader):
    """Tags sentences as it would words: each by its first token, seeing the whole document.

    `prediction` is the summary: the best `card.summary_share` of the sentences, in the order of
    the document; `probabilities` has the score of every sentence, `sentences` their indices.
    """

    def complete(self, example: Example) -> Example:
        """The sentences of the text."""
        if "sentences" in example:
            return example
        return {**example, "sentences": split_sentences(example["text"])}

    def units(self, example: Example) -> Sequence[str]:
        """The sentences."""
        return example["sentences"]

    def predict(self, model: Any, encoded: Encoded) -> list[Prediction]:
        """Summaries."""
        keep, share = self.card.labels.index(KEEP), self.card.summary_share
        all_shares = self.shares(model, encoded)
        return [
            summary(example["sentences"], shares_WC[:, keep].tolist(), share)
            for example, shares_WC in zip(encoded.examples, all_shares, strict=True)
        ]


def summary(sentences: Sequence[str], scores: Sequence[float], share: float) -> Prediction:
    """The best sentences in their order; of equals the earlier. At least one."""
    count = max(1, math.ceil(share * len(sentences)))
    best = sorted(sorted(range(len(sentences)), key=lambda i: (-scores[i], i))[:count])
    text = " ".join(sentences[i] for i in best)
    return {"prediction": text, "probabilities": list(scores), "sentences": best}
