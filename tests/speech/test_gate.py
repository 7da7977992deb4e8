"""When the gate lets pass."""

from __future__ import annotations

import pytest

from speech.__main__ import passes
from speech.report import Result
from speech.score import Score


@pytest.mark.parametrize(
    ("engine", "half", "score", "is_passed"),
    [
        ("pico", "held_out", Score(1000, 100, 1000, 35), True),
        ("pico", "held_out", Score(1000, 101, 1000, 35), False),
        ("pico", "held_out", Score(1000, 100, 1000, 36), False),
        ("pico", "tuned", Score(1000, 999, 1000, 999), True),
        ("piper", "held_out", Score(1000, 999, 1000, 999), True),
    ],
)
def test_the_limits_count_for_the_default_voice_and_the_held_out_half(
    engine: str, half: str, score: Score, is_passed: bool
) -> None:
    """Ten percent of the words, three and a half of the digits; what was tuned with counts not."""
    assert passes([Result(engine, half, score, 1.0)]) is is_passed
