"""Words that copies and contamination are found by.

Words here are lower-cased letters and digits without punctuation, and every Chinese or Japanese
character is one, so that a copy is found whatever its case, marks and line ends.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

SINGLE = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
WORD = rf"{SINGLE}|[\w--{SINGLE}]+"
"""What a word is; `content_words` finds the same, faster, as a test holds."""
LETTERS = bytes(byte < 128 and (chr(byte).isalnum() or chr(byte) == "_") for byte in range(256))
OTHERS = bytes(byte for byte in range(128) if not LETTERS[byte])


@dataclass(frozen=True)
class Words:
    """Words of a batch, laid flat: those of document i are [start[i], end[i])."""

    lists: pl.Series
    hash: NDArray[np.uint64]
    document: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def text(self, document: int, place: int, n: int) -> str:
        """The `n` words of a document that begin at the flat place `place`."""
        first = place - int(self.start[document])
        return " ".join(self.lists[document][first : first + n].to_list())


def content_words(text: pl.Series) -> Words:
    """Split the texts of a batch into the words that copies are compared by.

    All texts are looked at as one array of bytes, with a NUL before and after each.
    """
    lowered = text.str.to_lowercase()
    utf8 = bytearray("\0".join(["", *lowered.to_list(), ""]).encode())
    begin, end = _found(utf8)
    past = np.cumsum(lowered.str.len_bytes().to_numpy().astype(np.int64) + 1)
    bounds = np.searchsorted(begin, np.append(0, past))
    buffers = np.append(0, np.cumsum(end - begin)), utf8.translate(None, OTHERS)
    flat = pa.LargeStringArray.from_buffers(len(begin), *map(pa.py_buffer, buffers))
    lists = pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(bounds, flat)))
    count = np.diff(bounds)
    return Words(
        lists=lists,
        hash=lists.explode(empty_as_null=False).hash().to_numpy(),
        document=np.repeat(np.arange(len(count)), count),
        start=bounds[:-1],
        end=bounds[1:],
    )


def _found(utf8: bytearray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where words begin and end. Characters beyond ASCII that are in no word become NUL."""
    every = np.frombuffer(utf8, np.uint8)
    inside = np.frombuffer(utf8.translate(LETTERS), bool)
    high = np.flatnonzero(every >= 0x80)  # two to four bytes a character, the first from 0xC0 on
    first = np.flatnonzero(every >= 0xC0)
    size = np.diff(np.flatnonzero(every[high] >= 0xC0), append=len(high))
    in_word, alone = _classes(every[high].tobytes().decode())
    inside[high] = wide = np.repeat(in_word, size)
    every[high[~wide]] = 0
    cut = np.zeros(len(utf8), bool)
    cut[first[alone]] = cut[(first + size)[alone]] = True
    now, before = inside[1:], inside[:-1]
    cut = cut[1:] & now & before
    return np.flatnonzero((now & ~before) | cut) + 1, np.flatnonzero((before & ~now) | cut) + 1


def _classes(characters: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of the characters belong to words, and which are a word each."""
    points = np.frombuffer(characters.encode("utf-32-le"), np.uint32)
    seen = np.zeros(0x110000, bool)
    seen[points] = True
    different = np.flatnonzero(seen)
    each = pl.Series([chr(point) for point in different.tolist()], dtype=pl.String)
    found = []
    for pattern in (r"\w", SINGLE):
        seen[different] = each.str.contains(pattern).to_numpy()
        found.append(seen[points])
    in_word, alone = found
    return in_word | alone, alone
