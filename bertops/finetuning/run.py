"""One task: seeds × {pretrained, control}, baselines beside, the best seed saved."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bertops.errors import BertopsError
from bertops.finetuning.attempt import Attempt, Model, attempt_predictions
from bertops.finetuning.bench import Bench, Scores, key_of, open_bench
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.finetuning.pool import open_pool
from bertops.finetuning.predictions import prediction_rows, write_predictions
from bertops.inference.load import Resolver
from bertops.inference.origin import locate
from bertops.progress import progress
from bertops.storage import remove, write_whole
from bertops.tracker import NullTracker, Tracker


class FinetuningFailed(BertopsError):
    """Every run of the pretrained model failed, so there is nothing to save."""

    def __init__(self, task: str, failures: Sequence[str]) -> None:
        self.task, self.failures = task, tuple(failures)
        listed = "".join(f"\n  {failure}" for failure in failures)
        super().__init__(f"task {task!r}: all {len(failures)} runs failed{listed}")


@dataclass(frozen=True)
class FinetuneReport:
    """What the runs of one task gave. Nothing in it depends on the machine's clock or paths."""

    task: str
    kind: str
    metric: str
    labels: tuple[str, ...]
    rows: dict[str, int]
    """By split."""
    runs: tuple[Attempt, ...]
    """One for each model and seed, at the chosen rate; failed ones included."""
    tried: tuple[Attempt, ...]
    """Runs at the learning rates that validation did not choose."""
    learning_rates: dict[str, float]
    """The chosen one for each model."""
    baselines: dict[str, dict[str, Scores]]
    """By baseline and split."""
    best_seed: int
    """Of the saved model: the best pretrained run on the validation rows."""
    summary: dict[str, dict[str, dict[str, dict[str, float]]]]
    """model → split → metric → median, min, max over the seeds."""

    @property
    def failed(self) -> int:
        """Number of runs that failed."""
        return sum(run.failure is not None for run in self.runs + self.tried)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"failed": self.failed}


def finetune_task(
    task: TaskParams,
    data: Path,
    encoder: Path | str,
    target: Path,
    predictions: Path,
    work: Path,
    params: FinetuningParams,
    tracker: Tracker | None = None,
    resolve: Resolver | None = None,
) -> FinetuneReport:
    """Fine-tune, score and save the model of one task.

    Writes to `target` the best pretrained seed by validation, a Hugging Face directory with its
    tokenizer and bertops.json; to `predictions/<split>.parquet` every prediction of every model,
    seed and baseline (see predictions.py). Same inputs, same bytes, on a CPU with as many threads.

    A killed call leaves its finished runs in `work/<hash of inputs, parameters and code>`; the next
    one carries on from there. The folder is removed at the end.

    Args:
        data: splits that `prepare_task` wrote.
        encoder: Hugging Face directory to start from, where the task's `init_from` names none.
        resolve: from `models:/name@alias` in `init_from` to a directory.

    Raises:
        UsageError: the task does not fit the encoder.
        FinetuningFailed: no pretrained run came through.
    """
    params = params.for_task(task)
    tracker = tracker or NullTracker()
    encoder = locate(task.init_from or str(encoder), resolve)
    bench = open_bench(task, data, encoder, params)
    folder = work / key_of(task, data, encoder, params)
    runs, tried, rates = _run_all(bench, folder, tracker)
    done = [run for run in runs if run.failure is None]
    pretrained = [run for run in done if run.model == "pretrained"]
    if not pretrained:
        raise FinetuningFailed(task.name, [str(run.failure) for run in runs if run.failure])
    best = max(pretrained, key=_validation)  # of equals the first seed
    baselines = _write_all_predictions(bench, folder, done, predictions)
    _save(bench, folder / best.name / "model", target)
    report = FinetuneReport(
        task=task.name,
        kind=task.kind,
        metric=task.metric,
        labels=bench.reader.card.labels,
        rows={split: len(rows) for split, rows in bench.examples.items()},
        runs=tuple(runs),
        tried=tuple(tried),
        learning_rates={str(model): rate for model, rate in rates.items()},
        baselines=baselines,
        best_seed=best.seed,
        summary=_summarize(done),
    )
    remove(folder)
    return report


def _run_all(
    bench: Bench, work: Path, tracker: Tracker
) -> tuple[list[Attempt], list[Attempt], dict[Model, float]]:
    """Runs at the chosen rates, runs at other rates, and the rate of each model."""
    params = bench.params
    rates: dict[Model, tuple[float, ...]] = {"pretrained": params.learning_rates}
    if params.control:
        rates["control"] = params.control_learning_rates
    seeds, searched = params.seeds, [model for model, some in rates.items() if len(some) > 1]
    jobs = [
        (model, seed, rate)
        for model, some in rates.items()
        for rate in some
        for seed in (seeds[:1] if model in searched else seeds)
    ]
    attempts = len(jobs) + len(searched) * (len(seeds) - 1)
    with (
        progress(
            what=f"fine-tuning {bench.task.name}", total=attempts * params.epochs, unit="epoch"
        ) as bar,
        open_pool(bench, work, tracker, bar.update, attempts) as pool,
    ):
        done = pool.run(jobs)
        chosen = {model: _best(done, model, seeds[0]).learning_rate for model in rates}
        done += pool.run(
            [(m, seed, chosen[m]) for m in rates for seed in seeds[1:] if m in searched]
        )
    runs = [run for run in done if run.learning_rate == chosen[run.model]]
    runs.sort(key=lambda run: (list(rates).index(run.model), seeds.index(run.seed)))
    return runs, [run for run in done if run not in runs], chosen


def _best(done: Sequence[Attempt], model: Model, seed: int) -> Attempt:
    """The run of one seed whose rate does best on validation."""
    return max((run for run in done if (run.model, run.seed) == (model, seed)), key=_validation)


def _validation(run: Attempt) -> float:
    return run.validation


def _write_all_predictions(
    bench: Bench, work: Path, runs: Sequence[Attempt], target: Path
) -> dict[str, dict[str, Scores]]:
    """Write the predictions of runs and baselines; the scores of the baselines."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        for split, kept in attempt_predictions(work, run).items():
            rows[split] += kept
    train, validation = bench.examples["train"], bench.examples["validation"]
    scores = {}
    for name, baseline in bench.kind.baselines(train, validation).items():
        found = {s: baseline.predict(bench.examples[s]) for s in bench.scored_splits()}
        scores[name] = bench.scores(found)
        for split, values in found.items():
            rows[split] += prediction_rows(
                name, 0, split, bench.examples[split], values, bench.kind
            )
    with write_whole(target) as partial:
        partial.mkdir()
        for split, values in rows.items():
            write_predictions(partial / f"{split}.parquet", values)
    return scores


def _save(bench: Bench, model: Path, target: Path) -> None:
    """Copy the model of a run to `target`, with its tokenizer and its card."""
    import shutil

    with write_whole(target) as partial:
        shutil.copytree(model, partial)
        bench.reader.tokenizer.save_pretrained(partial)
        bench.reader.card.write(partial)


def _summarize(runs: Sequence[Attempt]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    groups: dict[str, list[Attempt]] = defaultdict(list)
    for run in runs:
        groups[run.model].append(run)
    return {
        model: {
            split: {name: _spread([run.metrics[split][name] for run in group]) for name in scores}
            for split, scores in group[0].metrics.items()
        }
        for model, group in groups.items()
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
