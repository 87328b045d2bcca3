"""Promote: move the champion by a decision, undo it, and keep the record of all of it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from bertops.errors import BertopsError, GateRefused
from bertops.registry.client import Ledger, VersionMissing
from bertops.registry.decide import Decision
from bertops.registry.events import Entry, Event, State
from bertops.registry.gates import GateResult
from bertops.registry.history import (
    LostRace,
    check_aliases,
    new_event,
    read_state,
    record,
    settle,
)
from bertops.registry.params import RegistryParams


@dataclass(frozen=True)
class Promotion:
    """What a promotion or a rollback did, or would do."""

    name: str
    from_version: int | None
    to_version: int
    changed: bool
    sentence: str
    gates: tuple[GateResult, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"gates": [gate.to_dict() for gate in self.gates]}


class PromotionRefused(GateRefused):
    """A gate said no to a candidate; the champion stays."""

    def __init__(self, decision: Decision, dry_run: bool) -> None:
        self.decision, self.refused_by = decision, decision.refused_by
        failed = "; ".join(
            f"{gate.gate}: {gate.said} (what to do: {gate.remedy})" for gate in self.refused_by
        )
        super().__init__(
            f"{'would not promote' if dry_run else 'not promoted'}: "
            f"{decision.name} version {decision.candidate}, "
            f"{len(self.refused_by)} of {len(decision.gates)} gates said no. {failed}. "
            f"The champion stays {_version(decision.champion)}."
        )


class ApprovalMissing(GateRefused):
    """The gates passed, and a person has yet to approve."""

    def __init__(self, name: str, version: int) -> None:
        self.name, self.version = name, version
        super().__init__(
            f"{name} version {version} passed its gates and waits for approval: "
            f"bertops registry approve {name} {version} --why '…', then promote again."
        )


class NothingToRollBackTo(BertopsError):
    """There is no earlier champion."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"{name!r} has no earlier champion to go back to. See: bertops registry history {name}"
        )


class NothingToKeep(BertopsError):
    """`reconcile --keep` where no other champion was set outside bertops."""

    def __init__(self, name: str, found: int | None) -> None:
        self.name, self.found = name, found
        there = "was removed" if found is None else f"is {_version(found)}, as the history says"
        super().__init__(
            f"{name}@champion {there}: there is no other champion to keep. What else was set can "
            f"only be undone: bertops registry reconcile {name} --undo --why '…'."
        )


def promote(
    ledger: Ledger,
    decision: Decision,
    params: RegistryParams,
    *,
    why: str = "passed its gates",
    who: str | None = None,
    smoke_test: Callable[[int], None] | None = None,
    dry_run: bool = False,
) -> Promotion:
    """Make a candidate the champion, or say why not; both go into the history.

    Args:
        smoke_test: loads a version and asks it something; when it raises, nothing is changed.
        dry_run: change and record nothing, and say what would happen. Also when `params.mode` is
            `dry-run`; with `off` nothing is decided.

    Raises:
        PromotionRefused: a gate said no.
        ApprovalMissing: an approval is asked for and missing.
        VersionMissing: the candidate was deleted meanwhile.
        LostRace: another promotion came first; decide again.
        ForeignAliasWrite: an alias was set outside bertops.
    """
    name, candidate = decision.name, decision.candidate
    dry_run = dry_run or params.mode == "dry-run"
    if params.mode == "off":
        return _unchanged(decision, f"{name} version {candidate} is registered; promotion is off")
    if decision.already:
        return _unchanged(decision, _already(decision))
    approved = check_aliases(ledger, name).approved
    if not decision.passed:
        if not dry_run:
            record(ledger, name, lambda state: _refusal(state, decision, who))
        raise PromotionRefused(decision, dry_run)
    if params.approval and candidate not in approved:
        raise ApprovalMissing(name, candidate)
    if ledger.gone(name, [candidate]):
        raise VersionMissing(name, f"version {candidate}")
    if smoke_test is not None:
        smoke_test(candidate)
    if not dry_run:
        record(ledger, name, lambda state: _promotion(state, decision, why, who))
    sentence = _promoted(decision, dry_run)
    return Promotion(name, decision.champion, candidate, not dry_run, sentence, decision.gates)


def _promotion(state: State, decision: Decision, why: str, who: str | None) -> Event | None:
    """The event, if the champion is still the one that was compared with; none after an attempt
    that wrote it and got no further."""
    if state.champion == decision.candidate:
        return None
    if state.champion != decision.champion:
        last = state.accepted[-1].event
        raise LostRace(decision.name, decision.champion, state.champion, last.who)
    gates = [gate.to_dict() for gate in decision.gates]
    return new_event(state, "promoted", decision.candidate, why, who, gates)


def _refusal(state: State, decision: Decision, who: str | None) -> Event | None:
    """The event, unless the very same refusal is there already."""
    gates = tuple(gate.to_dict() for gate in decision.gates)
    for entry in state.accepted:
        old = entry.event
        if (old.kind, old.to_version, old.gates) == ("refused", decision.candidate, gates):
            return None
    why = "; ".join(f"{gate.gate}: {gate.said}" for gate in decision.refused_by)
    return new_event(state, "refused", decision.candidate, why, who, gates)


def rollback(
    ledger: Ledger,
    name: str,
    *,
    why: str,
    who: str | None = None,
    to: int | None = None,
    smoke_test: Callable[[int], None] | None = None,
    dry_run: bool = False,
) -> Promotion:
    """Go back to the champion before this one, or to version `to`.

    Args:
        smoke_test: loads a version and asks it something; when it raises, nothing is changed.

    Raises:
        NothingToRollBackTo: there was no earlier champion.
        LostRace: another writer changed the champion meanwhile.
        ForeignAliasWrite: an alias was set outside bertops.
    """
    state = check_aliases(ledger, name)
    target = to if to is not None else state.previous_champion
    if target is None or state.champion is None:
        raise NothingToRollBackTo(name)
    if target == state.champion:
        if not dry_run:
            settle(ledger, name)
        return Promotion(name, target, target, False, f"{name} version {target} is the champion")
    if to is not None and to not in state.champions:
        raise VersionMissing(name, f"former champion {to}")
    if smoke_test is not None:
        smoke_test(target)
    if not dry_run:
        expected = state.champion
        record(ledger, name, lambda state: _back(state, expected, target, why, who))
    verb = "would roll back" if dry_run else "rolled back"
    sentence = f"{verb} {name}: champion version {state.champion} → {target} ({why})"
    return Promotion(name, state.champion, target, not dry_run, sentence)


def _back(state: State, expected: int, target: int, why: str, who: str | None) -> Event:
    if state.champion != expected:
        last = state.accepted[-1].event
        raise LostRace(state.name, expected, state.champion, last.who)
    return new_event(state, "rolled_back", target, why, who)


def approve(ledger: Ledger, name: str, version: int, *, why: str, who: str | None = None) -> State:
    """Note that a person approves of a version; promotion asks for it when `approval` is on."""

    def make(state: State) -> Event | None:
        if version in state.approved:
            return None
        return new_event(state, "approved", version, why, who)

    return record(ledger, name, make)


def reconcile(
    ledger: Ledger, name: str, *, keep: bool, why: str, who: str | None = None
) -> Promotion:
    """After somebody set an alias outside bertops: take it into the history, or undo it.

    Raises:
        NothingToKeep: to be kept is a champion, and none was set outside bertops.
        NothingToRollBackTo: to be undone is what was set, and there was no champion before it.
    """
    state = read_state(ledger, name)
    found = ledger.aliases(name).get("champion")
    if keep:
        if found is None or found == state.champion:
            raise NothingToKeep(name, found)
        record(ledger, name, lambda state: new_event(state, "adopted", found, why, who))
        sentence = f"{name} version {found}, set outside bertops, is kept as champion ({why})"
        return Promotion(name, state.champion, found, True, sentence)
    wanted = state.champion
    if wanted is None:
        raise NothingToRollBackTo(name)
    record(ledger, name, lambda state: new_event(state, "adopted", wanted, f"undone: {why}", who))
    sentence = f"{name}@champion is version {wanted} again, as the history says"
    return Promotion(name, found, wanted, found != wanted, sentence)


def history(ledger: Ledger, name: str) -> list[Entry]:
    """What happened to a name, oldest first, without the attempts that lost a race."""
    return list(read_state(ledger, name).accepted)


def gates_passed(ledger: Ledger, name: str, version: int) -> tuple[GateResult, ...]:
    """What the gates said when a version was promoted last; nothing for one that never was."""
    for entry in reversed(history(ledger, name)):
        if entry.event.kind == "promoted" and entry.event.to_version == version:
            return tuple(map(GateResult.from_dict, entry.event.gates))
    return ()


def lost(ledger: Ledger, name: str) -> int:
    """How many attempts to change a name lost a race."""
    return len(read_state(ledger, name).void)


def _unchanged(decision: Decision, sentence: str) -> Promotion:
    return Promotion(decision.name, decision.champion, decision.candidate, False, sentence)


def _already(d: Decision) -> str:
    if d.champion == d.candidate:
        return f"{d.name} version {d.candidate} is the champion already"
    return f"{d.name} version {d.candidate} holds the same files as the champion, {d.champion}"


def _promoted(d: Decision, dry_run: bool) -> str:
    verb = "would promote" if dry_run else "promoted"
    replaced = f"in place of version {d.champion}" if d.champion else "as the first champion"
    return (
        f"{verb}: {d.name} version {d.candidate} to @champion {replaced}; "
        f"{len(d.gates)} of {len(d.gates)} gates passed"
    )


def _version(number: int | None) -> str:
    return "none" if number is None else f"version {number}"
