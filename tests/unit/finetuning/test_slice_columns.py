"""From the columns of a task's files to the slices of its test set."""

import csv

from bertops.document import SplitParams
from bertops.evaluation.answers import PredictionTable
from bertops.evaluation.params import CompareParams, SliceParams
from bertops.evaluation.slices import slice_gaps
from bertops.finetuning.data import prepare_task, read_split
from bertops.finetuning.params import TaskParams
from bertops.finetuning.predictions import write_predictions
from tests.unit.finetuning.conftest import review, write_jsonl


def prepare(task, project):
    return prepare_task(task, SplitParams(), project / "out", project)


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def in_csv(task, project, **more):
    """The task's rows in one CSV, divided by hash, with further columns by number."""
    rows = [review(n) | {name: make(n) for name, make in more.items()} for n in range(400)]
    write_csv(project / "all.csv", rows)
    data = [{"path": "all.csv", "split": "by_hash"}]
    return TaskParams(**(task.model_dump() | {"data": data}))


def slices_of(project, task):
    """Names and sizes of the slices of the test set, by column and value."""
    rows = read_split(project / "out", "test")
    predictions = [
        {
            "model": "m", "seed": 0, "split": "test", "document_id": row["document_id"],
            "length": len(row["text"]), "label": row["label"], "prediction": row["label"],
            "probabilities": [0.5, 0.5],
        }
        for row in rows
    ]  # fmt: skip
    folder = project / "predictions"
    folder.mkdir()
    write_predictions(folder / "test.parquet", predictions)
    table = PredictionTable.read(folder, project / "out", task.label_names)
    found = slice_gaps(table.answers("m", 0, "test"), SliceParams(lengths=()), CompareParams())
    return {(one.column, one.value): one.documents for one in found}


def test_the_test_set_is_cut_by_the_columns_of_the_files(task, project):
    sources = ("imdb", "tomatoes")
    declared = in_csv(task, project, source=lambda n: sources[n % 3 == 0], other=str)
    prepare(declared, project)
    rows = read_split(project / "out", "test")
    assert set(rows[0]) >= {"slice.source"}
    assert not {"slice.language", "other", "slice.other"} & set(rows[0])
    counts = {s: sum(row["slice.source"] == s for row in rows) for s in sources}
    found = slices_of(project, declared)
    assert found == {("source", source): count for source, count in counts.items()}


def test_a_test_set_of_several_languages_is_cut_by_the_language_of_its_texts(task, project):
    chinese = "这家酒店的房间很干净，服务也很好，下次还会再来"
    rows = [review(n) for n in range(300)]
    rows += [{"text": f"{chinese}{n}", "label": str(n % 2)} for n in range(100)]
    write_csv(project / "all.csv", rows)
    data = [{"path": "all.csv", "split": "by_hash"}]
    declared = TaskParams(**(task.model_dump() | {"data": data}))
    prepare(declared, project)
    found = {row["text"][0]: row["slice.language"] for row in read_split(project / "out", "test")}
    assert found == {"t": "en", "这": "zh"}
    assert read_split(project / "out", "train")[0]["slice.language"] is None


def test_other_files_of_the_task_may_lack_the_column(task, project):
    rows = [review(n) for n in range(48, 60)]
    extra = {"text": "a long plot", "label": "0", "source": "imdb"}
    write_jsonl(project / "test.jsonl", [*rows, extra])
    prepare(task, project)
    found = [row["slice.source"] for row in read_split(project / "out", "test")]
    assert found == [None] * (len(found) - 1) + ["imdb"]
