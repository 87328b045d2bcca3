import yaml

from bertops.inference.card import TaskCard
from bertops.registry.card import model_card

TASK = TaskCard(
    task="sentiment",
    kind="classification",
    labels=("negative", "positive"),
    max_length=128,
    long_texts="head",
    metric="accuracy",
)
EVALUATION = {
    "encoder": {
        "heldout": {
            "all": {
                "documents": 30, "loss": 4.5, "unigram_loss": 6.6, "perplexity": 90.0,
                "accuracy": 0.25,
            }
        }
    },
    "tasks": {
        "sentiment": {
            "metric": "accuracy",
            "measured": [
                {"model": model, "split": split, "score": score, "value": 0.8123, "low": 0.79,
                 "high": 0.83, "documents": 900, "median": 0.81, "by_seed": {"1": 0.8, "2": 0.82}}
                for model in ("control", "pretrained")
                for split in ("out_of_domain", "test", "validation")
                for score in ("f1", "accuracy")
            ],
            "findings": {"control": "pretraining pays: +1.8 points [0.4, 3.1]"},
        }
    },
    "not_tested": ["Texts of another kind."],
}  # fmt: skip
LINEAGE = {"bertops.git_commit": "abc", "bertops.dvc_lock": ""}


def metadata(card):
    return yaml.safe_load(card.split("---")[1])


def test_a_task_card_has_results_with_intervals_and_names_what_was_not_tested():
    card = model_card("sentiment", "apache-2.0", TASK, EVALUATION, LINEAGE)
    assert "| test | accuracy | 0.8123 | [0.7900, 0.8300] | 900 | 0.8100 of 2 |" in card
    assert "against control: pretraining pays" in card
    assert "Texts of another kind." in card
    assert "| bertops.git_commit | abc |" in card
    assert "validation" not in card


def test_the_hub_reads_licence_pipeline_and_results_with_the_deciding_one_first():
    data = metadata(model_card("sentiment", "apache-2.0", TASK, EVALUATION, LINEAGE))
    assert (data["license"], data["pipeline_tag"]) == ("apache-2.0", "text-classification")
    first = data["model-index"][0]["results"][0]
    assert (first["dataset"]["name"], first["dataset"]["split"]) == ("sentiment", "test")
    assert [m["type"] for m in first["metrics"]] == ["accuracy", "f1"]


def test_an_encoder_card_tells_of_held_out_documents_beside_the_baseline():
    card = model_card("encoder", "apache-2.0", None, EVALUATION, LINEAGE)
    assert metadata(card)["pipeline_tag"] == "fill-mask"
    assert "loss 4.500 nats (a unigram baseline: 6.600)" in card


def test_without_an_evaluation_the_card_claims_nothing():
    card = model_card("sentiment", "mit", TASK, {}, {})
    assert "Results" not in card
    assert "model-index" not in metadata(card)
