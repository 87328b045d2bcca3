"""Where each stage reads and writes. dvc.yaml uses the same names; a contract test compares."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """Every place in a project, from its root. Nothing is created by asking for a path.

    `data/`, `models/` and `reports/` are outputs of stages and belong to DVC. `.bertops/` holds
    what lives across runs and is no stage's output: checkpoints, the MLflow store, the Prefect
    home, the record of runs.
    """

    root: Path

    # ── data ──
    @property
    def fetched(self) -> Path:
        """Files that `fetch` brought from packages and hubs."""
        return self.root / "data/fetched"

    def raw(self, source: str) -> Path:
        """Documents of one source as read: part-*.parquet."""
        return self.root / "data/raw" / source

    def quarantine(self, source: str) -> Path:
        """Input of one source that could not be read, with place and error: part-*.parquet."""
        return self.root / "data/quarantine" / source

    def task_data(self, task: str) -> Path:
        """Splits of one task: train.parquet, validation.parquet, test.parquet and its slices."""
        return self.root / "data/tasks" / task

    @property
    def corpus(self) -> Path:
        """Documents worth training on: train/part-*.parquet and validation/part-*.parquet."""
        return self.root / "data/corpus"

    @property
    def ledger(self) -> Path:
        """One row for each document that was dropped: part-*.parquet."""
        return self.root / "data/ledger"

    @property
    def tokens(self) -> Path:
        """Token store: train/ and validation/."""
        return self.root / "data/tokens"

    def predictions(self, task: str) -> Path:
        """Every prediction of one task with its probabilities, by model, seed and split."""
        return self.root / "data/predictions" / task

    # ── models ──
    @property
    def tokenizer(self) -> Path:
        """Tokenizer in Hugging Face form."""
        return self.root / "models/tokenizer"

    @property
    def encoder(self) -> Path:
        """Pretrained encoder in Hugging Face form, tokenizer included."""
        return self.root / "models/encoder"

    def task_model(self, task: str) -> Path:
        """Fine-tuned model of one task in Hugging Face form, tokenizer included."""
        return self.root / "models/tasks" / task

    # ── reports ──
    @property
    def reports(self) -> Path:
        """Reports of all stages."""
        return self.root / "reports"

    def report(self, stage: str, item: str | None = None) -> Path:
        """The JSON report of a stage, or of one item of it."""
        return self.reports / (f"{stage}/{item}.json" if item else f"{stage}.json")

    def data_docs(self, gate: str) -> Path:
        """Great Expectations' own pages on what one gate checked."""
        return self.reports / "data_docs" / gate

    @property
    def evaluation(self) -> Path:
        """What `evaluate` found: metrics.json and curves for `dvc plots`."""
        return self.reports / "evaluation"

    @property
    def data_card(self) -> Path:
        """What the corpus is and what was dropped: card.json and card.md."""
        return self.reports / "data_card"

    @property
    def html_report(self) -> Path:
        """The report for people, one self-contained file."""
        return self.reports / "report.html"

    # ── state that no stage owns ──
    @property
    def state(self) -> Path:
        """`.bertops/`: state that lives across runs."""
        return self.root / ".bertops"

    @property
    def shards(self) -> Path:
        """Cleaned shards, in folders keyed by the hash of inputs, parameters and code."""
        return self.state / "corpus"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints, in folders keyed by the hash of inputs and parameters."""
        return self.state / "checkpoints"

    @property
    def mlflow_store(self) -> Path:
        """SQLite file of MLflow when no tracking address is set."""
        return self.state / "mlflow/mlflow.db"
