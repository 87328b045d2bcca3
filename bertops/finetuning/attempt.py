"""One attempt: a model (pretrained or control), a seed and a learning rate, kept once finished."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bertops.finetuning.bench import Bench, Scores
from bertops.finetuning.predictions import (
    Predictions,
    prediction_rows,
    read_predictions,
    write_predictions,
)
from bertops.finetuning.trainer import RunDiverged, train
from bertops.storage import read_json, write_json, write_whole
from bertops.tracker import Tracker

Model = Literal["pretrained", "control"]


@dataclass(frozen=True)
class Attempt:
    """What one run gave."""

    model: Model
    seed: int
    learning_rate: float
    curve: tuple[float, ...]
    """Validation metric after each epoch."""
    best_epoch: int
    metrics: Mapping[str, Scores]
    """By split."""
    failure: str | None = None
    """Why the run failed; then the rest is empty."""

    @property
    def validation(self) -> float:
        """The validation metric of the weights that were kept; -inf for a failed run."""
        return self.curve[self.best_epoch - 1] if self.failure is None else -math.inf

    @property
    def name(self) -> str:
        """Name of its folder."""
        return attempt_name(self.model, self.seed, self.learning_rate)


def attempt_name(model: Model, seed: int, learning_rate: float) -> str:
    """`pretrained-seed1-lr0.0005`."""
    return f"{model}-seed{seed}-lr{learning_rate:g}"


def attempt(
    bench: Bench,
    work: Path,
    model: Model,
    seed: int,
    learning_rate: float,
    tracker: Tracker,
    on_epoch: Callable[[int], None] = lambda epochs: None,
) -> Attempt:
    """Train and score, or take what an earlier call left in `work`.

    The folder `work/<name>` gets the result, the predictions of every split but train, and, of a
    pretrained model, the fine-tuned weights. It appears when all of it is there.

    Args:
        on_epoch: told the number of epochs that were done, or need not be done.
    """
    folder = work / attempt_name(model, seed, learning_rate)
    if (folder / "result.json").exists():
        on_epoch(bench.params.epochs)
        kept = read_json(folder / "result.json")
        return Attempt(**kept | {"curve": tuple(kept["curve"])})
    with write_whole(folder) as partial_folder:
        partial_folder.mkdir()
        result = _run(bench, partial_folder, model, seed, learning_rate, tracker, on_epoch)
        write_json(partial_folder / "result.json", asdict(result))
    return result


def attempt_predictions(work: Path, done: Attempt) -> dict[str, list[dict[str, Any]]]:
    """Prediction rows of a finished attempt, by split."""
    files = sorted((work / done.name / "predictions").glob("*.parquet"))
    return {path.stem: read_predictions(path) for path in files}


def _run(
    bench: Bench,
    folder: Path,
    model: Model,
    seed: int,
    learning_rate: float,
    tracker: Tracker,
    on_epoch: Callable[[int], None],
) -> Attempt:
    """Train, predict, write; a diverged run is a result too."""
    params, kind = bench.params, bench.kind
    prefix = attempt_name(model, seed, learning_rate)
    epochs_done = 0

    def score(network: Any) -> float:
        nonlocal epochs_done
        epochs_done += 1
        on_epoch(1)
        value = finite_score(bench, network, epochs_done)
        tracker.log_metrics({f"{prefix}.validation_{bench.task.metric}": value}, epochs_done)
        return value

    def log(step: int, values: Mapping[str, float]) -> None:
        tracker.log_metrics({f"{prefix}.{name}": value for name, value in values.items()}, step)

    try:
        network, curve = train(
            partial(kind.build, bench.encoder, params, fresh=model == "control"),
            bench.training_features(),
            bench.pad_id,
            score,
            seed=seed,
            learning_rate=learning_rate,
            params=params,
            loss=kind.loss(bench.examples["train"], params),
            make_trainer=kind.make_trainer,
            log=log,
        )
    except RunDiverged as error:
        on_epoch(params.epochs - epochs_done)
        return Attempt(model, seed, learning_rate, (), 0, {}, failure=str(error))
    on_epoch(params.epochs - epochs_done)
    found = {split: bench.predict(network, split) for split in bench.scored_splits()}
    _write_predictions(bench, folder / "predictions", model, seed, found)
    if model == "pretrained":
        network.save_pretrained(folder / "model")
    scores = bench.scores(found)
    return Attempt(model, seed, learning_rate, tuple(curve.validation), curve.best_epoch, scores)


def finite_score(bench: Bench, network: Any, epoch: int) -> float:
    """The task's metric on the validation rows.

    Raises:
        RunDiverged: a prediction is not finite.
    """
    found = bench.predict(network, "validation")
    if not all(map(_is_finite, found)):
        raise RunDiverged(epoch)
    return bench.score("validation", found)[bench.task.metric]


def _is_finite(row: Mapping[str, Any]) -> bool:
    number = row["prediction"]
    values: Sequence[float] = row["probabilities"] or (
        [number] if isinstance(number, float) else []
    )
    return all(map(math.isfinite, values))


def _write_predictions(
    bench: Bench, folder: Path, model: str, seed: int, found: Predictions
) -> None:
    folder.mkdir()
    for split, rows in found.items():
        table = prediction_rows(model, seed, split, bench.examples[split], rows, bench.kind)
        write_predictions(folder / f"{split}.parquet", table)
