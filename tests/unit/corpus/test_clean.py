"""Cleaning as a whole: all is accounted for, copies and leaks go, order changes nothing."""

import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from bertops.corpus.clean import clean_corpus, judge_share, sign_share
from bertops.corpus.params import (
    CorpusParams,
    DecontaminateParams,
    DedupParams,
    LanguageParams,
    RuleParams,
    SourceParams,
)
from bertops.corpus.passes import ShardsMissing
from bertops.corpus.report import CleanReport
from bertops.corpus.tables import RAW, scan, write_parts
from bertops.document import SplitParams, document_id, split_of
from bertops.errors import UsageError
from bertops.evaluation.contamination import find_contamination
from bertops.evaluation.params import ContaminationParams
from bertops.parallel import ParallelParams, Share
from bertops.storage import hash_tree

WORDS = """
river stone house winter light morning garden window letter captain market bread silver road music
doctor summer forest bridge answer kitchen mother harbour candle yellow quiet travel evening
mountain paper story island engine winter brother number circle valley
""".split()  # noqa: SIM905  # a list of quoted words would not be easier to read
ALL_TRAIN = SplitParams(validation=0, test=0)
OFF = {
    name: {"enabled": False} for name in ("gopher_quality", "gopher_repetition", "c4", "fineweb")
}
NO_RULES = RuleParams.model_validate(OFF)


def prose(seed: int, words: int = 60) -> str:
    """A text that no other seed has."""
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(words)) + "."


def changed(text: str, count: int, seed: int = 0) -> str:
    """The text with a few words replaced."""
    rng, words = random.Random(seed), text.split()
    for place in rng.sample(range(len(words)), count):
        words[place] = "otherwise"
    return " ".join(words)


def params_of(sources: Iterable[str] = ("s",), **sections: object) -> CorpusParams:
    """No language and no rules: what is tested here is what compares documents."""
    defaults = {
        "sources": tuple(SourceParams(name=name, path=name) for name in sources),
        "language": LanguageParams(enabled=False),
        "rules": NO_RULES,
        "parallel": ParallelParams(workers=1),
    }
    return CorpusParams(**(defaults | sections))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Cleaned:
    """What `clean_corpus` wrote."""

    report: CleanReport
    train: pl.DataFrame
    validation: pl.DataFrame
    ledger: pl.DataFrame
    hashes: tuple[str, str]

    def reasons(self, text: str) -> list[str]:
        return self.ledger.filter(pl.col("doc_id") == document_id(text))["rule"].to_list()


def run(
    root: Path,
    texts: Mapping[str, list[str]],
    params: CorpusParams | None = None,
    split: SplitParams = ALL_TRAIN,
    evaluation: Mapping[str, Iterable[str]] | None = None,
    shard: int = 1000,
    work: Path | None = None,
) -> Cleaned:
    """Clean texts, by source."""
    for name, its in texts.items():
        rows = [
            {"doc_id": document_id(t), "source": name, "file": f"{name}.txt", "row": i, "text": t}
            for i, t in enumerate(its)
        ]
        write_parts([pl.DataFrame(rows, RAW)], root / "raw" / name, RAW, shard, 1 << 30)
    report = clean_corpus(
        {name: root / "raw" / name for name in texts},
        evaluation or {},
        root / "corpus",
        root / "ledger",
        params or params_of(texts),
        split,
        work,
    )
    return Cleaned(
        report,
        scan(root / "corpus/train").collect(),
        scan(root / "corpus/validation").collect(),
        scan(root / "ledger").collect(),
        (hash_tree(root / "corpus"), hash_tree(root / "ledger")),
    )


def test_every_document_is_kept_or_in_the_ledger(tmp_path: Path) -> None:
    texts = [prose(i) for i in range(40)] + [prose(3), "", "  \n ", "?!"]
    found = run(tmp_path, {"s": texts}, params_of(rules=RuleParams()), SplitParams())
    first = found.ledger.filter("first")
    rows = sorted([*found.train["row"], *found.validation["row"], *first["row"]])
    assert rows == list(range(len(texts)))
    assert found.report.read == len(texts) == found.report.kept + sum(found.report.dropped.values())


def test_documents_go_where_their_ids_say(tmp_path: Path) -> None:
    texts = [prose(i) for i in range(60)]
    found = run(tmp_path, {"s": texts}, split=SplitParams())
    splits = {split_of(document_id(text), SplitParams()) for text in texts}
    assert splits == {"train", "validation", "test"}
    for name, table in (("train", found.train), ("validation", found.validation)):
        assert {split_of(i, SplitParams()) for i in table["doc_id"]} == {name}
    aside = found.ledger.filter(pl.col("rule") == "split.test")["doc_id"]
    assert {split_of(i, SplitParams()) for i in aside} == {"test"}


def test_exact_copies_leave_one_whatever_case_and_marks(tmp_path: Path) -> None:
    text = prose(1)
    found = run(tmp_path, {"s": [text, text, text.upper(), text.replace(" ", ", "), prose(2)]})
    assert len(found.train) == 2
    assert found.report.dropped == {"dedup.exact": 3}
    assert found.ledger["duplicate_of"].n_unique() == 1


def test_near_copies_leave_the_longest(tmp_path: Path) -> None:
    text = prose(1, 200)
    longer = text + " and one more"
    found = run(tmp_path, {"s": [text, changed(text, 2), longer, prose(2, 200)]})
    assert set(found.train["text"]) == {longer, prose(2, 200)}
    kept = found.train.filter(pl.col("cluster").is_not_null())
    assert kept["doc_id"].to_list() == kept["cluster"].to_list() == [document_id(longer)]
    near = found.ledger.filter(pl.col("rule") == "dedup.near")
    assert near["value"].min() >= 0.7  # type: ignore[operator]


def test_texts_that_only_share_some_words_both_stay(tmp_path: Path) -> None:
    text = prose(1, 100)
    half = text[: len(text) // 2] + prose(9, 50)
    assert len(run(tmp_path, {"s": [text, half]}).train) == 2


def test_cleaning_twice_equals_once(tmp_path: Path) -> None:
    texts = [prose(i) for i in range(30)] + [changed(prose(i, 60), 1) for i in range(10)]
    once = run(tmp_path / "a", {"s": [f"{t}<br />" for t in texts]})
    twice = run(tmp_path / "b", {"s": once.train["text"].to_list()})
    assert twice.train["text"].to_list() == once.train["text"].to_list()
    assert not len(twice.ledger)


def test_no_copy_of_held_out_text_is_trained_on(tmp_path: Path) -> None:
    texts = [prose(i, 150) for i in range(60)]
    copies = [changed(text, 1, seed=9) for text in texts]
    found = run(tmp_path, {"s": texts + copies}, split=SplitParams())
    protection = {"train": 0, "validation": 1, "test": 2}
    for text, copy in zip(texts, copies, strict=True):
        splits = [split_of(document_id(t), SplitParams()) for t in (text, copy)]
        most = max(protection[s] for s in splits)
        assert most == 0 or not {document_id(text), document_id(copy)} & set(found.train["doc_id"])


def test_training_text_that_overlaps_an_evaluation_text_goes(tmp_path: Path) -> None:
    secret = prose(100, 40)
    quoting = prose(1, 50) + " " + " ".join(secret.split()[5:20]) + " " + prose(2, 50)
    found = run(tmp_path, {"s": [quoting, prose(3)]}, evaluation={"task.test": [secret.upper()]})
    assert found.train["text"].to_list() == [prose(3)]
    (row,) = found.ledger.to_dicts()
    assert row["rule"] == "decontaminate.ngram"
    assert row["detail"].startswith("task.test: ")
    assert " ".join(secret.split()[5:18]) in row["detail"]
    assert found.report.contamination == {"task.test": 1}


def test_a_near_copy_of_an_evaluation_text_goes_although_no_13_words_match(tmp_path: Path) -> None:
    text = prose(1, 300)
    words = text.split()
    words[6::12] = ["otherwise"] * len(words[6::12])
    broken = " ".join(words)
    params = params_of(dedup=DedupParams(min_jaccard=0.3, bands=40, rows=3))
    found = run(tmp_path, {"s": [broken, prose(2)]}, params, evaluation={"t": [text]})
    assert found.reasons(broken) == ["decontaminate.near_copy"]


def test_validation_documents_may_be_evaluation_texts(tmp_path: Path) -> None:
    texts = [prose(i) for i in range(40)]
    held = [t for t in texts if split_of(document_id(t), SplitParams()) == "validation"]
    found = run(tmp_path, {"s": texts}, split=SplitParams(), evaluation={"t": held})
    assert set(found.validation["doc_id"]) == {document_id(text) for text in held}


def test_a_phrase_that_many_documents_have_is_no_leak(tmp_path: Path) -> None:
    phrase = " ".join(prose(50, 13).split())
    texts = [f"{prose(i, 80)} {phrase} {prose(i + 500, 80)}" for i in range(12)]
    params = params_of(decontaminate=DecontaminateParams(max_documents=10))
    found = run(tmp_path, {"s": texts}, params, evaluation={"t": [prose(7, 9) + phrase]})
    assert len(found.train) == 12


@pytest.mark.parametrize(("copies", "near"), [(1, False), (11, False), (12, True)])
def test_copies_of_one_page_make_no_phrase_of_what_it_quotes(
    tmp_path: Path, copies: int, near: bool
) -> None:
    secret = prose(100, 40)
    page = prose(1, 150)
    beginnings = [changed(page, 1, seed=i) if near else page for i in range(copies)]
    texts = [f"{beginning} {secret} {prose(2, 150)}" for beginning in beginnings]
    found = run(tmp_path, {"s": [*texts, prose(3)]}, evaluation={"task.test": [secret]})
    assert found.train["text"].to_list() == [prose(3)]


@pytest.mark.parametrize("words", range(7, 15))
def test_what_the_gate_counts_as_leaked_is_what_cleaning_takes_out(
    tmp_path: Path, words: int
) -> None:
    headline = prose(100, words)
    page = f"{prose(1, 150)} {headline} {prose(2, 150)}"
    kept = run(tmp_path / "kept", {"s": [page, prose(3)]}).train
    found = run(tmp_path, {"s": [page, prose(3)]}, evaluation={"task.test": [headline]})
    tables = {"test": pl.DataFrame({"document_id": ["t"], "text": [headline]})}
    gate = ContaminationParams()
    assert find_contamination(tables, tmp_path / "kept/corpus/train", gate)["test"].leaked == (
        len(kept) - len(found.train)
    ) == (words >= 8)  # fmt: skip
    assert find_contamination(tables, tmp_path / "corpus/train", gate)["test"].leaked == 0


def test_a_banner_is_stripped_before_it_can_contaminate(tmp_path: Path) -> None:
    banner = "we use cookies to give you the best experience on this site and on all of our others"
    texts = [f"{banner}\n{prose(i)}" for i in range(30)]
    found = run(tmp_path, {"s": texts}, evaluation={"t": [banner]})
    assert len(found.train) == 30
    assert not found.train["text"].str.contains("cookies").any()
    assert found.report.edits["boilerplate_lines"] == 30


def test_order_workers_and_shards_change_nothing(tmp_path: Path) -> None:
    texts = [prose(i, 80) for i in range(60)]
    texts += [changed(text, 1) for text in texts[::3]]
    base = run(tmp_path / "a", {"s": texts}, split=SplitParams(), evaluation={"t": texts[5:9]})
    two = params_of(parallel=ParallelParams(workers=2))
    spread = run(tmp_path / "b", {"s": texts}, two, SplitParams(), {"t": texts[8:4:-1]}, shard=13)
    assert spread.hashes == base.hashes
    shuffled = random.Random(3).sample(texts, len(texts))
    other = run(tmp_path / "c", {"s": shuffled}, None, SplitParams(), {"t": texts[5:9]})
    assert set(other.train["doc_id"]) == set(base.train["doc_id"])
    assert set(other.validation["doc_id"]) == set(base.validation["doc_id"])


def test_many_identical_documents_leave_one(tmp_path: Path) -> None:
    count = 20_000
    found = run(tmp_path, {"s": [prose(1, 6)] * count}, shard=6_000)
    assert len(found.train) == 1
    assert found.report.dropped == {"dedup.exact": count - 1}


def test_a_corpus_of_near_copies_leaves_one(tmp_path: Path) -> None:
    text = prose(1, 300)
    found = run(tmp_path, {"s": [changed(text, 1, seed=i) for i in range(200)]})
    assert len(found.train) <= 3


def shards_made(work: Path) -> set[str]:
    return {path.name for path in work.glob("judged/*")}


def test_finished_shards_are_not_done_again_and_a_new_file_costs_only_itself(
    tmp_path: Path,
) -> None:
    work, texts = tmp_path / "work", [prose(i) for i in range(40)]
    run(tmp_path, {"a": texts}, work=work)
    before = {path: path.stat().st_mtime_ns for path in work.glob("judged/*")}
    both = run(tmp_path, {"a": texts, "b": [prose(99)]}, work=work)
    after = {path: path.stat().st_mtime_ns for path in work.glob("judged/*")}
    assert len(after) == len(before) + 1
    assert all(after[path] == made for path, made in before.items())
    assert both.hashes == run(tmp_path / "fresh", {"a": texts, "b": [prose(99)]}).hashes


def test_shares_of_many_processes_are_the_whole(tmp_path: Path) -> None:
    """As under Slurm: three tasks judge and three sign, in any order; the rest finds all done."""
    banner = "Subscribe to our weekly letter and never miss a story."
    texts = {
        name: [f"{prose(i + start)}\n{banner}" for i in range(30)]
        for name, start in zip("abcde", range(0, 100, 20), strict=True)
    }
    leak, params, work = {"test": [prose(7)]}, params_of(texts), tmp_path / "work"
    whole = run(tmp_path, texts, params, evaluation=leak)
    raw = {name: tmp_path / "raw" / name for name in texts}
    for task in (2, 0):
        judge_share(raw, params, ALL_TRAIN, work, Share(task, 3))
    with pytest.raises(ShardsMissing, match=r"2 of 5 shards are not judged yet"):
        sign_share(raw, leak, params, ALL_TRAIN, work, Share(0, 3))
    judge_share(raw, params, ALL_TRAIN, work, Share(1, 3))
    for task in (1, 2, 0):
        sign_share(raw, leak, params, ALL_TRAIN, work, Share(task, 3))
    made = {path: path.stat().st_mtime_ns for path in work.glob("*/*")}
    assert len(made) == 10
    again = run(tmp_path / "again", texts, params, evaluation=leak, work=work)
    assert again.hashes == whole.hashes
    assert {path: path.stat().st_mtime_ns for path in work.glob("*/*")} == made


@pytest.mark.parametrize(("task", "of"), [(3, 3), (-1, 3), (0, 0)])
def test_a_share_that_is_none_is_refused(task: int, of: int) -> None:
    with pytest.raises(UsageError, match="counted from 0"):
        Share(task, of)


def test_changed_parameters_reuse_nothing(tmp_path: Path) -> None:
    work, texts = tmp_path / "work", [prose(i) for i in range(40)]
    run(tmp_path, {"s": texts}, work=work)
    first = shards_made(work)
    run(tmp_path, {"s": texts}, params_of(rules=RuleParams()), work=work)
    assert not first & shards_made(work)


def test_a_failure_leaves_the_old_corpus_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(tmp_path, {"s": [prose(1)]})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bertops.corpus.clean.ledger_entries", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, {"s": [prose(2)]})
    assert (hash_tree(tmp_path / "corpus"), hash_tree(tmp_path / "ledger")) == before.hashes
    assert not list(tmp_path.glob(".*.partial"))


def test_hostile_texts_go_through_the_whole_of_it(tmp_path: Path) -> None:
    hostile = [
        "x" * 1_000_000,
        "\u0301" * 100_000,
        "a" + "\u0300" * 100_000,
        "(" * 100_000,
        "\u202e\U000e0041\u2066 \ufeff",
        "one\u2028two\u2029three",
        "nul\0nul",
        "\ufffd" * 50,
        "a " * 100_000,
        " \n\t ",
        "...!!!???",
        "<script>" * 20_000,
        "&amp;" * 50_000,
    ]
    start = time.process_time()
    found = run(tmp_path, {"s": hostile}, params_of(rules=RuleParams(), language=LanguageParams()))
    assert found.report.read == len(hostile)
    assert time.process_time() - start < 30  # 2 MB; what is not linear would take hours
