"""Release: what happens to models after the graph. It touches the outside world, so it is no DVC
stage; every step may be repeated, and the second time nothing changes.

    register   each model becomes a version, unless the same thing was registered before
    decide     the gates look at the evidence, against the champion of that moment
    promote    the champion moves, or a gate said no; both go into the history
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bertops.asking import open_registry
from bertops.errors import BertopsError, GateRefused
from bertops.evaluation.compare import explain
from bertops.evaluation.report.card import write_card
from bertops.evaluation.tasks import CANDIDATE
from bertops.evidence import gather_evidence, head_to_head
from bertops.params import ENCODER, Params, load
from bertops.paths import Paths
from bertops.registry.client import Registry
from bertops.registry.decide import Decision, decide
from bertops.registry.gates import Evidence, GateResult
from bertops.registry.history import check_aliases
from bertops.registry.params import Mode
from bertops.registry.promote import Promotion, gates_passed, promote
from bertops.registry.register import Facts, Registered, register
from bertops.registry.signing import signing_key
from bertops.registry.smoke import smoke_test
from bertops.stages import lineage_tags, render_report, report_inputs
from bertops.storage import read_json

Standing = Literal["promoted", "champion", "refused", "waiting"]
"""`champion` was promoted before; `waiting` passed, and a person or the registry's mode keeps it
back."""


class NobodyJudges(BertopsError):
    """An encoder of which no task tells what it is worth, or what its champion is."""

    def __init__(self, version: int, champion: int | None, tasks: Sequence[str]) -> None:
        self.version, self.champion, self.tasks = version, champion, tuple(tasks)
        if not tasks:
            said = (
                "no task starts from the encoder, so nothing judges it "
                "(a task with init_from in params.yaml starts from another)"
            )
        elif champion is None:
            said = f"none of {', '.join(tasks)} was fine-tuned from encoder version {version}"
        else:
            said = (
                f"none of {', '.join(tasks)} was fine-tuned from encoder version {version} and "
                f"from the champion, version {champion}, so nothing compares them: keep a task of "
                "the champion's in params.yaml for one more run"
            )
        super().__init__(said)


@dataclass(frozen=True)
class Release:
    """What became of one model in the registry."""

    model: str
    version: int
    """The one that was judged; where it holds the champion's files, the champion."""
    created: bool
    """False when the same thing was registered before."""
    champion: int | None
    """The version in use before; of the champion itself, its predecessor."""
    standing: Standing
    sentence: str
    gates: tuple[GateResult, ...]
    """What they said; of the champion, what they said when it was promoted."""

    @property
    def promoted(self) -> bool:
        """Whether it became the champion now."""
        return self.standing == "promoted"

    @property
    def refused(self) -> bool:
        """Whether a gate said no."""
        return self.standing == "refused"


def register_all(params: Params, paths: Paths, registry: Registry) -> tuple[Registered, ...]:
    """Register the encoder and the model of every task."""
    lineage = lineage_tags(paths)
    metrics = read_json(paths.evaluation / "metrics.json")
    evaluation = read_json(paths.evaluation / "evaluation.json")
    own = params.registry.license_file
    license_file = {"LICENSE": paths.root / own} if own else {}
    models = {ENCODER: paths.encoder} | {t.name: paths.task_model(t.name) for t in params.tasks}
    report = render_report(paths.root)  # as measured: the verdict on a version comes after it
    found = []
    for name, folder in models.items():
        made_from = lineage_of(params, name, lineage)
        card = paths.state / "cards" / f"{name}.md"
        write_card(report_inputs(paths, made_from), name, params.registry.license, card)
        numbers = metrics["heldout" if name == ENCODER else name]
        facts = Facts(
            lineage=made_from,
            # The training run has metrics of its own, such as `loss` by step.
            metrics={f"evaluation.{key}": v for key, v in numbers.items() if v is not None},
            tags=intervals(evaluation, name),
            files={
                "README.md": card,
                "report.html": report,
                "evaluation.json": paths.evaluation / "evaluation.json",
                "params.yaml": paths.root / "params.yaml",
                **license_file,
            },
            license=params.registry.license,
        )
        found.append(register(registry, name, folder, facts, signing_key=signing_key()))
    return tuple(found)


def lineage_of(params: Params, name: str, lineage: Mapping[str, str]) -> dict[str, str]:
    """The lineage of one model: without our encoder where its task starts from another."""
    ours = name == ENCODER or params.task(name).init_from is None
    return {tag: v for tag, v in lineage.items() if ours or tag != f"bertops.data.{ENCODER}"}


def intervals(evaluation: Mapping[str, Any], name: str) -> dict[str, str]:
    """Every number of a model with its interval, as tags: accuracy 0.81 [0.79, 0.83].

    Args:
        evaluation: what evaluation.json holds.
    """
    if name == ENCODER:
        held = evaluation["encoder"]["heldout"]["all"]
        found = {"loss": (held["loss"], held["loss_low"], held["loss_high"])}
    else:
        found = {
            m["score"] if m["split"] == "test" else f"{m['split']}_{m['score']}": (
                m["value"], m["low"], m["high"],
            )
            for m in evaluation["tasks"][name]["measured"]
            if m["model"] == CANDIDATE
        }  # fmt: skip
    return {
        f"bertops.metric.{key}": f"{value} [{low}, {high}]"
        for key, (value, low, high) in found.items()
    }


def decide_all(
    params: Params, paths: Paths, registry: Registry, registered: Sequence[Registered]
) -> tuple[Decision, ...]:
    """Ask the gates about every registered version, before any of them is promoted.

    An encoder is judged by what it is for: the first task that was fine-tuned from it and from the
    champion. Where no task was, it is refused, since a gate that cannot be decided has not passed.
    """
    gates = params.registry.gates
    return tuple(
        decide(
            registry,
            found.name,
            found.version,
            _evidence(params, paths, registry, found.name, found.version),
            gates,
        )
        for found in registered
    )


def _evidence(
    params: Params, paths: Paths, registry: Registry, name: str, version: int
) -> Callable[[int | None], Evidence]:
    """What speaks for a version, once the champion is known that it is compared with."""

    def gather(champion: int | None) -> Evidence:
        judge, own, rival = _judge_of(params, registry, name, version, champion)
        return gather_evidence(params, paths, registry, judge, own, rival)

    return gather


def _judge_of(
    params: Params, registry: Registry, name: str, version: int, champion: int | None
) -> tuple[str, int, int | None]:
    """The task that judges a version, and the versions of its model that speak for both sides.

    The model of a task speaks for itself. For an encoder speaks the first task that was fine-tuned
    from it, and from the champion as well: a task that is new in params.yaml cannot compare them.

    Raises:
        NobodyJudges: there is no such task.
    """
    if name != ENCODER:
        return name, version, champion
    tasks = [task.name for task in params.tasks if task.init_from is None]
    for task in tasks:
        own = _fine_tuned_from(registry, task, version)
        rival = None if champion is None else _fine_tuned_from(registry, task, champion)
        if own is not None and (champion is None or rival is not None):
            return task, own, rival
    raise NobodyJudges(version, champion, tasks)


def _fine_tuned_from(registry: Registry, task: str, encoder: int) -> int | None:
    """The latest version of a task's model that was fine-tuned from a version of the encoder."""
    content = registry.version(ENCODER, encoder).content
    made = (
        found.number
        for found in reversed(registry.versions(task))
        if found.tags.get(f"bertops.data.{ENCODER}") == content
    )
    return next(made, None)


def promote_all(
    params: Params,
    paths: Paths,
    registry: Registry,
    registered: Sequence[Registered],
    ready: Sequence[Decision],
) -> tuple[Release, ...]:
    """Promote what passed its gates and its smoke test; a refusal is recorded and is no failure.

    Raises:
        BertopsError: a version failed its smoke test; its champion stays.
    """
    releases = []
    for found, decision in zip(registered, ready, strict=True):
        base = Release(
            found.name, found.version, found.created, decision.champion, "waiting", "",
            decision.gates,
        )  # fmt: skip
        try:
            try_version = _smoke_test_of(paths, registry, found.name)
            done = promote(registry, decision, params.registry, smoke_test=try_version)
        except GateRefused as refusal:
            standing: Standing = "refused" if decision.refused_by else "waiting"
            releases.append(replace(base, standing=standing, sentence=str(refusal)))
            continue
        if decision.champion is not None and decision.already:
            gates = gates_passed(registry, found.name, decision.champion)
            before = check_aliases(registry, found.name).previous_champion
            base = replace(
                base, version=decision.champion, standing="champion", gates=gates, champion=before
            )
        elif done.changed:
            base = replace(base, standing="promoted")
        releases.append(replace(base, sentence=done.sentence))
    return tuple(releases)


def write_report(
    params: Params, paths: Paths, registry: Registry, releases: Sequence[Release]
) -> Path:
    """Write reports/report.html; it opens with the verdict on every model."""
    verdicts = [_verdict(params, paths, registry, one) for one in releases]
    return render_report(paths.root, verdicts)


def _verdict(params: Params, paths: Paths, registry: Registry, one: Release) -> dict[str, Any]:
    judge = _judge_of_encoder(params, registry, one) if one.model == ENCODER else None
    beside = None if judge else _beside_rival(params, paths, registry, one)
    return {
        "task": one.model,
        "judged_by": judge,
        "version": one.version,
        "against": one.champion,
        "standing": one.standing,
        "sentence": _in_short(one) if one.refused else one.sentence,
        "gates": [gate.to_dict() | {"name": gate.gate, "reason": gate.said} for gate in one.gates],
        "head_to_head": beside,
    }


def _judge_of_encoder(params: Params, registry: Registry, one: Release) -> str:
    try:
        return _judge_of(params, registry, one.model, one.version, one.champion)[0]
    except NobodyJudges:
        return "no task"


def _in_short(refused: Release) -> str:
    """A refusal without its reasons, which stand in the table of the gates."""
    names = [gate.gate.replace("_", " ") for gate in refused.gates if not gate.passed]
    stays = "" if refused.champion is None else f" The champion stays version {refused.champion}."
    return f"{len(names)} of {len(refused.gates)} gates said no: {', '.join(names)}.{stays}"


def _beside_rival(
    params: Params, paths: Paths, registry: Registry, one: Release
) -> dict[str, Any] | None:
    """The version beside the champion it was judged by; None when it is the first of its name."""
    if one.champion is None:
        return None
    versions = (one.version, one.champion)
    try:
        found = head_to_head(params, paths, registry, one.model, versions, "report")
    except Exception as error:  # as with the gates: a champion that fails must not hide the report
        return {"failed": f"{type(error).__name__}: {error}"}
    better, worse = (f"version {one.version} is {word}" for word in ("better", "worse"))
    return asdict(found) | {"finding": explain(found.comparison, better, worse)}


def decide_version(root: Path, name: str, version: int) -> Decision:
    """What the gates say about a registered version today; changes and records nothing.

    Raises:
        VersionMissing: there is no such version.
    """
    params, paths = load(root / "params.yaml"), Paths(root)
    registry = open_registry(paths)
    evidence = _evidence(params, paths, registry, name, version)
    return decide(registry, name, version, evidence, params.registry.gates)


def promote_version(
    root: Path, name: str, version: int, *, mode: Mode | None = None, why: str
) -> Promotion:
    """Promote one registered version, new or old, if its gates let it through.

    Args:
        mode: in place of `registry.mode` in params.yaml.

    Raises:
        PromotionRefused: a gate said no.
        VersionMissing: there is no such version.
        SmokeTestFailed: it gives no usable answer.
    """
    ready = decide_version(root, name, version)
    rules, paths = load(root / "params.yaml").registry, Paths(root)
    settings = rules.model_copy(update={"mode": mode or rules.mode})
    registry = open_registry(paths)
    try_version = _smoke_test_of(paths, registry, name)
    return promote(registry, ready, settings, why=why, smoke_test=try_version)


def _smoke_test_of(paths: Paths, registry: Registry, name: str) -> Callable[[int], None]:
    """What fetches a version of a model as its users will, loads it and asks it something."""
    return lambda version: smoke_test(registry, name, version, paths.state / "models")
