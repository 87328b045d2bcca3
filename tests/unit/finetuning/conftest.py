import json

import pytest

from bertops import runtime
from bertops.finetuning.params import FinetuningParams, TaskParams
from tests.unit.encoders import save_encoder

GOOD, BAD = ("good", "great", "fine"), ("bad", "awful", "poor")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _one_process(monkeypatch):
    """Starting a second process costs more than these tiny runs; test_pool.py has its own."""
    monkeypatch.setattr(runtime, "threads", lambda: 1)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    return save_encoder(tmp_path_factory.mktemp("encoder"))


def review(number: int) -> dict[str, str]:
    """The n-th review; all of them differ."""
    words = GOOD if number % 2 else BAD
    nouns = ("film", "movie", "plot", "acting")
    text = f"the {nouns[number % 4]} was {words[number % 3]} and it is {'very ' * (number // 12)}so"
    return {"text": text, "label": str(number % 2)}


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def project(tmp_path):
    """A project with 60 labelled reviews in three files."""
    rows = [review(n) for n in range(60)]
    for name, some in (("train", rows[:36]), ("validation", rows[36:48]), ("test", rows[48:])):
        write_jsonl(tmp_path / f"{name}.jsonl", some)
    return tmp_path


@pytest.fixture
def task():
    files = [{"path": f"{s}.jsonl", "split": s} for s in ("train", "validation", "test")]
    labels = {"0": "negative", "1": "positive"}
    return TaskParams(name="reviews", data=files, labels=labels, max_length=32)


@pytest.fixture
def quick():
    return FinetuningParams(
        seeds=(1, 2),
        epochs=2,
        batch_rows=8,
        learning_rates=(5e-3,),
        control_learning_rates=(5e-3,),
        precision="fp32",
    )
