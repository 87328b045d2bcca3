"""Raw documents → a corpus that can be accounted for: read = kept + dropped, reason by reason.

The story, in three passes over the shards, with what needs all documents between them:

1. judge: repair, language, rules, personal data; each document alone.
2. sign: lines that many documents share are stripped, and every document gets what it is compared
   by. Then copies are found, and overlaps with evaluation texts.
3. write: what stays, by split, and why the rest does not.

The first two are the work. A scheduler like Slurm spreads them over machines that see the same
files: `judge_share`, then `sign_share`; `clean_corpus` finds all shards done and does the rest.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from bertops.corpus.clock import Clock
from bertops.corpus.evaluation_texts import write_evaluation_texts
from bertops.corpus.history import remember
from bertops.corpus.outputs import corpus_rows, ledger_entries
from bertops.corpus.params import CorpusParams
from bertops.corpus.passes import Place, judge, plan_judging, seconds_of, sign
from bertops.corpus.report import CleanReport, summarize
from bertops.corpus.tables import CORPUS, LEDGER, write_parts
from bertops.corpus.verdicts import compare
from bertops.document import SplitParams
from bertops.parallel import Share, Workers
from bertops.storage import write_whole

LEDGER_PART_ROWS = 1_000_000


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
        work: folder that keeps finished shards from run to run, keyed by all they depend on: a
            killed run resumes, and a new file costs only itself; `history` notes there how long it
            took. Without it, all is done afresh.

    Returns:
        Counts that add up: read = kept + dropped, where dropped includes the test split.
    """
    clock = Clock()
    with Place.opened(work) as place, Workers(params.parallel) as workers:
        with clock.step("evaluation texts"):
            write_evaluation_texts(evaluation_texts, place.evaluation, params)
        judged = plan_judging(raw, place, params, split)
        with clock.step("judge"):
            judge(judged, workers)
        clock.add(seconds_of(judged))
        with clock.step("sign"):
            shards = sign(judged, place, params, workers)
        with clock.step("compare"):
            verdicts = compare(shards, place.comparing, params, workers)
        with (
            clock.step("write"),
            write_whole(corpus) as corpus_partial,
            write_whole(ledger) as ledger_partial,
        ):
            for name in ("train", "validation"):
                rows = corpus_rows(shards, verdicts, name, params)
                documents, size = params.shard_documents, params.shard_bytes
                write_parts(rows, corpus_partial / name, CORPUS, documents, size)
            entries = ledger_entries(shards, verdicts)
            write_parts(entries, ledger_partial, LEDGER, LEDGER_PART_ROWS, params.shard_bytes)
        place.forget_all_but(judged, shards)
    report = summarize(corpus, ledger, tuple(evaluation_texts))
    if work:
        remember(work, report, clock.seconds)
    return report


def judge_share(
    raw: Mapping[str, Path], params: CorpusParams, split: SplitParams, work: Path, share: Share
) -> None:
    """The first pass over one share of the shards; arguments as in `clean_corpus`."""
    with Place.opened(work) as place, Workers(params.parallel) as workers:
        judge(plan_judging(raw, place, params, split), workers, share)


def sign_share(
    raw: Mapping[str, Path],
    evaluation_texts: Mapping[str, Iterable[str]],
    params: CorpusParams,
    split: SplitParams,
    work: Path,
    share: Share,
) -> None:
    """The second pass over one share of the shards, after the first has ended for all of them.

    Raises:
        ShardsMissing: the first pass has not ended.
    """
    with Place.opened(work) as place, Workers(params.parallel) as workers:
        write_evaluation_texts(evaluation_texts, place.evaluation, params)
        sign(plan_judging(raw, place, params, split), place, params, workers, share)
