from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bertops.errors import UsageError
from bertops.evaluation.drift import DRIFTED, compare_batch, read_batch, stability_index


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """200 validation rows of 50 to 249 characters, half of each label, with varied confidence."""
    texts = ["x" * (50 + i) for i in range(200)]
    confidence = np.linspace(0.5, 1, 200)
    pl.DataFrame({"text": texts}).write_parquet(tmp_path / "validation.parquet")
    (tmp_path / "answers").mkdir()
    pl.DataFrame(
        {
            "model": "pretrained",
            "prediction": ["yes", "no"] * 100,
            "probabilities": [[c, 1 - c] for c in confidence],
        }
    ).write_parquet(tmp_path / "answers/validation.parquet")
    return tmp_path


def batch(lengths: np.ndarray, labels: list[str], confidence: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {"text": ["x" * int(n) for n in lengths], "prediction": labels, "confidence": confidence}
    )


def compare(found: pl.DataFrame, reference: Path):
    return compare_batch(found, reference, reference / "answers", task="t")


def test_the_reference_itself_has_not_drifted(reference: Path):
    same = batch(np.arange(50, 250), ["yes", "no"] * 100, np.linspace(0.5, 1, 200))
    report = compare(same, reference)
    assert not report.drifted
    assert max(report.index.values()) < 0.01


@pytest.mark.parametrize("what", ["length", "confidence", "labels"])
def test_what_moved_is_named(reference: Path, what: str):
    moved = batch(
        np.arange(50, 250) * (3 if what == "length" else 1),
        ["yes"] * 200 if what == "labels" else ["yes", "no"] * 100,
        np.full(200, 0.51) if what == "confidence" else np.linspace(0.5, 1, 200),
    )
    report = compare(moved, reference)
    assert report.drifted
    assert report.sentence.startswith(f"{what} moved")


def test_a_batch_too_small_to_tell_is_refused(reference: Path):
    with pytest.raises(UsageError, match="at least 100"):
        compare(batch(np.arange(50, 60), ["yes"] * 10, np.full(10, 0.9)), reference)


def test_the_index_by_hand():
    """Of the four bins at 0, 0.5 and 1 two are empty; half a count is added to each."""
    reference, found = np.array([0.0, 1.0] * 50), np.array([0.0] * 25 + [1.0] * 75)
    p, q = np.array([0.5, 50.5, 0.5, 50.5]) / 102, np.array([0.5, 25.5, 0.5, 75.5]) / 102
    assert stability_index(reference, found) == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert stability_index(reference, reference) == 0 < DRIFTED


def test_a_file_without_the_columns_says_which(tmp_path: Path):
    (tmp_path / "a.csv").write_text("text,score\nhello,1\n")
    with pytest.raises(UsageError, match="no column prediction, confidence"):
        read_batch(tmp_path / "a.csv")
