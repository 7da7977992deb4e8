"""Skipping: engines that fail are left alone, and come back."""

from __future__ import annotations

import pytest

from tts.engine import EngineError, Overloaded
from tts.skipping import FAILURES_BEFORE_SKIP, FIRST_SKIP_S, LONGEST_SKIP_S, Skipping

BROKEN = EngineError("broken")


class Bench:
    """One engine and a clock."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.skipping = Skipping(["a", "b"], lambda: self.now)

    def wait_s(self) -> float | None:
        return self.skipping.wait_s("a")

    def fail(self, error: EngineError = BROKEN, times: int = 1) -> None:
        for _ in range(times):
            self.skipping.failed("a", error)

    def skipped_for_s(self) -> float:
        return self.skipping.health()[0].skipped_for_s


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_failure_alone_skips_nothing(bench: Bench) -> None:
    """One text that fails does not keep the others from an engine."""
    bench.fail(times=FAILURES_BEFORE_SKIP - 1)
    assert bench.wait_s() is None


def test_failures_in_a_row_skip(bench: Bench) -> None:
    """An engine that fails again and again is left alone, the others are not."""
    bench.fail(times=FAILURES_BEFORE_SKIP)
    assert bench.wait_s() is not None
    assert FIRST_SKIP_S / 2 <= bench.skipped_for_s() <= FIRST_SKIP_S
    assert bench.skipping.wait_s("b") is None


def test_success_forgets(bench: Bench) -> None:
    """Failures count only in a row."""
    bench.fail(times=FAILURES_BEFORE_SKIP - 1)
    bench.skipping.succeeded("a")
    bench.fail(times=FAILURES_BEFORE_SKIP - 1)
    assert bench.wait_s() is None


def test_one_tries_for_all(bench: Bench) -> None:
    """When the time is over one text tries the engine; the others skip it until that is known."""
    bench.fail(times=FAILURES_BEFORE_SKIP)
    bench.now += FIRST_SKIP_S
    assert bench.wait_s() is None
    assert bench.wait_s() is not None
    bench.skipping.succeeded("a")
    assert bench.wait_s() is None
    assert bench.wait_s() is None


def test_who_leaves_lets_the_next_try(bench: Bench) -> None:
    """A try that nobody waits for any more is not the last."""
    bench.fail(times=FAILURES_BEFORE_SKIP)
    bench.now += FIRST_SKIP_S
    assert bench.wait_s() is None
    bench.skipping.left("a")
    assert bench.wait_s() is None


def test_skips_grow_to_a_bound(bench: Bench) -> None:
    """Each failed try doubles the time, up to a minute."""
    bench.fail(times=FAILURES_BEFORE_SKIP)
    times = []
    for _ in range(12):
        times.append(bench.skipped_for_s())
        bench.now += LONGEST_SKIP_S
        assert bench.wait_s() is None
        bench.fail()
    assert 2 <= times[2] <= 4
    assert LONGEST_SKIP_S / 2 <= times[-1] <= LONGEST_SKIP_S


def test_late_failures_do_not_count_twice(bench: Bench) -> None:
    """Texts that were under way when the skip began do not make it longer."""
    bench.fail(times=FAILURES_BEFORE_SKIP)
    before = bench.skipped_for_s()
    bench.fail(times=50)
    assert bench.skipped_for_s() == before


def test_peer_names_the_time(bench: Bench) -> None:
    """A peer that says when to come back is left alone until then, from the first time."""
    bench.fail(EngineError("HTTP 429", retry_after_s=120.0))
    assert bench.skipped_for_s() == 120.0
    assert bench.wait_s() == 120.0
    bench.now += 120
    assert bench.wait_s() is None


@pytest.mark.parametrize(
    "error", [EngineError("too long", is_temporary=False), Overloaded("many wait")]
)
def test_not_the_engines_fault(bench: Bench, error: EngineError) -> None:
    """Texts that cannot be spoken, and our own full queue, skip nothing."""
    bench.fail(error, times=20)
    assert bench.wait_s() is None


def test_health(bench: Bench) -> None:
    """Operators see how often an engine failed and why."""
    bench.fail(times=2)
    told = bench.skipping.health()[0]
    assert (told.name, told.failures, told.last_reason) == ("a", 2, "broken")
    bench.skipping.succeeded("a")
    assert bench.skipping.health()[0].failures == 0
