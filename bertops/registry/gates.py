"""Gates: evidence and thresholds in, passed or refused out, with the numbers. Pure.

A gate that cannot be decided has not passed: missing evidence, an inconclusive comparison where a
proof is asked for, and a gate that crashes all refuse.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from bertops.evaluation.bias import GroupGap
from bertops.evaluation.compare import Comparison
from bertops.evaluation.slices import Slice
from bertops.registry.params import GateParams

HOWTO = "docs/howto/when-a-gate-says-no.md"


@dataclass(frozen=True)
class Evidence:
    """What was measured of a candidate, on today's test set."""

    score: str
    """Name of the score that decides."""
    value: float
    low: float
    high: float
    """Bounds of the interval of `value`."""
    documents: int
    floor: float | None = None
    """The score of knowing nothing: the majority class, or the unigram loss."""
    higher_is_better: bool = True
    against_control: Comparison | None = None
    """Candidate against the same architecture without pretraining."""
    against_champion: Comparison | None = None
    """Candidate against champion, both scored now on the same documents."""
    slices: tuple[Slice, ...] | None = None
    """Slices of the test set under the candidate, judged against the champion."""
    gaps: tuple[GroupGap, ...] | None = None
    """Gaps between groups of people under the candidate."""
    leaked: int | None = None
    """Test documents found in the pretraining corpus; None when that corpus is not there."""


@dataclass(frozen=True)
class GateResult:
    """What one gate said."""

    gate: str
    passed: bool
    said: str
    """The finding as a sentence, with its numbers."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    documents: int | None = None
    threshold: float | str | None = None

    @property
    def remedy(self) -> str:
        """Where it is written what to do when it says no."""
        return f"{HOWTO}#{self.gate.replace('_', '-')}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with the remedy."""
        return asdict(self) | {"remedy": self.remedy}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GateResult":
        """What `to_dict` gave, as it stands in the history."""
        known: dict[str, Any] = {field.name: values.get(field.name) for field in fields(cls)}
        return cls(**known)


Gate = Callable[[Evidence, GateParams], GateResult]


def beats_majority(evidence: Evidence, params: GateParams) -> GateResult:
    """The whole interval is better than knowing nothing."""
    if evidence.floor is None:
        return GateResult("beats_majority", False, "no baseline was measured")
    nearest = evidence.low if evidence.higher_is_better else evidence.high
    margin = (nearest - evidence.floor) * (1 if evidence.higher_is_better else -1)
    word = "clears" if margin > 0 else "does not clear"
    return GateResult(
        "beats_majority",
        margin > 0,
        f"{evidence.score} {_interval(evidence)} {word} the baseline {evidence.floor:.3f} "
        f"({margin:+.3f} at the interval's near end, n={evidence.documents:,})",
        evidence.value,
        evidence.low,
        evidence.high,
        evidence.documents,
        evidence.floor,
    )


def not_worse_than_control(evidence: Evidence, params: GateParams) -> GateResult:
    """Not significantly worse than the same architecture without pretraining."""
    return _standing(
        "not_worse_than_control", evidence.against_control, "not_significantly_worse", "the control"
    )


def clean_of_test_data(evidence: Evidence, params: GateParams) -> GateResult:
    """No test document is in the pretraining corpus."""
    leaked = evidence.leaked
    said = {
        None: "it was trained on another corpus than today's, so nobody could look for test "
        "documents there",
        0: "no test document is in the pretraining corpus",
    }.get(leaked, f"{leaked} test documents are in the pretraining corpus")
    return GateResult("clean_of_test_data", leaked == 0, said, value=leaked, threshold=0)


def against_champion(evidence: Evidence, params: GateParams) -> GateResult:
    """Better than the champion, or at least not worse, as `params.against_champion` asks."""
    comparison = evidence.against_champion
    return _standing("against_champion", comparison, params.against_champion, "the champion")


def no_slice_worse(evidence: Evidence, params: GateParams) -> GateResult:
    """No slice of the test set got significantly worse than under the champion."""
    if evidence.slices is None:
        return GateResult("no_slice_worse", False, "slices were not compared with the champion")
    if not evidence.slices:
        return GateResult("no_slice_worse", True, "the test set has no slices", 0, threshold=0)
    worse = [s for s in evidence.slices if s.standing == "worse"]
    small = sum(s.standing == "too small" for s in evidence.slices)
    judged = len(evidence.slices) - small
    said = f"none of {judged} slices is worse" + (
        f", {small} are too small to judge" if small else ""
    )
    if worse:
        said = "; ".join(
            f"{s.column} {s.value}: {s.score} {s.other:.3f} → {s.measured:.3f} on {s.documents} "
            f"documents (p = {s.p_value:.2g}, Holm)"
            for s in worse
        )
    return GateResult("no_slice_worse", not worse, said, value=len(worse), threshold=0)


def no_group_gap(evidence: Evidence, params: GateParams) -> GateResult:
    """No two declared groups are served unequally beyond the tolerance."""
    if not evidence.gaps:
        return GateResult("no_group_gap", False, "no groups were found to compare")
    wide = [g for g in evidence.gaps if g.standing == "gap"]
    small = sum(g.standing == "too small" for g in evidence.gaps)
    if small == len(evidence.gaps):
        return GateResult("no_group_gap", False, "all groups are too small to judge")
    unsure = sum(g.standing == "not ruled out" for g in evidence.gaps)
    said = f"no gap in {len(evidence.gaps) - small - unsure} groupings"
    if unsure:
        said += f", in {unsure} it is neither shown nor ruled out"
    if small:
        said += f", {small} are too small to judge"
    if wide:
        said = "; ".join(
            f"{g.grouping}: accuracy {g.groups[0]} {g.accuracy[0]:.3f}, {g.groups[1]} "
            f"{g.accuracy[1]:.3f}, gap {g.gap:+.3f} [{g.low:+.3f}, {g.high:+.3f}]"
            for g in wide
        )
    return GateResult("no_group_gap", not wide, said, value=len(wide), threshold=0)


ENOUGH = {
    "better": {"better"},
    "not_worse": {"better", "not worse"},
    "not_significantly_worse": {"better", "not worse", "inconclusive"},
}
"""Verdicts of a comparison that satisfy each demand."""


def _standing(gate: str, comparison: Comparison | None, wanted: str, whom: str) -> GateResult:
    if comparison is None:
        return GateResult(gate, False, f"not compared with {whom}", threshold=wanted)
    c = comparison
    return GateResult(
        gate,
        c.verdict in ENOUGH[wanted],
        f"{c.verdict}: {c.score} {c.second_value:.3f} → {c.first_value:.3f}{_seeds(c)}, difference "
        f"{c.difference:+.3f} [{c.low:+.3f}, {c.high:+.3f}] to {whom} on the same "
        f"{c.documents:,} documents (smallest effect this test can find: {c.detectable:.3f})",
        c.difference,
        c.low,
        c.high,
        c.documents,
        wanted,
    )


def _seeds(comparison: Comparison) -> str:
    """Whose means the values are, where they are not of one run each: " (mean of 3 seeds each)"."""
    ours, theirs = comparison.seeds
    if ours == theirs:
        return f" (mean of {ours} seeds each)" if ours > 1 else ""
    return f" (mean of {theirs} → {ours} seeds)"


def gates_for(params: GateParams, has_champion: bool) -> Mapping[str, Gate]:
    """The gates that are on. The comparison with the champion needs one."""
    wanted: dict[str, Gate] = {}
    if params.beats_majority:
        wanted["beats_majority"] = beats_majority
    if params.not_worse_than_control:
        wanted["not_worse_than_control"] = not_worse_than_control
    if params.clean_of_test_data:
        wanted["clean_of_test_data"] = clean_of_test_data
    if params.no_group_gap:
        wanted["no_group_gap"] = no_group_gap
    if has_champion:
        wanted["against_champion"] = against_champion
    if has_champion and params.no_slice_worse:
        wanted["no_slice_worse"] = no_slice_worse
    return wanted


def run_gates(evidence: Evidence, params: GateParams, has_champion: bool) -> tuple[GateResult, ...]:
    """What every gate says, all of them, also after one has refused. A crash is a refusal."""
    return tuple(
        run_gate(name, gate, evidence, params)
        for name, gate in gates_for(params, has_champion).items()
    )


def run_gate(name: str, gate: Gate, evidence: Evidence, params: GateParams) -> GateResult:
    """What one gate says; a gate that crashes says no."""
    try:
        return gate(evidence, params)
    except Exception as error:
        return GateResult(name, False, f"the gate itself failed: {type(error).__name__}: {error}")


def _interval(evidence: Evidence) -> str:
    return f"{evidence.value:.3f} [{evidence.low:.3f}, {evidence.high:.3f}]"
