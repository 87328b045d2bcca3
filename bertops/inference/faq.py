"""Stored questions with their answers, and the best of them for a new question."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bertops.errors import BertopsError
from bertops.inference.embed import vectors_of
from bertops.inference.load import Loaded
from bertops.inference.retrieve import search


class StoreUnreadable(BertopsError):
    """The file with the stored answers cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}; it wants one JSON object a line with an `answer`")


@dataclass(frozen=True)
class Found:
    """A stored answer for a question."""

    score: float
    """Cosine of the vectors, -1 to 1."""
    answer: str
    question: str | None


class Faq:
    """Answers with a vector each: of their question where they have one, else of themselves."""

    def __init__(self, loaded: Loaded, entries: Sequence[dict[str, Any]]) -> None:
        self._loaded, self._entries = loaded, entries
        keys = [str(entry.get("question") or entry["answer"]) for entry in entries]
        self._vectors_MD: np.ndarray = vectors_of(loaded, keys)

    def ask(self, questions: Sequence[str], top: int = 3) -> list[list[Found]]:
        """The nearest `top` entries for each question, best first."""
        hits = search(vectors_of(self._loaded, questions), self._vectors_MD, top)
        return [[self._found(hit.index, hit.score) for hit in row] for row in hits]

    def _found(self, index: int, score: float) -> Found:
        entry = self._entries[index]
        question = entry.get("question")
        return Found(score, str(entry["answer"]), None if question is None else str(question))


def read_store(path: Path) -> list[dict[str, Any]]:
    """The entries of a JSON Lines file.

    Raises:
        StoreUnreadable: no such file, no entries, a broken line, or one without `answer`.
    """
    if not path.is_file():
        raise StoreUnreadable(path, "no such file")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines() also splits at U+2028
    except UnicodeDecodeError as error:
        raise StoreUnreadable(path, f"no UTF-8: {error}") from error
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise StoreUnreadable(path, f"line {number} is no JSON: {error}") from error
        if not isinstance(entry, dict) or not str(entry.get("answer") or "").strip():
            raise StoreUnreadable(path, f"line {number} has no answer")
        entries.append(entry)
    if not entries:
        raise StoreUnreadable(path, "it is empty")
    return entries
