import re

import numpy as np
import pytest

from bertops.errors import UsageError
from bertops.inference.explain import explain, explain_page
from bertops.inference.load import load

TEXTS = ["the film was very good", "bad plot and awful acting"]


def test_attributions_are_complete(classifier):
    for one in explain(load(classifier, device="cpu"), TEXTS, steps=256):
        # What the approximation of the integral by 256 steps leaves open.
        assert abs(one.gap) < 0.02 * max(1, abs(one.difference))
        assert len(one.tokens) == len(one.attributions)
        assert one.attributions[0] == one.attributions[-1] == 0  # the same in text and baseline
        assert np.allclose(one.attention.sum(axis=1), 1, atol=1e-5)


def test_the_explained_label_is_the_predicted_one(classifier):
    loaded = load(classifier, device="cpu")
    predicted = [row["prediction"] for row in loaded(TEXTS)]
    assert [one.label for one in explain(loaded, TEXTS, steps=8)] == predicted


def test_the_page_shows_every_token_and_fetches_nothing(classifier, tmp_path):
    explain_page(load(classifier, device="cpu"), ['the "film" was good'], None, tmp_path / "e.html")
    page = (tmp_path / "e.html").read_text(encoding="utf-8")
    assert ">&quot;</span>" in page
    assert ">film</span>" in page
    assert not re.search(r"https?://|<script|<link", page)


def test_an_encoder_without_a_task_cannot_be_explained(classifier):
    with pytest.raises(UsageError, match="encoder without a task"):
        explain(load(classifier.parent / "encoder"), TEXTS)


def test_a_word_that_the_vocabulary_lacks_has_its_share(classifier):
    (one,) = explain(load(classifier, device="cpu"), ["☃"], steps=64)
    assert one.tokens[1] == "[UNK]"
    assert one.difference != 0
    assert one.attributions[1] != 0
