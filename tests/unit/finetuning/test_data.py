import csv
import gzip
import json
from collections import defaultdict

import pytest
from pydantic import ValidationError

from bertops import metrics
from bertops.document import SplitParams, document_id, split_of
from bertops.errors import GateRefused
from bertops.finetuning.data import TaskDataInvalid, prepare_task, read_split, split_names
from bertops.finetuning.formats import TaskFileUnreadable
from bertops.finetuning.params import TaskParams
from tests.unit.finetuning.conftest import review, write_jsonl
from tests.unit.packers import PACKERS

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


def test_a_slice_has_no_row_of_test(task, project):
    shared = json.loads((project / "test.jsonl").read_text(encoding="utf-8").splitlines()[0])
    write_jsonl(project / "other.jsonl", [shared, *(review(n) for n in range(100, 120))])
    file = {"path": "other.jsonl", "split": "out_of_domain"}
    data = [*task.model_dump()["data"], file]
    report = prepare(TaskParams(**(task.model_dump() | {"data": data})), project)
    (found,) = [f for f in report.dropped if f.problem == "duplicate across splits"]
    assert (found.split, found.count) == ("out_of_domain", 1)
    assert shared["text"] not in {r["text"] for r in read_split(project / "out", "out_of_domain")}


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
    assert error.value.exit_code == GateRefused.exit_code  # a scheduled retrain says "data refused"
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


def test_rows_with_half_a_character_are_left_out_and_told(task, project):
    append(project / "train.jsonl", {"text": "cut \ud83d", "label": "1"})
    report = prepare(task, project)
    assert [(f.problem, f.count) for f in report.dropped] == [("broken text", 1)]


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


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize(
    "damage",
    [lambda packed: packed[: len(packed) * 2 // 3], lambda packed: b"no " + packed],
    ids=["cut off", "no such thing"],
)
def test_a_damaged_compressed_file_is_named(task, project, suffix, damage):
    name = f"train.jsonl{suffix}"
    whole = (project / "train.jsonl").read_bytes()
    (project / name).write_bytes(damage(PACKERS[suffix](whole)))
    data = [{"path": name, "split": "train"}, *task.model_dump()["data"][1:]]
    with pytest.raises(TaskFileUnreadable) as error:
        prepare(TaskParams(**(task.model_dump() | {"data": data})), project)
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


def declare(project, rows, **more):
    """A task on one file whose rows are divided by hash."""
    write_jsonl(project / "all.jsonl", rows)
    return TaskParams(name="t", data=[{"path": "all.jsonl", "split": "by_hash"}], **more)


def split_by(project, column):
    """From what stands in a column to the splits that have it."""
    found = defaultdict(set)
    for name in split_names(project / "out"):
        for row in read_split(project / "out", name):
            found[row[column]].add(name)
    return found


def asked(passage, number, answers):
    """A question over a passage."""
    return {"context": f"passage {passage}", "question": f"what {number}?", "answers": answers}


ASKED = {"text": "context", "text_b": "question", "label": "answers"}


def test_questions_over_one_passage_stay_in_one_split(project):
    answer = [{"text": "passage", "answer_start": 0}]
    rows = [asked(passage, n, answer) for passage in range(40) for n in range(5)]
    prepare(declare(project, rows, kind="answering", columns=ASKED), project)
    found = split_by(project, "text")
    assert all(len(splits) == 1 for splits in found.values())
    assert {name for splits in found.values() for name in splits} == {"train", "validation", "test"}
    for passage, (name,) in found.items():
        assert split_of(document_id(passage), SPLIT) == name  # as the corpus divides it
    ids = [row["document_id"] for n in split_names(project / "out")
           for row in read_split(project / "out", n)]  # fmt: skip
    assert len(set(ids)) == 200  # each question is a document of its own
    assert "group" not in read_split(project / "out", "test")[0]


@pytest.mark.parametrize(("columns", "together"), [({}, "text"), ({"group": "b"}, "text_b")])
def test_pairs_that_share_a_text_stay_in_one_split(project, columns, together):
    rows = [{"a": f"a {n % 40}", "b": f"b {n % 30}", "label": str(n % 2)} for n in range(120)]
    columns = {"text": "a", "text_b": "b"} | columns
    prepare(declare(project, rows, labels=["0", "1"], columns=columns), project)
    assert all(len(splits) == 1 for splits in split_by(project, together).values())


def test_a_validation_split_is_carved_by_group(task, project):
    rows = [review(n) | {"author": f"author {n // 4}"} for n in range(48)]
    write_jsonl(project / "train.jsonl", rows)
    values = task.model_dump()
    values["data"] = [file for file in values["data"] if file["split"] != "validation"]
    values["columns"]["group"] = "author"
    write_jsonl(project / "test.jsonl", [review(n) | {"author": "x"} for n in range(48, 60)])
    prepare(TaskParams(**values), project)
    authors = {row["text"]: row["author"] for row in rows}
    sides = [{authors[row["text"]] for row in read_split(project / "out", name)}
             for name in ("train", "validation")]  # fmt: skip
    assert sides[1]
    assert not sides[0] & sides[1]


def test_a_group_that_is_no_column_is_told(task, project):
    values = task.model_dump()
    values["columns"]["group"] = "author"
    with pytest.raises(TaskDataInvalid, match="'author' is not among text, label"):
        prepare(TaskParams(**values), project)


def test_answers_in_the_shape_of_hugging_face_are_read(project):
    answers = {"text": ["passage", "1"], "answer_start": [0, 8]}
    rows = [asked(1, n, answers) for n in range(3)]
    rows += [asked(n, n, {"text": [], "answer_start": []}) for n in range(60)]
    more = {"kind": "answering", "unanswerable": True}
    prepare(declare(project, rows, columns=ASKED, **more), project)
    (found,) = {str(row["label"]) for name in split_names(project / "out")
                for row in read_split(project / "out", name) if row["label"]}  # fmt: skip
    assert found == str([{"text": "passage", "start": 0}, {"text": "1", "start": 8}])


@pytest.mark.parametrize(
    "answers", ["passage", ["passage"], 5, {"text": ["passage"]}, {"text": "a", "answer_start": 1}]
)
def test_answers_of_any_other_shape_are_told(project, answers):
    rows = [asked(n, n, answers) for n in range(60)]
    with pytest.raises(TaskDataInvalid, match="unknown answers"):
        prepare(declare(project, rows, kind="answering", columns=ASKED), project)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"sentences": None, "labels": [1]}, "'None' in column 'sentences'"),
        ({"sentences": ["One."], "labels": "1"}, "'1' in column 'labels'"),
        ({"sentences": ["One."], "labels": ["yes"]}, "'yes' is not 0 or 1"),
        ({"sentences": ["One."]}, "'labels' is not among sentences"),
    ],
)
def test_sentences_and_marks_of_any_other_shape_are_told(project, row, told):
    with pytest.raises(TaskDataInvalid, match=told):
        prepare(declare(project, [row] * 9, kind="summarization", columns={}), project)


NUMBERED = {"0": "O", "1": "B-LOC", "2": "B-PER"}


@pytest.mark.parametrize(
    ("labels", "tags"),
    [(["PER", "LOC"], [1, 0]), (["PER", "LOC"], ["B-PER", "O"]), (NUMBERED, [2, 0])],
)
def test_tags_are_read_by_name_by_number_or_as_mapped(project, labels, tags):
    rows = [{"tokens": ["Ada", f"wrote{n}"], "ner_tags": tags} for n in range(60)]
    columns = {"text": "tokens", "label": "ner_tags"}
    prepare(declare(project, rows, kind="tagging", labels=labels, columns=columns), project)
    assert {str(row["label"]) for row in read_split(project / "out", "test")} == {
        str(["B-PER", "O"])
    }


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"tokens": ["Ada"], "ner_tags": [7]}, "7 is not among"),
        ({"tokens": ["Ada"], "ner_tags": [[0]]}, "is not among"),
        ({"tokens": ["Ada"], "ner_tags": 0}, "no list"),
        ({"tokens": "Ada", "ner_tags": [0]}, "no words in column 'tokens'"),
    ],
)
def test_tags_and_words_of_any_other_shape_are_told(project, row, told):
    columns = {"text": "tokens", "label": "ner_tags"}
    task = declare(project, [row] * 9, kind="tagging", labels=["PER"], columns=columns)
    with pytest.raises(TaskDataInvalid, match=told):
        prepare(task, project)


def test_tags_in_iob1_become_iob2(project):
    tags = ["I-PER", "I-PER", "O", "I-LOC", "B-LOC", "I-PER"]
    rows = [{"words": [f"word{n}", *"abcde"], "label": tags} for n in range(60)]
    task = declare(project, rows, kind="tagging", labels=["PER", "LOC"], columns={"text": "words"})
    prepare(task, project)
    gold = [row["label"] for row in read_split(project / "out", "test")]
    assert gold[0] == ["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "B-PER"]
    assert metrics.score("entity_f1", gold, gold, ()) == 1.0


def test_a_row_with_more_fields_than_the_header_is_left_out_and_told(task, project):
    rows = [review(n) for n in range(36)]
    lines = [f"{row['label']},{row['text']}" for row in rows]
    lines[3:5] = ["1,Great, really great film", "0,Bad, and long"]
    (project / "train.csv").write_text("\n".join(["label,text", *lines]), encoding="utf-8")
    files = [{"path": "train.csv", "split": "train"}, *task.model_dump()["data"][1:]]
    report = prepare(TaskParams(**task.model_dump() | {"data": files}), project)
    assert [(f.problem, f.count) for f in report.dropped] == [("too many fields", 2)]
    assert "1 more than the header has, from ' really great film'" in report.dropped[0].rows[0]
    assert not {"Great", "Bad"} & {row["text"] for row in read_split(project / "out", "train")}


def test_where_no_row_is_left_the_reason_is_told(project):
    rows = [asked(f"passage {n}", n, []) for n in range(30)]
    columns = {"text": "context", "text_b": "question", "label": "answers"}
    with pytest.raises(TaskDataInvalid, match=r"no answer in by_hash: 30 rows(.|\n)*no rows in"):
        prepare(declare(project, rows, kind="answering", columns=columns), project)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("rows.jsonl", '[{"text": "a", "label": 1}]', "row 0 is no JSON object"),
        ("rows.json", "[]", "not in the shape of SQuAD"),
        ("rows.json", '{"version": 2}', "not in the shape of SQuAD.*'data'"),
        ("rows.json", '{"data": [{"paragraphs": [7]}]}', "not in the shape of SQuAD"),
    ],
)
def test_json_of_another_shape_is_told(project, name, content, told):
    (project / name).write_text(content, encoding="utf-8")
    more = {"format": "squad"} if name == "rows.json" else {}
    data = [{"path": name, "split": "by_hash", **more}]
    with pytest.raises(TaskFileUnreadable, match=told):
        prepare(TaskParams(name="t", kind="answering", data=data), project)
