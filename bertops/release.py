"""Release: what happens to models after the graph. It touches the outside world, so it is no DVC
stage; every step may be repeated, and the second time nothing changes.

    register   each model becomes a version, unless the same thing was registered before
    decide     the gates look at the evidence, against the champion of that moment
    promote    the champion moves, or a gate said no; both go into the history
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bertops.evaluation.answers import Answers, PredictionTable
from bertops.evaluation.compare import Comparison, compare
from bertops.evaluation.scores import SCORES, Score
from bertops.evaluation.tasks import measure
from bertops.inference.load import load as load_model
from bertops.inference.predict import predict
from bertops.params import Params, load
from bertops.paths import Paths
from bertops.registry.client import Registry
from bertops.registry.gates import Evidence, GateResult
from bertops.registry.params import Mode
from bertops.registry.promote import Decision, Promotion, PromotionRefused, decide, promote
from bertops.registry.register import Facts, Registered, register
from bertops.registry.resolve import find_version, resolve
from bertops.storage import hash_tree, read_json
from bertops.tracking.lineage import read_lineage
from bertops.tracking.store import open_store

ENCODER = "encoder"
"""Registered name of the pretrained encoder."""


@dataclass(frozen=True)
class Release:
    """What became of one model in the registry."""

    model: str
    version: int
    created: bool
    """False when the same thing was registered before."""
    champion: int | None
    """The version in use before."""
    promoted: bool
    refused: bool
    sentence: str
    gates: tuple[GateResult, ...]

    def verdict(self) -> dict[str, Any]:
        """The same for the report, which opens with it."""
        return {
            "task": self.model,
            "version": self.version,
            "against": self.champion,
            "promoted": self.promoted,
            "sentence": self.sentence,
            "gates": [
                gate.to_dict() | {"name": gate.gate, "reason": gate.said} for gate in self.gates
            ],
        }


def open_registry(paths: Paths) -> Registry:
    """The registry of the project, or that of the server that is set."""
    store = open_store(paths.mlflow_store)
    return Registry(store.address, store.artifacts)


def register_all(params: Params, paths: Paths, registry: Registry) -> tuple[Registered, ...]:
    """Register the encoder and the model of every task."""
    inputs = {"corpus": paths.corpus, "tokenizer": paths.tokenizer, ENCODER: paths.encoder}
    lineage = read_lineage(paths.root, {name: hash_tree(p) for name, p in inputs.items()}).tags()
    metrics = read_json(paths.evaluation / "metrics.json")
    models = {ENCODER: paths.encoder} | {t.name: paths.task_model(t.name) for t in params.tasks}
    found = []
    for name, folder in models.items():
        numbers = metrics["heldout" if name == ENCODER else name]
        facts = Facts(
            lineage=lineage,
            metrics={key: value for key, value in numbers.items() if value is not None},
            files={"evaluation.json": paths.evaluation / "evaluation.json"},
            license=params.registry.license,
        )
        found.append(register(registry, name, folder, facts))
    return tuple(found)


def decide_all(
    params: Params, paths: Paths, registry: Registry, registered: Sequence[Registered]
) -> tuple[Decision, ...]:
    """Ask the gates about every registered version, before any of them is promoted.

    An encoder is judged by what it is for: the first task that was fine-tuned from it.
    """
    judges = _judges(params)
    versions = {found.name: found.version for found in registered}

    def decision(found: Registered) -> Decision:
        judge = judges[found.name]
        return decide(
            registry,
            found.name,
            found.version,
            lambda champion: gather_evidence(params, paths, registry, judge, versions[judge]),
            params.registry.gates,
        )

    return tuple(decision(found) for found in registered)


def _judges(params: Params) -> dict[str, str]:
    """Which task's evidence decides about each model."""
    judges = {task.name: task.name for task in params.tasks}
    return judges | {ENCODER: params.tasks[0].name} if params.tasks else judges


def promote_all(
    params: Params, registry: Registry, registered: Sequence[Registered], ready: Sequence[Decision]
) -> tuple[Release, ...]:
    """Promote what passed its gates; a refusal is recorded and is no failure."""
    releases = []
    for found, decision in zip(registered, ready, strict=True):
        base = Release(
            found.name, found.version, found.created, decision.champion, False, False, "",
            decision.gates,
        )  # fmt: skip
        try:
            done = promote(registry, decision, params.registry)
            releases.append(replace(base, promoted=done.changed, sentence=done.sentence))
        except PromotionRefused as refusal:
            releases.append(replace(base, refused=True, sentence=str(refusal)))
    return tuple(releases)


def promote_version(
    root: Path, name: str, version: int, *, mode: Mode | None = None, why: str
) -> Promotion:
    """Promote one registered version, new or old, if its gates let it through.

    Args:
        mode: in place of `registry.mode` in params.yaml.

    Raises:
        PromotionRefused: a gate said no.
        VersionMissing: there is no such version.
    """
    params, paths = load(root / "params.yaml"), Paths(root)
    registry = open_registry(paths)
    judge = _judges(params).get(name, name)
    ready = decide(
        registry,
        name,
        version,
        lambda champion: gather_evidence(params, paths, registry, judge, version),
        params.registry.gates,
    )
    settings = params.registry.model_copy(update={"mode": mode or params.registry.mode})
    return promote(registry, ready, settings, why=why)


def gather_evidence(
    params: Params, paths: Paths, registry: Registry, task: str, version: int
) -> Evidence:
    """What a version of a task's model is worth on today's test set."""
    report = read_json(paths.report("finetune", task))
    score = SCORES[report["metric"]]
    labels = tuple(report["labels"])
    table = PredictionTable.read(paths.predictions(task), paths.task_data(task), labels)
    shipped = table.answers("pretrained", report["best_seed"], "test")
    others = [a for a in table.of_all_seeds("pretrained", "test") if a.seed != shipped.seed]

    def ask(address: str) -> list[Answers]:
        """Answers of a version; those of today's model are kept already, for every seed."""
        found = find_version(registry, address)
        if found.content == hash_tree(paths.task_model(task)):
            return [shipped, *others]
        folder = resolve(registry, address, paths.state / "models")
        return [_ask(folder, paths.task_data(task) / "test.parquet", shipped, labels)]

    candidate = ask(f"models:/{task}/{version}")
    (measured,) = measure([candidate], [score], params.evaluation.compare)
    champion = None
    if "champion" in registry.aliases(task):
        # One model against one model: what is promoted is the shipped seed alone.
        champion = _compare(candidate[:1], ask(f"models:/{task}@champion")[:1], score, params)
    control = None
    if "control" in table.models:
        control = _compare(candidate, table.of_all_seeds("control", "test"), score, params)
    return Evidence(
        score=score.name,
        value=measured.value,
        low=measured.low,
        high=measured.high,
        documents=measured.documents,
        floor=score.of(table.answers("majority", 0, "test")),
        higher_is_better=score.higher_is_better,
        against_control=control,
        against_champion=champion,
        leaked=count_leaked(paths, params),
    )


def _compare(
    first: Sequence[Answers], second: Sequence[Answers], score: Score, params: Params
) -> Comparison:
    return compare(first, second, score, params.evaluation.compare)


def _ask(model: Path, test: Path, like: Answers, labels: Sequence[str]) -> Answers:
    """What another model says about the documents that `like` answers."""
    rows = pl.read_parquet(test)
    second = rows["text_b"].to_list() if "text_b" in rows.columns else None
    found = predict(load_model(model), rows["text"].to_list(), second)
    ids = {label: i for i, label in enumerate(labels)}
    return replace(
        like,
        model=model.name,
        predicted=np.array([ids[str(row["prediction"])] for row in found]),
        probabilities=np.array([row["probabilities"] for row in found]),
    )


def count_leaked(paths: Paths, params: Params) -> int | None:
    """Test documents of any task that are pretraining text; None when decontamination is off.

    Looked up by identity in what was really written, so it does not rest on the step that was
    to remove them.
    """
    if not params.corpus.decontaminate.enabled:
        return None
    trained = pl.scan_parquet(paths.corpus / "train/part-*.parquet").select("doc_id").collect()
    tests = [pl.read_parquet(paths.task_data(t.name) / "test.parquet") for t in params.tasks]
    ids = {found for table in tests for found in table["document_id"]}
    return len(ids & set(trained["doc_id"]))
