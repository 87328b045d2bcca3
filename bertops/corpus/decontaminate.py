"""Evaluation texts in the corpus: shared runs of 13 words, found and shown.

Source: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C: 13-grams, and
overlaps that very many documents have are phrases and no leak.
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


@dataclass(frozen=True)
class Index:
    """The n-grams of all evaluation texts, sorted, and the set that each was first found in."""

    n: int
    grams: NDArray[np.uint64]
    owner: NDArray[np.uint16]
    names: tuple[str, ...]


def build_index(texts: Mapping[str, Iterable[pl.Series]], params: DecontaminateParams) -> Index:
    """Index the evaluation sets, batches of normalised texts by the name of their set."""
    names = tuple(sorted(texts))
    grams: list[NDArray[np.uint64]] = [np.empty(0, np.uint64)]
    owners: list[NDArray[np.uint16]] = [np.empty(0, np.uint16)]
    for number, name in enumerate(names):
        for batch in texts[name]:
            found = np.unique(ngrams(content_words(batch), params.ngram)[0])
            grams.append(found)
            owners.append(np.full(len(found), number, np.uint16))
    unique, first = np.unique(np.concatenate(grams), return_index=True)
    return Index(params.ngram, unique, np.concatenate(owners)[first], names)


def save_index(index: Index, directory: Path) -> None:
    """Write an index so that workers can map it into memory."""
    directory.mkdir(parents=True, exist_ok=True)
    np.save(directory / "grams.npy", index.grams)
    np.save(directory / "owner.npy", index.owner)
    write_json(directory / "names.json", list(index.names))


def load_index(directory: Path, n: int) -> Index:
    """The index that `save_index` wrote, mapped into memory."""
    grams = np.load(directory / "grams.npy", mmap_mode="r")
    owner = np.load(directory / "owner.npy", mmap_mode="r")
    return Index(n, grams, owner, tuple(read_json(directory / "names.json")))


def find_overlaps(words: Words, training: NDArray[np.bool_], index: Index) -> pl.DataFrame:
    """Every n-gram that a training document of the batch shares with an evaluation text.

    Args:
        words: the words of the batch.
        training: which documents of the batch are for training; the others may well be the
            evaluation texts themselves.
        index: n-grams of the evaluation texts.

    Returns:
        Table MATCHES: document (row in the batch), hash of the n-gram, the evaluation set, and
        the n-gram itself; each n-gram once a document.
    """
    grams, places = ngrams(words, index.n)
    mine = training[words.document[places]]
    grams, places = grams[mine], places[mine]
    if not len(index.grams) or not len(grams):
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
        matches: MATCHES of the whole corpus, with `entry` in place of `document`.
        params: how many overlaps it takes, and how many documents make one a phrase.
    """
    documents = pl.col("entry").n_unique().over("gram")
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
