"""Runs of words as hashes: what duplicates and contamination are found by."""

import numpy as np
import polars as pl
import xxhash
from numpy.typing import NDArray

from bertops.corpus.words import Words

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, from the golden ratio: mixes well modulo 2**64


def ngrams(words: Words, n: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes of all runs of `n` words inside a document, and the flat places they begin at."""
    if len(words.hash) < n:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    last = len(words.hash) - n + 1
    grams = np.zeros(last, np.uint64)
    for shift in range(n):  # in place: what takes the time is memory
        grams += words.hash[shift : shift + last]
        grams *= MULTIPLIER
    places = np.flatnonzero(words.document[:last] == words.document[n - 1 :])
    return _finish(grams[places]), places


def _finish(grams: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread high bits into low ones, which multiplication alone leaves weak (murmur3's end).

    In place.
    """
    grams ^= grams >> np.uint64(33)
    grams *= np.uint64(0xFF51AFD7ED558CCD)
    grams ^= grams >> np.uint64(33)
    return grams


def shingles(words: Words, n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Runs of `n` words of every document, laid flat, and offsets: document i has [o[i], o[i+1]).

    A document of fewer than `n` words is one shingle made of all its words.
    """
    grams, places = ngrams(words, n)
    count = np.bincount(words.document[places], minlength=len(words.start))
    short = np.flatnonzero(count == 0)
    if len(short):
        whole = np.array([_whole(words, int(i)) for i in short], dtype=np.uint64)
        grams = np.insert(grams, np.cumsum(count)[short], whole)
        count[short] = 1
    return grams, np.concatenate([[0], np.cumsum(count)]).astype(np.uint64)


def _whole(words: Words, document: int) -> int:
    value = 0
    for one in words.hash[words.start[document] : words.end[document]].tolist():
        value = (value + one) * int(MULTIPLIER) % 2**64
    return value


def text_hashes(words: Words, text: pl.Series) -> pl.Series:
    """32 hexadecimal digits that are equal for texts with the same words in the same order.

    A text without words is known by its characters.
    """
    joined = words.lists.list.join(" ")
    pairs = zip(joined.to_list(), text.to_list(), strict=True)
    found = [xxhash.xxh3_128_hexdigest((a or b).encode()) for a, b in pairs]
    return pl.Series("text_hash", found)
