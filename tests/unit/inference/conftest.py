import pytest
import torch

from bertops.inference.card import TaskCard
from tests.unit.encoders import make_tokenizer, save_encoder


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session", params=["bert", "modernbert"])
def classifier(request, tmp_path_factory):
    """A model directory of a task with two labels; weights that nobody trained."""
    from transformers import AutoModelForSequenceClassification

    folder = tmp_path_factory.mktemp(request.param)
    save_encoder(folder / "encoder", request.param)
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder / "encoder", id2label={0: "negative", 1: "positive"}
    )
    torch.nn.init.normal_(model.classifier.weight, std=2.0)  # so that labels differ clearly
    model.save_pretrained(folder / "model")
    make_tokenizer().save_pretrained(folder / "model")
    card = TaskCard(
        task="reviews",
        kind="classification",
        labels=("negative", "positive"),
        max_length=32,
        long_texts="head",
        metric="accuracy",
    )
    card.write(folder / "model")
    return folder / "model"
