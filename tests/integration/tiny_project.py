"""A project that `bertops run` seems to have been through: one task, one small trained model.

The task is a toy (are there more good words than bad ones?); the model, its training and its
answers are real, so that what follows from them need not be staged.
"""

import hashlib
import random
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from bertops.inference.load import load
from bertops.inference.readers import ask
from bertops.storage import write_json
from tests.conftest import ROOT
from tests.integration.mlflow_models import tiny_model

TASK = "sentiment"
LABELS = ["negative", "positive"]


def tiny_project(folder: Path, *, rows: int = 400) -> Path:
    """Write the project; takes some seconds, most of them training."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["tasks"] = settings["tasks"][:1]
    write_yaml(folder / "params.yaml", settings)
    train, test = texts("train", 600), texts("test", rows)
    model = folder / "models/tasks" / TASK
    tiny_model(model, seed=1)
    fit(model, train)
    answers = ask(load(model), test.to_dicts())
    write(folder / f"data/tasks/{TASK}/test.parquet", test)
    write(folder / f"data/predictions/{TASK}/test.parquet", predictions(test, answers))
    write(folder / "data/corpus/train/part-00000.parquet", pl.DataFrame({"doc_id": ["none"]}))
    write_json(
        folder / f"reports/finetune/{TASK}.json",
        {
            "task": TASK,
            "kind": "classification",
            "labels": LABELS,
            "metric": "accuracy",
            "best_seed": 1,
        },
    )
    found = {"contamination": {"test": {"leaked": 0}}}
    write_json(folder / "reports/evaluation/evaluation.json", {"tasks": {TASK: found}})
    return folder


def write_yaml(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(value))


def write(path: Path, table: pl.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path)


def texts(split: str, count: int) -> pl.DataFrame:
    """Rows of a split: six to ten words, labelled by which kind there is more of.

    One label in six is wrong, as in real data: no model can be right everywhere.
    """
    drawn = random.Random(split)
    rows = []
    for number in range(count):
        words = drawn.choices(["good", "bad", "movie", "film"], k=drawn.choice([5, 7, 9]))
        score = words.count("good") - words.count("bad")
        words += ["good" if score > 0 else "bad"] if score else [drawn.choice(["good", "bad"])]
        right = drawn.random() > 1 / 6
        label = LABELS[(words.count("good") > words.count("bad")) == right]
        name = hashlib.blake2b(f"{split}{number}".encode(), digest_size=16).hexdigest()
        rows.append({"document_id": name, "text": " ".join(words), "label": label})
    return pl.DataFrame(rows)


def fit(model: Path, rows: pl.DataFrame) -> None:
    """Train the classifier in the folder, in place."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(model)
    net = AutoModelForSequenceClassification.from_pretrained(model)
    batch = tokenizer(rows["text"].to_list(), padding=True, return_tensors="pt")
    batch.pop("token_type_ids", None)
    labels = torch.tensor([LABELS.index(label) for label in rows["label"]])
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for _ in range(60):
        loss = net(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.save_pretrained(model)


def predictions(test: pl.DataFrame, answers: list[dict[str, Any]]) -> pl.DataFrame:
    """The shard that fine-tuning would have written, with a control and the majority class."""
    gold = test["label"].to_list()
    says = {
        "pretrained": [(a["prediction"], a["probabilities"]) for a in answers],
        "control": [(g if i % 2 else LABELS[0], [0.5, 0.5]) for i, g in enumerate(gold)],
        "majority": [(LABELS[0], [1.0, 0.0]) for _ in gold],
    }
    return pl.DataFrame(
        [
            {
                "model": model,
                "seed": 0 if model == "majority" else 1,
                "split": "test",
                "document_id": test["document_id"][index],
                "length": len(test["text"][index]),
                "label": gold[index],
                "prediction": prediction,
                "probabilities": shares,
            }
            for model, said in says.items()
            for index, (prediction, shares) in enumerate(said)
        ]
    )
