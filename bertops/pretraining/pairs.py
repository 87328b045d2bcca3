"""Sentence pairs for next-sentence prediction, as BERT was trained on them.

A row is [CLS] A [SEP] B [SEP]. A and B are runs of sentences; in half of the rows B is what
follows A, in the other half it comes from another document.

Source: Devlin et al. 2019, "BERT", section 3.1 and appendix A.2, and the authors' program
create_pretraining_data.py, whose rules these are: rows are filled up to the full length, those of
one document in ten to a random shorter one; sentences that a random B displaces are put back; what
is too long loses tokens at a random end of the longer segment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bertops.errors import UsageError
from bertops.pretraining.rows import RowArrays
from bertops.pretraining.store import TokenStore
from bertops.tokenizer.load import Vocab

SPECIALS = 3  # [CLS] A [SEP] B [SEP]
SHORT_SHARE = 0.1  # of documents whose rows are filled to a random shorter length

Span = tuple[int, int]
"""First token and end of a run of tokens, as positions in the token store."""


class TooFewDocuments(UsageError):
    """Random partners need another document to come from."""

    def __init__(self, documents: int) -> None:
        self.documents = documents
        super().__init__(
            f"next-sentence prediction needs two documents or more, found {documents}. Add text, "
            "or set pretraining.objective to mlm."
        )


@dataclass(frozen=True)
class Pair:
    """One row: two runs of tokens, and whether B follows A."""

    a: Span
    b: Span
    follows: bool


class PairRows:
    """Rows of sentence pairs, planned once for a corpus and a seed."""

    specials = SPECIALS

    def __init__(self, store: TokenStore, vocab: Vocab, row_length: int, seed: int) -> None:
        """Plan the rows; `vocab.endings` says which tokens end a sentence.

        Raises:
            TooFewDocuments: there is no other document to take a random partner from.
        """
        self._store, self._vocab, self.row_length = store, vocab, row_length
        documents = list(_split_documents(store, vocab.endings, row_length - SPECIALS))
        if len(documents) == 1:
            raise TooFewDocuments(len(documents))
        # One generator for the whole plan, so rows depend on all documents before them; the plan
        # as a whole is a function of corpus, row length and seed.
        random = np.random.Generator(np.random.Philox(key=seed))
        self._pairs = [
            pair
            for number in range(len(documents))
            for pair in pair_document(documents, number, row_length - SPECIALS, random)
        ]
        lengths = [(p.a[1] - p.a[0]) + (p.b[1] - p.b[0]) + SPECIALS for p in self._pairs]
        self.row_tokens = np.asarray(lengths, dtype=np.int64)

    def lay_out(self, rows_B: NDArray[np.int64]) -> RowArrays:
        """These rows, as arrays."""
        shape = (len(rows_B), self.row_length)
        ids_BL = np.full(shape, self._vocab.pad, dtype=np.int64)
        documents_BL = np.zeros(shape, dtype=np.int32)
        positions_BL, types_BL = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        follows_B = np.zeros(len(rows_B), dtype=np.int64)
        continues_BL = np.zeros(shape, dtype=np.bool_) if self._store.knows_words else None
        for i, row in enumerate(rows_B):
            pair = self._pairs[row]
            a, b = (self._store.read(start, end - start) for start, end in (pair.a, pair.b))
            sep = [self._vocab.sep]
            ids = np.concatenate([[self._vocab.cls], a, sep, b, sep])
            ids_BL[i, : len(ids)] = ids
            documents_BL[i, : len(ids)] = 1
            positions_BL[i, : len(ids)] = np.arange(len(ids))
            types_BL[i, len(a) + 2 : len(ids)] = 1
            follows_B[i] = 0 if pair.follows else 1
            if continues_BL is not None:
                for at, (start, end) in ((1, pair.a), (len(a) + 2, pair.b)):
                    word = self._store.continues_word(start, end - start)
                    continues_BL[i, at : at + end - start] = word
        return RowArrays(ids_BL, documents_BL, positions_BL, types_BL, follows_B, continues_BL)


def _split_documents(
    store: TokenStore, endings: tuple[int, ...], room: int
) -> Iterator[list[Span]]:
    for start, end in pairwise(store.boundaries.tolist()):
        if end > start:
            spans = split_sentences(store.read(start, end - start), start, endings)
            yield [piece for span in spans for piece in cut_long(span, room)]


def cut_long(sentence: Span, room: int) -> Iterator[Span]:
    """A sentence that is longer than a row in halves of one, so that no text is left out for want
    of full stops; any other as it is."""
    start, end = sentence
    size = room // 2 if end - start > room else room
    return ((at, min(at + size, end)) for at in range(start, end, size))


def split_sentences(
    ids: NDArray[np.unsignedinteger], start: int, endings: tuple[int, ...]
) -> list[Span]:
    """Runs of tokens that end with a full stop or its like, as positions from `start`.

    A rule of thumb, as segments need only be longer than words: "Mr. Smith" is cut in two.
    """
    is_end = np.isin(ids, endings)
    is_end[:-1] &= ~is_end[1:]  # "?!" and "..." end once
    ends = (np.flatnonzero(is_end) + 1).tolist()
    if not ends or ends[-1] != len(ids):
        ends.append(len(ids))
    return [(start + a, start + b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def pair_document(
    documents: list[list[Span]], number: int, room: int, random: np.random.Generator
) -> Iterator[Pair]:
    """The pairs that begin in document `number`, A and B together at most `room` tokens."""
    sentences = documents[number]
    target = _target(room, random)
    first = i = 0
    while i < len(sentences):
        size = sentences[i][1] - sentences[first][0]
        last = i == len(sentences) - 1
        if last or size >= target:
            chunk = sentences[first : i + 1]
            cut = int(random.integers(1, len(chunk))) if len(chunk) >= 2 else 1
            follows = len(chunk) > 1 and random.random() >= 0.5
            a = (chunk[0][0], chunk[cut - 1][1])
            if follows:
                b = (chunk[cut][0], chunk[-1][1])
            else:
                b = _random_segment(documents, number, target - (a[1] - a[0]), random)
                i -= len(chunk) - cut  # the sentences after A go back
            yield Pair(*_truncate(a, b, room, random), follows)
            first = i + 1
        i += 1


def _target(room: int, random: np.random.Generator) -> int:
    return int(random.integers(2, room + 1)) if random.random() < SHORT_SHARE else room


def _random_segment(
    documents: list[list[Span]], number: int, wanted: int, random: np.random.Generator
) -> Span:
    other = int(random.integers(len(documents) - 1))
    sentences = documents[other + (other >= number)]
    first = int(random.integers(len(sentences)))
    end = next((e for _, e in sentences[first:] if e - sentences[first][0] >= wanted), None)
    return sentences[first][0], end if end is not None else sentences[-1][1]


def _truncate(a: Span, b: Span, room: int, random: np.random.Generator) -> tuple[Span, Span]:
    """Drop tokens of the longer segment, each from a random end, until both fit."""
    spans = [list(a), list(b)]
    while sum(end - start for start, end in spans) > room:
        longer = spans[0] if spans[0][1] - spans[0][0] > spans[1][1] - spans[1][0] else spans[1]
        front = random.random() < 0.5
        longer[0 if front else 1] += 1 if front else -1
    return (spans[0][0], spans[0][1]), (spans[1][0], spans[1][1])
