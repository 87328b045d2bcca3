"""A small task of every kind, on the first rows of real data sets where they are there."""

import gzip
import json
from pathlib import Path

from bertops.finetuning.formats import open_text
from bertops.finetuning.params import TaskParams

SPLITS = ("train", "validation", "test")


def cut(source: Path, target: Path, lines: range) -> None:
    """Copy some lines of a text file, plain or gzip."""
    with open_text(source) as text:
        kept = [line for number, line in enumerate(text) if number in lines]
    target.write_text("".join(kept), encoding="utf-8")


def _files(pattern: str, **more) -> list[dict]:
    return [{"path": pattern.format(split), "split": split, **more} for split in SPLITS]


def _cut_into_three(source: Path, folder: Path, name: str, rows: int, header: int = 0) -> None:
    for number, split in enumerate(SPLITS):
        first = header + number * rows
        cut(source, folder / name.format(split), range(first, first + rows))


def sick(shared: Path, folder: Path) -> TaskParams:
    """Entailment of pairs: three classes."""
    header = ["pair_ID", "sentence_A", "sentence_B", "relatedness_score", "entailment_judgment"]
    _cut_into_three(shared / "sick-nli/train.tsv.gz", folder, "{}.tsv", 24, header=1)
    return TaskParams(
        name="sick",
        data=_files("{}.tsv", header=header),
        columns={"text": "sentence_A", "text_b": "sentence_B", "label": "entailment_judgment"},
        labels=["CONTRADICTION", "NEUTRAL", "ENTAILMENT"],
        metric="f1_macro",
    )


def relatedness(shared: Path, folder: Path) -> TaskParams:
    """Regression on the pairs of the same set."""
    columns = {"text": "sentence_A", "text_b": "sentence_B", "label": "relatedness_score"}
    changes = {"name": "relatedness", "kind": "regression", "labels": (), "metric": "spearman"}
    declared = sick(shared, folder).model_dump() | changes | {"columns": columns}
    return TaskParams(**declared)


def similarity(shared: Path, folder: Path) -> TaskParams:
    """Sentence vectors whose cosine follows the relatedness."""
    declared = relatedness(shared, folder).model_dump()
    return TaskParams(**declared | {"name": "similarity", "kind": "embedding"})


def faq(shared: Path, folder: Path) -> TaskParams:
    """Search: the sentence that answers a question."""
    header = ["index", "question", "sentence", "label"]
    _cut_into_three(shared / "qnli/dev.tsv.gz", folder, "{}.tsv", 40, header=1)
    return TaskParams(
        name="faq",
        kind="embedding",
        data=_files("{}.tsv", header=header, where={"label": "entailment"}),
        columns={"text": "question", "text_b": "sentence", "label": None},
        metric="mrr",
    )


def topics(shared: Path, folder: Path) -> TaskParams:
    """Any number of labels: here one or two, made of class numbers."""
    _cut_into_three(shared / "zh-thucnews-titles/dev.txt.gz", folder, "{}.txt", 40)
    for split in SPLITS:
        path = folder / f"{split}.txt"
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        lines = [f"{title}\t{int(n) % 3},{int(n) % 2}" for title, n in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return TaskParams(
        name="topics",
        data=_files("{}.txt", format="tsv", header=["text", "label"]),
        labels=["0", "1", "2"],
        multi_label=True,
        metric="f1_micro",
    )


def names(shared: Path, folder: Path) -> TaskParams:
    """Named entities."""
    _cut_into_three(shared / "ner-wikiann-en/test.conll.gz", folder, "{}.conll", 400)
    return TaskParams(
        name="names",
        kind="tagging",
        data=_files("{}.conll"),
        labels=["PER", "ORG", "LOC"],
        metric="entity_f1",
    )


def chinese_names(shared: Path, folder: Path) -> TaskParams:
    """Named entities in Chinese, character by character."""
    _cut_into_three(shared / "zh-ner-msra/dev.conll.gz", folder, "{}.conll", 900)
    declared = {"name": "chinese_names", "kind": "tagging", "metric": "entity_f1"}
    return TaskParams(**declared, data=_files("{}.conll"), labels=["PER", "ORG", "LOC"])


def questions(shared: Path, folder: Path, source: str = "policyqa/dev.json.gz") -> TaskParams:
    """Questions over passages; every third one loses its answers."""
    with gzip.open(shared / source, "rt", encoding="utf-8") as text:
        articles = json.load(text)["data"]
    paragraphs = [p for article in articles for p in article["paragraphs"]][:12]
    for number, split in enumerate(SPLITS):
        some = paragraphs[number * 4 : number * 4 + 4]
        for paragraph in some:
            # Long answers do not fit into the short windows of the tests.
            short = [q for q in paragraph["qas"] if len(q["answers"][0]["text"]) < 40]
            paragraph["qas"] = short[:6]
            for question in paragraph["qas"][::3]:
                question["answers"] = []
        data = {"data": [{"title": split, "paragraphs": some}]}
        (folder / f"{split}.squad").write_text(json.dumps(data), encoding="utf-8")
    return TaskParams(
        name="questions",
        kind="answering",
        data=_files("{}.squad"),
        columns={"text": "context", "text_b": "question", "label": "answers"},
        unanswerable=True,
        metric="answer_f1",
    )


def chinese_questions(shared: Path, folder: Path) -> TaskParams:
    """Questions over Chinese passages, some with answers that are not in the passage."""
    return questions(shared, folder, "zh-cmrc2018/cmrc2018_trial.json.gz")


def translated_questions(shared: Path, folder: Path) -> TaskParams:
    """Questions over passages that were translated."""
    return questions(shared, folder, "xquad/xquad.zh.json.gz")


def news(shared: Path, folder: Path) -> TaskParams:
    """Extractive summaries."""
    _cut_into_three(shared / "sum-bbc-news/dev.jsonl.gz", folder, "{}.jsonl", 8)
    return TaskParams(
        name="news",
        kind="summarization",
        data=_files("{}.jsonl"),
        columns={"label": "summary"},
        summary_share=0.42,
        metric="rouge2",
    )


def captions(shared: Path, folder: Path) -> TaskParams:
    """Translation of line-parallel files."""
    for language in ("en", "de"):
        _cut_into_three(shared / f"multi30k-en-de/val.{language}", folder, f"{{}}.{language}", 16)
    data = [
        {"path": f"{s}.en", "format": "lines", "parallel": {"label": f"{s}.de"}, "split": s}
        for s in SPLITS
    ]
    return TaskParams(
        name="captions", kind="translation", data=data, target_length=12, metric="chrf"
    )


def classical(shared: Path, folder: Path) -> TaskParams:
    """Translation within a table: classical Chinese to modern."""
    header = ["book", "classical", "modern"]
    _cut_into_three(shared / "zh-classical-modern/dev.tsv", folder, "{}.tsv", 16, header=1)
    return TaskParams(
        name="classical",
        kind="translation",
        data=_files("{}.tsv", header=header),
        columns={"text": "classical", "label": "modern"},
        target_length=12,
        metric="chrf",
    )


TASKS = {
    make.__name__: make
    for make in (
        *(sick, relatedness, similarity, faq, topics, names, chinese_names),
        *(questions, chinese_questions, translated_questions, news, captions, classical),
    )
}
