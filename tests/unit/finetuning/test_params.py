import re

import pytest
from pydantic import ValidationError

from bertops.finetuning.params import FinetuningParams, TaskParams

FIRST = {
    "regression": "pearson",
    "tagging": "entity_f1",
    "answering": "exact_match",
    "summarization": "rouge1",
    "translation": "bleu",
    "embedding": "spearman",
}


def declare(kind, **more):
    data = [{"path": "all.jsonl", "split": "by_hash"}]
    return TaskParams(name="t", data=data, kind=kind, **more)


@pytest.mark.parametrize("kind", FIRST)
def test_a_task_without_a_metric_is_judged_by_the_first_of_its_kind(kind):
    assert declare(kind).metric == FIRST[kind]


def test_search_and_classification_have_first_metrics_by_their_labels():
    assert declare("embedding", columns={"label": None}).metric == "mrr"
    assert declare("classification", labels=["a", "b"]).metric == "accuracy"


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        ("classification", {"labels": ["a", "b"], "metric": "acuracy"}, "mean 'accuracy'"),
        ("classification", {"labels": ["a", "b", "c"], "metric": "f1"}, "f1_macro"),
        ("classification", {"labels": ["a", "b"], "metric": "f1_micro"}, "f1_macro"),
        ("regression", {"metric": "accuracy"}, "must be one of pearson, spearman"),
        ("embedding", {"columns": {"label": None}, "metric": "spearman"}, "must be one of mrr"),
    ],
)
def test_a_metric_that_the_kind_has_not_is_refused(kind, more, told):
    with pytest.raises(ValidationError, match=told) as error:
        declare(kind, **more)
    assert error.value.errors()[0]["loc"] == ("metric",)


@pytest.mark.parametrize(
    "values",
    [{"seeds": [1, -1]}, {"seeds": [1, 2**32]}, {"learning_rates": [1e-3, 0]},
     {"control_learning_rates": [1e-3, -1e-3]}],
)  # fmt: skip
def test_seeds_and_rates_that_no_run_can_have_are_refused_in_their_place(values):
    ((name, given),) = values.items()
    with pytest.raises(ValidationError) as error:
        FinetuningParams(**values)
    assert [found["loc"] for found in error.value.errors()] == [(name, len(given) - 1)]


def test_a_wrong_kind_is_told_alone():
    with pytest.raises(ValidationError) as error:
        declare("clasification")
    assert [found["loc"] for found in error.value.errors()] == [("kind",)]


@pytest.mark.parametrize("labels", [None, 2, "positive"])
def test_labels_that_are_no_list_are_told(labels):
    with pytest.raises(ValidationError, match="must be a list of names, or a mapping"):
        declare("classification", labels=labels)


def test_tags_may_be_mapped_from_any_order():
    numbers = {"0": "O", "1": "B-PER", "2": "B-LOC", "3": "I-PER", "4": "I-LOC"}
    names = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    assert declare("tagging", labels=numbers).label_names == names
    assert declare("tagging", labels=["PER", "LOC"]).label_names == names


@pytest.mark.parametrize(
    ("kind", "task", "overrides", "told"),
    [
        ("tagging", {}, {"class_weights": "balanced"}, "class_weights is for classification"),
        (
            "classification",
            {"multi_label": True},
            {"class_weights": "balanced"},
            "one label a text",
        ),
        ("embedding", {}, {"lora": {"rank": 4}}, "overrides: {lora: null}"),
        ("translation", {}, {"lora": {"rank": 4}}, "finetuning.lora is for"),
        ("tagging", {}, {"rdrop": 1.0}, "overrides: {rdrop: 0}"),
    ],
)
def test_a_switch_that_a_kind_does_not_have_is_refused(kind, task, overrides, told):
    declared = declare(kind, labels=["a", "b"], overrides=overrides, **task)
    with pytest.raises(ValueError, match=re.escape(told)):
        FinetuningParams().for_task(declared)


def test_a_translation_is_not_made_of_windows():
    with pytest.raises(ValidationError, match="long_texts cannot be windows for translation"):
        declare("translation", long_texts="windows")


def test_a_seed_counts_once():
    with pytest.raises(ValidationError, match="the same seed twice is the same run twice"):
        FinetuningParams(seeds=(1, 2, 1))
