"""What the gate found, as lines for the terminal and as a table in docs/speech.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from speech.score import Score

BEGIN = "<!-- results: written by python -m speech -->"
END = "<!-- end of results -->"
_NAMES = {"tuned": "tuned", "held_out": "held out"}
_HEAD = (
    "| Engine | Half | Word errors | of words | Digit errors | of digits |\n"
    "| --- | --- | ---: | ---: | ---: | ---: |\n"
)


class Result(NamedTuple):
    """One engine with one half of the messages."""

    engine: str
    half: str
    score: Score
    took_s: float


def summary(results: Sequence[Result]) -> str:
    """One line for each result."""
    return "\n".join(
        f"{r.engine:6} {_NAMES[r.half]:9} word errors {r.score.word_error_rate:6.1%} of "
        f"{r.score.words}   digit errors {r.score.digit_error_rate:6.1%} of {r.score.digits}"
        f"   {r.took_s:.0f} s"
        for r in results
    )


def with_results(page: str, results: Sequence[Result]) -> str:
    """The page with its table replaced; all else stays. Raises ValueError without the markers."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the page has no place for results between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{_table(results)}{END}{after}"


def _table(results: Sequence[Result]) -> str:
    return _HEAD + "".join(
        f"| {r.engine} | {_NAMES[r.half]} | {r.score.word_error_rate:.1%} | {r.score.words} "
        f"| {r.score.digit_error_rate:.1%} | {r.score.digits} |\n"
        for r in results
    )
