"""Every kind of task: trained, scored and asked on a slice of real data; gold round trips."""

import json
import re
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from bertops.cli.app import app
from bertops.document import SplitParams
from bertops.finetuning.bench import open_bench
from bertops.finetuning.data import prepare_task, read_split
from bertops.finetuning.params import FinetuningParams
from bertops.finetuning.run import finetune_task
from bertops.inference.load import load
from bertops.inference.readers import ask
from bertops.quality.params import QualityParams
from bertops.quality.validate import validate_task
from tests.unit.encoders import save_encoder
from tests.unit.finetuning.tasks import TASKS

COMMANDS = {
    "classification": lambda row: ["predict", *second(row), "--", row["text"]],
    "regression": lambda row: ["predict", *second(row), "--", row["text"]],
    "tagging": lambda row: ["tag", "--json", "--", row["text"]],
    "answering": lambda row: ["answer", "--passage", row["text"], "--question", row["text_b"]],
    "summarization": lambda row: ["summarize", "--json", "--", row["text"]],
    "translation": lambda row: ["translate", "--json", "--", row["text"]],
    "embedding": lambda row: ["embed", "--", row["text"]],
}


def second(row):
    """The option for the second text of a pair."""
    return ["--second", row["text_b"]] if "text_b" in row else []


ONCE = FinetuningParams(
    seeds=(1,), epochs=1, batch_rows=8, control=False, learning_rates=(1e-3,), precision="fp32"
)


@pytest.fixture
def declared(shared_data, tmp_path):
    """Declares a task of TASKS with its files in the project; short inputs, so it has windows."""

    def declare(name):
        task = TASKS[name](shared_data, tmp_path)
        return task.model_copy(update={"max_length": 48})

    return declare


@pytest.mark.parametrize("name", TASKS)
def test_the_gate_on_data_lets_a_task_of_every_kind_pass(name, declared, tmp_path):
    task = declared(name)
    prepare_task(task, SplitParams(), tmp_path / "data", tmp_path)
    report = validate_task(
        task, tmp_path / "data", tmp_path / "docs", QualityParams(min_task_rows=1)
    )
    assert report.passed


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_task_of_every_kind_trains_scores_and_answers(name, declared, tmp_path, encoder):
    task = declared(name)
    prepare_task(task, SplitParams(), tmp_path / "data", tmp_path)
    folders = (tmp_path / "model", tmp_path / "predictions", tmp_path / "work")
    report = finetune_task(task, tmp_path / "data", encoder, *folders, ONCE)
    (run,) = report.runs
    assert run.failure is None
    assert task.metric in run.metrics["test"]
    assert report.baselines
    loaded = load(tmp_path / "model")
    assert loaded.task_card().kind == task.kind
    rows = read_split(tmp_path / "data", "test")[:3]
    found = ask(loaded, [{key: row[key] for key in row if key.startswith("text")} for row in rows])
    assert len(found) == 3
    assert all("prediction" in one for one in found)
    command, *asked = COMMANDS[task.kind](rows[0])  # after "--": a text may begin with a dash
    said = CliRunner().invoke(app, [command, "-m", str(tmp_path / "model"), *asked])
    assert said.exit_code == 0, said.output
    assert said.stdout.strip()
    if "--json" in asked:
        assert len(json.loads(said.stdout)) == 1


class Oracle(torch.nn.Module):
    """A model that answers with what it is told to learn: logits that make the targets certain."""

    device = torch.device("cpu")
    config = SimpleNamespace(hidden_size=8)

    def __init__(self, rows, classes):
        super().__init__()
        self._rows = {tuple(row["input_ids"]): row for row in rows}
        self._classes = classes

    def forward(self, input_ids, attention_mask, **_):
        lengths = attention_mask.sum(1).tolist()
        rows = [self._rows[tuple(x[:n])] for x, n in zip(input_ids.tolist(), lengths, strict=True)]
        if "start_positions" in rows[0]:
            starts = self._certain([row["start_positions"] for row in rows], input_ids.shape[1])
            ends = self._certain([row["end_positions"] for row in rows], input_ids.shape[1])
            return SimpleNamespace(start_logits=starts, end_logits=ends)
        return SimpleNamespace(logits=torch.stack([self._logits(r, input_ids) for r in rows]))

    def _logits(self, row, input_ids):
        labels = row["labels"]
        if isinstance(labels, float):
            return torch.tensor([labels])
        if isinstance(labels, int):
            return self._certain(labels, self._classes)
        if isinstance(labels[0], float):
            return 40 * torch.tensor(labels) - 20
        logits = torch.zeros(input_ids.shape[1], self._classes)
        for token, label in enumerate(labels):
            if label >= 0:
                logits[token, label] = 20
        return logits

    @staticmethod
    def _certain(index, size):
        return 20.0 * torch.nn.functional.one_hot(torch.as_tensor(index), size)


PERFECT = ("sick", "relatedness", "topics", "names", "chinese_names", "questions", "news")


@pytest.mark.parametrize("name", PERFECT)
def test_predicting_the_gold_scores_one(name, declared, tmp_path):
    task = declared(name)
    prepare_task(task, SplitParams(), tmp_path / "data", tmp_path)
    rows = read_split(tmp_path / "data", "test")
    words = sorted({w for row in rows for w in re.findall(r"\w+", str(row).lower())})
    encoder = save_encoder(tmp_path / "encoder", words=words)  # so that words are short
    bench = open_bench(task, tmp_path / "data", str(encoder), ONCE)
    rows = bench.kind.training_rows(bench.encoded["test"], bench.reader.tokenizer)
    found = bench.predict(Oracle(rows, len(task.label_names)), "test")
    if name == "news":
        kept = [[i for i, keep in enumerate(e["kept"]) if keep] for e in bench.examples["test"]]
        sizes = [len(one["sentences"]) for one in found]
        best = [sorted(one["sentences"]) for one in found]
        for gold, chosen, size in zip(kept, best, sizes, strict=True):
            assert set(chosen) <= set(gold) or set(gold) <= set(chosen)
            assert size == len(chosen)
    else:
        assert bench.score("test", found)[task.metric] == pytest.approx(1)
