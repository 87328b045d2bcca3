"""Raw documents → a corpus that can be accounted for: read = kept + dropped, reason by reason.

The story, in three passes over the shards, with what needs all documents between them:

1. judge: repair, language, rules, personal data; each document alone.
2. sign: lines that many documents share are stripped, and every document gets what it is compared
   by. Then copies are found, and overlaps with evaluation texts.
3. write: what stays, by split, and why the rest does not.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from bertops.corpus.dedup import boilerplate_lines
from bertops.corpus.evaluation_texts import load_index, write_evaluation_texts
from bertops.corpus.judge import ledger_rows
from bertops.corpus.params import CorpusParams
from bertops.corpus.report import CleanReport, summarize
from bertops.corpus.rules.flat import split_words
from bertops.corpus.shard import judge_shard, key_of, sign_shard
from bertops.corpus.tables import CORPUS, LEDGER, parts, write_parts
from bertops.corpus.verdicts import Signed, Verdicts, compare
from bertops.document import SplitParams
from bertops.progress import progress
from bertops.storage import hash_file, write_whole


def clean_corpus(
    raw: Mapping[str, Path],
    evaluation_texts: Mapping[str, Iterable[str]],
    corpus: Path,
    ledger: Path,
    params: CorpusParams,
    split: SplitParams,
    work: Path | None = None,
) -> CleanReport:
    """Write the documents worth training on, and the reason for each that is not.

    Args:
        raw: folder of raw parts (table RAW), by name of the source.
        evaluation_texts: texts that models are measured on, by name of the set; no training
            document may share a run of words with one, or nearly equal one.
        corpus: gets train/ and validation/, table CORPUS.
        ledger: gets table LEDGER: every failed rule of every dropped document.
        params: knobs of every step.
        split: which documents are for training, validation and tests.
        work: folder that keeps finished shards from run to run, keyed by all they depend on;
            without it a killed run begins afresh.

    Returns:
        Counts that add up: read = kept + dropped, where dropped includes the test split.
    """
    with tempfile.TemporaryDirectory(prefix="bertops-clean-") as temporary:
        place = work or Path(temporary)
        write_evaluation_texts(evaluation_texts, place / "evaluation", params)
        judged = _judge(raw, place / "judged", params, split)
        shards = _sign(raw, judged, place, params)
        verdicts = compare(shards, params)
        with write_whole(corpus) as corpus_partial, write_whole(ledger) as ledger_partial:
            for name in ("train", "validation"):
                rows = _kept(shards, verdicts, name, params)
                write_parts(rows, corpus_partial / name, CORPUS, params.shard_documents)
            write_parts(_ledger(shards, verdicts), ledger_partial, LEDGER, 1_000_000)
    return summarize(corpus, ledger, tuple(evaluation_texts))


def _judge(
    raw: Mapping[str, Path], target: Path, params: CorpusParams, split: SplitParams
) -> dict[Path, Path]:
    """Raw part → folder of its judged documents; those already there are not judged again."""
    sources = {source.name: source for source in params.sources}
    found: dict[Path, Path] = {}
    todo = [(name, part) for name in sorted(raw) for part in parts(raw[name])]
    for name, part in progress(todo, what="judge", unit="shards"):
        source = sources[name]
        facts = {
            "raw": hash_file(part),
            "source": source.model_dump_json(),
            "params": params.model_dump_json(exclude={"sources"}),
            "split": split.model_dump_json(),
        }
        found[part] = target / key_of(facts)
        if not found[part].exists():
            judge_shard(part, found[part], source, params, split)
    return found


def _sign(
    raw: Mapping[str, Path], judged: Mapping[Path, Path], place: Path, params: CorpusParams
) -> list[Signed]:
    """All shards signed, sources in the order of their names, and the evaluation texts last."""
    index = load_index(place / "evaluation", params) if params.decontaminate.enabled else None
    signed: list[Signed] = []
    for name in sorted(raw):
        folders = [judged[part] for part in parts(raw[name])]
        boilerplate = _boilerplate(folders, params)
        for folder in progress(folders, what=f"sign {name}", unit="shards"):
            target = place / "signed" / folder.name
            sign_shard(folder, target, boilerplate, index, params)
            signed.append(_signed(target, folder))
    evaluation = place / "evaluation"
    last = Signed(_only(evaluation / "texts"), _only(evaluation / "keys"), None, None)
    return [*signed, last]


def _only(directory: Path) -> Path:
    return directory / "part-00000.parquet"


def _signed(target: Path, judged: Path) -> Signed:
    return Signed(
        _only(target / "texts"),
        _only(target / "keys"),
        _only(target / "matches"),
        _only(judged / "ledger"),
    )


def _boilerplate(folders: Sequence[Path], params: CorpusParams) -> pl.Series:
    """Lines of one source that too many of its documents share."""
    documents = sum(
        pl.scan_parquet(_only(folder / "kept")).select(pl.len()).collect().item()
        for folder in folders
    )
    counts = pl.scan_parquet([_only(folder / "lines") for folder in folders])
    return boilerplate_lines(counts, documents, params.dedup)


def _kept(
    shards: Sequence[Signed], verdicts: Verdicts, split: str, params: CorpusParams
) -> Iterator[pl.DataFrame]:
    """Table CORPUS of one split, shard by shard."""
    config = key_of({"params": params.model_dump_json()})
    stays = verdicts.documents.filter(pl.col("split") == split).join(
        verdicts.drops, on="entry", how="anti"
    )
    clustered = pl.col("entry").is_in(verdicts.clustered.implode())
    for number, shard in enumerate(shards):
        mine = stays.filter(pl.col("shard") == number)
        texts = pl.read_parquet(shard.texts).with_row_index("place")
        rows = texts.join(
            mine.select("place", "entry", "text_hash"), on="place", maintain_order="left"
        )
        counts = split_words(rows["text"]).filter(pl.col("word").str.contains(r"\w"))
        per = counts.group_by(pl.col("document").alias("n")).agg(words=pl.len())
        rows = rows.with_row_index("n").join(per, on="n", how="left", maintain_order="left")
        yield rows.with_columns(
            pl.col("words").fill_null(0),
            characters=pl.col("text").str.len_chars(),
            cluster=pl.when(clustered).then("doc_id"),
            config=pl.lit(config),
        )


def _ledger(shards: Sequence[Signed], verdicts: Verdicts) -> Iterator[pl.DataFrame]:
    """Table LEDGER, shard by shard: what the first pass dropped, then what the comparison did."""
    reasons = verdicts.drops.with_columns(first=pl.int_range(pl.len()).over("entry") == 0).join(
        verdicts.documents.select("entry", "shard", "place", "split"),
        on="entry",
        maintain_order="left",
    )
    reasons = reasons.filter(pl.col("split") != "test")
    for number, shard in enumerate(shards):
        if shard.ledger is None:
            continue
        yield pl.read_parquet(shard.ledger)
        mine = reasons.filter(pl.col("shard") == number).drop("split", "shard")
        texts = pl.read_parquet(shard.texts).with_row_index("place")
        yield ledger_rows(
            mine.join(texts, on="place", maintain_order="left").sort("place", maintain_order=True)
        )
