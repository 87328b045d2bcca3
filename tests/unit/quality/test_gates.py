"""A broken table at each gate: the error names the rule, the count and three rows to look at."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bertops.corpus.tables import CORPUS, LEDGER, RAW, write_parts
from bertops.document import document_id
from bertops.finetuning.params import TaskParams
from bertops.quality.gate import QualityFailed
from bertops.quality.params import QualityParams
from bertops.quality.validate import validate_corpus, validate_raw, validate_task

DOCUMENTS, BROKEN = 12, (1, 4, 5, 9)
TEXTS = [f"The film number {i} is told in a few plain words." for i in range(DOCUMENTS)]
PARAMS = QualityParams()
TASK = TaskParams.model_validate(
    {
        "name": "sentiment",
        "data": [{"path": "reviews.csv", "split": "by_hash"}],
        "labels": ["negative", "positive"],
    }
)


def table(schema: pl.Schema, **columns: Any) -> pl.DataFrame:
    """A row for each text; columns that are not given hold nothing."""
    given = {
        "doc_id": [document_id(text) for text in TEXTS],
        "source": ["films"] * DOCUMENTS,
        "file": ["f.csv"] * DOCUMENTS,
        "row": list(range(DOCUMENTS)),
        "text": TEXTS,
    }
    given = {name: column for name, column in (given | columns).items() if name in schema}
    return pl.DataFrame(given | {n: None for n in schema if n not in given}, schema=schema)


def broken(good: list[Any], bad: Any) -> list[Any]:
    return [bad if i in BROKEN else value for i, value in enumerate(good)]


def write(folder: Path, schema: pl.Schema, *tables: pl.DataFrame) -> Path:
    write_parts(tables, folder, schema, 1 << 20, 1 << 40)
    return folder


def raw_gate(folder: Path, docs: Path, *, wrong: bool) -> Any:
    """Documents as read; in the broken table ids are cut off."""
    ids = [document_id(text) for text in TEXTS]
    raw = table(RAW, doc_id=broken(ids, "cut off") if wrong else ids)
    counts = {"read": DOCUMENTS, "filtered": 0, "quarantined": 0}
    report = folder / "ingest.json"
    report.write_text(json.dumps(counts | {"files": [counts | {"file": "f.csv"}]}))
    place = write(folder / "raw", RAW, raw)
    return validate_raw({"films": place}, {"films": report}, docs, PARAMS)


def corpus_gate(folder: Path, docs: Path, *, wrong: bool, params: QualityParams = PARAMS) -> Any:
    """Cleaned documents; in the broken table some have no language."""
    english = ["en"] * DOCUMENTS
    cleaned = table(
        CORPUS,
        language=broken(english, None) if wrong else english,
        characters=[len(text) for text in TEXTS],
        words=[len(text.split()) for text in TEXTS],
        text_hash=[document_id(text) for text in TEXTS],
    )
    write(folder / "corpus/train", CORPUS, cleaned)
    write(folder / "corpus/validation", CORPUS)
    raw, ledger = write(folder / "raw", RAW, table(RAW)), write(folder / "ledger", LEDGER)
    return validate_corpus(folder / "corpus", ledger, {"films": raw}, docs, params)


def task_gate(folder: Path, docs: Path, *, wrong: bool) -> Any:
    """Labelled rows, one split; in the broken table some have a label that nobody declared."""
    labels = ["negative", "positive"] * (DOCUMENTS // 2)
    rows = pl.DataFrame(
        {
            "document_id": [document_id(text) for text in TEXTS],
            "file": ["f.csv"] * DOCUMENTS,
            "row": list(range(DOCUMENTS)),
            "text": TEXTS,
            "label": broken(labels, "maybe") if wrong else labels,
        }
    )
    (folder / "task").mkdir()
    rows.write_parquet(folder / "task/train.parquet")
    return validate_task(TASK, folder / "task", docs, PARAMS)


Gate = Callable[..., Any]
GATES = {
    "raw.documents.id_is_there": (raw_gate, "source='films', file='f.csv', row={}"),
    "corpus.documents.language_is_named": (corpus_gate, "source='films', file='f.csv', row={}"),
    "task.sentiment.rows.label_is_declared": (task_gate, "split='train', file='f.csv', row={}"),
}


@pytest.mark.parametrize("rule", GATES)
def test_a_broken_table_is_told_by_rule_count_and_three_rows(rule: str, tmp_path: Path):
    gate, place = GATES[rule]
    docs = tmp_path / "docs"
    with pytest.raises(QualityFailed) as stopped:
        gate(tmp_path, docs, wrong=True)
    said = str(stopped.value)
    assert [outcome.rule for outcome in stopped.value.failed] == [rule]
    assert f"{rule}: {len(BROKEN)} of {DOCUMENTS} rows" in said
    shown = [line for line in said.splitlines() if "file='f.csv'" in line]
    assert len(shown) == 3
    for line, row in zip(shown, BROKEN, strict=False):
        assert place.format(row) in line
    assert stopped.value.failed[0].remedy in said
    assert str(docs / "index.html") in said


@pytest.mark.parametrize("rule", GATES)
def test_what_a_gate_saw_is_written_as_data_docs_and_holds_no_text(rule: str, tmp_path: Path):
    gate, _ = GATES[rule]
    with pytest.raises(QualityFailed):
        gate(tmp_path, tmp_path / "docs", wrong=True)
    pages = [path.read_text() for path in (tmp_path / "docs").rglob("*.html")]
    assert (tmp_path / "docs/index.html").exists()
    assert any("Failed" in page and "33.33" in page for page in pages)  # 4 of 12, in per cent
    assert not any("told in a few plain words" in page for page in pages)


@pytest.mark.parametrize("rule", GATES)
def test_a_good_table_passes_every_rule(rule: str, tmp_path: Path):
    gate, _ = GATES[rule]
    report = gate(tmp_path, tmp_path / "docs", wrong=False)
    assert report.passed
    assert rule in {outcome.rule for outcome in report.outcomes}
    assert (tmp_path / "docs/index.html").exists()


@pytest.mark.parametrize(
    ("limits", "outside"),
    [
        ({"word_quantiles": {0.05: (5, 20), 0.95: (5, 20)}}, None),
        ({"word_quantiles": {0.5: (5, 20), 0.95: (100, 900)}}, "words at quantile 0.95"),
        ({"language_shares": {"en": (0.9, 1), "de": (0, 0.1)}}, None),
        ({"language_shares": {"en": (0, 0.5)}}, "share of en"),
        ({"language_shares": {"de": (0.1, 1)}}, "share of de"),
    ],
)
def test_lengths_and_languages_must_be_as_params_expect(
    limits: dict[str, Any], outside: str | None, tmp_path: Path
):
    params = QualityParams.model_validate(limits)
    if outside is None:
        assert corpus_gate(tmp_path, tmp_path / "docs", wrong=False, params=params).passed
        return
    with pytest.raises(QualityFailed) as stopped:
        corpus_gate(tmp_path, tmp_path / "docs", wrong=False, params=params)
    assert [outcome.rule for outcome in stopped.value.failed] == [
        "corpus.distributions.as_expected"
    ]
    assert f"what='{outside}'" in str(stopped.value)
