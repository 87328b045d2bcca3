"""Search for the values that suit a task, on its validation rows alone."""

import contextlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bertops.errors import BertopsError
from bertops.extras import require
from bertops.finetuning.attempt import finite_score
from bertops.finetuning.bench import Bench, key_of, open_bench
from bertops.finetuning.params import FinetuningParams, TaskParams
from bertops.finetuning.trainer import RunDiverged, train
from bertops.inference.load import Resolver
from bertops.inference.origin import locate
from bertops.progress import progress
from bertops.tracker import NullTracker, Tracker

SEARCHED_SPLITS = ("train", "validation")
"""The test split is not even read."""
SEARCHED_VALUES = {"learning_rates", "epochs", "batch_rows", "warmup_share", "weight_decay"}
"""What every trial draws anew, whatever params.yaml says."""
TrialTracker = Callable[[int], contextlib.AbstractContextManager[Tracker]]
"""From the number of a trial to its tracker."""


class NothingTuned(BertopsError):
    """Every trial failed or was pruned."""

    def __init__(self, task: str, trials: int) -> None:
        self.task, self.trials = task, trials
        super().__init__(
            f"none of {trials} trials of task {task!r} came to an end; raise --trials, "
            "or look at the study's failures"
        )


@dataclass(frozen=True)
class TuneReport:
    """The best trial of a study."""

    task: str
    metric: str
    validation: float
    overrides: dict[str, Any]
    """For `overrides` of the task in params.yaml: what it has there, and what was found."""
    finished: int
    pruned: int
    failed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def to_yaml(self) -> str:
        """What stands under the task in params.yaml then."""
        short = {
            "learning_rates": [float(f"{rate:.2e}") for rate in self.overrides["learning_rates"]]
        }
        flow = yaml.safe_dump(
            self.overrides | short, default_flow_style=True, sort_keys=False, width=math.inf
        )
        return f"    overrides: {flow.strip()}"


def tune_task(
    task: TaskParams,
    data: Path,
    encoder: Path,
    studies: Path,
    params: FinetuningParams,
    trials: int,
    tracker: TrialTracker | None = None,
    resolve: Resolver | None = None,
) -> TuneReport:
    """Run trials until the study has `trials` of them, and report the best.

    A trial is one run at the first seed. It is pruned when, after an epoch, it is below the median
    of the earlier trials. A killed search goes on where it was: the study is an SQLite file, and a
    new one where anything has changed that decides what a trial gives.

    Args:
        studies: folder of the files.
        tracker: gives each trial a tracker; none by default.
        resolve: from `models:/name@alias` in `init_from` to a directory.

    Raises:
        NothingTuned: no trial came to an end.
    """
    require("tasks", "optuna", reason="the search needs it")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    studies.mkdir(parents=True, exist_ok=True)
    params = params.for_task(task)
    start = locate(task.init_from or str(encoder), resolve)
    bench = open_bench(task, data, start, params, SEARCHED_SPLITS)
    found = optuna.create_study(
        study_name=task.name,
        storage=f"sqlite:///{studies / _key(task, data, start, params)}.db",
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )
    # With the seed alone, a search that goes on would draw its first trials once more.
    found.sampler = optuna.samplers.TPESampler(seed=params.seeds[0] + len(found.trials))
    open_tracker = tracker or (lambda number: contextlib.nullcontext(NullTracker()))
    left = max(0, trials - len(_ended(found)))
    with progress(what=f"tuning {task.name}", total=left, unit="trial") as bar:
        found.optimize(
            partial(_trial, bench=bench, open_tracker=open_tracker),
            n_trials=left,
            catch=(RunDiverged,),
            callbacks=[lambda *_: bar.update(1)],
        )
    return _report(task, found)


def _key(task: TaskParams, data: Path, encoder: str, params: FinetuningParams) -> str:
    """Name of a study: pasting what it found into params.yaml does not begin another."""
    any_values = FinetuningParams().model_dump(include=SEARCHED_VALUES)
    task = task.model_copy(update={"overrides": {}})
    return key_of(task, data, encoder, params.model_copy(update=any_values))


def _ended(study: Any) -> list[Any]:
    return [trial for trial in study.trials if trial.state.is_finished()]


def suggest(trial: Any) -> dict[str, Any]:
    """Values of one trial; ranges around those of Devlin et al. 2019, A.3, and far above them,
    since small encoders want higher rates."""
    return {
        "learning_rates": [trial.suggest_float("learning_rate", 1e-5, 3e-3, log=True)],
        "epochs": trial.suggest_int("epochs", 2, 8),
        "batch_rows": trial.suggest_categorical("batch_rows", [16, 32]),
        "warmup_share": round(trial.suggest_float("warmup_share", 0.0, 0.3), 3),
        "weight_decay": round(trial.suggest_float("weight_decay", 1e-3, 0.3, log=True), 4),
    }


def _trial(trial: Any, bench: Bench, open_tracker: TrialTracker) -> float:
    """Validation metric of the best epoch of one run."""
    import optuna

    values = suggest(trial)
    params = FinetuningParams.model_validate(bench.params.model_dump() | values)
    found: list[float] = []
    pruned = False
    with open_tracker(trial.number) as tracker:
        tracker.log_params(values)

        def score(network: Any) -> float:
            value = finite_score(bench, network, len(found) + 1)
            found.append(value)
            tracker.log_metrics({f"validation_{bench.task.metric}": value}, len(found))
            trial.report(value, len(found))
            if trial.should_prune():
                raise optuna.TrialPruned
            return value

        try:
            train(
                partial(bench.kind.build, bench.encoder, params, fresh=False),
                bench.training_features(),
                bench.pad_id,
                score,
                seed=params.seeds[0],
                learning_rate=params.learning_rates[0],
                params=params,
                loss=bench.kind.loss(bench.examples["train"], params),
                make_trainer=bench.kind.make_trainer,
            )
        except optuna.TrialPruned:  # the trial came to its end, so its run did not fail
            pruned = True
        tracker.set_tags({"bertops.trial_state": "pruned" if pruned else "finished"})
    if pruned:
        raise optuna.TrialPruned
    trial.set_user_attr("overrides", values)
    return max(found)


def _report(task: TaskParams, study: Any) -> TuneReport:
    states = [trial.state.name for trial in study.trials]
    if "COMPLETE" not in states:
        raise NothingTuned(task.name, len(states))
    return TuneReport(
        task=task.name,
        metric=task.metric,
        validation=study.best_value,
        overrides=task.overrides | study.best_trial.user_attrs["overrides"],
        finished=states.count("COMPLETE"),
        pruned=states.count("PRUNED"),
        failed=states.count("FAIL"),
    )
