import contextlib
import itertools
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from bertops.registry import history
from bertops.registry.client import VersionMissing
from bertops.registry.decide import Decision
from bertops.registry.gates import GateResult
from bertops.registry.history import (
    ForeignAliasWrite,
    LostRace,
    check_aliases,
    new_event,
    read_state,
    record,
)
from bertops.registry.params import RegistryParams
from bertops.registry.promote import NothingToKeep, approve, promote, reconcile, rollback
from tests.unit.registry.memory_ledger import Killed, MemoryLedger

PASS = (GateResult("any", True, "fine"),)
PARAMS = RegistryParams()


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setattr(history, "FOREIGN_PATIENCE_S", 0)


def crown(ledger, version, champion):
    return promote(ledger, Decision("m", version, champion, PASS), PARAMS)


@pytest.fixture
def ledger():
    """Versions 1 and 2 were promoted; 2 is the champion."""
    made = MemoryLedger()
    crown(made, 1, None)
    crown(made, 2, 1)
    return made


def test_the_order_is_that_of_the_writers_and_not_of_their_clocks(monkeypatch):
    """A clock that is set back an hour before each write."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    hours = itertools.count()
    backwards = SimpleNamespace(now=lambda zone: now - timedelta(hours=next(hours)))
    monkeypatch.setattr(history, "datetime", backwards)
    ledger = MemoryLedger()
    for version, champion in ((1, None), (2, 1), (3, 2)):
        crown(ledger, version, champion)
    rollback(ledger, "m", why="slower")
    state = read_state(ledger, "m")
    assert state.champions == (1, 2)
    when = [entry.event.when for entry in state.accepted]
    assert len(when) == 4
    assert when == sorted(when, reverse=True)


def test_a_decision_against_a_champion_that_is_gone_loses(ledger):
    stale = Decision("m", 3, 1, PASS)
    with pytest.raises(LostRace, match="is now version 2") as lost:
        promote(ledger, stale, PARAMS)
    assert (lost.value.expected, lost.value.found) == (1, 2)
    assert ledger.aliases("m")["champion"] == 2


def test_a_writer_that_comes_second_at_the_last_moment_is_told(ledger):
    ledger.before_append = lambda: crown(ledger, 3, 2)
    with pytest.raises(LostRace):
        crown(ledger, 4, 2)
    assert read_state(ledger, "m").champions == (1, 2, 3)
    assert len(read_state(ledger, "m").void) == 1
    assert ledger.aliases("m")["champion"] == 3


def test_a_writer_overtaken_by_something_harmless_tries_again_by_itself(ledger):
    ledger.before_append = lambda: approve(ledger, "m", 9, why="looks good")
    crown(ledger, 3, 2)
    assert read_state(ledger, "m").champion == 3


@pytest.mark.parametrize("writes", range(12))
@pytest.mark.parametrize("kind", ["promotion", "rollback"])
def test_killed_anywhere_the_champion_is_the_old_or_the_new_one(ledger, kind, writes):
    def act():
        if kind == "promotion":
            crown(ledger, 3, 2)
        else:
            rollback(ledger, "m", why="bad")

    new = 3 if kind == "promotion" else 1
    ledger.dies_after = writes
    with contextlib.suppress(Killed):
        act()
    ledger.dies_after = None
    assert ledger.aliases("m")["champion"] in (2, new)
    assert not ledger.champion_was_missing

    state = check_aliases(ledger, "m")  # what was left half done is no foreign write
    assert state.champion in (2, new)
    if state.champion == 2:
        act()
    approve(ledger, "m", 9, why="any next writer finishes what was begun")
    assert ledger.aliases("m")["champion"] == new
    assert ledger.aliases("m") == {k: v for k, v in read_state(ledger, "m").aliases().items() if v}


def test_fifty_threads_give_one_winner_per_round_and_a_linear_history(ledger):
    outcomes = []
    guard = threading.Lock()
    locked_append = ledger.append

    def append(name, event):
        with guard:  # the store's unique key
            return locked_append(name, event)

    ledger.append = append

    def attempt(version):
        try:
            crown(ledger, version, 2)
            outcomes.append("won")
        except LostRace:
            outcomes.append("lost")

    threads = [threading.Thread(target=attempt, args=(v,)) for v in range(10, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * 49 + ["won"]
    state = read_state(ledger, "m")
    assert len(state.champions) == 3
    assert ledger.aliases("m")["champion"] == state.champion


@pytest.mark.parametrize("alias", ["champion", "previous_champion"])
def test_an_alias_that_somebody_else_moved_stops_every_change(ledger, alias):
    ledger.set_alias("m", alias, 7)
    for act in (lambda: crown(ledger, 3, 2), lambda: rollback(ledger, "m", why="x")):
        with pytest.raises(ForeignAliasWrite) as found:
            act()
        assert (found.value.alias, found.value.found) == (alias, 7)
    assert read_state(ledger, "m").champion == 2


def test_a_removed_alias_is_a_foreign_write_too(ledger):
    ledger.set_alias("m", "champion", None)
    with pytest.raises(ForeignAliasWrite, match="was removed outside"):
        crown(ledger, 3, 2)
    reconcile(ledger, "m", keep=False, why="a slip")
    assert check_aliases(ledger, "m").champion == 2


def test_a_foreign_champion_can_be_kept(ledger):
    ledger.set_alias("m", "champion", 7)
    said = reconcile(ledger, "m", keep=True, why="incident 12")
    assert "kept" in said.sentence
    state = check_aliases(ledger, "m")
    assert (state.champion, state.previous_champion) == (7, 2)


@pytest.mark.parametrize(("alias", "set_to"), [("champion", None), ("previous_champion", 7)])
def test_keeping_what_is_no_champion_is_refused_and_undoes_nothing(ledger, alias, set_to):
    ledger.set_alias("m", alias, set_to)
    with pytest.raises(NothingToKeep, match="--undo"):
        reconcile(ledger, "m", keep=True, why="incident 12")
    assert ledger.aliases("m").get(alias) == set_to


def test_a_foreign_alias_can_be_undone_whichever_it_is(ledger):
    ledger.set_alias("m", "previous_champion", 7)
    reconcile(ledger, "m", keep=False, why="a slip")
    assert check_aliases(ledger, "m").previous_champion == 1


def test_the_same_promotion_again_changes_nothing(ledger):
    """As a flow does whose task is tried again; in the meantime the alias may not have moved."""
    crown(ledger, 2, 1)
    assert read_state(ledger, "m").champions == (1, 2)
    ledger.dies_after = 1  # the event is written, the aliases are not
    with pytest.raises(Killed):
        crown(ledger, 3, 2)
    ledger.dies_after = None
    crown(ledger, 3, 2)
    assert ledger.aliases("m") == {"champion": 3, "previous_champion": 2}
    assert [e.event.kind for e in read_state(ledger, "m").accepted] == ["promoted"] * 3


def test_a_rollback_passes_over_a_version_that_was_deleted(ledger):
    crown(ledger, 3, 2)
    ledger.delete("m", 2)
    assert rollback(ledger, "m", why="slower").to_version == 1
    assert ledger.aliases("m") == {"champion": 1}


def test_a_version_that_was_deleted_is_no_alias_again(ledger):
    crown(ledger, 3, 2)
    ledger.delete("m", 1)
    rollback(ledger, "m", why="slower")
    assert ledger.aliases("m") == {"champion": 2}
    crown(ledger, 4, 2)
    assert ledger.aliases("m") == {"champion": 4, "previous_champion": 2}


def test_a_deleted_champion_stops_every_change_until_somebody_decides(ledger):
    ledger.delete("m", 2)
    with pytest.raises(ForeignAliasWrite, match="champion was removed outside") as told:
        crown(ledger, 3, 1)
    assert "--keep" not in str(told.value)
    reconcile(ledger, "m", keep=False, why="2 was thrown away")
    assert ledger.aliases("m") == {"champion": 1}
    crown(ledger, 3, 1)
    assert ledger.aliases("m") == {"champion": 3, "previous_champion": 1}


def test_a_deleted_challenger_is_no_alias_again(ledger):
    record(ledger, "m", lambda state: new_event(state, "registered", 3, "files"))
    ledger.delete("m", 3)
    approve(ledger, "m", 4, why="looks good")
    assert ledger.aliases("m") == {"champion": 2, "previous_champion": 1}


def test_a_candidate_that_was_deleted_is_not_promoted(ledger):
    ledger.delete("m", 3)
    with pytest.raises(VersionMissing, match="no version 3"):
        crown(ledger, 3, 2)
    assert len(read_state(ledger, "m").accepted) == 2


def test_the_champion_is_the_first_alias_to_move(ledger):
    ledger.dies_after = 2  # the event and one alias
    with pytest.raises(Killed):
        crown(ledger, 3, 2)
    assert ledger.aliases("m") == {"champion": 3, "previous_champion": 1}


def test_a_rollback_tried_again_finishes_what_was_begun(ledger):
    ledger.dies_after = 1  # the event is written, the aliases are not
    with pytest.raises(Killed):
        rollback(ledger, "m", why="slower")
    ledger.dies_after = None
    assert ledger.aliases("m")["champion"] == 2
    assert not rollback(ledger, "m", to=1, why="slower").changed
    assert ledger.aliases("m") == {"champion": 1}
