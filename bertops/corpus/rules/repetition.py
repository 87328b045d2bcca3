"""Gopher repetition rules. Source: Rae et al. 2021, table A1; details as in datatrove.

n-grams are hashes combined from word hashes. An n-gram that stands twice in a document is made of
an (n-1)-gram that stands twice, so each n only looks at the places the n before it left over:
nearly all work is in the 2-grams.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bertops.corpus.rules.flat import per_document, split_lines

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, from the golden ratio: mixes well modulo 2**64


def line_repetition(text: pl.Series) -> pl.DataFrame:
    """Shares of lines and paragraphs seen before in their document, and of their characters."""
    characters = text.str.len_chars()
    lines = _duplicates(split_lines(text.str.replace_all("\n+", "\n")), characters, "line")
    paragraphs = text.str.strip_chars().str.replace_all("\n{2,}", "\x00")
    return pl.concat(
        [lines, _duplicates(split_lines(paragraphs, "\x00"), characters, "paragraph")],
        how="horizontal",
    )


def _duplicates(lines: pl.DataFrame, characters: pl.Series, name: str) -> pl.DataFrame:
    again = ~pl.struct("document", "hash").is_first_distinct()
    found = per_document(
        lines.with_columns(again=again),
        len(characters),
        pl.col("again").mean().alias(f"duplicate_{name}s"),
        pl.col("length").filter("again").sum().alias("repeated"),
    )
    share = found["repeated"] / characters
    return found.drop("repeated").with_columns(share.alias(f"duplicate_{name}_characters"))


class NgramRepetition:
    """Repeated n-grams of the documents of a batch."""

    def __init__(self, words: pl.DataFrame, characters: pl.Series) -> None:
        self.characters = characters.cast(pl.Float64).to_numpy()
        self.document = words["document"].to_numpy()
        self.hash = words["hash"].to_numpy()
        self.length = words["length"].to_numpy()
        count = np.bincount(self.document, minlength=len(characters))
        self.end = np.cumsum(count)
        self.start = self.end - count
        # characters before each word, so that any run of words is one subtraction
        self.before = np.concatenate([[0], np.cumsum(self.length)])

    def measure(self, top: Mapping[int, float], duplicate: Mapping[int, float]) -> pl.DataFrame:
        """Columns `top_{n}gram` and `duplicate_{n}gram`: shares of the characters of the text.

        Args:
            top: the n to find the most frequent n-gram for.
            duplicate: the n to find repeated n-grams for, with the limit: shares below it are
                upper bounds, which is enough for a verdict; above it they are exact.
        """
        columns: dict[str, NDArray[np.float64]] = {}
        places = np.arange(len(self.hash))
        gram = self.hash.copy()
        for n in range(2, max([*top, *duplicate, 1]) + 1):
            places, gram = self._extend(places, gram, n)
            if n in top:
                columns[f"top_{n}gram"] = self._top(places, gram, n)
            if n in duplicate:
                columns[f"duplicate_{n}gram"] = self._share(places, gram, n, duplicate[n])
        return pl.DataFrame(columns)

    def _extend(
        self, places: NDArray[np.int64], gram: NDArray[np.uint64], n: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Places where an n-gram begins that stands at least twice in its document."""
        fits = places + n <= self.end[self.document[places]] if len(places) else places > 0
        places, gram = places[fits], gram[fits]
        gram = (gram * MULTIPLIER) ^ self.hash[places + n - 1]
        twice = pl.Series(self._own(places, gram)).is_duplicated().to_numpy()
        return places[twice], gram[twice]

    def _own(self, places: NDArray[np.int64], gram: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The n-grams told apart by document."""
        return gram ^ (self.document[places].astype(np.uint64) * MULTIPLIER)

    def _lengths(self, places: NDArray[np.int64], n: int) -> NDArray[np.int64]:
        return self.before[places + n] - self.before[places]

    def _top(
        self, places: NDArray[np.int64], gram: NDArray[np.uint64], n: int
    ) -> NDArray[np.float64]:
        """Characters of the most frequent n-gram, times how often it stands there.

        Of equally frequent ones the first counts. One that stands once is no repetition: datatrove
        counts it, and so refuses any text of a few words for repeating itself.
        """
        result = np.zeros(len(self.characters))
        found = (
            pl.DataFrame({"document": self.document[places], "gram": gram, "place": places})
            .group_by("document", "gram")
            .agg(pl.len().alias("count"), pl.col("place").min())
            .sort("document", "count", "place", descending=[False, True, False])
            .unique("document", keep="first", maintain_order=True)
        )
        first = found["place"].to_numpy()
        result[found["document"].to_numpy()] = (self._lengths(first, n) + n - 1) * found[
            "count"
        ].to_numpy()
        return result / np.maximum(self.characters, 1)

    def _share(
        self, places: NDArray[np.int64], gram: NDArray[np.uint64], n: int, limit: float
    ) -> NDArray[np.float64]:
        """Share of characters in n-grams seen before, counted as Gopher does.

        Gopher walks through the words and jumps over a repeated n-gram. Characters covered by any
        repeated n-gram are an upper bound, cheap for all documents at once; the walk is done for
        the few above `limit`.
        """
        again = places[~pl.Series(self._own(places, gram)).is_first_distinct().to_numpy()]
        covered = np.bincount(again, minlength=len(self.hash) + n)
        covered[n:] -= covered[:-n].copy()
        inside = np.cumsum(covered[: len(self.hash)]) > 0
        bound = np.bincount(
            self.document, weights=self.length * inside, minlength=len(self.characters)
        ) / np.maximum(self.characters, 1)
        for document in np.flatnonzero(bound > limit):
            mine = self.document[places] == document
            walked = self._walk(places[mine], gram[mine], n)
            bound[document] = walked / self.characters[document]
        return bound

    def _walk(self, places: NDArray[np.int64], gram: NDArray[np.uint64], n: int) -> int:
        seen: set[int] = set()
        repeated, resume = 0, 0
        for place, value in zip(places.tolist(), gram.tolist(), strict=True):
            if place < resume:
                continue
            if value in seen:
                repeated += int(self.before[place + n] - self.before[place])
                resume = place + n
            else:
                seen.add(value)
        return repeated
