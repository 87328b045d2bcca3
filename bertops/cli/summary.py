"""The end of a run, for the person who waited: what came out, where it is, what to try next."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from bertops.cli.output import table
from bertops.paths import Paths
from bertops.storage import read_json

MODELS = {
    "pretrained": "pretrained here",
    "control": "same, not pretrained",
    "tfidf": "TF-IDF + linear model",
    "majority": "majority class",
}
SCORES = {"f1_macro": "F1 (macro)"}
"""What people call a score, where that is not its name."""


class ReleaseLike(Protocol):
    """What the summary tells of a model in the registry."""

    @property
    def model(self) -> str:
        """Registered name."""

    @property
    def sentence(self) -> str:
        """What became of it."""


def summarize(root: Path, ran: Sequence[str], stages: int, releases: Sequence[ReleaseLike]) -> str:
    """A page of text.

    Args:
        ran: labels of the stages that had something to do.
        stages: how many there are.
    """
    evaluation = read_json(Paths(root).evaluation / "evaluation.json")
    parts = [
        _what_ran(ran, stages),
        "Measured on documents that no model has seen (95 % intervals)",
        table(_measured(evaluation), indent="  "),
        *(f"  {sentence}" for sentence in _findings(evaluation)),
        "Registry",
        *(f"  {release.sentence}" for release in releases),
        "Where it is",
        table(_places(root, evaluation), indent="  "),
        "Try next",
        table(_next_steps(evaluation), indent="  "),
    ]
    return "\n".join(f"\n{part}" if part[:1] != " " else part for part in parts).lstrip("\n")


def _what_ran(ran: Sequence[str], stages: int) -> str:
    if not ran:
        return f"Nothing to do: all {stages} stages are up to date."
    kept = stages - len(ran)
    return f"Done: {len(ran)} stages ran, {kept} were up to date."


def _measured(evaluation: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Rows: what, value with interval, whose value it is or what to hold it against."""
    heldout = evaluation["encoder"]["heldout"]["all"]
    unigram = f"knowing word frequencies alone: {heldout['unigram_loss']:.2f}"
    loss = _with_interval(heldout["loss"], heldout["loss_low"], heldout["loss_high"], digits=2)
    yield "masked-LM loss", loss, unigram
    for name, task in evaluation["tasks"].items():
        for m in _shown_scores(task):
            where = "" if m["split"] == "test" else f", {m['split'].replace('_', ' ')}"
            value = _with_interval(m["value"], m["low"], m["high"], digits=3)
            yield f"{name} {SCORES.get(m['score'], m['score'])}{where}", value, MODELS[m["model"]]


def _shown_scores(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The task's metric on each split, and its F1 on the test split, by model."""
    metric, models = task["metric"], list(MODELS)
    shown = [
        m
        for m in task["measured"]
        if m["model"] in MODELS
        and m["split"] != "validation"
        and (m["score"] == metric or (m["score"] == "f1_macro" and m["split"] == "test"))
    ]
    return sorted(
        shown,
        key=lambda m: (m["split"] != "test", m["score"] != metric, models.index(m["model"])),
    )


def _with_interval(value: float, low: float, high: float, digits: int) -> str:
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _findings(evaluation: dict[str, Any]) -> Iterator[str]:
    for name, task in evaluation["tasks"].items():
        for sentence in task["findings"].values():
            yield f"{name}: {sentence}"


def _places(root: Path, evaluation: dict[str, Any]) -> Iterator[tuple[str, str]]:
    paths = Paths(root)
    for name in evaluation["tasks"]:
        yield f"{name} model", _shown(paths.task_model(name), root)
    yield "encoder", _shown(paths.encoder, root)
    yield "report", _shown(paths.html_report, root) + "  (open it in a browser)"
    yield "MLflow", _mlflow_command(paths)
    yield "Prefect", _prefect_command()


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _mlflow_command(paths: Paths) -> str:
    address = os.environ.get("MLFLOW_TRACKING_URI")
    if address and address.startswith("http"):
        return address
    return f"bertops ui mlflow   (opens {_shown(paths.mlflow_store, paths.root)})"


def _prefect_command() -> str:
    address = os.environ.get("PREFECT_API_URL")
    return address.removesuffix("/api") if address else "bertops ui prefect"


def _next_steps(evaluation: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield 'bertops fill-mask "The movie was [MASK]."', "ask the encoder"
    for name in list(evaluation["tasks"])[:1]:
        yield f'bertops predict --model models:/{name}@champion "I loved it."', "ask the champion"
    yield "bertops registry history", "who promoted what, when and why"
    yield "bertops params use reviews", "an hour of pretraining instead of minutes"
