from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bertops.errors import UsageError
from bertops.inference import export
from bertops.inference.card import TaskCard
from bertops.inference.embed import vectors_of
from bertops.inference.export import ExportDisagrees, Parity, export_onnx
from bertops.inference.load import Loaded, load
from bertops.storage import read_json

TEXTS = [f"the {noun} was {word}" for noun in ("film", "plot", "acting") for word in
         ("good", "bad", "very fine", "not great", "awful and poor")]  # fmt: skip


@pytest.fixture
def rows(classifier, tmp_path):
    """A split that the model itself has labelled, so that its metric is 1."""
    labels = [row["prediction"] for row in load(classifier, device="cpu")(TEXTS)]
    path = tmp_path / "validation.parquet"
    pq.write_table(pa.table({"text": TEXTS, "label": labels}), path)
    return path


def test_an_export_agrees_with_the_original_and_says_so(classifier, rows, tmp_path):
    original = load(classifier, device="cpu")
    report = export_onnx(original, tmp_path / "exported", rows)
    assert report.parity["onnx"].agreement == 1
    assert report.parity["int8"].agreement >= 0.99
    assert report.bytes["model.int8.onnx"] < report.bytes["model.onnx"]
    assert read_json(tmp_path / "exported/export.json")["rows"] == len(TEXTS)
    ours, exported = original(TEXTS), load(tmp_path / "exported")(TEXTS)
    for one, other in zip(ours, exported, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=0.1)


def test_an_export_that_disagrees_is_refused_and_not_written(
    classifier, rows, tmp_path, monkeypatch
):
    monkeypatch.setattr(export, "MIN_AGREEMENT", 1.01)
    with pytest.raises(ExportDisagrees, match="Serve the original") as error:
        export_onnx(load(classifier, device="cpu"), tmp_path / "exported", rows)
    assert error.value.exit_code == 3
    assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize(
    ("name", "told"), [("rows.csv", "not a Parquet file"), ("no.parquet", "no such file")]
)
def test_rows_that_cannot_be_read_are_told(classifier, tmp_path, name, told):
    (tmp_path / "rows.csv").write_text("text,label\ngood,positive\n")
    with pytest.raises(UsageError, match=told):
        export_onnx(load(classifier, device="cpu"), tmp_path / "exported", tmp_path / name)


@pytest.mark.parametrize(
    ("columns", "told"),
    [({"text": ["good"]}, "no column 'label'"), ({"text": [], "label": []}, "no rows")],
)
def test_a_table_that_cannot_be_compared_on_is_told(classifier, tmp_path, columns, told):
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    with pytest.raises(UsageError, match=told):
        export_onnx(load(classifier, device="cpu"), tmp_path / "out", tmp_path / "rows.parquet")


@pytest.mark.parametrize(
    ("metric", "reference", "holds"),
    [(-2.0, -2.0, True), (-2.01, -2.0, True), (-2.1, -2.0, False), (0.98, 1.0, False)],
)
def test_a_hundredth_of_the_metric_may_be_lost_below_zero_too(metric, reference, holds):
    assert Parity(1.0, metric, reference).holds == holds


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_numbers_agree_by_their_own_measure(unit):
    gold = [unit * value for value in (1.0, 2.0, 3.0, 4.0)]
    near, far = ([value + share * unit for value in gold] for share in (0.02, 0.2))
    card = TaskCard(
        task="t",
        kind="regression",
        labels=("score",),
        max_length=32,
        long_texts="head",
        metric="pearson",
    )
    loaded = Loaded("m", Path(), None, None, card)
    examples = [{"label": value} for value in gold]
    assert export._parity(loaded, examples, gold, near).agreement == 1
    assert export._parity(loaded, examples, gold, far).agreement == 0


def test_an_export_gives_neither_vectors_nor_words_for_a_mask(classifier, rows, tmp_path):
    export_onnx(load(classifier, device="cpu"), tmp_path / "exported", rows)
    with pytest.raises(UsageError, match="the directory that it was made from"):
        vectors_of(load(tmp_path / "exported"), TEXTS)
    with pytest.raises(UsageError, match="fills no masks"):
        load(tmp_path / "exported", masked_lm=True)


def test_an_export_replaces_an_earlier_one_and_nothing_else(classifier, rows, tmp_path):
    original, target = load(classifier, device="cpu"), tmp_path / "exported"
    target.mkdir()
    (target / "notes.txt").write_text("keep me")
    for taken in (target, classifier, rows):
        with pytest.raises(UsageError, match="is there and is no earlier export"):
            export_onnx(original, taken, rows)
    assert (target / "notes.txt").read_text() == "keep me"
    assert (classifier / "model.safetensors").exists()
    (target / "notes.txt").unlink()
    for _ in range(2):
        export_onnx(original, target, rows)
