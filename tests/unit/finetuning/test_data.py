import csv
import gzip

import pytest
from pydantic import ValidationError

from bertops.document import SplitParams, document_id, split_of
from bertops.finetuning.data import TaskDataInvalid, prepare_task, read_split, split_names
from bertops.finetuning.formats import TaskFileUnreadable
from bertops.finetuning.params import TaskParams
from tests.unit.finetuning.conftest import review, write_jsonl

SPLIT = SplitParams()


def prepare(task, project):
    return prepare_task(task, SPLIT, project / "out", project)


def append(path, *rows):
    kept = path.read_text(encoding="utf-8")
    write_jsonl(path, rows)
    path.write_text(kept + path.read_text(encoding="utf-8"), encoding="utf-8")


def test_splits_hold_the_rows_in_order_with_their_origin(task, project):
    report = prepare(task, project)
    train = read_split(project / "out", "train")
    assert [row["text"] for row in train] == [review(n)["text"] for n in range(36)]
    assert train[1] == {
        "document_id": document_id(review(1)["text"]),
        "text": review(1)["text"],
        "label": "positive",
        "file": "train.jsonl",
        "row": 1,
    }
    assert report.splits["train"].classes == {"negative": 18, "positive": 18}
    assert split_names(project / "out") == ["train", "validation", "test"]


def test_preparing_twice_writes_the_same_bytes(task, project):
    prepare(task, project)
    first = {p.name: p.read_bytes() for p in (project / "out").iterdir()}
    prepare(task, project)
    assert {p.name: p.read_bytes() for p in (project / "out").iterdir()} == first


def test_train_rows_that_stand_in_test_are_dropped_and_told(task, project):
    leaked = review(50) | {"text": review(50)["text"].upper()}
    append(project / "train.jsonl", leaked)
    report = prepare(task, project)
    (found,) = [f for f in report.dropped if f.problem == "duplicate across splits"]
    assert (found.split, found.count) == ("train", 1)
    assert "train.jsonl row 36" in found.rows[0]
    assert len(read_split(project / "out", "train")) == 36


def test_by_hash_divides_as_the_corpus_does(task, project):
    files = [{"path": f"{s}.jsonl", "split": "by_hash"} for s in ("train", "validation", "test")]
    by_hash = TaskParams(**(task.model_dump() | {"data": files}))
    prepare(by_hash, project)
    for name in ("train", "validation", "test"):
        for row in read_split(project / "out", name):
            assert split_of(document_id(row["text"]), SPLIT) == name


def test_without_validation_a_share_of_train_becomes_it(task, project):
    files = [file for file in task.model_dump()["data"] if file["split"] != "validation"]
    write_jsonl(project / "train.jsonl", [review(n) for n in range(48)])
    report = prepare(TaskParams(**(task.model_dump() | {"data": files})), project)
    rows = {name: split.rows for name, split in report.splits.items()}
    assert rows["train"] + rows["validation"] == 48
    assert 0 < rows["validation"] < 15


def test_limits_choose_the_same_rows_from_any_order(task, project):
    few = task.model_copy(update={"train_rows": 10})
    prepare(few, project)
    chosen = {row["text"] for row in read_split(project / "out", "train")}
    write_jsonl(project / "train.jsonl", [review(n) for n in reversed(range(36))])
    prepare(few, project)
    assert {row["text"] for row in read_split(project / "out", "train")} == chosen
    assert len(chosen) == 10


def test_html_is_stripped_but_identity_stays_that_of_the_raw_text(task, project):
    raw = "the film<br /><br />was good &amp; fine"
    append(project / "train.jsonl", {"text": raw, "label": "1"})
    prepare(task.model_copy(update={"strip_html": True}), project)
    last = read_split(project / "out", "train")[-1]
    assert last["text"] == "the film was good & fine"
    assert last["document_id"] == document_id(raw)


def test_all_problems_are_told_at_once_with_counts_and_first_rows(task, project):
    append(project / "train.jsonl", *({"text": f"odd {n}", "label": "7"} for n in range(5)))
    append(project / "test.jsonl", {"text": "no label here"})
    write_jsonl(project / "validation.jsonl", [review(2 * n) for n in range(20, 24)])
    with pytest.raises(TaskDataInvalid) as error:
        prepare(task, project)
    found = {(f.problem, f.split): f for f in error.value.findings}
    assert found["unknown label", "train"].count == 5
    assert len(found["unknown label", "train"].rows) == 3
    assert "train.jsonl row 36: '7' is not among 0, 1" in found["unknown label", "train"].rows[0]
    assert ("missing column", "test") in found
    assert ("one class", "validation") in found
    assert not (project / "out").exists()


def test_empty_texts_are_left_out_and_told(task, project):
    append(project / "train.jsonl", {"text": "  ", "label": "1"})
    report = prepare(task, project)
    assert [(f.problem, f.count) for f in report.dropped] == [("empty text", 1)]


def test_contradicting_labels_are_noticed(task, project):
    append(project / "train.jsonl", review(3) | {"label": "0"})
    report = prepare(task, project)
    assert {f.problem for f in report.noticed} == {"repeated text", "contradicting labels"}


def test_a_split_without_rows_is_a_problem(task, project):
    (project / "test.jsonl").write_text("")
    with pytest.raises(TaskDataInvalid, match="no rows in test"):
        prepare(task, project)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("test.jsonl", b'{"text": "a", "label": ', "Expecting value"),
        ("test.jsonl", b'{"text": "\xff\xfe", "label": 1}', "codec can't decode"),
    ],
)
def test_a_broken_file_is_named(task, project, name, content, message):
    (project / name).write_bytes(content)
    with pytest.raises(TaskFileUnreadable, match=message) as error:
        prepare(task, project)
    assert error.value.path == name


def test_a_missing_file_is_named(task, project):
    (project / "test.jsonl").unlink()
    with pytest.raises(TaskFileUnreadable, match=r"test.jsonl: no such file"):
        prepare(task, project)


def test_csv_tsv_and_parquet_give_the_same_rows(task, project):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [review(n) | {"text": review(n)["text"] + ' "so"'} for n in range(36)]
    with (project / "train.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)
    lines = ["text\tlabel", *(f"{row['text']}\t{row['label']}" for row in rows)]
    with gzip.open(project / "train.tsv.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(lines))
    pq.write_table(pa.Table.from_pylist(rows), project / "train.parquet")
    texts = []
    for name in ("train.csv", "train.tsv.gz", "train.parquet"):
        data = [{"path": name, "split": "train"}, *task.model_dump()["data"][1:]]
        prepare(TaskParams(**(task.model_dump() | {"data": data})), project)
        texts.append([row["text"] for row in read_split(project / "out", "train")])
    assert texts[0] == texts[1] == texts[2] == [row["text"] for row in rows]


def test_where_takes_only_the_rows_with_that_value(task, project):
    rows = [review(n) | {"source": "web" if n % 4 < 2 else "press"} for n in range(36)]
    write_jsonl(project / "train.jsonl", rows)
    data = task.model_dump()["data"]
    data[0]["where"] = {"source": "press"}
    report = prepare(TaskParams(**(task.model_dump() | {"data": data})), project)
    assert report.splits["train"].rows == 18


@pytest.mark.parametrize(
    "change",
    [
        {"data": [{"path": "a.csv", "split": "train"}]},
        {"labels": ["only"]},
        {"overrides": {"epoch": 3}},
        {"name": "with/slash"},
    ],
)
def test_a_task_that_cannot_be_scored_is_refused(task, change):
    with pytest.raises(ValidationError):
        TaskParams(**(task.model_dump() | change))
