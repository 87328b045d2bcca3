"""The data card, its page, and the commands that explain, preview and compare."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from bertops import stages
from bertops.cli.app import app
from bertops.corpus.card import DataCard
from bertops.corpus.card_markdown import to_markdown
from bertops.corpus.history import LastRun, recall, remember
from bertops.corpus.meanings import meanings
from bertops.corpus.near_misses import near_misses
from bertops.corpus.params import CorpusParams, RuleParams, SourceParams
from bertops.corpus.report import CleanReport, RuleCount
from bertops.corpus.rules.judge import rules_of
from bertops.corpus.tables import LEDGER, scan
from bertops.evaluation.report.page import _environment
from bertops.params import load
from bertops.paths import Paths
from bertops.storage import read_json
from tests.unit.corpus.test_rules import PROSE

PARAMS = """
corpus:
  sources: [{name: s, path: in.jsonl, licence: ours}]
  parallel: {workers: 1}
split: {validation: 0, test: 0}
model: {layers: 1, hidden: 8, heads: 1, intermediate: 8}
training: {budget: {steps: 1}}
"""
LETTER = """\
The library will be closed on the first Monday of the month, because the roof over the reading \
room has to be mended before the autumn rain. Books that were lent can be given back at the town \
hall during this time. The children will meet in the school, as they did last year. We are sorry \
for the noise and the dust that the work will bring. Who has a question may write to the office \
at anna.berg@example.org, and we shall answer within two days.
"""
TEXTS = {
    "good": PROSE,
    "again": PROSE,
    "near": PROSE.replace("nobody had", "nobody has"),
    "mail": LETTER,
    "short": "Only a *few* words here, and that is all.",
    "shorter": "She went home to the old house in the village with all of her things.",
    "german": "Das Haus stand am Ende der Straße, und seit Jahren hatte niemand darin gewohnt. "
    * 5,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose one source was read and cleaned."""
    root = tmp_path_factory.mktemp("project")
    rows = (json.dumps({"text": text}) + "\n" for text in TEXTS.values())
    (root / "in.jsonl").write_text("".join(rows))
    (root / "params.yaml").write_text(PARAMS)
    params, paths = load(root / "params.yaml"), Paths(root)
    stages.ingest(params, paths, "s")
    stages.clean(params, paths)
    return root


@pytest.fixture(scope="module")
def card(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(project / "reports/data_card/card.json")
    return found


def command(project: Path, *arguments: str) -> Any:
    done = CliRunner().invoke(app, ["--project", str(project), "corpus", *arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def test_the_card_tells_what_each_rule_dropped_first_at_all_and_alone(
    card: dict[str, Any],
) -> None:
    counts = card["report"]["rules"]
    few = counts["gopher.too_few_words"]
    assert (few["first_documents"], few["any_documents"]) == (2, 2)
    assert few["sole_documents"] < few["any_documents"]
    assert few["first_bytes"] == len(TEXTS["short"]) + len(TEXTS["shorter"])
    assert counts["language.not_kept"]["first_documents"] == 1
    assert counts["dedup.exact"]["sole_documents"] == 1
    assert card["report"]["read"] == len(TEXTS)
    assert card["licences"] == {"s": "ours"}


def test_the_card_says_in_words_what_each_rule_asks(card: dict[str, Any]) -> None:
    assert card["meanings"].keys() == card["report"]["rules"].keys()
    asked = card["meanings"]["gopher.too_few_words"]
    assert asked == "at least 50 words that are no punctuation"
    params = CorpusParams(sources=(SourceParams(name="s", path="s"),))
    told = meanings([rule.name for rule in rules_of(params.rules)], params)
    assert len(told) == len(rules_of(params.rules))
    grams = "at most 0.15 of its characters in runs of 5 words seen before"
    assert told["repetition.duplicate_5gram"] == grams


def test_documents_set_aside_for_tests_are_not_among_the_dropped(card: dict[str, Any]) -> None:
    aside = RuleCount("split", 9, 9, 9, 9, 9, 9)
    rules = {name: RuleCount(**count) for name, count in card["report"]["rules"].items()}
    report = CleanReport(**card["report"] | {"rules": rules | {"split.test": aside}})
    some = DataCard(**card | {"report": report, "examples": {}, "near_misses": {}, "copies": []})
    assert "split.test" not in to_markdown(some)
    content = SimpleNamespace(card=some.to_dict(), cleaning=None)
    assert "split.test" not in _environment().get_template("data_card.html.j2").render(
        content=content
    )


def test_the_card_shows_examples_with_value_limit_and_place(card: dict[str, Any]) -> None:
    examples = card["examples"]["gopher.too_few_words"]
    assert sorted(e["value"] for e in examples) == [9, 15]
    assert {e["threshold"] for e in examples} == {50}
    assert {e["place"] for e in examples} == {"in.jsonl:4", "in.jsonl:5"}
    (german,) = card["examples"]["language.not_kept"]
    assert german["detail"] == "de"
    assert german["excerpt"].endswith("…")


def test_the_card_counts_lengths_languages_and_personal_data(card: dict[str, Any]) -> None:
    kept = card["report"]["kept"]
    assert card["languages"] == {"en": kept}
    assert sum(card["words"]["s, en"].values()) == kept
    assert set(card["words"]["s, en"]) <= {"100-199", "50-99"}
    assert card["report"]["edits"]["pii.email"] == 1


def test_the_card_shows_copies_beside_what_stays(card: dict[str, Any]) -> None:
    copies = {copy["rule"]: copy for copy in card["copies"]}
    assert set(copies) == {"dedup.exact", "dedup.near"}
    near = copies["dedup.near"]
    assert 0.7 <= near["similarity"] < 1
    assert near["kept_excerpt"] != near["dropped_excerpt"]
    assert copies["dedup.exact"]["kept_excerpt"] == copies["dedup.exact"]["dropped_excerpt"]


def test_the_page_says_what_the_card_says_and_takes_no_markup_from_texts(
    project: Path, card: dict[str, Any]
) -> None:
    page = (project / "reports/data_card/card.md").read_text()
    report = card["report"]
    assert f"{report['read']:,} documents were read and {report['kept']:,} kept" in page
    assert "| s | 7 |" in page
    for rule, count in report["rules"].items():
        numbers = (count["first_documents"], count["any_documents"], count["sole_documents"])
        assert f"| `{rule}` | {' | '.join(f'{n:,}' for n in numbers)} |" in page
    assert r"Only a \*few\* words here" in page
    assert "| pii.email | 1 |" in page
    for title in ("Near the thresholds", "Copies side by side", "Words in a document"):
        assert f"## {title}" in page


def test_the_report_for_people_shows_the_whole_card(project: Path, card: dict[str, Any]) -> None:
    stages.clean(load(project / "params.yaml"), Paths(project))
    content = SimpleNamespace(card=card, cleaning=recall(project / ".bertops/corpus"))
    page = _environment().get_template("data_card.html.j2").render(content=content)
    for rule in card["report"]["rules"]:
        assert f'<th scope="row">{rule}</th>' in page
        assert f"<td>{card['meanings'][rule]}</td>" in page
    for title in (
        "first, at all, alone",
        "Near the thresholds",
        "Copies side by side",
        "Words in a document: s, en",
        "personal data",
        "How long cleaning took",
        "Nothing changed since the run before",
    ):
        assert title in page
    assert '<th scope="row">compare</th>' in page


def test_the_last_run_is_told_with_its_seconds_and_what_it_changed(
    project: Path, tmp_path: Path
) -> None:
    told = command(project, "last", "--json")
    passes = {"evaluation texts", "judge", "sign", "compare", "write"}
    steps = {f"judge: {name}" for name in ("normalize", "language", "rules", "personal data")}
    assert set(told["seconds"]) == passes | steps
    assert all(told["seconds"][name] > 0 for name in steps)
    report = CleanReport(**read_json(project / "reports/clean.json"))
    remember(tmp_path, report, {"judge": 1.0})
    assert recall(tmp_path) == LastRun({"judge": 1.0}, ())
    remember(tmp_path, replace(report, kept=report.kept + 1), {"judge": 2.0})
    assert recall(tmp_path) == LastRun({"judge": 2.0}, (("kept", report.kept, report.kept + 1),))
    assert "no change" in command(project, "last")


def test_near_misses_are_the_nearest_on_both_sides_of_a_threshold() -> None:
    texts = [" ".join(["and", "the", *["river"] * (words - 2)]) for words in (55, 51, 60, 300)]
    kept = pl.DataFrame({"doc_id": list("abcd"), "text": texts, "language": ["en"] * 4})
    rows = [
        {"doc_id": f"x{words}", "source": "s", "file": "f", "row": words, "step": "rules",
         "rule": "gopher.too_few_words", "value": float(words), "threshold": 50.0, "first": True,
         "excerpt": "too  short\nby far"}
        for words in (3, 48, 20)
    ]  # fmt: skip
    found = near_misses(kept.lazy(), pl.DataFrame(rows, LEDGER).lazy(), RuleParams())
    assert set(found) == {"gopher.too_few_words"}
    miss = found["gopher.too_few_words"]
    assert miss.threshold == 50
    assert [(one.doc_id, one.value) for one in miss.kept] == [("b", 51), ("a", 55)]
    assert [(one.doc_id, one.value) for one in miss.dropped] == [("x48", 48), ("x20", 20)]
    assert miss.dropped[0].excerpt == "too short by far"


def test_explain_tells_the_story_of_a_kept_and_of_a_dropped_document(project: Path) -> None:
    raw = scan(project / "data/raw/s").collect()
    ids = dict(zip(TEXTS, raw["doc_id"], strict=True))
    (mail,) = command(project, "explain", ids["mail"], "--json")
    assert mail["verdict"] == "kept in train"
    assert mail["edits"]["pii.email"] == 1
    assert (mail["file"], mail["row"], mail["language"]) == ("in.jsonl", 3, "en")
    story = command(project, "explain", ids["shorter"][:12])
    assert "dropped: gopher.too_few_words" in story
    assert "* gopher.too_few_words 15 (limit 50)" in story
    near = command(project, "explain", ids["near"], "--json")
    assert near[0]["verdict"].startswith(("kept", "dropped: dedup.near"))


def test_explain_says_when_there_is_no_such_document(project: Path) -> None:
    done = CliRunner().invoke(app, ["--project", str(project), "corpus", "explain", "nobody"])
    assert "no raw document has the id 'nobody'" in str(done.exception)


def test_preview_judges_the_first_documents_and_writes_nothing(project: Path) -> None:
    before = sorted(project.rglob("*"))
    told = command(project, "preview", "--source", "s", "-n", "5")
    assert "5 documents read, 1 would be dropped" in told
    stories = command(project, "preview", "--source", "s", "--json")
    assert [s["verdict"] for s in stories[4:]] == [
        "dropped: gopher.too_few_words",
        "dropped: gopher.too_few_words",
        "dropped: language.not_kept",
    ]
    assert sorted(project.rglob("*")) == before


def test_diff_names_what_changed_since_another_revision(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = read_json(project / "reports/clean.json")
    old["kept"] += 1
    old["dropped"]["dedup.exact"] -= 1
    del old["edits"]["pii.email"]
    monkeypatch.setattr("bertops.versioning.read_output", lambda *_: old)
    changes = command(project, "diff", "HEAD~1", "--json")
    assert changes["kept"] == {"old": old["kept"], "new": old["kept"] - 1}
    assert changes["dropped.dedup.exact"] == {"old": 0, "new": 1}
    assert changes["edits.pii.email"] == {"old": 0, "new": 1}
    assert set(changes) == {"read", "kept", "dropped.dedup.exact", "edits.pii.email"}
    assert "+1" in command(project, "diff", "HEAD~1")
