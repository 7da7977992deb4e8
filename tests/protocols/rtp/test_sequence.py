"""Numbers of packets: loss, order, copies and jitter (RFC 3550 appendix A)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocols.rtp.sequence import MAX_DROPOUT, Arrival, SequenceTracker

START = st.integers(0, 0xFFFF)


def tracker(*numbers: int) -> tuple[SequenceTracker, list[Arrival]]:
    found = SequenceTracker()
    return found, [found.receive(each & 0xFFFF) for each in numbers]


def test_the_first_packet_counts() -> None:
    """The first word of a call is not thrown away on probation."""
    found, arrivals = tracker(7)
    assert arrivals == [Arrival.NEW]
    assert (found.received, found.expected, found.lost) == (1, 1, 0)


@given(START, st.integers(1, 500))
def test_counts_on_over_the_wrap(start: int, count: int) -> None:
    """65535 is followed by 0, without loss."""
    found, arrivals = tracker(*range(start, start + count))
    assert set(arrivals) == {Arrival.NEW}
    assert (found.received, found.lost) == (count, 0)
    assert found.highest & 0xFFFF == (start + count - 1) & 0xFFFF


@given(START, st.sets(st.integers(1, 200), max_size=60))
def test_counts_what_is_lost(start: int, gone: set[int]) -> None:
    """Loss is what did not come between first and last."""
    found, _ = tracker(*(start + n for n in range(202) if n not in gone))
    assert found.lost == len(gone)
    assert found.expected == 202


@given(START, st.permutations(range(60)), st.lists(st.integers(0, 59), max_size=20))
def test_order_and_copies_change_no_loss(start: int, order: list[int], copies: list[int]) -> None:
    """Each number is taken once, whatever the order; none is lost, none counted twice."""
    found = SequenceTracker()
    taken = [
        n
        for n in [*order, *copies]
        if found.receive((start + n) & 0xFFFF) in (Arrival.NEW, Arrival.REORDERED)
    ]
    assert sorted(taken) == list(range(60))
    assert (found.lost, found.duplicates) == (0, len(copies))


def test_a_far_number_is_not_believed_at_once() -> None:
    """One wild number changes nothing; two in a row are a new counting."""
    found, arrivals = tracker(1, 2, 30_000, 3, 30_000, 30_001, 30_002)
    assert arrivals == [
        Arrival.NEW, Arrival.NEW, Arrival.REJECTED, Arrival.NEW, Arrival.REJECTED,
        Arrival.RESTARTED, Arrival.NEW,
    ]  # fmt: skip
    assert found.received == 5
    assert found.lost == 0


@given(START, st.lists(START, max_size=300))
def test_never_counts_more_than_came(start: int, numbers: list[int]) -> None:
    """Any numbers at all: counts stay sane."""
    found, arrivals = tracker(start, *numbers)
    refused = sum(each in (Arrival.REJECTED, Arrival.DUPLICATE) for each in arrivals)
    assert found.received + refused == len(numbers) + 1
    assert found.expected >= found.received
    assert found.lost >= 0


def test_the_fraction_is_of_the_last_interval() -> None:
    """Each report tells the loss since the one before, in 256ths."""
    found, _ = tracker(0, 1, 2, 3, 4, 5, 6, 9)
    assert found.report_interval() == 2 * 256 // 10
    assert found.report_interval() == 0
    found.receive(10)
    assert found.report_interval() == 0
    found.receive(MAX_DROPOUT // 2)
    assert found.report_interval() == 255


def test_steady_packets_do_not_jitter() -> None:
    """Jitter is the change of the transit time, over the wrap of timestamps too."""
    found = SequenceTracker()
    for n in range(200):
        found.measure((0xFFFFFF00 + 160 * n) & 0xFFFFFFFF, n * 0.02)
    assert found.jitter == 0
    for n in range(200, 600):
        found.measure((0xFFFFFF00 + 160 * n) & 0xFFFFFFFF, n * 0.02 + n % 2 * 0.005)
    assert 35 <= found.jitter <= 41
    assert 4 < found.jitter_ms < 5.2
