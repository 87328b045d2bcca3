import pytest

from bertops.inference import export
from bertops.inference.export import ExportDisagrees, export_onnx
from bertops.inference.load import load
from bertops.storage import read_json

TEXTS = [f"the {noun} was {word}" for noun in ("film", "plot", "acting") for word in
         ("good", "bad", "very fine", "not great", "awful and poor")]  # fmt: skip


@pytest.fixture
def rows(classifier, tmp_path):
    """A split that the model itself has labelled, so that its metric is 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    labels = [row["prediction"] for row in load(classifier, device="cpu")(TEXTS)]
    path = tmp_path / "validation.parquet"
    pq.write_table(pa.table({"text": TEXTS, "label": labels}), path)
    return path


def test_an_export_agrees_with_the_original_and_says_so(classifier, rows, tmp_path):
    original = load(classifier, device="cpu")
    report = export_onnx(original, tmp_path / "exported", rows)
    assert report.parity["onnx"].agreement == 1
    assert report.parity["int8"].agreement >= 0.99
    assert report.bytes["model.int8.onnx"] < report.bytes["model.onnx"] / 2
    assert read_json(tmp_path / "exported/export.json")["rows"] == len(TEXTS)
    ours, exported = original(TEXTS), load(tmp_path / "exported")(TEXTS)
    for one, other in zip(ours, exported, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=0.05)


def test_an_export_that_disagrees_is_refused_and_not_written(
    classifier, rows, tmp_path, monkeypatch
):
    monkeypatch.setattr(export, "MIN_AGREEMENT", 1.01)
    with pytest.raises(ExportDisagrees, match="Serve the original") as error:
        export_onnx(load(classifier, device="cpu"), tmp_path / "exported", rows)
    assert error.value.exit_code == 3
    assert not (tmp_path / "exported").exists()
