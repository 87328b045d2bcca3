"""Documents → rows: long ones cut to size, remainders fitted together, none lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

SPECIALS_PER_PIECE = 2  # [CLS] before and [SEP] after


@dataclass(frozen=True)
class RowPlan:
    """Which pieces of which documents make up each row.

    A piece is a run of tokens of one document; row r holds the pieces first[r] to first[r + 1].
    """

    row_length: int
    starts: NDArray[np.int64]
    """Position in the token store of each piece, in the order of the rows."""
    lengths: NDArray[np.int32]
    """Tokens of each piece, without [CLS] and [SEP]."""
    first: NDArray[np.int64]
    """Index of each row's first piece, and the number of pieces at the end: rows + 1 numbers."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.first) - 1

    @cached_property
    def row_tokens(self) -> NDArray[np.int64]:
        """Tokens in each row, [CLS] and [SEP] included, padding not."""
        ends = np.cumsum(np.append(0, self.lengths + SPECIALS_PER_PIECE), dtype=np.int64)
        return np.diff(ends[self.first])

    @property
    def tokens(self) -> int:
        """Tokens in all rows, [CLS] and [SEP] included, padding not."""
        return int(self.row_tokens.sum())

    @property
    def fill_rate(self) -> float:
        """Share of all positions that hold a token and not padding, 0 to 1."""
        return self.tokens / max(self.rows * self.row_length, 1)


def plan_rows(boundaries: NDArray[np.int64], row_length: int) -> RowPlan:
    """Decide which tokens stand in which row.

    A document longer than a row is cut into pieces that fill a row each, and a remainder. All
    remainders and short documents are fitted together, longest first, each into the row with the
    least room that still takes it (best-fit decreasing: at most 11/9 of the optimum, Johnson 1974;
    in practice over 99 % full).

    Args:
        boundaries: position of the first token of each document, and the end, as in a TokenStore.
        row_length: tokens in a row, special ones included.
    """
    room = row_length - SPECIALS_PER_PIECE
    sizes = np.diff(boundaries)
    whole, rest = sizes // room, sizes % room
    full = _full_pieces(boundaries[:-1], whole, room)
    remainders = np.flatnonzero(rest)
    longest_first = remainders[np.argsort(-rest[remainders], kind="stable")]
    fitted = fit_pieces(rest[longest_first] + SPECIALS_PER_PIECE, row_length)
    by_row = longest_first[np.argsort(fitted, kind="stable")]
    counts = np.bincount(fitted) if len(fitted) else np.zeros(0, dtype=np.int64)
    return RowPlan(
        row_length=row_length,
        starts=np.concatenate([full, boundaries[:-1][by_row] + whole[by_row] * room]),
        lengths=np.concatenate([np.full(len(full), room), rest[by_row]]).astype(np.int32),
        first=np.cumsum(np.concatenate([[0], np.ones(len(full)), counts]), dtype=np.int64),
    )


def _full_pieces(
    starts: NDArray[np.int64], whole: NDArray[np.int64], room: int
) -> NDArray[np.int64]:
    total = int(whole.sum())
    earlier = np.repeat(np.cumsum(whole) - whole, whole)
    return np.repeat(starts, whole) + (np.arange(total) - earlier) * room


def fit_pieces(sizes: Sequence[int] | NDArray[np.int64], row_length: int) -> NDArray[np.int64]:
    """Row number of each piece: the fullest row that still takes it, or a new one.

    Bit r of `free` says that some row has room for exactly r tokens, so the best fit is the lowest
    set bit from `size` upwards: a few machine words, whatever the number of rows.
    """
    rows_with: list[list[int]] = [[] for _ in range(row_length + 1)]
    free = 0
    chosen = np.empty(len(sizes), dtype=np.int64)
    count = 0
    for i, size in enumerate(np.asarray(sizes).tolist()):
        fitting = free >> size
        if fitting:
            room = size + (fitting & -fitting).bit_length() - 1
            row = rows_with[room].pop()
            if not rows_with[room]:
                free ^= 1 << room
        else:
            room, row, count = row_length, count, count + 1
        chosen[i] = row
        rows_with[room - size].append(row)
        free |= 1 << (room - size)
    return chosen
