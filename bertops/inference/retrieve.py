"""Vectors of texts that are near where the meanings are, and search among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertops.inference.reader import Encoded, Example, Features, Prediction, Reader

# N texts, M candidates, D vector size
RANKED = 100
"""Candidates that a prediction lists."""


@dataclass(frozen=True)
class Hit:
    """A stored answer that was found."""

    index: int
    score: float
    """Cosine, -1 to 1."""


class EmbeddingReader(Reader):
    """Compares `text` with `text_b` by the cosine of their vectors.

    A task with a number for each pair predicts that cosine. A task without one is a search: the
    candidates are all different `text_b` of the rows asked together, and `prediction` lists the
    nearest of them, best first. The model is one of sentence-transformers.
    """

    model_class = "SentenceTransformer"
    needs = ("text", "text_b")

    def tokenize(self, examples: Sequence[Example]) -> list[Features]:
        """Empty features: sentence-transformers tokenizes by itself."""
        return [Features(row, [], None) for row in range(len(examples))]

    def predict(self, model: Any, encoded: Encoded) -> list[Prediction]:
        """Cosines, or ranked candidates."""
        examples = encoded.examples
        first_ND = vectors(model, [e["text"] for e in examples])
        if self.card.labels:
            second_ND = vectors(model, [e["text_b"] for e in examples])
            cosines = (first_ND * second_ND).sum(axis=1)
            return [{"prediction": float(c), "probabilities": None} for c in cosines]
        candidates = list(dict.fromkeys(e["text_b"] for e in examples))
        hits = search(first_ND, vectors(model, candidates), RANKED)
        return [
            {
                "prediction": [candidates[hit.index] for hit in row],
                "probabilities": [hit.score for hit in row],
            }
            for row in hits
        ]


def vectors(model: Any, texts: Sequence[str]) -> np.ndarray:
    """Vectors of length 1, float32 [N, D]."""
    return np.asarray(
        model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False, batch_size=64)
    )


def search(queries_ND: np.ndarray, stored_MD: np.ndarray, top: int) -> list[list[Hit]]:
    """The nearest stored vectors of each query, best first; exact. Both sides have length 1."""
    cosines_NM = queries_ND @ stored_MD.T
    best = np.argsort(-cosines_NM, axis=1, kind="stable")[:, :top]
    return [
        [Hit(int(i), float(row[i])) for i in order]
        for row, order in zip(cosines_NM, best, strict=True)
    ]
