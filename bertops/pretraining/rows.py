"""Rows as arrays: what stands where, before anything is hidden."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bertops.pretraining.packing import SPECIALS_PER_PIECE, RowPlan
from bertops.pretraining.store import TokenStore
from bertops.tokenizer.load import Vocab

# B rows, L tokens of a row


@dataclass(frozen=True)
class RowArrays:
    """Rows with all their tokens visible."""

    ids_BL: NDArray[np.int64]
    documents_BL: NDArray[np.int32]
    """1 for the first document of a row, 2 for the second, ...; 0 on padding."""
    positions_BL: NDArray[np.int64]
    """Position within its document, from 0; 0 on padding."""
    types_BL: NDArray[np.int64] | None = None
    """Segment of each token, 0 or 1; None where rows have no segments."""
    follows_B: NDArray[np.int64] | None = None
    """0 where segment B follows A in its document, 1 where it is from another (as transformers
    counts); None where rows have no segments."""
    continues_BL: NDArray[np.bool_] | None = None
    """Whether a token continues the word before it, as a segmenter says; None without one."""


class Rows(Protocol):
    """A fixed number of rows that can be laid out in any order."""

    row_length: int
    row_tokens: NDArray[np.int64]
    """Tokens in each row, [CLS] and [SEP] included, padding not."""
    specials: int
    """Fewest special tokens in a row."""

    def lay_out(self, rows_B: NDArray[np.int64]) -> RowArrays:
        """These rows, as arrays."""


class PackedRows:
    """Rows of whole documents and pieces of documents: [CLS] piece [SEP] [CLS] piece [SEP] …"""

    specials = SPECIALS_PER_PIECE

    def __init__(self, store: TokenStore, plan: RowPlan, vocab: Vocab) -> None:
        self._store, self._plan, self._vocab = store, plan, vocab
        self.row_length, self.row_tokens = plan.row_length, plan.row_tokens

    def lay_out(self, rows_B: NDArray[np.int64]) -> RowArrays:
        """These rows, as arrays."""
        vocab, plan = self._vocab, self._plan
        ids_BL = np.full((len(rows_B), self.row_length), vocab.pad, dtype=np.int64)
        documents_BL = np.zeros(ids_BL.shape, dtype=np.int32)
        positions_BL = np.zeros(ids_BL.shape, dtype=np.int64)
        continues_BL = np.zeros(ids_BL.shape, dtype=np.bool_) if self._store.knows_words else None
        for i, row in enumerate(rows_B):
            at = 0
            for number, piece in enumerate(range(plan.first[row], plan.first[row + 1]), start=1):
                start, length = int(plan.starts[piece]), int(plan.lengths[piece])
                end = at + length + SPECIALS_PER_PIECE
                ids_BL[i, at] = vocab.cls
                ids_BL[i, at + 1 : end - 1] = self._store.read(start, length)
                ids_BL[i, end - 1] = vocab.sep
                documents_BL[i, at:end] = number
                positions_BL[i, at:end] = np.arange(end - at)
                if continues_BL is not None:
                    continues_BL[i, at + 1 : end - 1] = self._store.continues_word(start, length)
                at = end
        return RowArrays(ids_BL, documents_BL, positions_BL, continues_BL=continues_BL)
