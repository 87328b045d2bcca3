"""Evaluate the encoder and every task, and write down what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bertops.corpus.tables import scan
from bertops.document import Document
from bertops.evaluation.behaviour import find_file
from bertops.evaluation.contamination import Contamination, find_contamination
from bertops.evaluation.params import EvaluationParams
from bertops.evaluation.tasks import TaskInput, TaskResult, evaluate_task
from bertops.evaluation.untested import not_tested
from bertops.pretraining.store import TokenStore
from bertops.storage import write_json, write_whole


@dataclass(frozen=True)
class EvaluationReport:
    """Everything that the evaluation found; same inputs, same report."""

    encoder: dict[str, Any]
    """`heldout`: HeldoutReport; `fill_mask`: sentence → words with probabilities; `pairs`: a
    PairScore for each kind; `membership`: Membership."""
    tasks: dict[str, TaskResult]
    not_tested: tuple[str, ...]
    """What a reader might take for tested and was not."""

    def to_dict(self) -> dict[str, Any]:
        """The whole report, JSON-ready."""
        return rounded(asdict(self))

    def metrics(self) -> dict[str, Any]:
        """The numbers one watches, for `dvc metrics show`."""
        heldout = self.encoder["heldout"].all
        watched = ("loss", "perplexity", "accuracy", "unigram_loss")
        return rounded(
            {"heldout": {name: getattr(heldout, name) for name in watched}}
            | {name: task.metrics() for name, task in self.tasks.items()}
        )


def evaluate(
    tasks: Sequence[TaskInput],
    encoder: Path,
    corpus: Path,
    tokens: Path,
    target: Path,
    params: EvaluationParams,
) -> EvaluationReport:
    """Evaluate the encoder on held-out documents and every task on its cached predictions.

    Args:
        encoder: masked-LM model with its tokenizer, in Hugging Face form.
        corpus: folder with validation/part-*.parquet.
        tokens: folder with train/, the token store that token frequencies are counted in.
        target: folder for metrics.json, evaluation.json and the tables of `dvc plots`.
    """
    found = _look_for_test_documents(tasks, corpus / "train", params)
    results = {task.name: evaluate_task(task, found[task.name], params) for task in tasks}
    report = EvaluationReport(
        encoder=_evaluate_encoder(encoder, corpus, tokens, params),
        tasks=results,
        not_tested=not_tested(results),
    )
    with write_whole(target) as folder:
        folder.mkdir()
        write_json(folder / "evaluation.json", report.to_dict())
        write_json(folder / "metrics.json", report.metrics())
        for name, task in report.tasks.items():
            _write_plots(folder, name, task)
    return report


def _evaluate_encoder(
    encoder: Path, corpus: Path, tokens: Path, params: EvaluationParams
) -> dict[str, Any]:
    from bertops.evaluation.bias import read_pairs, score_pairs
    from bertops.evaluation.heldout import measure_heldout
    from bertops.evaluation.memorization import attack_membership
    from bertops.inference.fill_mask import fill_mask
    from bertops.inference.load import load

    loaded = load(encoder, masked_lm=True)
    counts = count_tokens(TokenStore(tokens / "train"), loaded.model.config.vocab_size)
    documents = read_documents(corpus / "validation", params.heldout.documents)
    heldout = measure_heldout(
        loaded.model, loaded.tokenizer, documents, counts, params.heldout, params.compare
    )
    sentences = params.fill_mask.sentences
    fillings = fill_mask(loaded, sentences, params.fill_mask.top)
    filled = {
        sentence: [(filling.token, filling.probability) for filling in only_hole]
        for sentence, (only_hole,) in zip(sentences, fillings, strict=True)
    }
    pairs: dict[str, list[tuple[str, str]]] = {}
    for file in params.bias.pairs:
        pairs |= read_pairs(find_file(file))
    model, tokenizer = loaded.model, loaded.tokenizer
    trained = read_documents(corpus / "train", params.memorization.documents)
    return {
        "heldout": heldout,
        "fill_mask": filled,
        "pairs": score_pairs(model, tokenizer, pairs, params.compare.confidence),
        "membership": attack_membership(model, tokenizer, trained, documents, params),
    }


def _look_for_test_documents(
    tasks: Sequence[TaskInput], corpus: Path, params: EvaluationParams
) -> dict[str, dict[str, Contamination]]:
    """By task and split, what its documents share with the pretraining corpus."""
    files = {
        (task.name, file.stem): pl.read_parquet(file)
        for task in tasks
        for file in sorted(task.data.glob("*.parquet"))
        if file.stem not in ("train", "validation")
    }
    found = find_contamination(files, corpus, params.contamination)
    return {
        task.name: {split: c for (name, split), c in found.items() if name == task.name}
        for task in tasks
    }


def count_tokens(store: TokenStore, vocab_size: int) -> NDArray[np.int64]:
    """How often each token id occurs in a store, [vocab_size]."""
    counts = np.zeros(vocab_size, dtype=np.int64)
    starts = store.boundaries[:-1]
    for start, length in zip(starts.tolist(), store.lengths.tolist(), strict=True):
        counts += np.bincount(store.read(start, length), minlength=vocab_size)
    return counts


def read_documents(folder: Path, limit: int) -> list[Document]:
    """Documents of a corpus folder, those with the smallest ids: a random and lasting choice."""
    columns = ("doc_id", "text", "source", "file", "row")
    frame = scan(folder).select(columns).bottom_k(limit, by="doc_id").sort("doc_id").collect()
    return [Document(*values) for values in frame.iter_rows()]


def _write_plots(folder: Path, name: str, task: TaskResult) -> None:
    """Tables that `dvc plots` draws."""
    tables: dict[str, list[dict[str, Any]]] = {
        "confusion": task.confusion_rows(),
        "seeds": task.seed_rows(),
        "calibration": task.calibration_rows(),
    }
    for kind, rows in tables.items():
        with write_whole(folder / kind / f"{name}.csv") as partial:
            pl.DataFrame(rows).write_csv(partial)


def rounded(value: Any, digits: int = 5) -> Any:
    """The same with floats cut to `digits`: sums in another order must not change the file."""
    if isinstance(value, float):
        return round(value, digits)
    if isinstance(value, Mapping):
        return {str(key): rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    return value
