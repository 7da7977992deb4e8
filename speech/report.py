"""What the gate found, as lines for the terminal and as a page of the documentation."""

from __future__ import annotations

from typing import NamedTuple

from speech.score import Score

_NAMES = {"tuned": "tuned half", "held_out": "held-out half"}


class Result(NamedTuple):
    """One engine with one half of the messages."""

    engine: str
    half: str
    score: Score
    took_s: float


def summary(results: list[Result]) -> str:
    """One line for each result."""
    return "\n".join(
        f"{r.engine:6} {_NAMES[r.half]:14} words {r.score.word_error_rate:6.1%} of {r.score.words}"
        f"   digits {r.score.digit_error_rate:6.1%} of {r.score.digits}   {r.took_s:.0f} s"
        for r in results
    )


def page(results: list[Result], renders: int) -> str:
    """docs/speech.md, whole."""
    rows = "\n".join(
        f"| {r.engine} | {_NAMES[r.half]} | {r.score.word_error_rate:.1%} | {r.score.words} "
        f"| {r.score.digit_error_rate:.1%} | {r.score.digits} |"
        for r in results
    )
    return _PAGE.format(rows=rows, renders=renders)


_PAGE = """\
# How well callers understand what is said

`make speech` says {{}}
"""
