"""A made-up project with everything that the evaluation and the report read."""

from pathlib import Path

import numpy as np
import polars as pl

from bertops.corpus.tables import CORPUS, LEDGER
from bertops.evaluation.params import EvaluationParams
from bertops.evaluation.report.content import ReportInputs
from bertops.evaluation.tasks import TaskInput
from bertops.pretraining.params import TokenizeParams
from bertops.pretraining.tokenize import tokenize_corpus

LABELS = ("negative", "positive")
PARAMS = EvaluationParams.model_validate(
    {
        "compare": {"rounds": 500},
        "heldout": {"documents": 12, "row_tokens": 24},
        "memorization": {"documents": 12},
        "fill_mask": {"sentences": ["the [MASK] was good ."]},
        "slices": {"lengths": [60]},
    }
)
MODELS = (("pretrained", 0.85, (1, 2, 3)), ("control", 0.8, (1, 2, 3)))
BASELINES = (("tfidf", 0.82, (0,)), ("majority", 0.5, (0,)))
WORDS = (
    *("the", "a", "film", "story", "acting", "was", "is", "good", "bad", "long", "short"),
    *("very", "not", "and", "but", "he", "she", "saw", "it"),
)


def sentences(count: int, seed: int) -> list[str]:
    """Made-up sentences of 8 to 30 words, all different."""
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, generator.integers(8, 30))) for _ in range(count)]


def write_part(table: pl.DataFrame, folder: Path) -> None:
    """The only part of a corpus table."""
    folder.mkdir(parents=True, exist_ok=True)
    table.write_parquet(folder / "part-00000.parquet")


def write_corpus(root: Path) -> None:
    """data/corpus, data/tokens and a ledger with hostile text in it."""
    for seed, split in enumerate(("train", "validation")):
        texts = sentences(40, seed)
        given = pl.DataFrame(
            {"doc_id": [f"{split}{i:02d}" for i in range(40)], "source": "imdb", "text": texts}
        )
        rest = [pl.lit(None).alias(name) for name in CORPUS if name not in given.columns]
        table = given.with_columns(rest).select(CORPUS.names()).cast(CORPUS)
        write_part(table, root / "data/corpus" / split)
    ledger = pl.DataFrame(
        {
            "doc_id": ["d1", "d2"],
            "step": ["quality", "decontaminate"],
            "rule": ["too_few_words", "overlap"],
            "value": [3.0, None],
            "threshold": [20.0, None],
            "first": [True, True],
            "detail": [None, "sentiment: thirteen words | in a row"],
            "bytes": [17, 200],
            "excerpt": ["<script>alert(1)</script> & 'quoted'", "text with \u202e bidi and 中文"],
        }
    )
    rest = [pl.lit(None).alias(name) for name in LEDGER if name not in ledger.columns]
    table = ledger.with_columns(rest).select(LEDGER.names()).cast(LEDGER)
    write_part(table, root / "data/ledger")


def write_predictions(root: Path, split: str, documents: int, seed: int) -> None:
    """Task data and predictions of one split, as fine-tuning leaves them."""
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 2, documents)
    texts = sentences(documents, 100 + seed)
    ids = [f"{split}{i:04d}" for i in range(documents)]
    names = [LABELS[i] for i in gold]
    data = pl.DataFrame({"document_id": ids, "text": texts, "label": names})
    (root / "data/tasks/sentiment").mkdir(parents=True, exist_ok=True)
    data.write_parquet(root / f"data/tasks/sentiment/{split}.parquet")
    rows = []
    for model, accuracy, seeds in MODELS + BASELINES:
        for one in seeds:
            right = generator.random(documents) < accuracy
            predicted = np.where(right, gold, 1 - gold)
            sure = generator.uniform(0.5, 1, documents)
            positive = np.where(predicted == 1, sure, 1 - sure)
            rows.append(
                pl.DataFrame(
                    {
                        "model": model,
                        "seed": one,
                        "split": split,
                        "document_id": ids,
                        "length": [len(text) for text in texts],
                        "label": names,
                        "prediction": [LABELS[i] for i in predicted],
                        "probabilities": [[1 - p, p] for p in positive.tolist()],
                    }
                )
            )
    (root / "data/predictions/sentiment").mkdir(parents=True, exist_ok=True)
    pl.concat(rows).write_parquet(root / f"data/predictions/sentiment/{split}.parquet")


def write_project(root: Path, encoder: Path) -> TaskInput:
    """Everything that `evaluate` reads, for an encoder with its tokenizer."""
    write_corpus(root)
    tokenize_corpus(root / "data/corpus", encoder, root / "data/tokens", TokenizeParams())
    for seed, (split, documents) in enumerate(
        {"test": 300, "validation": 150, "out_of_domain": 200}.items()
    ):
        write_predictions(root, split, documents, seed)
    return TaskInput(
        "sentiment", "classification", root / "data/predictions/sentiment",
        root / "data/tasks/sentiment", LABELS, "accuracy", 2, failed_runs=1,
    )  # fmt: skip


def report_inputs(root: Path) -> ReportInputs:
    """Where the parts of the report lie, with a curve."""
    curve = root / "reports/curves/pretrain.csv"
    curve.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{i},{i * 2048},{7 - i / 40},0.001,{7.1 - i / 40 if i % 5 == 0 else ''}"
        for i in range(1, 101)
    ]
    curve.write_text("step,tokens,loss,lr,validation_loss\n" + "\n".join(rows) + "\n")
    return ReportInputs(
        root / "reports/evaluation", root / "reports/clean.json", root / "data/ledger", curve,
        {"git commit": "c" * 40}, root / ".bertops",
    )  # fmt: skip
