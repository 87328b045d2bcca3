"""History: append what happened, where one writer at a time wins, and bring the aliases in line."""

import getpass
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bertops.errors import BertopsError
from bertops.registry.client import Ledger
from bertops.registry.events import Event, Kind, State, replay, replay_all

FOREIGN_PATIENCE_S = 10.0
"""How long an alias may be out of line before it counts as written by somebody else: a writer of
ours that was overtaken puts it right within one request."""


class LostRace(BertopsError):
    """Another writer changed the champion first."""

    def __init__(self, name: str, expected: int | None, found: int | None, by: str) -> None:
        self.name, self.expected, self.found, self.by = name, expected, found, by
        super().__init__(
            f"{name!r} was changed by {by} meanwhile: the champion was "
            f"{_version(expected)} and is now {_version(found)}. "
            "Nothing was changed by this attempt; decide again against the new champion."
        )


class ForeignAliasWrite(BertopsError):
    """An alias is not where the history put it: somebody set or removed it outside bertops."""

    def __init__(self, name: str, alias: str, expected: int | None, found: int | None) -> None:
        self.name, self.alias, self.expected, self.found = name, alias, expected, found
        by_history = f"by the history it is {_version(expected)}"
        settle = f"bertops registry reconcile {name}"
        if found is None:
            super().__init__(
                f"{name}@{alias} was removed outside bertops; {by_history}. "
                f"Go back to the history with '{settle} --undo'."
            )
            return
        super().__init__(
            f"{name}@{alias} points at {_version(found)}, but {by_history}: it was set outside "
            f"bertops. Keep what was set with '{settle} --keep', or go back to the history with "
            f"'{settle} --undo'."
        )


def _version(number: int | None) -> str:
    return "none" if number is None else f"version {number}"


def whoami() -> str:
    """Name of the account, for the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def new_event(
    state: State,
    kind: Kind,
    to_version: int,
    why: str,
    who: str | None = None,
    gates: Sequence[Mapping[str, Any]] = (),
) -> Event:
    """An event that builds on `state`, dated now."""
    return Event(
        id=uuid.uuid4().hex,
        kind=kind,
        who=who or whoami(),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        why=why,
        from_version=state.champion,
        to_version=to_version,
        gates=tuple(gates),
        builds_on=state.head,
    )


def read_state(ledger: Ledger, name: str) -> State:
    """What holds now. A version that somebody deleted stays in the history and is no champion.

    Raises:
        HistoryBroken: the history has a gap or was altered.
    """
    state = _as_written(ledger, name)
    return state.without(ledger.gone(name, _aliased(state)))


def _as_written(ledger: Ledger, name: str) -> State:
    """The state by the history alone, for a request less."""
    return replay(name, ledger.entries(name))


def _aliased(state: State) -> set[int]:
    """Versions that an alias may belong to."""
    return {*state.champions, *filter(None, [state.challenger])}


def record(ledger: Ledger, name: str, make: Callable[[State], Event | None]) -> State:
    """Add an event to the history; compare-and-set.

    Args:
        make: the event for a state, or None when there is nothing left to record; called again
            with the newer state when another writer came first. It raises to give up.

    Returns:
        The state after the event, with the aliases in line.
    """
    while True:
        state = read_state(ledger, name)
        event = make(state)
        if event is not None:
            ledger.append(name, replace(event, builds_on=state.head))
            if not _as_written(ledger, name).counts(event.id):
                continue
        return settle(ledger, name)


def settle(ledger: Ledger, name: str) -> State:
    """Bring the aliases in line with the history, also for a writer that was killed before it did.

    Each alias is set in one step, `champion` never removed. When the history grew meanwhile, the
    aliases are brought in line again, so that the last one to finish leaves them right.
    """
    while True:
        state = read_state(ledger, name)
        if state.settled:
            return state
        _write_aliases(ledger, state)
        if _as_written(ledger, name).head == state.head:
            ledger.mark_settled(name, state.accepted[-1])
            return read_state(ledger, name)


def _write_aliases(ledger: Ledger, state: State) -> None:
    present = ledger.aliases(state.name)
    for alias, version in state.aliases().items():
        if present.get(alias) != version:
            ledger.set_alias(state.name, alias, version)


def check_aliases(ledger: Ledger, name: str) -> State:
    """The state, after making sure that nobody else moved an alias.

    Raises:
        ForeignAliasWrite: an alias is not where the history put it.
    """
    deadline = time.monotonic() + FOREIGN_PATIENCE_S
    while True:
        states = replay_all(name, ledger.entries(name))
        present = ledger.aliases(name)
        gone = ledger.gone(name, set().union(*map(_aliased, states)))
        state = states[-1].without(gone)
        foreign = _foreign(states, present, gone)
        if foreign is None:
            return state
        unchanged = _as_written(ledger, name).head == state.head
        if unchanged and time.monotonic() > deadline:
            raise ForeignAliasWrite(name, foreign, state.aliases()[foreign], present.get(foreign))
        time.sleep(0.1)


def _foreign(
    states: Sequence[State], present: Mapping[str, int], gone: frozenset[int]
) -> str | None:
    """An alias that points where no state since the last settled one wants it.

    MLflow takes the alias of a version away with it. For `previous_champion` that is no harm, and
    the next event sets it anew; what is asked for as `champion` must not vanish unnoticed.
    """
    since = max((i for i, state in enumerate(states) if state.settled), default=0)
    for alias in ("champion", "previous_champion"):
        wanted = {state.without(gone).aliases()[alias] for state in states[since:]}
        if alias == "previous_champion" and states[-1].previous_champion in gone:
            wanted.add(None)
        if present.get(alias) not in wanted:
            return alias
    return None
