"""Knobs of tasks and of fine-tuning."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from bertops.problems import did_you_mean
from bertops.section import LearningRate, Precision, Section, Seed

Kind = Literal[
    "classification",
    "regression",
    "tagging",
    "answering",
    "summarization",
    "translation",
    "embedding",
]
SPLITS = ("train", "validation", "test")


Format = Literal["csv", "tsv", "jsonl", "parquet", "conll", "squad", "lines", "dataset"]

ONLY: Mapping[str, tuple[Kind, ...]] = {
    "rdrop": ("classification", "regression"),
    "lora": ("classification", "regression", "tagging", "answering", "summarization"),
    "dropout": ("classification", "regression", "tagging", "answering", "summarization"),
}
"""What is for tasks of some kinds alone."""


class DataFile(Section):
    """One file of a task and the split it belongs to."""

    path: str = Field(description="File or folder, relative to the project; .gz, .zst too.")
    format: Format | None = Field(
        None, description="Format; by the name of the file when not given."
    )
    split: str = Field(
        description="train, validation, test, the name of a further slice to score, or by_hash: "
        "the identity of each text decides, as it does for the corpus; of a pair that of the first "
        "text, or of columns.group."
    )
    where: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Only rows whose columns have these values."
    )
    header: tuple[str, ...] = Field((), description="Column names of a file without a header row.")
    parallel: dict[str, str] = Field(
        default_factory=dict,
        description="Format lines: further files, line by line beside this one; column → path.",
    )
    part: str | None = Field(
        None, description="Format dataset: the split to read of a Hugging Face dataset; train."
    )
    quoted: bool | None = Field(
        None, description="Whether fields may stand in quotes; default: in CSV yes, in TSV no."
    )

    @field_validator("split")
    @classmethod
    def _split_is_a_name(cls, value: str) -> str:
        if not value.isidentifier():
            raise ValueError("must be a name of letters, digits and underscores")
        return value


class Columns(Section):
    """Which column of the files holds what."""

    text: str = Field(
        "text", description="Text, the first text of a pair, or the list of words (tagging)."
    )
    text_b: str | None = Field(None, description="Second text of a pair.")
    group: str | None = Field(
        None,
        description="What rows of one split share, such as the passage of several questions: rows "
        "that have the same here stay together; of pairs the first text.",
    )
    label: str | None = Field(
        "label",
        description="Label, score, tags, answers, summary or translation; none where "
        "the second text itself is what to find (embedding).",
    )
    sentences: str = Field("sentences", description="List of sentences (summarization).")
    kept: str = Field("labels", description="List of 0/1 beside it: is it in the summary?")
    slices: tuple[str, ...] = Field(
        ("source", "language"),
        description="Columns that the test set is cut by, where the files have them. Without a "
        "column language, it is guessed for a test set of several languages.",
    )


class TaskParams(Section):
    """A task: what to read, what to predict, how to score it."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Name; part of file names.")
    kind: Kind = Field("classification", description="What is predicted.")
    path: str | None = Field(
        None, description="File or folder that all files of `data` lie in: what DVC watches."
    )
    data: tuple[DataFile, ...] = Field(min_length=1, description="Files and their splits.")
    columns: Columns = Field(default_factory=Columns, description="Which column holds what.")
    labels: dict[str, str] | tuple[str, ...] = Field(
        (), description="Label names in order (of two, the last is the positive one), or a "
        "mapping from the value in the file to the name. Tagging: the types, or a mapping to tags.",
    )  # fmt: skip
    unanswerable: bool = Field(False, description="A question may have no answer.")
    summary_share: float = Field(0.3, gt=0, le=1, description="Share of sentences to keep.")
    target_length: int = Field(64, gt=1, description="Tokens of a translation at most.")
    multi_label: bool = Field(False, description="A text may have any number of labels.")
    label_separator: str = Field(
        ",", min_length=1, description="Between labels of one field (multi_label)."
    )
    strip_html: bool = Field(False, description="Replace HTML tags and entities in the texts.")
    train_rows: int | None = Field(None, gt=0, description="Labelled rows to train on; all.")
    validation_rows: int | None = Field(None, gt=0, description="Rows to validate on; all.")
    test_rows: int | None = Field(None, gt=0, description="Rows of test and each slice; all.")
    max_length: int = Field(128, ge=8, description="Tokens of one input, special ones included.")
    long_texts: Literal["head", "head_tail", "windows"] = Field(
        "head", description="What is read of a longer text: its beginning, beginning and end, or "
        "all of it in overlapping windows whose scores are averaged.",
    )  # fmt: skip
    metric: str = Field(
        "", description="Metric that is validated on; by itself the first of the task's kind."
    )
    init_from: str | None = Field(
        None,
        description="Directory, hub id, package:NAME/FOLDER or models:/name@alias to start "
        "from; our encoder.",
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict, description="Values of the section finetuning for this task alone."
    )

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the outputs in their order, each once.

        Tagging: of the types T that `labels` names, O and B-T and I-T for each.
        """
        names = _names(self.labels)
        if self.kind == "tagging":
            # A mapping leads to tags, a list has their types.
            tags = [name.partition("-")[2] for name in names if name != "O"]
            types = tags if isinstance(self.labels, dict) else names
            return ("O", *(f"{begin}-{name}" for name in dict.fromkeys(types) for begin in "BI"))
        fixed = {
            "regression": ("score",),
            "summarization": ("drop", "keep"),
            "embedding": ("similarity",) if self.columns.label else (),
        }
        return fixed.get(self.kind, names)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics of the kind; all of them are reported."""
        return _metrics(dict(self))

    @field_validator("labels", mode="before")
    @classmethod
    def _label_values_are_text(cls, value: Any) -> Any:
        """YAML reads `0:` as a number; labels are compared as text."""
        if isinstance(value, dict):
            return {str(raw): str(name) for raw, name in value.items()}
        if isinstance(value, list | tuple):
            return tuple(map(str, value))
        raise ValueError("must be a list of names, or a mapping from values in the files to names")

    @field_validator("metric", mode="before")
    @classmethod
    def _metric_is_one_of_the_kind(cls, value: Any, info: ValidationInfo) -> Any:
        if not {"kind", "columns", "labels", "multi_label"} <= info.data.keys():
            return value or ""  # one of them has a problem of its own, which is told
        known = _metrics(info.data)
        if value and value not in known:
            listed = ", ".join(known)
            raise ValueError(f"must be one of {listed}{did_you_mean(str(value), known)}")
        return value or known[0]

    @model_validator(mode="after")
    def _task_can_be_scored(self) -> Self:
        splits = {file.split for file in self.data}
        if "by_hash" not in splits and not {"train", "test"} <= splits:
            raise ValueError("data needs a train and a test split, or a file with split: by_hash")
        if self.kind == "classification" and len(self.label_names) < 2:
            raise ValueError("labels needs at least two names")
        if self.kind == "translation" and self.long_texts == "windows":
            raise ValueError("long_texts cannot be windows for translation: a text has one")
        FinetuningParams.model_validate(self.overrides)
        return self


def _names(labels: Mapping[str, str] | tuple[str, ...]) -> tuple[str, ...]:
    """The names that labels are given, each once."""
    return tuple(dict.fromkeys(labels.values() if isinstance(labels, Mapping) else labels))


def _metrics(task: Mapping[str, Any]) -> tuple[str, ...]:
    """Metrics of a task by its fields; the first is what it is validated on by itself.

    Precision, recall and F1 are those of the last of two labels, and BLEU and chrF those of the
    whole corpus. The evaluation has an interval for each.
    """
    metrics = {
        "classification": ("accuracy", "precision", "recall", "f1", "f1_macro", "mcc"),
        "regression": ("pearson", "spearman", "negative_mse"),
        "tagging": ("entity_f1", "entity_precision", "entity_recall", "tag_accuracy"),
        "answering": ("exact_match", "answer_f1"),
        "summarization": ("rouge1", "rouge2", "rougeL"),
        "translation": ("bleu", "chrf"),
        "embedding": ("spearman", "pearson"),
    }
    kind = task["kind"]
    if kind == "classification" and task["multi_label"]:
        return ("accuracy", "f1_micro", "f1_macro")
    if kind == "classification" and len(_names(task["labels"])) > 2:
        return ("accuracy", "f1_macro", "mcc")
    if kind == "embedding" and not task["columns"].label:
        return ("mrr", "recall_at_1", "recall_at_10")
    return metrics[kind]


class LoraParams(Section):
    """Small matrices that learn in place of the encoder's weights."""

    rank: int = Field(8, ge=1, description="Width of the small matrices.")
    alpha: int = Field(16, gt=0, description="Scale; the update is multiplied by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the small matrices.")


class FinetuningParams(Section):
    """How every task is fine-tuned; a task may override single values."""

    seeds: tuple[Seed, ...] = Field(
        (1, 2, 3), min_length=1, description="One run for each; fewer than 3 do not show what luck "
        "does, and the report says so.",
    )  # fmt: skip
    epochs: int = Field(4, gt=0, description="Passes over the training rows.")
    batch_rows: int = Field(32, gt=0, description="Rows of one optimizer step.")
    learning_rates: tuple[LearningRate, ...] = Field(
        (5e-4,), min_length=1, description="Rates for the pretrained encoder; of several, the "
        "first seed tries all and validation decides.",
    )  # fmt: skip
    control_learning_rates: tuple[LearningRate, ...] = Field(
        (5e-4,), min_length=1, description="Rates for the control, chosen in the same way."
    )
    control: bool = Field(True, description="Train the same architecture without pretraining.")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="Share of steps to warm up.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW weight decay.")
    dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share dropped in the encoder while it is fine-tuned; its own.",
    )
    rdrop: float = Field(
        0.0, ge=0, description="R-Drop (Liang et al. 2021): each row is read twice with other "
        "dropout, and this is the weight of what keeps both answers together; 0: read once. Up to "
        "twice the time; classification and regression.",
    )  # fmt: skip
    classifier_dropout: float | None = Field(
        None, ge=0, lt=1, description="Dropout before the classifier; the encoder's own."
    )
    patience: int = Field(
        0, ge=0, description="Stop after this many epochs without a better metric; 0: never."
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: a class weighs by the inverse of its frequency."
    )
    gradient_checkpointing: bool = Field(False, description="Less memory for more time.")
    lora: LoraParams | None = Field(None, description="Train adapters and the head alone.")
    precision: Precision = Field(
        "auto", description="auto: bf16 where the hardware multiplies it, else fp32."
    )

    @field_validator("seeds")
    @classmethod
    def _seeds_are_different(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError("must be different: the same seed twice is the same run twice")
        return value

    def for_task(self, task: TaskParams) -> "FinetuningParams":
        """These parameters with the task's own overrides.

        Raises:
            ValueError: tasks of this kind are not trained so.
        """
        found = FinetuningParams.model_validate(self.model_dump() | task.overrides)
        for name, kinds in ONLY.items():
            if getattr(found, name) and task.kind not in kinds:
                off = "null" if name == "lora" else "0"
                raise ValueError(
                    f"finetuning.{name} is for {' and '.join(kinds)}, and task {task.name!r} is "
                    f"{task.kind}: give it overrides: {{{name}: {off}}}"
                )
        if found.class_weights != "none" and (task.kind != "classification" or task.multi_label):
            raise ValueError(
                "finetuning.class_weights is for classification with one label a text, and task "
                f"{task.name!r} is not: give it overrides: {{class_weights: none}}"
            )
        return found
