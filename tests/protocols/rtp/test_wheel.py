"""The schedule of all calls, on a clock of the test's own; ports; who may be heard."""

from __future__ import annotations

from collections import Counter, defaultdict
from ipaddress import ip_network
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.rtp.latch import (
    LEARNING_PACKETS,
    SSRC_CHANGES,
    SourceLatch,
    SsrcGuard,
    is_within,
)
from protocols.rtp.ports import PortPool, PortsExhaustedError
from protocols.rtp.wheel import MAX_BEHIND, PERIODS, TICK_S, Wheel


def test_calls_are_spread_over_the_ticks() -> None:
    """300 calls of 20 ms: 75 in every tick, each every fourth."""
    wheel = Wheel(0.0)
    turns: dict[int, list[int]] = defaultdict(list)
    for n in range(300):
        wheel.add(n, PERIODS[20], turns[n].append)
    for tick in range(20):
        wheel.run(tick * TICK_S)
    assert set(Counter(tick for each in turns.values() for tick in each).values()) == {75}
    for ticks in turns.values():
        assert [b - a for a, b in zip(ticks, ticks[1:], strict=False)] == [4, 4, 4, 4]


@pytest.mark.parametrize("ptime_ms", PERIODS)
def test_each_length_of_packet_has_its_rhythm(ptime_ms: int) -> None:
    """10 to 60 ms, exactly, for as long as it goes on."""
    wheel = Wheel(100.0)
    ticks: list[int] = []
    wheel.add(1, PERIODS[ptime_ms], ticks.append)
    for n in range(1000):
        wheel.run(100.0 + n * TICK_S)
    assert {b - a for a, b in zip(ticks, ticks[1:], strict=False)} == {ptime_ms // 5}


@given(st.lists(st.floats(0, 0.3), max_size=80), st.sampled_from(sorted(PERIODS)))
def test_no_stall_makes_a_burst(pauses: list[float], ptime_ms: int) -> None:
    """However long the process was held up: the turns of one call are at most those of 40 ms
    together, no tick comes twice, and the schedule never drifts."""
    wheel = Wheel(5.0)
    ticks: list[int] = []
    wheel.add(1, PERIODS[ptime_ms], ticks.append)
    now = 5.0
    for pause in pauses:
        now += pause
        before = len(ticks)
        wheel.run(now)
        assert len(ticks) - before <= -(-MAX_BEHIND // PERIODS[ptime_ms])
    assert ticks == sorted(set(ticks))
    assert len({tick % PERIODS[ptime_ms] for tick in ticks}) <= 1
    assert wheel.due() > now - 1e-6


def test_a_short_stall_is_made_up_for() -> None:
    """After 30 ms nothing is missing."""
    wheel = Wheel(0.0)
    ticks: list[int] = []
    wheel.add(1, 1, ticks.append)
    for now in (0.0, 0.03, 0.035):
        wheel.run(now)
    assert ticks == list(range(8))
    assert wheel.skipped == 0


def test_members_may_leave_in_any_turn() -> None:
    """Whoever was removed has no turn any more, even in the same tick."""
    wheel = Wheel(0.0)
    seen: list[int] = []

    def leave(tick: int) -> None:
        seen.append(tick)
        wheel.remove(1)
        wheel.remove(2)

    wheel.add(1, 1, leave)
    wheel.add(2, 1, leave)
    wheel.run(0.1)
    assert len(seen) == 1
    assert len(wheel) == 0


def test_a_rest_is_not_made_up_for() -> None:
    """A wheel without members stands still and goes on from now."""
    wheel = Wheel(0.0)
    wheel.resume(1000.0)
    assert wheel.run(1000.0) == 0
    assert wheel.skipped == 0
    assert 1000.0 <= wheel.due() <= 1000.0 + TICK_S


# Ports --------------------------------------------------------------------------------------------


def test_ports_are_even_and_used_up() -> None:
    """Each pair once; then a typed error that says why."""
    pool = PortPool(10_001, 10_010, random=Random(1))  # noqa: S311
    taken = [pool.take(0.0) for _ in range(4)]
    assert sorted(taken) == [10_002, 10_004, 10_006, 10_008]
    with pytest.raises(PortsExhaustedError, match="4 of 4"):
        pool.take(0.0)
    assert pool.taken == 4


def test_a_port_rests() -> None:
    """Late packets of a call must not reach the next one."""
    pool = PortPool(10_000, 10_001, rest_s=60.0)
    port = pool.take(0.0)
    pool.give_back(port, 100.0)
    pool.give_back(port, 100.0)
    with pytest.raises(PortsExhaustedError):
        pool.take(159.9)
    assert pool.take(160.0) == port
    with pytest.raises(PortsExhaustedError):
        pool.take(1000.0)


@pytest.mark.parametrize(("first", "last"), [(10_001, 10_002), (80, 2000), (65_000, 65_536)])
def test_bad_ranges(first: int, last: int) -> None:
    """A range without a pair, of privileged ports or beyond the end."""
    with pytest.raises(LocalProtocolError):
        PortPool(first, last)


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 9)), max_size=80))
def test_no_port_is_lost_or_given_twice(steps: list[tuple[int, bool, int]]) -> None:
    """Whatever calls begin and end: a port has one call, rests after it, and is there again."""
    pool = PortPool(10_000, 10_019, rest_s=60.0)
    now, taken, rested = 0.0, [], dict[int, float]()
    for wait_s, is_taking, index in steps:
        now += wait_s
        if is_taking:
            try:
                port = pool.take(now)
            except PortsExhaustedError:
                assert len(taken) + sum(until > now for until in rested.values()) == 10
                continue
            assert port not in taken
            assert rested.pop(port, 0.0) <= now
            taken.append(port)
        elif taken:
            port = taken.pop(index % len(taken))
            pool.give_back(port, now)
            rested[port] = now + 60.0
    for port in taken:
        pool.give_back(port, now)
    assert len({pool.take(now + 60.0) for _ in range(10)}) == 10


# Sources ------------------------------------------------------------------------------------------

NETWORKS = (ip_network("192.0.2.0/24"),)
NAMED = ("192.0.2.2", 5000)
NEAR = ("192.0.2.9", 7000)
FAR = ("198.51.100.1", 5000)


def latch() -> SourceLatch:
    found = SourceLatch(NETWORKS)
    found.open(NAMED)
    return found


def test_the_named_source_is_taken_at_once() -> None:
    """And nobody after it."""
    ours = latch()
    assert ours.admit(NAMED, 1, 0)
    assert ours.locked == NAMED
    for n in range(20):
        assert not ours.admit(NEAR, 1, n)
    assert ours.wrong == 20


def test_another_source_has_to_earn_it() -> None:
    """A place behind address translation is taken after some packets in a row."""
    ours = latch()
    heard = [ours.admit(NEAR, 1, n) for n in range(LEARNING_PACKETS)]
    assert heard == [False] * (LEARNING_PACKETS - 1) + [True]
    assert ours.locked == NEAR
    assert not ours.admit(NAMED, 1, 0)


@pytest.mark.parametrize("numbers", [[0, 2, 4, 6, 8, 10], [0] * 20, [5, 4, 3, 2, 1, 0]])
def test_packets_not_in_a_row_earn_nothing(numbers: list[int]) -> None:
    """Late packets of an old call have gaps, or another stream's number."""
    ours = latch()
    assert not any(ours.admit(NEAR, 1, n) for n in numbers)
    assert not any(ours.admit(NEAR, n % 2, n) for n in range(20))


def test_strangers_earn_nothing() -> None:
    """Outside the trunk's networks, or where learning is off, or before SDP named a place."""
    shut = SourceLatch(NETWORKS, is_learning=False)
    shut.open(NAMED)
    unnamed = SourceLatch(NETWORKS)
    for n in range(20):
        assert not latch().admit(FAR, 1, n)
        assert not shut.admit(NEAR, 1, n)
        assert not unnamed.admit(NEAR, 1, n)


def test_many_strangers_do_not_hinder() -> None:
    """The memory of candidates is bounded, and the named source never depends on it."""
    ours = latch()
    for n in range(1000):
        ours.admit(("192.0.2.9", 10_000 + n), 1, n)
    assert ours.admit(NAMED, 1, 0)


def test_a_re_invite_opens_it_again() -> None:
    """The peer moved: its new place is taken, the old one no more."""
    ours = latch()
    ours.admit(NAMED, 1, 0)
    ours.open(NEAR)
    assert ours.admit(NEAR, 1, 0)
    assert not ours.admit(NAMED, 1, 1)


def test_addresses_within_networks() -> None:
    """Names and other families are in none."""
    both = (*NETWORKS, ip_network("2001:db8::/32"))
    assert is_within("192.0.2.1", both) and is_within("2001:db8::5", both)
    assert not any(is_within(each, both) for each in ("198.51.100.1", "::1", "example.com", ""))


def test_a_stream_may_change_its_number() -> None:
    """The answered call often has another SSRC than early media; its first word is hardly cut."""
    guard = SsrcGuard()
    assert [guard.admit(1, n, 0.02 * n) for n in range(3)] == [True] * 3
    assert [guard.admit(2, n, 0.06 + 0.02 * n) for n in range(3)] == [False, True, True]


def test_two_streams_at_once_are_one() -> None:
    """Injected packets among those of the true stream are never heard."""
    guard = SsrcGuard()
    for n in range(200):
        assert guard.admit(1, n, 0.02 * n)
        assert not guard.admit(2, n, 0.02 * n)


def test_changes_are_bounded_until_a_re_invite() -> None:
    """Further changes need silence first, and their number in a row is bounded."""
    guard = SsrcGuard()
    guard.admit(0, 0, 0.0)
    now, changes = 0.0, 0
    for ssrc in range(1, 20):
        now += 0.21
        changes += any([guard.admit(ssrc, n, now) for n in range(3)])
    assert changes == SSRC_CHANGES
    guard.renew()
    assert any([guard.admit(99, n, now) for n in range(3)])


def test_a_long_call_may_change_its_number_often() -> None:
    """An announcement service has another SSRC for every prompt; an hour of them is heard."""
    guard = SsrcGuard()
    heard = 0
    for prompt in range(200):
        for n in range(100):
            heard += guard.admit(prompt, n, prompt * 15.0 + n * 0.02)
    assert heard == 200 * 100 - 199


def test_the_second_change_waits_for_silence() -> None:
    """Quick changes back and forth are no telephone."""
    guard = SsrcGuard()
    guard.admit(1, 0, 0.0)
    assert any([guard.admit(2, n, 0.0) for n in range(3)])
    assert not any([guard.admit(3, n, 0.1) for n in range(3)])
    assert any([guard.admit(3, n, 0.3) for n in range(3, 6)])
