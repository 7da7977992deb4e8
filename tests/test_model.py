"""States, transitions, and what becomes of segments in doubt."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import (
    FINAL,
    FINAL_EVENTS,
    LANES,
    NEVER_LEFT,
    TRANSITIONS,
    Category,
    Cause,
    Channel,
    Event,
    EventKind,
    InDoubt,
    Lane,
    Message,
    State,
    advance,
    fold,
    is_settled,
    settle_doubt,
)
from gateway.store.queries import load

MOVES = """
accepted:   queue queued, hold held, claim submitting, suppress suppressed
queued:     claim submitting, hold held, expire expired, cancel canceled, suppress suppressed
held:       queue queued, expire expired, cancel canceled, suppress suppressed
submitting: return queued, hold held, submit submitted, refuse failed, doubt in_doubt, \
expire expired, suppress suppressed
submitted:  deliver delivered, miss undelivered
in_doubt:   return queued, submit submitted, deliver delivered, miss undelivered, refuse failed
"""
"""Every move there is, written a second time."""

SEGMENT_STATES = [s for s in State if s >= State.SUBMITTED]


def _moves() -> dict[tuple[str, str], str]:
    found = {}
    for line in MOVES.strip().splitlines():
        state, moves = line.split(":")
        for move in moves.split(","):
            event, after = move.split()
            found[state, event] = after
    return found


@pytest.mark.parametrize("event", list(Event))
@pytest.mark.parametrize("state", list(State))
def test_each_state_knows_what_each_event_does(state: State, event: Event) -> None:
    """State by state and event by event; what is not in the table does not happen."""
    after = advance(state, event)
    assert (after.word if after else None) == _moves().get((state.word, event.value))


def test_nothing_leaves_a_final_state() -> None:
    """And a state that nothing leaves is final."""
    assert {state for state in State if not TRANSITIONS[state]} == FINAL
    assert NEVER_LEFT <= FINAL


def test_every_final_state_and_doubt_has_an_event() -> None:
    """So that the timeline always tells the end."""
    assert set(FINAL_EVENTS) == FINAL | {State.IN_DOUBT}
    assert all(kind.name == state.name for state, kind in FINAL_EVENTS.items())
    assert EventKind.NO_RECEIPT.word == "no-receipt"


def test_the_statements_of_the_store_know_the_same_states() -> None:
    """SQL names states by number: those that settle a message, and those that a receipt settles."""
    settling = sorted(State(n) for n in (*NEVER_LEFT, State.FAILED, State.UNDELIVERED))
    by_receipt = [s for s in State if advance(s, Event.DELIVER)]
    lists = {
        tuple(State(int(n)) for n in re.findall(r"\d+", found))
        for file in ("dispatch", "receipts")
        for sql in load(file).values()
        for found in re.findall(r"state IN \(([\d, ]+)\)", sql)
    }
    assert lists == {tuple(settling), tuple(by_receipt)}


@given(segments=st.integers(1, 10), data=st.data())
def test_a_message_is_folded_from_its_segments(segments: int, data: st.DataObject) -> None:
    """Delivered when all are, over as soon as one is, waiting while any is to be sent."""
    states = data.draw(st.lists(st.sampled_from(SEGMENT_STATES), max_size=segments))
    waiting = data.draw(st.sampled_from([State.QUEUED, State.HELD, State.SUBMITTING]))
    folded = fold(segments, states, waiting)
    negative = set(states) & (FINAL - {State.DELIVERED})
    assert is_settled(segments, states) == (bool(negative) or len(states) >= segments)
    if negative:
        assert folded in negative
    elif len(states) < segments:
        assert folded is waiting
    elif State.IN_DOUBT in states:
        assert folded is State.IN_DOUBT
    else:
        assert (folded is State.DELIVERED) == (set(states) == {State.DELIVERED})
        assert folded in (State.DELIVERED, State.SUBMITTED)
    assert fold(segments, states[::-1], waiting) is folded, "their order does not matter"


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("category", list(Category))
def test_doubt_is_resolved_by_category_and_channel(
    category: Category, channel: Channel, cause: Cause
) -> None:
    """Marketing and calls at most once, all else at least once."""
    at_most_once = category is Category.MARKETING or channel is Channel.VOICE
    expected = InDoubt.WAIT_FOR_RECEIPT if at_most_once else InDoubt.SEND_AGAIN
    assert settle_doubt(category, channel, cause) is expected


def test_people_who_wait_come_first() -> None:
    """Transactional texts before forwards, and both before marketing."""
    order = sorted(Category, key=lambda category: LANES[category])
    assert order == [Category.TRANSACTIONAL, Category.SERVICE, Category.MARKETING]
    message = Message(1, 1, 1, Channel.SMS, Category.MARKETING, "s", "t", "b", 0, 1, 0)
    assert message.lane is Lane.MARKETING
