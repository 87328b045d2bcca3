"""The data card: what the corpus is, what was dropped and why, with examples to judge by.

A function of the corpus, the ledger and the raw documents alone: same inputs, same card.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from bertops.corpus.meanings import meanings
from bertops.corpus.near_misses import NearMiss, near_misses
from bertops.corpus.params import CorpusParams
from bertops.corpus.report import CleanReport
from bertops.corpus.tables import scan
from bertops.storage import write_json, write_text, write_whole

EXAMPLES = 3
EXCERPT_CHARACTERS = 240
PAIRS = 5
BINS = (0, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000)


@dataclass(frozen=True)
class Example:
    """One dropped document, as a person should see it."""

    doc_id: str
    place: str
    value: float | None
    threshold: float | None
    detail: str | None
    excerpt: str


@dataclass(frozen=True)
class Copies:
    """A dropped copy beside the document that stays for it."""

    rule: str
    similarity: float
    kept: str
    kept_excerpt: str
    dropped: str
    dropped_excerpt: str


@dataclass(frozen=True)
class DataCard:
    """Everything that is told about a corpus."""

    report: CleanReport
    meanings: dict[str, str]
    """Rule → what a document must have to pass it."""
    licences: dict[str, str]
    words: dict[str, dict[str, int]]
    """`source, language` → documents by the number of their words."""
    languages: dict[str, int]
    examples: dict[str, list[Example]]
    """Rule → documents that it dropped first, chosen by a hash of their ids."""
    near_misses: dict[str, NearMiss]
    copies: list[Copies]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def data_card(
    corpus: Path, ledger: Path, raw: Mapping[str, Path], report: CleanReport, params: CorpusParams
) -> DataCard:
    """Describe what `clean_corpus` wrote.

    Args:
        corpus: folder with train/ and validation/.
        ledger: folder of the ledger.
        raw: folder of raw parts, by source.
        report: what `clean_corpus` returned.
        params: what it was called with.
    """
    kept = pl.concat([scan(corpus / name) for name in ("train", "validation")])
    first = scan(ledger).filter("first")
    licences = {source.name: source.licence for source in params.sources if source.name in raw}
    return DataCard(
        report=report,
        meanings=meanings(report.rules, params),
        licences=licences,
        words=_histograms(kept),
        languages=_languages(kept),
        examples=_examples(first),
        near_misses=near_misses(kept, first, params.rules),
        copies=_copies(first, raw),
    )


def write_card(
    corpus: Path,
    ledger: Path,
    raw: Mapping[str, Path],
    report: CleanReport,
    params: CorpusParams,
    target: Path,
) -> DataCard:
    """Write the data card to `target` as card.json and card.md; arguments as in `data_card`."""
    from bertops.corpus.card_markdown import to_markdown

    card = data_card(corpus, ledger, raw, report, params)
    with write_whole(target) as partial:
        write_json(partial / "card.json", card.to_dict())
        write_text(partial / "card.md", to_markdown(card))
    return card


def _histograms(kept: pl.LazyFrame) -> dict[str, dict[str, int]]:
    labels = [f"{low:,}-{high - 1:,}" for low, high in pairwise(BINS)]
    cut = pl.col("words").cut(
        list(BINS[1:]), labels=[*labels, f"{BINS[-1]:,} or more"], left_closed=True
    )
    table = (
        kept.group_by("source", "language", cut.cast(pl.String).alias("bin"))
        .agg(documents=pl.len())
        .collect(engine="streaming")
    )
    order = {name: place for place, name in enumerate([*labels, f"{BINS[-1]:,} or more"])}
    rows = sorted(table.iter_rows(), key=lambda row: (row[0], row[1], order[row[2]]))
    found: dict[str, dict[str, int]] = {}
    for source, language, name, documents in rows:
        found.setdefault(f"{source}, {language}", {})[name] = documents
    return found


def _languages(kept: pl.LazyFrame) -> dict[str, int]:
    table = kept.group_by("language").agg(documents=pl.len()).collect(engine="streaming")
    return dict(table.sort("documents", "language", descending=[True, False]).iter_rows())


def _chosen_first(table: pl.DataFrame) -> pl.DataFrame:
    """In an order that is as good as random, and always the same."""
    digests = [hashlib.blake2b(x.encode(), digest_size=8).hexdigest() for x in table["doc_id"]]
    return table.with_columns(_order=pl.Series(digests, dtype=pl.String)).sort(
        "_order", "file", "row"
    )


def _examples(first: pl.LazyFrame) -> dict[str, list[Example]]:
    columns = ("rule", "doc_id", "file", "row", "value", "threshold", "detail", "excerpt")
    table = first.filter(pl.col("step") != "split").select(columns).collect(engine="streaming")
    chosen = (
        _chosen_first(table)
        .group_by("rule", maintain_order=True)
        .head(EXAMPLES)
        .sort("rule", maintain_order=True)
    )
    found: dict[str, list[Example]] = {}
    for row in chosen.iter_rows(named=True):
        example = Example(
            doc_id=row["doc_id"],
            place=f"{row['file']}:{row['row']}",
            value=_rounded(row["value"]),
            threshold=row["threshold"],
            detail=row["detail"],
            excerpt=_short(row["excerpt"]),
        )
        found.setdefault(row["rule"], []).append(example)
    return found


def _copies(first: pl.LazyFrame, raw: Mapping[str, Path]) -> list[Copies]:
    """A few clusters side by side, near ones before exact ones."""
    dropped = first.filter(pl.col("duplicate_of").is_not_null()).collect(engine="streaming")
    chosen = _chosen_first(dropped).sort("value", maintain_order=True).head(PAIRS)
    kept_ids = chosen["duplicate_of"].unique()
    texts: dict[str, str] = {}
    for folder in raw.values():
        rows = scan(folder).filter(pl.col("doc_id").is_in(kept_ids.implode()))
        texts.update(
            rows.select("doc_id", pl.col("text").str.slice(0, 2 * EXCERPT_CHARACTERS))
            .collect()
            .iter_rows()
        )
    return [
        Copies(
            rule=row["rule"],
            similarity=round(row["value"], 3),
            kept=row["duplicate_of"],
            kept_excerpt=_short(texts.get(row["duplicate_of"], "(a text of an evaluation set)")),
            dropped=row["doc_id"],
            dropped_excerpt=_short(row["excerpt"]),
        )
        for row in chosen.iter_rows(named=True)
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _short(text: str | None) -> str:
    """The beginning of a text on one line."""
    line = " ".join((text or "").split())
    return line if len(line) <= EXCERPT_CHARACTERS else line[: EXCERPT_CHARACTERS - 1] + "…"
