"""The attack on planted secrets finds what was learned by heart, and nothing else."""

from pathlib import Path
from statistics import mean

import pytest
import torch

from bertops.evaluation.canaries import CANDIDATES, exposure, make_canaries, secret_words
from tests.unit.encoders import save_encoder

WORDS = (
    *("amber", "birch", "cedar", "delta", "ember", "fjord"),
    *("grove", "heron", "inlet", "jetty", "knoll", "lotus"),
)
SPOKEN = ("the", "secret", "of", "house", "number", "is")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    folder: Path = save_encoder(tmp_path_factory.mktemp("encoder"), words=WORDS + SPOKEN)
    return AutoModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def test_canaries_are_the_same_every_time_and_as_many_as_asked() -> None:
    first = make_canaries(WORDS, (1, 10, 100), each=3, seed=1)
    assert first == make_canaries(WORDS, (1, 10, 100), each=3, seed=1)
    assert first != make_canaries(WORDS, (1, 10, 100), each=3, seed=2)
    assert [c.repeats for c in first] == [1] * 3 + [10] * 3 + [100] * 3
    assert len({c.prompt for c in first}) == 9


def test_secrets_are_whole_words_of_the_vocabulary(encoder) -> None:
    words = secret_words(encoder[1])
    assert set(WORDS) <= set(words)
    assert not any(word.startswith("##") or word.startswith("[") for word in words)


def test_an_untrained_model_has_no_secret_and_an_overfitted_one_has_all(encoder) -> None:
    """The positive control: the attack must find what was trained for nothing but that."""
    model, tokenizer = encoder
    words = secret_words(tokenizer)
    canaries = make_canaries(words, (1,), each=4, seed=3)
    before = mean(exposure(model, tokenizer, canary, words) for canary in canaries)
    assert before < 5  # a random rank gives 1.4 on the mean, and seldom more than 5
    learn_by_heart(model, tokenizer, [canary.text for canary in canaries])
    after = [exposure(model, tokenizer, canary, words) for canary in canaries]
    assert min(after) > 10
    assert max(after) <= torch.log2(torch.tensor(float(CANDIDATES)))


def learn_by_heart(model, tokenizer, texts: list[str], steps: int = 150) -> None:
    """Hide the last three words of each text, and train until they come back."""
    torch.manual_seed(0)
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = torch.full_like(batch["input_ids"], -100)
    for row, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
        places = torch.arange(length - 4, length - 1)
        labels[row, places] = batch["input_ids"][row, places]
        batch["input_ids"][row, places] = tokenizer.mask_token_id
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
