"""Keys over RTP (RFC 4733): each press once, whatever the network does."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.rtp.dtmf import (
    DIGITS,
    MAX_WAITING,
    DigitReceiver,
    DigitSender,
    TelephoneEvent,
    build,
    parse,
)


@dataclass(frozen=True)
class Sent:
    """A packet on its way; `press` numbers the presses."""

    payload: bytes
    timestamp: int
    sequence: int
    is_marked: bool
    press: int
    is_end: bool


def send(digits: str, *, duration_ms: int = 100, start: int = 0) -> list[Sent]:
    """All packets of keys, with audio packets between that take numbers."""
    sender = DigitSender()
    sender.add(digits, duration_ms, 60)
    packets: list[Sent] = []
    press = -1
    turn = 0
    while sender.is_busy:
        packet = sender.turn(turn * 160, 160)
        if packet is not None:
            press += packet.is_marked
            packets.append(
                Sent(
                    packet.payload,
                    (packet.timestamp + start) & 0xFFFFFFFF,
                    turn & 0xFFFF,
                    packet.is_marked,
                    press,
                    parse(packet.payload).is_end,
                )
            )
        turn += 1
    return packets


def hear(packets: list[Sent]) -> str:
    receiver = DigitReceiver()
    return "".join(
        digit
        for each in packets
        if (
            digit := receiver.receive(
                each.payload, each.timestamp, each.sequence, is_marked=each.is_marked
            )
        )
    )


def test_what_a_press_looks_like() -> None:
    """Marked at first, one timestamp, growing duration, the end three times."""
    packets = send("5", duration_ms=80)
    assert [each.is_marked for each in packets] == [True] + [False] * 5
    assert {each.timestamp for each in packets} == {0}
    reports = [parse(each.payload) for each in packets]
    assert [each.duration for each in reports] == [160, 320, 480, 640, 640, 640]
    assert [each.is_end for each in reports] == [False] * 3 + [True] * 3
    assert {(each.event, each.volume) for each in reports} == {(5, 10)}


def test_every_key_has_its_number() -> None:
    """0-9, *, #, A-D are 0 to 15, both ways."""
    assert hear(send(DIGITS)) == DIGITS
    assert [parse(each.payload).event for each in send(DIGITS) if each.is_marked] == [*range(16)]


def test_the_same_key_twice_is_two_presses() -> None:
    """A new timestamp is a new press."""
    assert hear(send("111")) == "111"


def test_a_press_is_heard_without_its_start() -> None:
    """Any one packet of a press is enough."""
    for each in send("7"):
        assert hear([each]) == "7"


def test_a_press_is_heard_at_its_first_packet() -> None:
    """A menu reacts to the press, not to its end."""
    assert hear(send("9")[:1]) == "9"


def test_timestamps_wrap() -> None:
    """A press over the wrap of the clock is one press."""
    assert hear(send("12", start=0xFFFFFFFF - 200)) == "12"


def test_a_key_held_long_is_one_press() -> None:
    """Beyond 8 s an event goes on in segments, each beginning where the last one ended."""
    receiver = DigitReceiver()
    heard = []
    timestamp = 1000
    for segment in range(3):
        for duration in range(160, 0x10000, 160):
            payload = build(TelephoneEvent(3, False, 10, duration))
            heard.append(receiver.receive(payload, timestamp, 0, is_marked=not segment))
        payload = build(TelephoneEvent(3, False, 10, 0xFFFF))
        heard.append(receiver.receive(payload, timestamp, 0))
        timestamp += 0xFFFF
    assert [each for each in heard if each] == ["3"]


def test_a_sender_that_moves_the_timestamp_presses_once() -> None:
    """Some gateways give each packet of a press its own time; the next press is heard all the
    same."""
    receiver = DigitReceiver()
    heard = []
    for press in range(2):
        for n in range(1, 6):
            payload = build(TelephoneEvent(4, n == 5, 10, n * 160))
            heard.append(
                receiver.receive(payload, press * 8000 + n * 160, press * 20 + n, is_marked=n == 1)
            )
    assert [each for each in heard if each] == ["4", "4"]


@given(st.lists(st.sets(st.integers(0, 7), max_size=6), min_size=1, max_size=4), st.data())
def test_a_sender_that_moves_the_timestamp_presses_once_through_loss(
    gone: list[set[int]], data: st.DataObject
) -> None:
    """Also when up to two packets in a row are missing, or when neighbours change places."""
    receiver = DigitReceiver()
    heard = []
    for press, missing in enumerate(gone):
        lost = {n for n in missing if not {n - 1, n - 2} <= missing} - {0, 7}
        kept = [n for n in range(8) if n not in lost]
        if not lost and data.draw(st.booleans()):
            swapped = data.draw(st.integers(1, len(kept) - 2))
            kept[swapped - 1 : swapped + 1] = kept[swapped - 1 : swapped + 1][::-1]
        for n in kept:
            payload = build(TelephoneEvent(4, n == 7, 10, n * 160 + 160))
            heard.append(
                receiver.receive(payload, press * 8000 + n * 160, press * 20 + n, is_marked=n == 0)
            )
    assert [each for each in heard if each] == ["4"] * len(gone)


def test_two_keys_may_bear_one_timestamp() -> None:
    """A gateway that lets its clock stand presses another key all the same."""
    receiver = DigitReceiver()
    heard = [
        receiver.receive(build(TelephoneEvent(event, is_end, 10, 800)), 5000, n)
        for n, (event, is_end) in enumerate(
            [(1, False), (1, True), (2, False), (1, True), (2, True)]
        )
    ]
    assert heard == ["1", None, "2", None, None]


def test_other_events_are_no_keys() -> None:
    """Flash hook, fax tones and their like are not told."""
    payload = build(TelephoneEvent(16, False, 10, 160))
    assert DigitReceiver().receive(payload, 0, 0) is None


PRESSES = st.text(st.sampled_from(DIGITS), min_size=1, max_size=8)


@given(PRESSES, st.data())
def test_each_press_is_heard_exactly_once(digits: str, data: st.DataObject) -> None:
    """Under loss of up to two of the three ends and of any others, copies, and packets that
    overtake each other by a few places."""
    packets = send(digits, start=data.draw(st.integers(0, 0xFFFFFFFF)))
    kept: list[Sent] = []
    for press in range(len(digits)):
        ours = [each for each in packets if each.press == press]
        ends = [each for each in ours if each.is_end]
        others = [each for each in ours if not each.is_end]
        survivors = data.draw(st.sets(st.sampled_from(ends), min_size=1))
        kept += [each for each in others if data.draw(st.booleans())]
        kept += [each for each in ends if each in survivors]
    copies = data.draw(st.lists(st.sampled_from(kept), max_size=5))
    late = [(each.sequence + data.draw(st.integers(0, 3)), each) for each in kept + copies]
    arrived = [each for _, each in sorted(late, key=lambda pair: pair[0])]
    assert hear(arrived) == digits


@given(PRESSES, st.randoms(use_true_random=False))
def test_each_press_is_heard_once_in_any_order(digits: str, random: object) -> None:
    """Even if everything is mixed up, no press is told twice."""
    packets = send(digits)
    random.shuffle(packets)  # type: ignore[attr-defined]
    assert len(hear(packets)) <= len(digits)


@given(st.lists(st.tuples(st.binary(max_size=6), st.integers(0, 0xFFFFFFFF), st.integers(0, 9))))
def test_any_payload_is_survived(packets: list[tuple[bytes, int, int]]) -> None:
    """Only the protocol's error comes out of what a peer sends as events."""
    receiver = DigitReceiver()
    for payload, timestamp, sequence in packets:
        if len(payload) >= 4:
            receiver.receive(payload, timestamp, sequence)


@pytest.mark.parametrize(
    ("digits", "duration_ms", "gap_ms"),
    [("", 100, 80), ("x", 100, 80), ("a", 100, 80), ("1", 30, 80), ("1", 9000, 80),
     ("1", 100, 20), ("1" * (MAX_WAITING + 1), 100, 80)],
)  # fmt: skip
def test_what_cannot_be_sent(digits: str, duration_ms: int, gap_ms: int) -> None:
    """No key, too short, too long, too many."""
    with pytest.raises(LocalProtocolError):
        DigitSender().add(digits, duration_ms, gap_ms)


@given(
    st.sampled_from([10, 20, 30, 40, 60]),
    st.integers(40, 500),
    st.integers(40, 200),
    st.lists(st.integers(1, 30), max_size=6),
)
def test_a_press_is_well_formed_whatever_its_packets(
    ptime_ms: int, duration_ms: int, gap_ms: int, stalls: list[int]
) -> None:
    """The duration only grows and ends where it was to end, in three packets; the next press begins
    after the gap; also when turns were left out."""
    sender = DigitSender()
    sender.add("12", duration_ms, gap_ms)
    step, time, packets = ptime_ms * 8, 0, []
    while sender.is_busy:
        packet = sender.turn(time, step)
        if packet is not None:
            packets.append((parse(packet.payload), packet))
        time += step * (stalls.pop() if stalls else 1)
    for event in (1, 2):
        ours = [report for report, _ in packets if report.event == event]
        durations = [each.duration for each in ours]
        assert durations == sorted(durations)
        assert [each.duration for each in ours if each.is_end] == [duration_ms * 8] * 3
        assert all(each.is_end for each in ours[-3:])
    one, two = ([p for r, p in packets if r.event == event] for event in (1, 2))
    assert two[0].timestamp - one[0].timestamp >= (duration_ms + gap_ms) * 8
    assert [each.is_marked for each in one] == [True] + [False] * (len(one) - 1)


def test_the_gap_is_kept() -> None:
    """Between two keys there is nothing for as long as was asked for."""
    packets = send("12")
    turns = [[each.sequence for each in packets if each.press == press] for press in (0, 1)]
    assert turns[1][0] - turns[0][-1] == 3
