import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bertops.errors import UsageError
from bertops.evaluation.drift import (
    DRIFTED,
    compare_batch,
    read_batch,
    stability_index,
    words_index,
)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """200 validation rows of 50 to 249 characters, half of each label, with varied confidence."""
    texts = ["x " * (25 + i // 2) for i in range(200)]
    confidence = np.linspace(0.5, 1, 200)
    for split in ("train", "validation"):
        pl.DataFrame({"text": texts}).write_parquet(tmp_path / f"{split}.parquet")
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
        {
            "text": ["x " * (int(n) // 2) for n in lengths],
            "prediction": labels,
            "confidence": confidence,
        }
    )


def compare(found: pl.DataFrame, reference: Path, kind: str = "classification"):
    return compare_batch(found, reference, reference / "answers", task="t", kind=kind)


def answer(reference: Path, predictions: list[Any]):
    """What the shipped model predicted for the validation rows, without probabilities."""
    rows = {"model": "pretrained", "prediction": predictions, "probabilities": None}
    pl.DataFrame(rows).write_parquet(reference / "answers/validation.parquet")


def written(folder: Path, suffix: str, predictions: list[Any]) -> Path:
    """A batch as `bertops predict` writes it: tables hold as JSON what is no text."""
    table = [p if isinstance(p, str) else json.dumps(p) for p in predictions]
    path = folder / f"batch{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps({"prediction": p}) + "\n" for p in predictions))
    elif suffix == ".csv":
        pl.DataFrame({"prediction": table}).write_csv(path)
    else:
        pl.DataFrame({"prediction": table}).write_parquet(path)
    return path


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


def test_a_file_without_predictions_says_what_it_has(tmp_path: Path):
    (tmp_path / "a.csv").write_text("text,score\nhello,1\n")
    with pytest.raises(UsageError, match="no column prediction; it has text, score"):
        read_batch(tmp_path / "a.csv")


def test_what_a_batch_does_not_have_is_not_compared(reference: Path):
    report = compare(pl.DataFrame({"prediction": ["yes", "no"] * 100}), reference)
    assert set(report.index) == {"labels"}
    assert "nothing to tell words, length, confidence by" in report.sentence


every_format = pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])


@every_format
def test_predicted_numbers_are_compared_as_numbers(reference: Path, suffix: str):
    generator = np.random.default_rng(0)
    answer(reference, generator.normal(size=500).tolist())
    same, higher = generator.normal(size=500).tolist(), generator.normal(1, size=500).tolist()
    calm = compare(read_batch(written(reference, suffix, same)), reference, "regression")
    assert set(calm.index) == {"numbers"}
    assert not calm.drifted, calm.sentence
    moved = compare(read_batch(written(reference, suffix, higher)), reference, "regression")
    assert moved.drifted
    assert moved.sentence.startswith("numbers moved")


@pytest.mark.parametrize("kind", ["translation", "summarization", "answering", "embedding"])
def test_free_texts_are_not_compared_and_the_report_says_so(reference: Path, kind: str):
    def said(row: str) -> Any:
        return [row, f"other {row}"] if kind == "embedding" else row

    answer(reference, [said(f"yesterday {i}") for i in range(200)])
    texts = {"text": ["x " * (25 + i // 2) for i in range(200)]}
    today = {"prediction": [said(f"today {i}") for i in range(200)]}
    report = compare(pl.DataFrame(texts | today), reference, kind)
    assert set(report.index) == {"words", "length"}
    assert not report.drifted
    assert report.sentence.endswith("predictions that are free texts are not compared")
    with pytest.raises(UsageError, match="nothing else to compare"):
        compare(pl.DataFrame(today), reference, kind)


@every_format
@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_label_sets_and_tags_are_compared_label_by_label(reference: Path, suffix: str, kind: str):
    usual = [[], ["a"], ["a", "b"], ["b"]] * 50
    answer(reference, usual)
    # For longer than a reader looks ahead there is no label.
    same = sorted(usual * 3)
    calm = compare(read_batch(written(reference, suffix, same)), reference, kind)
    assert calm.index == {"labels": pytest.approx(0, abs=0.01)}
    silent = compare(read_batch(written(reference, suffix, [[]] * 200)), reference, kind)
    assert silent.sentence.startswith("labels moved")


@every_format
def test_labels_that_look_like_numbers_are_labels(reference: Path, suffix: str):
    answer(reference, ["01", "02"] * 100)
    report = compare(read_batch(written(reference, suffix, ["02", "01"] * 100)), reference)
    assert report.index == {"labels": 0}


@pytest.mark.parametrize(
    ("kind", "expected", "given"),
    [
        ("regression", 0.5, "yes"),
        ("classification", ["a"], "yes"),
        ("classification", ["a"], "7"),
        ("classification", "yes", ["a"]),
    ],
)
def test_predictions_of_another_task_are_refused(
    reference: Path, kind: str, expected: Any, given: Any
):
    answer(reference, [expected] * 200)
    with pytest.raises(UsageError, match=f"no predictions of the task t, a {kind}"):
        compare(pl.DataFrame({"prediction": [given] * 200}), reference, kind)


WORDS = [f"word{number}" for number in range(2000)]


def drawn(words: list[str], texts: int, seed: int) -> pl.Series:
    """Texts of twenty words; the k-th word is drawn with a weight of 1/k, as in real language."""
    weights = 1 / np.arange(1, len(words) + 1)
    some = np.random.default_rng(seed).choice(
        words, size=(texts, 20), p=weights / weights.sum()
    )  # fmt: skip
    return pl.Series([" ".join(row) for row in some])


def test_samples_of_one_language_are_near_and_other_words_are_far():
    known, reference = drawn(WORDS, 1000, seed=1), drawn(WORDS, 200, seed=2)
    assert words_index(known, reference, drawn(WORDS, 100, seed=3)) < 0.1
    new_topic = [f"other{word}" if place > 30 else word for place, word in enumerate(WORDS)]
    assert words_index(known, reference, drawn(new_topic, 100, seed=3)) > DRIFTED
    other_habits = [*reversed(WORDS[:40]), *WORDS[40:]]
    assert words_index(known, reference, drawn(other_habits, 100, seed=3)) > DRIFTED


def test_words_without_spaces_between_them_are_characters():
    known = pl.Series(["电影很好看", "这部电影不好"] * 10)
    assert words_index(known, known, pl.Series(["好看的电影很不好"] * 10)) > 0
    assert words_index(known, known, pl.Series(["天气预报明天有雨"] * 10)) > DRIFTED
