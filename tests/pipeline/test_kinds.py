"""A project with a task of every kind: every stage, the registry and the report take them all."""

import json
import random
from pathlib import Path

import pytest
import yaml

from bertops import graph, release, stages
from bertops.asking import open_registry
from bertops.params import load
from bertops.paths import Paths
from tests.toy import toy_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROWS = 60
NAMES, PLACES, VERBS = ("anna", "boris", "clara"), ("york", "rome", "oslo"), ("likes", "left")


def said(dice: random.Random, number: int) -> list[str]:
    """Words of a sentence; the number makes it unlike any other."""
    words = [dice.choice(NAMES), dice.choice(VERBS), dice.choice(PLACES), "in", "film", str(number)]
    return [*words, "."]


def write_tables(folder: Path, dice: random.Random) -> None:
    """Pairs with a number, pairs without, translations, texts with several labels, summaries."""
    rows = []
    for number in range(ROWS):
        words = said(dice, number)
        text = " ".join(words)
        kinds = [name for name, there in (("love", "likes" in words), ("rome", "rome" in words))
                 if there]  # fmt: skip
        rows.append(
            {
                "text": text,
                "other": " ".join(reversed(words)),
                "score": round(dice.uniform(0, 5), 2),
                "topics": ",".join(kinds),
                "sentences": [text, f"it was number {number} .", "the end ."],
                "labels": [1, 0, 0],
                "summary": text,
            }
        )
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")


def write_tagged(folder: Path, dice: random.Random) -> None:
    """Words with their tags, a line each."""
    tags = {**dict.fromkeys(NAMES, "B-PER"), **dict.fromkeys(PLACES, "B-LOC")}
    sentences = (said(dice, number) for number in range(ROWS))
    blocks = ("\n".join(f"{w}\t{tags.get(w, 'O')}" for w in words) for words in sentences)
    (folder / "tagged.conll").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def write_questions(folder: Path, dice: random.Random) -> None:
    """Passages with a question each, every fifth without an answer."""
    paragraphs = []
    for number in range(ROWS):
        words = said(dice, number)
        passage = " ".join(words)
        answer = {"text": words[2], "answer_start": passage.index(words[2])}
        found = [] if number % 5 == 0 else [answer]
        asked = {"id": str(number), "question": f"where was {words[0]} ?", "answers": found}
        paragraphs.append({"context": passage, "qas": [asked]})
    content = {"data": [{"title": "all", "paragraphs": paragraphs}]}
    (folder / "questions.json").write_text(json.dumps(content), encoding="utf-8")


def entry(name: str, file: str, **declared: object) -> dict[str, object]:
    """A task as params.yaml has it."""
    form = {"format": "squad"} if file.endswith(".json") else {}
    data = [{"path": f"texts/{file}", "split": "by_hash", **form}]
    return {"name": name, "path": f"texts/{file}", "data": data, "max_length": 32, **declared}


TASKS = [
    entry("topics", "rows.jsonl", columns={"text": "text", "label": "topics"}, multi_label=True,
          labels=["love", "rome"]),
    entry("likeness", "rows.jsonl", kind="regression",
          columns={"text": "text", "text_b": "other", "label": "score"}),
    entry("names", "tagged.conll", kind="tagging", labels=["PER", "LOC"]),
    entry("questions", "questions.json", kind="answering", unanswerable=True,
          columns={"text": "context", "text_b": "question", "label": "answers"}),
    entry("summaries", "rows.jsonl", kind="summarization", columns={"label": "summary"}),
    entry("backwards", "rows.jsonl", kind="translation",
          columns={"text": "text", "label": "other"}, target_length=12),
    entry("faq", "rows.jsonl", kind="embedding",
          columns={"text": "text", "text_b": "other", "label": None}, metric="mrr"),
]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BERTOPS_DEVICE", "cpu")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = toy_project(tmp_path / "project")
    for write in (write_tables, write_tagged, write_questions):
        write(made / "texts", random.Random(1))
    file = made / "params.yaml"
    declared = yaml.safe_load(file.read_text())
    declared["tasks"] += TASKS
    declared["finetuning"] |= {"seeds": [1], "control": False}
    declared["quality"] |= {"min_task_rows": 1, "max_label_share": 1.0}
    file.write_text(yaml.safe_dump(declared))
    return made


def test_every_kind_goes_from_its_file_to_a_champion_and_into_the_report(project: Path):
    for stage in graph.read(project).stages:
        stages.run(project, stage.name, stage.item)
    params, paths = load(project / "params.yaml"), Paths(project)
    registry = open_registry(paths)
    registered = release.register_all(params, paths, registry)
    assert [one.name for one in registered] == [
        "encoder", "sentiment", *(str(task["name"]) for task in TASKS)
    ]  # fmt: skip
    decisions = release.decide_all(params, paths, registry, registered)
    releases = release.promote_all(params, paths, registry, registered, decisions)
    page = release.write_report(params, paths, registry, releases).read_text(encoding="utf-8")
    for task in TASKS:
        assert f"{task['name']}, version 1" in page
    assert "nan" not in page.lower().split()
