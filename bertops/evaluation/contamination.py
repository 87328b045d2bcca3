"""Which test documents does the pretraining corpus hold, whole or in part?

Every test document is looked up in the corpus: by its runs of 13 words, and whole. Those with a
run in common are set aside, and the score is given on all documents and on the clean rest.

Source: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C: runs of 13 words;
of shorter texts all words, 8 at least; runs that many documents have are phrases.

Key: G runs of words of all test documents.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bertops.corpus.normalize import normalize
from bertops.corpus.params import NormalizeParams
from bertops.corpus.shingles import ngrams
from bertops.corpus.tables import batches, parts
from bertops.corpus.words import Words, content_words
from bertops.evaluation.params import ContaminationParams
from bertops.progress import progress

EXAMPLES = 5
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Overlap:
    """One test document that shares text with the corpus."""

    document_id: str
    share: float
    """Of its runs of words that are in the corpus; 1 where it stands there whole."""
    run: str
    """A run of words in common."""


@dataclass(frozen=True)
class Contamination:
    """What a test set and the pretraining corpus have in common."""

    documents: int
    overlapping: int
    """Documents with at least one run in common that is no phrase."""
    leaked: int
    """Documents that are in the corpus for the most part: `params.leaked_share` of their runs."""
    examples: tuple[Overlap, ...]
    """Those with the largest shares."""
    clean: NDArray[np.bool_]
    """For each document, whether it has no run in common with the corpus."""


def find_contamination(
    sets: Mapping[Name, pl.DataFrame], corpus: Path, params: ContaminationParams
) -> dict[Name, Contamination]:
    """Look every document of every test set up in the corpus.

    Args:
        sets: by name, tables with `document_id` and `text`, and perhaps `text_b`.
        corpus: folder of corpus parts, column `text`.
    """
    if not sets:
        return {}
    tables = [table.select("document_id", text=_whole_text(table)) for table in sets.values()]
    documents = pl.concat(tables)
    text = normalize(documents["text"], NormalizeParams())[0]
    shared = _look_up(text, corpus, params)
    bounds = np.cumsum([len(table) for table in tables])[:-1]
    ids = documents["document_id"].to_list()
    return {
        name: _summary(places, ids, shared, params)
        for name, places in zip(sets, np.split(np.arange(len(ids)), bounds), strict=True)
    }


def _whole_text(table: pl.DataFrame) -> pl.Expr:
    """Of a pair both texts, one after the other: the corpus may hold either."""
    columns = [name for name in ("text", "text_b") if name in table.columns]
    return pl.concat_str(columns, separator="\n", ignore_nulls=True)


class _Runs:
    """The runs of `n` words of some test documents, and how many corpus documents have each."""

    def __init__(self, words: Words, n: int, mine: NDArray[np.bool_]) -> None:
        grams, places = ngrams(words, n)
        chosen = mine[words.document[places]]
        self.n, self.places = n, places[chosen]
        self.owner = words.document[self.places]
        self._known, self._back = np.unique(grams[chosen], return_inverse=True)
        self._counts = np.zeros(len(self._known), dtype=np.int64)

    def count(self, corpus: Words) -> None:
        """Count the runs in a batch of the corpus, each once a document."""
        if not len(self._known):
            return
        grams, places = ngrams(corpus, self.n)
        at = np.searchsorted(self._known, grams).clip(max=len(self._known) - 1)
        hit = self._known[at] == grams
        once = np.unique(np.stack([corpus.document[places[hit]], at[hit]]), axis=1)
        np.add.at(self._counts, once[1], 1)

    @property
    def found_in(self) -> NDArray[np.int64]:
        """[G] corpus documents that have each run."""
        return self._counts[self._back]


@dataclass(frozen=True)
class _Shared:
    """What test documents share with the corpus, one entry each."""

    share: NDArray[np.float64]
    overlapping: NDArray[np.bool_]
    run: list[str]


def _look_up(text: pl.Series, corpus: Path, params: ContaminationParams) -> _Shared:
    words = content_words(text)
    length = words.end - words.start
    short = range(min(params.min_words, params.ngram), params.ngram)
    runs = [_Runs(words, n, length == n) for n in short]
    runs.append(_Runs(words, params.ngram, length >= params.ngram))
    letters = _letters(text)
    wanted, whole = set(letters), set[str]()
    for batch in _corpus_batches(corpus):
        theirs = content_words(batch)
        whole |= wanted.intersection(_letters(batch))
        for lengthwise in runs:
            lengthwise.count(theirs)
    stands_whole = (length > 0) & letters.is_in(sorted(whole)).to_numpy()
    return _combine(words, runs, stands_whole, params)


def _letters(text: pl.Series) -> pl.Series:
    """Texts without case, spaces and marks: `does n't` and `doesn't` are one, as in SST-2."""
    return text.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", "")


def _combine(
    words: Words, runs: Sequence[_Runs], whole: NDArray[np.bool_], params: ContaminationParams
) -> _Shared:
    documents = len(whole)
    share, overlapping = whole.astype(float), whole.copy()
    run = [" ".join(words.lists[i][: params.ngram]) if whole[i] else "" for i in range(documents)]
    for some in runs:
        found = some.found_in
        total = np.bincount(some.owner, minlength=documents)
        telling = (found > 0) & (found <= params.phrase_documents)
        hits = np.bincount(some.owner, telling, minlength=documents)
        share = np.maximum(share, hits / np.maximum(total, 1))
        overlapping[some.owner[telling]] = True
        for place in some.places[telling][::-1].tolist():  # the first run of a document stays
            document = int(words.document[place])
            run[document] = words.text(document, place, some.n)
    return _Shared(share, overlapping, run)


def _corpus_batches(corpus: Path) -> Iterator[pl.Series]:
    for part in progress(parts(corpus), what="test documents in the corpus", unit=" parts"):
        for batch in batches(part):
            yield batch["text"]


def _summary(
    places: NDArray[np.int64], ids: list[str], shared: _Shared, params: ContaminationParams
) -> Contamination:
    worst = sorted(places[shared.overlapping[places]], key=lambda i: (-shared.share[i], ids[i]))
    return Contamination(
        documents=len(places),
        overlapping=int(shared.overlapping[places].sum()),
        leaked=int((shared.share[places] >= params.leaked_share).sum()),
        examples=tuple(
            Overlap(ids[i], round(float(shared.share[i]), 3), shared.run[i])
            for i in worst[:EXAMPLES]
        ),
        clean=~shared.overlapping[places],
    )
