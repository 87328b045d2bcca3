"""Evaluation texts in the corpus: shared runs of 13 words, found and shown.

Source: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C: 13-grams, and
overlaps that very many documents have are phrases and no leak; of texts with fewer words, all
their words, 8 at least.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bertops.corpus.params import DecontaminateParams
from bertops.corpus.shingles import ngrams
from bertops.corpus.words import Words, content_words
from bertops.storage import read_json, write_json

MATCHES = pl.Schema(
    {"document": pl.UInt32, "gram": pl.UInt64, "evaluation": pl.String, "overlap": pl.String}
)


NO_GRAMS = np.empty(0, np.uint64)


@dataclass(frozen=True)
class Index:
    """Runs of `n` words of evaluation texts, sorted, and the set that each was first found in."""

    n: int
    grams: NDArray[np.uint64]
    owner: NDArray[np.uint16]
    names: tuple[str, ...]


Indexes = tuple[Index, ...]


def build_indexes(texts: Mapping[str, Iterable[pl.Series]], params: DecontaminateParams) -> Indexes:
    """Index the evaluation sets, batches of normalised texts by the name of their set.

    All runs of `params.ngram` words, and of texts with fewer words, from `params.min_words` on, all
    their words: one index for each of these lengths that there are.
    """
    names = tuple(sorted(texts))
    lengths = [*range(min(params.min_words, params.ngram), params.ngram), params.ngram]
    grams: dict[int, list[NDArray[np.uint64]]] = {n: [] for n in lengths}
    owners: dict[int, list[NDArray[np.uint16]]] = {n: [] for n in lengths}
    for number, name in enumerate(names):
        for batch in texts[name]:
            words = content_words(batch)
            for n in lengths:
                found = np.unique(_runs_of(words, n, whole=n < params.ngram))
                grams[n].append(found)
                owners[n].append(np.full(len(found), number, np.uint16))
    indexes = []
    for n in lengths:
        unique, first = np.unique(np.concatenate(grams[n] or [NO_GRAMS]), return_index=True)
        if len(unique):
            indexes.append(Index(n, unique, np.concatenate(owners[n])[first], names))
    return tuple(indexes)


def _runs_of(words: Words, n: int, *, whole: bool) -> NDArray[np.uint64]:
    """Hashes of the runs of `n` words; with `whole`, of the documents that are no longer."""
    grams, places = ngrams(words, n)
    if not whole:
        return grams
    document = words.document[places]
    return grams[(words.end - words.start)[document] == n]


def save_indexes(indexes: Indexes, directory: Path) -> None:
    """Write indexes so that workers can map them into memory."""
    for index in indexes:
        folder = directory / f"{index.n:04d}"
        folder.mkdir(parents=True)
        np.save(folder / "grams.npy", index.grams)
        np.save(folder / "owner.npy", index.owner)
        write_json(folder / "names.json", list(index.names))


def load_indexes(directory: Path) -> Indexes:
    """The indexes that `save_indexes` wrote, mapped into memory."""
    return tuple(
        Index(
            int(folder.name),
            np.load(folder / "grams.npy", mmap_mode="r"),
            np.load(folder / "owner.npy", mmap_mode="r"),
            tuple(read_json(folder / "names.json")),
        )
        for folder in sorted(directory.iterdir())
    )


def find_overlaps(words: Words, training: NDArray[np.bool_], indexes: Indexes) -> pl.DataFrame:
    """Every indexed run that a training document of the batch shares with an evaluation text.

    Args:
        words: the words of the batch.
        training: which documents of the batch are for training; the others may well be the
            evaluation texts themselves.
        indexes: runs of words of the evaluation texts.

    Returns:
        Table MATCHES: document (row in the batch), hash of the run, the evaluation set, and the
        run itself; each run once a document.
    """
    return pl.concat([MATCHES.to_frame(), *(_overlaps(words, training, i) for i in indexes)])


def _overlaps(words: Words, training: NDArray[np.bool_], index: Index) -> pl.DataFrame:
    grams, places = ngrams(words, index.n)
    mine = training[words.document[places]]
    grams, places = grams[mine], places[mine]
    if not len(grams):
        return MATCHES.to_frame()
    at = np.searchsorted(index.grams, grams).clip(max=len(index.grams) - 1)
    hits = index.grams[at] == grams
    found = pl.DataFrame(
        {"document": words.document[places[hits]], "gram": grams[hits], "place": places[hits]}
    ).with_columns(owner=index.owner[at[hits]])
    found = found.unique(["document", "gram"], keep="first", maintain_order=True)
    spoken = [words.text(d, p, index.n) for d, p in found.select("document", "place").iter_rows()]
    names = [index.names[owner] for owner in found["owner"]]
    return (
        found.with_columns(
            evaluation=pl.Series(names, dtype=pl.String), overlap=pl.Series(spoken, dtype=pl.String)
        )
        .select(MATCHES.names())
        .cast(MATCHES)
    )


def contaminated(matches: pl.DataFrame, params: DecontaminateParams) -> pl.DataFrame:
    """Documents with enough overlaps that are no phrase: `entry`, `matches`, one of the overlaps.

    Args:
        matches: MATCHES of the whole corpus, with `entry` in place of `document`, and `copy`:
            whether the document goes as a copy of another.
        params: how many overlaps it takes, and how many documents make one a phrase.
    """
    documents = pl.col("entry").filter(~pl.col("copy")).n_unique().over("gram")
    return (
        matches.filter(documents <= params.max_documents)
        .group_by("entry", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("matches"),
            pl.col("evaluation").first(),
            pl.col("overlap").first(),
        )
        .filter(pl.col("matches") >= params.min_matches)
        .sort("entry")
    )
