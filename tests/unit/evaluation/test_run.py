"""The whole evaluation on a made-up project, and what is rendered from it."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

from bertops.document import Document
from bertops.evaluation.answers import PredictionsBroken, PredictionTable
from bertops.evaluation.heldout import NothingHeldOut, measure_heldout
from bertops.evaluation.reads import count_reads, log_read
from bertops.evaluation.report.card import render_card
from bertops.evaluation.report.content import gather
from bertops.evaluation.report.page import render_page
from bertops.evaluation.run import count_tokens, evaluate
from bertops.evaluation.slices import Slice
from bertops.evaluation.tasks import TaskInput
from bertops.pretraining.store import TokenStore
from bertops.storage import hash_tree, write_json
from tests.unit.encoders import save_encoder
from tests.unit.evaluation.project import LABELS, PARAMS, WORDS, report_inputs, write_project
from tests.unit.registry.comparisons import comparison

VERDICT = {
    "task": "sentiment", "judged_by": None, "version": 4, "against": 3, "standing": "promoted",
    "sentence": "passed", "gates": [], "head_to_head": None,
}  # fmt: skip
SPEED = {
    "parameters": 2_000_000, "bytes_on_disk": 8_000_000, "peak_memory_mib": 400,
    "machine": {"processor": "a processor", "threads": 2},
    "latency": [{"tokens": 32, "p50_ms": 2.5, "p95_ms": 3.5, "p99_ms": 4.5}],
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TaskInput]:
    root = tmp_path_factory.mktemp("project")
    task = write_project(root, save_encoder(root / "models/encoder", words=WORDS))
    run(root, task, root / "reports/evaluation")
    return root, task


def run(root: Path, task: TaskInput, target: Path) -> None:
    evaluate(
        [task], root / "models/encoder", root / "data/corpus", root / "data/tokens", target, PARAMS
    )


def read(root: Path, name: str) -> dict:
    return json.loads((root / f"reports/evaluation/{name}.json").read_text())


def test_same_inputs_same_bytes(project: tuple[Path, TaskInput]) -> None:
    root, task = project
    run(root, task, root / "again")
    assert hash_tree(root / "again") == hash_tree(root / "reports/evaluation")


def test_metrics_are_flat_numbers_with_their_interval(project: tuple[Path, TaskInput]) -> None:
    metrics = read(project[0], "metrics")
    task = metrics["sentiment"]
    assert task["accuracy_low"] < task["accuracy"] < task["accuracy_high"]
    assert {"accuracy_over_control", "accuracy_over_majority", "out_of_domain_accuracy"} <= set(
        task
    )
    assert all(isinstance(value, int | float) for value in task.values())
    assert metrics["heldout"]["loss"] > 0


def test_every_baseline_is_beside_the_model(project: tuple[Path, TaskInput]) -> None:
    task = read(project[0], "evaluation")["tasks"]["sentiment"]
    assert [c["second"] for c in task["comparisons"]["test"]] == ["control", "majority", "tfidf"]
    assert set(task["findings"]) == {"control", "majority", "tfidf"}
    shipped = [m for m in task["measured"] if m["model"] == "pretrained"]
    assert {m["seed"] for m in shipped} == {2}
    assert all(len(m["by_seed"]) == 3 for m in shipped)


def test_plots_have_a_row_for_each_document_and_seed(project: tuple[Path, TaskInput]) -> None:
    folder = project[0] / "reports/evaluation"
    lines = {
        kind: (folder / kind / "sentiment.csv").read_text().splitlines()
        for kind in ("confusion", "seeds", "calibration")
    }
    assert lines["confusion"][0] == "gold,predicted"
    assert len(lines["confusion"]) == 301
    assert len(lines["seeds"]) == 1 + 3 + 3 + 1 + 1
    bars = [line.split(",")[0] for line in lines["seeds"][1:]]
    assert len(set(bars)) == len(bars), "bars of one name are drawn one on the other"


def test_the_page_says_what_the_numbers_say(project: tuple[Path, TaskInput]) -> None:
    root, _ = project
    content = gather(report_inputs(root))
    page = render_page(content)
    for finding in content.tasks["sentiment"]["findings"].values():
        assert finding.replace("'", "&#39;") in page
    assert "the gates had not been asked yet" in page
    assert "bertops registry history" in page
    assert "1 run of fine-tuning failed" in page
    assert render_page(content) == page
    assert re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page) is None
    assert len(page) < 200_000


def test_the_page_shows_both_sides_of_a_promotion(project: tuple[Path, TaskInput]) -> None:
    flip = {"document_id": "d1", "excerpt": "<b>as it</b> was", "gold": "positive",
            "wrong": "negative", "confidence": 0.875}  # fmt: skip
    flips = {"against": "version 3", "gained": [flip], "lost": [flip | {"document_id": "d2"}]}
    duel = {
        "comparison": asdict(comparison("better")), "flips": flips, "slices": [],
        "finding": "version 4 is better: +2.0 points [1.0, 3.0]",
    }  # fmt: skip
    verdict = VERDICT | {"head_to_head": duel}
    page = render_page(gather(report_inputs(project[0]), [verdict]))
    assert "sentiment: version 4 against version 3, the champion until now" in page
    assert duel["finding"] in page
    assert "Right now, wrong there" in page
    assert "Wrong now, right there" in page
    assert "&lt;b&gt;as it&lt;/b&gt; was" in page
    first = render_page(gather(report_inputs(project[0]), [VERDICT]))
    assert "there was no champion to compare it with" in first
    failed = verdict | {"head_to_head": {"failed": "OSError: gone"}}
    page = render_page(gather(report_inputs(project[0]), [failed]))
    assert "with version 3: OSError: gone" in page


def test_slices_are_headed_by_what_was_measured(project: tuple[Path, TaskInput]) -> None:
    part = Slice("source", "news", 200, "entity_f1", 0.612, 0.58, 0.64, 0.655, 0.001, "worse")
    duel = {"comparison": asdict(comparison("worse")), "flips": None, "slices": [asdict(part)],
            "finding": "version 4 is worse"}  # fmt: skip
    page = render_page(gather(report_inputs(project[0]), [VERDICT | {"head_to_head": duel}]))
    table = page.split(f"Slices of the test set, against {duel['comparison']['second']}")[1]
    table = table.split("</table>")[0]
    assert '<th scope="col">entity_f1</th>' in table
    assert "0.612" in table
    assert "accuracy" not in table


def test_the_page_opens_with_the_worst_of_several_verdicts(project: tuple[Path, TaskInput]) -> None:
    gate = {"name": "beats_majority", "value": 0.4, "low": 0.3, "high": 0.5, "documents": 3000,
            "threshold": 0.5, "passed": False, "reason": "does not clear"}  # fmt: skip
    refused = VERDICT | {"task": "topics", "standing": "refused", "gates": [gate]}
    encoder = VERDICT | {"task": "encoder", "judged_by": "sentiment"}
    page = render_page(gather(report_inputs(project[0]), [VERDICT, refused, encoder]))
    assert "<h1>Refused: topics</h1>" in page
    for name in ("sentiment", "topics", "encoder"):
        assert f'aria-label="Gates of {name}"' in page
    assert "Gates of encoder, version 4, judged by sentiment" in page
    assert "3,000" in page
    assert 'id="head-to-head-topics"' in page
    assert 'id="head-to-head-encoder"' not in page, "its task's section tells it"


def test_no_p_value_is_shown_as_zero(project: tuple[Path, TaskInput]) -> None:
    page = render_page(gather(report_inputs(project[0])))
    assert "&lt; 0.00001" in page, "the comparison with the majority class"
    assert '<td class="n">0</td><td><span class="tone">' not in page


def test_the_page_describes_the_corpus(project: tuple[Path, TaskInput], tmp_path: Path) -> None:
    inputs = report_inputs(project[0])
    write_json(
        tmp_path / "clean.json",
        {
            "read": 2500, "dropped": {"split.test": 1250, "dedup.exact": 30, "c4.lorem": 20},
            "kept_by_split": {"train": 1100, "validation": 100},
            "words_by_split": {"train": 123456, "validation": 7890},
        },
    )  # fmt: skip
    write_json(
        tmp_path / "card.json",
        {
            "licences": {"imdb": "research use"}, "languages": {"en": 1200},
            "report": {"rules": {}, "edits": {}, "contamination": {}},
            "words": {}, "near_misses": {}, "copies": [],
        },
    )  # fmt: skip
    inputs = replace(inputs, corpus=tmp_path / "clean.json", data_card=tmp_path / "card.json")
    content = gather(inputs)
    assert content.corpus is not None
    assert (content.corpus.set_aside, content.corpus.dropped) == (1250, 50)
    assert {drop["rule"] for drop in content.drops} == {"too_few_words", "overlap"}
    assert [drop["share"] for drop in content.drops] == [0.5, 0.5]
    page, card = render_page(content), render_card(content, "sentiment", "mit")
    for told in ("123,456 words", "1,250", "research use", "en 1,200"):
        assert told in page
    assert "1,250 set aside for tests" in card
    assert "imdb: research use" in card


def test_changes_without_a_commit_are_marked(project: tuple[Path, TaskInput]) -> None:
    inputs = report_inputs(project[0])
    for dirty in ("true", "false"):
        page = render_page(gather(replace(inputs, lineage={"bertops.git_dirty": dirty})))
        assert ("that no commit holds" in page) == (dirty == "true")


def test_the_end_of_the_report_tells_what_this_project_left_untested(
    project: tuple[Path, TaskInput],
) -> None:
    told = "\n".join(read(project[0], "evaluation")["not_tested"])
    for gap in (
        "canaries",
        "sentiment: behaviour; no cases",
        "sentiment: slices by source and language",
        "sentiment: groups with too few documents: gender",
    ):
        assert gap in told
    assert "another domain" not in told


def test_the_card_agrees_with_the_report_and_is_readable_by_the_hub(
    project: tuple[Path, TaskInput],
) -> None:
    root = project[0]
    log_read(root / ".bertops", "sentiment", "ab12", "evaluate")
    write_json(root / ".bertops/speed/sentiment.json", SPEED)
    content = gather(report_inputs(root))
    _, front, body = render_card(content, "sentiment", "apache-2.0").split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["license"] == "apache-2.0"
    assert facts["pipeline_tag"] == "text-classification"
    (test, _) = facts["model-index"][0]["results"]
    accuracy = next(m["value"] for m in test["metrics"] if m["type"] == "accuracy")
    assert accuracy == read(project[0], "metrics")["sentiment"]["accuracy"]
    assert content.tasks["sentiment"]["findings"]["control"] in body
    for part in (
        "bertops registry history sentiment", "| out_of_domain | TF-IDF + linear |", "< 0.00001",
        "Confusion matrix, test", "Examples flipped both ways", "CrowS-Pairs", "nats.",
        "| 32 | 2.5 | 3.5 | 4.5 |", "- 1 × evaluate", "Not tested",
    ):  # fmt: skip
        assert part in body
    encoder = render_card(content, "encoder", "mit")
    assert "pipeline_tag: fill-mask" in encoder


def test_an_encoder_that_knows_nothing_is_no_better_than_frequencies(
    project: tuple[Path, TaskInput],
) -> None:
    heldout = read(project[0], "evaluation")["encoder"]["heldout"]["all"]
    assert heldout["loss"] > heldout["unigram_loss"]
    assert heldout["hidden"] > 12


def test_the_loss_has_an_interval_over_documents(project: tuple[Path, TaskInput]) -> None:
    heldout = read(project[0], "evaluation")["encoder"]["heldout"]
    for part in (heldout["all"], *heldout["by_length"].values()):
        assert part["loss_low"] <= part["loss"] <= part["loss_high"]
    assert heldout["all"]["loss_low"] < heldout["all"]["loss_high"]


def test_the_same_tokens_are_hidden_whatever_the_batch_and_order(
    project: tuple[Path, TaskInput],
) -> None:
    from bertops.inference.load import load

    root, _ = project
    loaded = load(root / "models/encoder", masked_lm=True)
    counts = count_tokens(TokenStore(root / "data/tokens/train"), loaded.model.config.vocab_size)
    texts = ["the film was good and the acting was not", "a very long story", "he saw it", "x"]
    documents = [Document(f"d{i}", text, "s", "f", i) for i, text in enumerate(texts)]
    tools = (loaded.model, loaded.tokenizer)
    one = measure_heldout(*tools, documents, counts, PARAMS.heldout, PARAMS.compare)
    small = PARAMS.heldout.model_copy(update={"batch_rows": 1})
    other = measure_heldout(*tools, documents[::-1], counts, small, PARAMS.compare)
    assert one.all.hidden == other.all.hidden
    assert one.all.loss == pytest.approx(other.all.loss, abs=2e-4)  # padding moves the last digit
    nothing = [Document("d", "", "s", "f", 0)]
    with pytest.raises(NothingHeldOut):
        measure_heldout(*tools, nothing, counts, PARAMS.heldout, PARAMS.compare)


def test_broken_predictions_are_named(project: tuple[Path, TaskInput], tmp_path: Path) -> None:
    root, task = project
    with pytest.raises(PredictionsBroken, match="parquet"):
        PredictionTable.read(tmp_path, task.data, LABELS)
    with pytest.raises(PredictionsBroken, match=r"'negative'.*not in"):
        PredictionTable.read(task.predictions, task.data, ("positive", "neutral"))
    table = PredictionTable.read(task.predictions, task.data, LABELS)
    with pytest.raises(PredictionsBroken, match="model champion, seed 1, split test"):
        table.answers("champion", 1, "test")
    assert root.exists()


def test_every_look_at_a_test_set_is_counted(tmp_path: Path) -> None:
    assert count_reads(tmp_path) == {}
    for why in ("evaluate", "evaluate", "compare with champion"):
        log_read(tmp_path, "sentiment", "ab12", why)
    with (tmp_path / "test-reads.jsonl").open("a") as file:
        file.write('{"torn\n')
    assert count_reads(tmp_path) == {"sentiment": {"compare with champion": 1, "evaluate": 2}}
    log_read(tmp_path, "sentiment", "cd34", "evaluate")
    assert count_reads(tmp_path) == {"sentiment": {"evaluate": 1}}  # a new test set begins anew
