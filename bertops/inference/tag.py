"""Tags for words: named entities."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertops.inference.predict import probabilities
from bertops.inference.reader import Encoded, Example, Features, Prediction, Reader

# L tokens of an input, W words, C tags


@dataclass(frozen=True)
class Entity:
    """A named thing in a text."""

    label: str
    text: str
    start: int
    """Of its first character in the text."""
    end: int
    """After its last character."""
    score: float
    """Probability of its least certain word."""


class TagReader(Reader):
    """One tag for each word, read from the word's first token; long texts in windows."""

    model_class = "AutoModelForTokenClassification"

    def complete(self, example: Example) -> Example:
        """Words with their offsets, cut as the tokenizer cuts: at spaces, punctuation, and around
        every Chinese character. Spaces that it counts to a word are left out."""
        if "words" in example:
            return example
        text = example["text"]
        spans = [_without_spaces(text, *span) for span in self._words(text)]
        spans = [(start, end) for start, end in spans if start < end]
        return {**example, "words": [text[start:end] for start, end in spans], "offsets": spans}

    def _words(self, text: str) -> Iterable[tuple[int, int]]:
        """Start and end of each word whose tokens the tokenizer makes of a whole text."""
        encoded = self.tokenizer(
            text,
            add_special_tokens=False,
            truncation=False,
            return_offsets_mapping=True,
            verbose=False,  # a text longer than the model is read in windows later
        )
        spans: dict[int, tuple[int, int]] = {}
        for word, (start, end) in zip(encoded.word_ids(), encoded["offset_mapping"], strict=True):
            first, last = spans.get(word, (start, end))
            spans[word] = min(first, start), max(last, end)
        return spans.values()

    def tokenize(self, examples: Sequence[Example]) -> list[Features]:
        """Token ids; `places` has the index of the word of each token, None for special ones.

        A window that begins in the middle of a word leaves it to the one before, and one that holds
        nothing else is not read.
        """
        encoded = self.tokenizer(
            [list(self.units(e)) for e in examples],
            is_split_into_words=True,
            truncation=True,
            max_length=self.card.max_length,
            stride=self.card.max_length // 4,
            return_overflowing_tokens=True,
            return_attention_mask=False,
        )
        ids = encoded["input_ids"]
        types = encoded.get("token_type_ids") or [None] * len(ids)
        rows = encoded["overflow_to_sample_mapping"]
        found: list[Features] = []
        for i, row in enumerate(rows):
            places = encoded.word_ids(i)
            if i and rows[i - 1] == row:
                begun = next((word for word in places if word is not None), None)
                places = [None if word == begun else word for word in places]
                if not any(word is not None for word in places):
                    continue
            found.append(Features(row, ids[i], types[i], places))
        return found

    def units(self, example: Example) -> Sequence[str]:
        """What is tagged."""
        return example["words"]

    def predict(self, model: Any, encoded: Encoded) -> list[Prediction]:
        """`prediction`: a tag for each word; `probabilities`: that of each tag."""
        found = []
        for shares_WC in self.shares(model, encoded):
            best = shares_WC.argmax(axis=1)
            found.append(
                {
                    "prediction": [self.card.labels[i] for i in best],
                    "probabilities": shares_WC.max(axis=1).tolist(),
                }
            )
        return found

    def shares(self, model: Any, encoded: Encoded) -> Iterator[np.ndarray]:
        """Probabilities of the tags of every word, [W, C] for each example.

        Windows are averaged. A word without a token, such as a lone control character, gets the
        first tag.
        """

        def read(outputs: Any, lengths: Sequence[int]) -> list[np.ndarray]:
            logits = outputs.logits.float().cpu().numpy()
            return [row[:length] for row, length in zip(logits, lengths, strict=True)]

        logits = self.outputs(model, encoded, read)
        for example, group in encoded.by_example():
            sums_WC = np.zeros((len(self.units(example)), len(self.card.labels)))
            windows_W = np.zeros(len(sums_WC))
            for index in group:
                for token, word in first_tokens(encoded.features[index].places):
                    sums_WC[word] += logits[index][token]
                    windows_W[word] += 1
            sums_WC[windows_W == 0, 0] = 1e3
            yield probabilities(sums_WC / np.maximum(windows_W, 1)[:, None])


def _without_spaces(text: str, start: int, end: int) -> tuple[int, int]:
    word = text[start:end]
    return start + len(word) - len(word.lstrip()), end - len(word) + len(word.rstrip())


def first_tokens(words: Sequence[int | None]) -> Iterator[tuple[int, int]]:
    """(token, word) for the first token of each word."""
    before = None
    for token, word in enumerate(words):
        if word is not None and word != before:
            yield token, word
        before = word


def entities(example: Example, found: Prediction) -> list[Entity]:
    """The entities of a completed example. A tag I- that continues nothing begins one."""
    spans: list[tuple[str, int, int]] = []
    for index, tag in enumerate(found["prediction"]):
        begin, _, label = tag.partition("-")
        if not label:
            continue
        last = spans[-1] if spans else None
        if begin == "I" and last and last[0] == label and last[2] == index:
            spans[-1] = (label, last[1], index + 1)
        else:
            spans.append((label, index, index + 1))
    return [_entity(example, found, *span) for span in spans]


def _entity(example: Example, found: Prediction, label: str, first: int, end: int) -> Entity:
    start, stop = example["offsets"][first][0], example["offsets"][end - 1][1]
    score = min(found["probabilities"][first:end])
    return Entity(label, example["text"][start:stop], start, stop, score)
