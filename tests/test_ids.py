"""Ids: unique, rising, and the same in and out of their strings."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import EPOCH_MS, IdSource, created_ms, lowest_at, read, show, wall_ms

IDS = st.integers(0, (1 << 63) - 1)


@given(
    clock=st.lists(st.integers(EPOCH_MS - 10, EPOCH_MS + 5), min_size=1, max_size=200),
    node=st.integers(0, 1023),
    floor=st.integers(0, 1 << 40),
)
def test_ids_rise_whatever_the_clock_does(clock: list[int], node: int, floor: int) -> None:
    """Also when it steps back, stands still, or is behind what others have made."""
    times = iter(clock)
    ids = IdSource(node, floor=floor, clock_ms=lambda: next(times))
    made = [ids.next() for _ in clock]
    assert all(a < b for a, b in pairwise(made))
    assert made[0] > floor or not floor
    assert all(0 <= id_ < 1 << 63 and id_ >> 12 & 1023 == node for id_ in made)


def test_a_full_millisecond_borrows_from_the_next() -> None:
    """Thousands within one millisecond are still unique."""
    ids = IdSource(5, clock_ms=lambda: EPOCH_MS + 1)
    made = [ids.next() for _ in range(20_000)]
    assert all(a < b for a, b in pairwise(made))
    assert created_ms(made[-1]) == EPOCH_MS + 1 + 20_000 // 4096


def test_nodes_make_different_ids() -> None:
    """In the same millisecond."""
    one, two = (IdSource(node, clock_ms=lambda: EPOCH_MS + 7) for node in (1, 2))
    assert not {one.next() for _ in range(100)} & {two.next() for _ in range(100)}


@pytest.mark.parametrize("node", [-1, 1024])
def test_a_node_number_has_ten_bits(node: int) -> None:
    """Others are refused."""
    with pytest.raises(ValueError, match="not within 0 to 1023"):
        IdSource(node)


def test_an_id_tells_when_it_was_made() -> None:
    """And marks the place of a time among all ids."""
    now = wall_ms()
    id_ = IdSource(3, clock_ms=lambda: now).next()
    assert created_ms(id_) == now
    assert lowest_at(now) <= id_ < lowest_at(now + 1)
    assert lowest_at(0) == 0


@given(IDS)
def test_strings_hold_ids_whole(id_: int) -> None:
    """Round trip, in lower case too."""
    text = show("msg", id_)
    assert len(text) == 17
    assert read("msg", text) == id_
    assert read("msg", "msg_" + text[4:].lower()) == id_
    assert read("rpl", text) is None


@given(IDS, IDS)
def test_strings_sort_as_ids_do(a: int, b: int) -> None:
    """So that a list of strings is in order of time."""
    assert (show("msg", a) < show("msg", b)) == (a < b)


def test_letters_that_look_like_digits_are_read_as_such() -> None:
    """As Crockford's base 32 wants it."""
    assert read("msg", "msg_OOOOOOOOOOOIL") == read("msg", "msg_0000000000011") == 33


@pytest.mark.parametrize(
    "text",
    [
        "",
        "msg_",
        "msg_000000000000",
        "msg_00000000000000",
        "msg_000000000000U",
        "msg_000000000000ß",
        "msg_00000000000\u0131\u017f",
        "msg_ZZZZZZZZZZZZZ",
        "MSG_0000000000001",
        "0000000000001",
    ],
)
def test_what_is_no_id_is_none(text: str) -> None:
    """Too short, too long, too large, of other letters or another prefix."""
    assert read("msg", text) is None


@given(st.text(max_size=20))
def test_any_text_can_be_asked(text: str) -> None:
    """Nothing escapes, and what is read is an id."""
    id_ = read("msg", "msg_" + text)
    assert id_ is None or 0 <= id_ < 1 << 63
