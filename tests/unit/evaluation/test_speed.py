import pytest
import torch

from bertops.evaluation.speed import measure_speed
from bertops.finetuning.kinds import kind_of
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.inference.card import TaskCard
from bertops.storage import read_json
from tests.unit.encoders import make_tokenizer, save_encoder

LABELLED = {"classification": ("bad", "good"), "tagging": ("PER",)}
KINDS = (
    *("classification", "regression", "tagging", "answering", "summarization"),
    *("translation", "embedding"),
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=["bert", "modernbert"])
def encoder(request, tmp_path_factory):
    return save_encoder(tmp_path_factory.mktemp(request.param), request.param)


def save_model(kind, encoder, folder):
    """A model of one kind that nobody trained, as fine-tuning saves it."""
    files = [{"path": "x", "split": "by_hash"}]
    task = TaskParams(name="t", kind=kind, data=files, labels=LABELLED.get(kind, ()), max_length=32)
    kind_of(task).build(str(encoder), FinetuningParams(), False).save_pretrained(str(folder))
    make_tokenizer().save_pretrained(folder)
    card = TaskCard(
        task="t", kind=kind, labels=task.label_names, max_length=32, long_texts="head", metric="x"
    )
    card.write(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_every_kind_is_timed(kind, encoder, tmp_path):
    model = save_model(kind, encoder, tmp_path / "model")
    report = measure_speed(model, tmp_path / "speed.json", "ab12", lengths=(8, 32, 128), rounds=3)
    assert [one.tokens for one in report.latency] == [8, 32]  # the encoder has 64 positions
    assert all(0 < one.p50_ms <= one.p99_ms for one in report.latency)
    assert read_json(tmp_path / "speed.json")["content"] == "ab12"


def test_the_encoder_itself_is_timed(encoder, tmp_path):
    assert measure_speed(encoder, tmp_path / "speed.json", "ab12", (8,), rounds=3).latency


def test_memory_of_a_model_is_not_that_of_the_one_before(encoder, tmp_path):
    large = torch.ones(400 << 18)  # 400 MiB
    del large
    before = measure_speed(encoder, tmp_path / "speed.json", "ab12", (8,), rounds=1)
    kept = torch.ones(400 << 18)
    after = measure_speed(encoder, tmp_path / "speed.json", "ab12", (8,), rounds=1)
    assert after.peak_memory_mib - before.peak_memory_mib > 300
    del kept
