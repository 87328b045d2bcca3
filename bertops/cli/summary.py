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
    """Rows: what, value with interval, by how many documents."""
    heldout = evaluation["encoder"]["heldout"]["all"]
    unigram = f"knowing word frequencies alone: {heldout['unigram_loss']:.2f}"
    yield "masked-LM loss", f"{heldout['loss']:.2f}", unigram
    for name, task in evaluation["tasks"].items():
        order = list(MODELS)
        shown = [m for m in task["measured"] if m["model"] in MODELS and m["split"] != "validation"]
        for m in sorted(shown, key=lambda m: (m["split"] != "test", order.index(m["model"]))):
            if m["score"] == task["metric"]:
                where = "" if m["split"] == "test" else f", {m['split'].replace('_', ' ')}"
                value = f"{m['value']:.3f} [{m['low']:.3f}, {m['high']:.3f}]"
                yield f"{name} {m['score']}{where}", value, MODELS[m["model"]]


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
    yield "bertops registry history", "who promoted what, and why"
    yield "bertops params use reviews", "an hour of pretraining instead of minutes"
