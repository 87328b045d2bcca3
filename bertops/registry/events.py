"""Events: what happened to a model name, and the state that follows. Pure: entries in, state out.

An entry counts only when it builds on the latest entry that counts before it (it names that one's
digest). So of several writers that saw the same state exactly one wins, and since each entry holds
the digest of the one before, an entry that was altered later breaks the chain and is found.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

from bertops.errors import BertopsError

Kind = Literal["registered", "approved", "promoted", "refused", "rolled_back", "adopted"]

START = "0" * 64
"""What the first entry builds on."""


@dataclass(frozen=True)
class Event:
    """One thing that happened to a name."""

    id: str
    """Chosen by the writer; an entry that a retried request wrote twice counts once."""
    kind: Kind
    who: str
    when: str
    """UTC, ISO 8601; for people. The order is that of the entries."""
    why: str
    from_version: int | None
    """Champion before; None when there was none."""
    to_version: int
    """The version it is about: the new champion, or the one that was refused or registered."""
    gates: tuple[Mapping[str, Any], ...] = ()
    builds_on: str = START

    def to_json(self) -> str:
        """The entry as it is stored; the same event always gives the same text."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, allow_nan=False)

    @property
    def digest(self) -> str:
        """sha256 of the stored text."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def parse(text: str) -> Event:
    """The event that `to_json` wrote."""
    values = json.loads(text)
    return Event(**values | {"gates": tuple(values["gates"])})


@dataclass(frozen=True)
class Entry:
    """An event at its place in the history."""

    number: int
    """Place in the history, from 1; given by the store, unique for ever."""
    event: Event
    settled: str | None = None
    """Digest noted when the aliases had been brought in line with it; None before that."""


class HistoryBroken(BertopsError):
    """The history has a gap or was altered."""

    def __init__(self, name: str, number: int, problem: str) -> None:
        self.name, self.number, self.problem = name, number, problem
        super().__init__(
            f"history of {name!r}, entry {number}: {problem}. Somebody changed it outside "
            f"bertops. Look at the model '{name}.history' in the MLflow UI and restore the entry "
            "from a backup; until then nothing is promoted or rolled back."
        )


@dataclass(frozen=True)
class State:
    """What holds after some entries."""

    name: str
    champions: tuple[int, ...] = ()
    """Versions in use, the present one last. A rollback takes off the last one, so that rolling
    back twice goes back two versions and never forth to the bad one."""
    challenger: int | None = None
    approved: frozenset[int] = frozenset()
    accepted: tuple[Entry, ...] = ()
    void: tuple[Entry, ...] = ()
    """Entries of writers that lost."""
    seen: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def champion(self) -> int | None:
        """The version in use."""
        return self.champions[-1] if self.champions else None

    @property
    def previous_champion(self) -> int | None:
        """The version a rollback returns to."""
        return self.champions[-2] if len(self.champions) > 1 else None

    @property
    def head(self) -> str:
        """Digest of the latest entry that counts; what the next one must build on."""
        return self.accepted[-1].event.digest if self.accepted else START

    @property
    def settled(self) -> bool:
        """Whether the aliases were brought in line with this state."""
        return not self.accepted or self.accepted[-1].settled is not None

    def aliases(self) -> dict[str, int | None]:
        """Where each alias belongs, what is asked for most first; None where it should not be."""
        return {
            "champion": self.champion,
            "previous_champion": self.previous_champion,
            "challenger": self.challenger,
        }

    def without(self, gone: Collection[int]) -> "State":
        """What holds now that some versions were deleted: they are no champions to go back to."""
        left = [version for version in self.champions if version not in gone]
        champions = tuple(version for version, _ in groupby(left))
        challenger = None if self.challenger in gone else self.challenger
        return replace(self, champions=champions, challenger=challenger)

    def counts(self, event_id: str) -> bool:
        """Whether the event with this id was accepted."""
        return any(entry.event.id == event_id for entry in self.accepted)


def replay(name: str, entries: Iterable[Entry]) -> State:
    """The state after the entries, in the order of their numbers.

    Raises:
        HistoryBroken: a number is missing, or an accepted entry was altered.
    """
    return replay_all(name, entries)[-1]


def replay_all(name: str, entries: Iterable[Entry]) -> list[State]:
    """The empty state and the one after each entry."""
    states = [State(name)]
    for expected, entry in enumerate(sorted(entries, key=lambda e: e.number), start=1):
        if entry.number != expected:
            raise HistoryBroken(name, expected, "it is missing")
        states.append(_after(states[-1], entry))
    return states


def _after(state: State, entry: Entry) -> State:
    event = entry.event
    if entry.settled not in (None, event.digest):
        raise HistoryBroken(state.name, entry.number, "it was altered")
    if event.builds_on != state.head or event.id in state.seen:
        _must_build_on_something(state, entry)
        return replace(state, void=(*state.void, entry), seen=state.seen | {event.id})
    state = replace(state, accepted=(*state.accepted, entry), seen=state.seen | {event.id})
    match event.kind:
        case "registered":
            return replace(state, challenger=event.to_version)
        case "approved":
            return replace(state, approved=state.approved | {event.to_version})
        case "promoted" | "adopted":
            same = state.champion == event.to_version
            return _crown(state, state.champions if same else (*state.champions, event.to_version))
        case "rolled_back":
            return _crown(state, _back_to(state.champions, event.to_version))
        case "refused":
            return state


def _must_build_on_something(state: State, entry: Entry) -> None:
    """A writer that lost built on an earlier entry; a digest of nothing means an alteration."""
    known = {START, *(accepted.event.digest for accepted in state.accepted)}
    if entry.event.builds_on not in known:
        raise HistoryBroken(state.name, entry.number, "what it builds on was altered")


def _crown(state: State, champions: tuple[int, ...]) -> State:
    challenger = None if state.challenger == champions[-1] else state.challenger
    return replace(state, champions=champions, challenger=challenger)


def _back_to(champions: tuple[int, ...], version: int) -> tuple[int, ...]:
    """The champions up to the last time that `version` was one; else with it on top."""
    for length in range(len(champions) - 1, 0, -1):
        if champions[length - 1] == version:
            return champions[:length]
    return (*champions, version)
