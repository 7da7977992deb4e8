"""Rates, throttling and back-off, on a simulated clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.pacing import Bucket, DialPace, Meter, Suspension, Throttle, backoff_s


@given(
    rate=st.floats(0.5, 5000),
    waits=st.lists(st.floats(0.001, 2.0), min_size=1, max_size=60),
)
def test_a_bucket_never_lets_more_through_than_its_rate(rate: float, waits: list[float]) -> None:
    """Over any time, but for a tenth of a second's worth at once."""
    bucket = Bucket(rate, 0.0)
    now, sent = 0.0, 0
    for wait in waits:
        for _ in range(bucket.available(now)):
            bucket.take()
            sent += 1
        now += wait
    assert sent <= rate * now + max(1.0, rate * 0.1) + 1e-6


def test_a_bucket_says_when_the_next_may_go() -> None:
    """After that time there is one."""
    bucket = Bucket(2.0, 0.0)
    assert bucket.available(0.0) == 1
    bucket.take()
    assert bucket.available(0.0) == 0
    assert bucket.wait_s() == pytest.approx(0.5)
    assert bucket.available(0.5 + 1e-9) == 1


def test_no_rate_is_no_limit() -> None:
    """0 in the settings."""
    bucket = Bucket(0, 0.0)
    bucket.take()
    assert bucket.available(0.0) > 1_000_000
    assert bucket.wait_s() == 0.0


def test_throttling_pauses_once_for_all_that_was_on_its_way() -> None:
    """Each new pause is longer and its window smaller; what is accepted brings both back."""
    throttle = Throttle(8)
    assert throttle.refused(0.0)
    first = throttle.until
    assert not throttle.refused(0.0)
    assert (throttle.until, throttle.window) == (first, 4)
    assert throttle.is_paused(first - 0.01)
    assert not throttle.is_paused(first)
    for _ in range(20):
        throttle.refused(throttle.until)
    assert throttle.window == 1
    begun = throttle.until
    assert throttle.refused(begun)
    assert 15.0 <= throttle.until - begun <= 30.0
    for _ in range(20):
        throttle.accepted()
    assert throttle.window == 8
    begun = throttle.until
    throttle.refused(begun)
    assert throttle.until - begun <= 0.5


def test_a_carrier_that_says_it_is_congested_gets_less() -> None:
    """A quarter less for each windowful that it says so of; below that the window grows again."""
    throttle = Throttle(100)
    for _ in range(100):
        throttle.told(95)
        throttle.accepted()
    assert throttle.window == 75 * 3 // 4
    for _ in range(50):
        throttle.told(85)
        throttle.accepted()
    assert throttle.window == 75 * 3 // 4, "nearly congested: neither less nor more"
    for _ in range(100):
        throttle.told(79)
        throttle.accepted()
    assert throttle.window == 100


@given(st.lists(st.integers(0, 99), max_size=300), st.integers(1, 50))
def test_what_a_carrier_says_never_stops_a_link(loads: list[int], window: int) -> None:
    """One segment may always go, and never more than the window."""
    throttle = Throttle(window)
    for load in loads:
        throttle.told(load)
        throttle.accepted()
        assert 1 <= throttle.window <= window
        assert not throttle.is_paused(0.0)


@given(tries=st.integers(0, 100_000))
def test_back_off_doubles_up_to_its_longest_with_jitter(tries: int) -> None:
    """Never below half of the shortest, whatever the count."""
    assert 0.25 <= backoff_s(tries, 1.0, 60.0) <= 60.0
    assert backoff_s(10_000, 1.0, 60.0) >= 30.0


def test_a_meter_follows_the_rate() -> None:
    """Within a few tenths of a second, up and down."""
    meter = Meter(0.0)
    now = 0.0
    for _ in range(40):
        now += 0.05
        meter.add(50)
        meter.update(now)
    assert meter.rate == pytest.approx(1000, rel=0.05)
    assert meter.update(now + 2.0) < 50


def test_dialling_is_spread_over_time() -> None:
    """Links that were lost together do not all connect in the same second."""
    pace = DialPace(per_second=50.0, burst=5)
    waits = [pace.wait_s(100.0) for _ in range(200)]
    assert sum(wait < 1.0 for wait in waits) <= 56
    assert waits == sorted(waits)
    assert max(waits) < 4.0
    assert pace.wait_s(200.0) == 0.0, "a link by itself does not wait"


def test_a_suspension_grows_until_something_is_accepted() -> None:
    """Refusals of what was under way belong to the pause that the first began."""
    suspension = Suspension(60.0, 3600.0)
    assert suspension.refused(0.0, "ESME_RPROHIBITED")
    first = suspension.until
    assert 30.0 <= first <= 60.0
    assert not suspension.refused(1.0, "ESME_RPROHIBITED")
    assert suspension.until == first
    for _ in range(10):
        assert suspension.refused(suspension.until, "ESME_RPROHIBITED")
    assert suspension.until - 3600.0 >= first
    now = suspension.until
    suspension.accepted()
    assert suspension.refused(now, "ESME_RPROHIBITED")
    assert suspension.until - now <= 60.0


def test_another_rate_holds_at_once() -> None:
    """A node that got more binds may send more."""
    bucket = Bucket(100.0, 0.0)
    for _ in range(bucket.available(0.0)):
        bucket.take()
    bucket.set_rate(200.0, 0.0)
    assert bucket.available(0.05) == 10
