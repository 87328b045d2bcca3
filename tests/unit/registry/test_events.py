from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertops.registry.events import START, Entry, Event, HistoryBroken, parse, replay


def event(kind, to, builds_on, id=None):
    return Event(
        id or f"{kind}{to}{builds_on[:6]}", kind, "ann", "2026", "why", None, to, (), builds_on
    )


def history(*steps):
    """Entries that build on each other: ("promoted", 1), ("rolled_back", 1), …"""
    entries, head = [], START
    for number, (kind, to) in enumerate(steps, start=1):
        made = event(kind, to, head)
        entries.append(Entry(number, made))
        head = made.digest
    return entries


def test_an_event_survives_being_stored():
    made = replace(event("promoted", 3, START), gates=({"gate": "x", "passed": True, "low": 0.1},))
    assert parse(made.to_json()) == made
    assert parse(made.to_json()).digest == made.digest


def test_promotions_crown_and_the_challenger_is_used_up():
    state = replay(
        "m", history(("registered", 1), ("promoted", 1), ("registered", 2), ("promoted", 2))
    )
    assert state.aliases() == {"champion": 2, "previous_champion": 1, "challenger": None}


def test_rolling_back_twice_goes_back_two_versions_and_never_forth_to_the_bad_one():
    promoted = [("promoted", n) for n in (1, 2, 3)]
    once = replay("m", history(*promoted, ("rolled_back", 2)))
    assert (once.champion, once.previous_champion) == (2, 1)
    twice = replay("m", history(*promoted, ("rolled_back", 2), ("rolled_back", 1)))
    assert (twice.champion, twice.previous_champion) == (1, None)


def test_of_two_writers_that_saw_the_same_state_the_first_counts():
    first, second = event("promoted", 1, START), event("promoted", 2, START)
    state = replay("m", [Entry(1, first), Entry(2, second)])
    assert state.champion == 1
    assert state.counts(first.id)
    assert not state.counts(second.id)
    assert [entry.number for entry in state.void] == [2]


def test_an_entry_that_a_retried_request_wrote_twice_counts_once():
    made = event("promoted", 1, START)
    state = replay("m", [Entry(1, made), Entry(2, made)])
    assert len(state.accepted) == 1
    assert state.champions == (1,)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_altered_entry_is_found(place):
    entries = history(("promoted", 1), ("promoted", 2), ("promoted", 3))
    entries = [replace(entry, settled=entry.event.digest) for entry in entries]
    altered = replace(entries[place].event, why="something else")
    entries[place] = replace(entries[place], event=altered)
    with pytest.raises(HistoryBroken, match=f"entry {place + 1}"):
        replay("m", entries)


def test_an_altered_entry_is_found_by_the_next_even_when_it_was_never_settled():
    entries = history(("promoted", 1), ("promoted", 2))
    entries[0] = replace(entries[0], event=replace(entries[0].event, to_version=9))
    with pytest.raises(HistoryBroken, match="entry 2"):
        replay("m", entries)


def test_a_removed_entry_is_found():
    entries = history(("promoted", 1), ("promoted", 2), ("promoted", 3))
    with pytest.raises(HistoryBroken, match="entry 2: it is missing"):
        replay("m", [entries[0], entries[2]])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["promoted", "rolled_back", "registered", "refused"]), st.integers(1, 4)
        ),
        max_size=12,
    ),
    st.data(),
)
def test_whatever_losers_write_the_accepted_entries_form_one_chain(steps, data):
    entries, heads, head = [], [START], START
    for kind, to in steps:
        stale = data.draw(st.sampled_from(heads))
        made = event(kind, to, stale, id=str(len(entries)))
        entries.append(Entry(len(entries) + 1, made))
        if stale == head:
            head = made.digest
            heads.append(head)
    state = replay("m", entries)
    chain = [START, *(entry.event.digest for entry in state.accepted)]
    assert [entry.event.builds_on for entry in state.accepted] == chain[:-1]
    assert len(state.accepted) + len(state.void) == len(entries)
