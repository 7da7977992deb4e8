"""Written numbers and their values: thousands, decimals, signs."""

from __future__ import annotations

from typing import NamedTuple

from tts.text.grammar import Grammar, Rule, rule

LARGEST = 10**12
"""From here on a number is read digit by digit."""

POINT_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,4}(?![0-9])|[0-9]{1,15})(?:\.[0-9]{1,6})?"
COMMA_NUMBER = (
    r"(?:[0-9]{1,3}(?:[., ][0-9]{3}){1,4}(?![0-9])(?:[.,][0-9]{1,2}(?![0-9]))?"
    r"|[0-9]{1,15}(?:[.,][0-9]{1,6})?)"
)


class Figure(NamedTuple):
    """A number as written: `1,250.5` is 1250 and "5"."""

    whole: int
    decimals: str


def rules() -> list[Rule]:
    """`$.50` and `.5 yards` with the zero that stands before such a point."""
    return [rule(".", r"(?<![\w.,)])\.(?=[0-9]{1,3}(?![\w.]))", "0.")]


def number(g: Grammar) -> str:
    """The regular expression, without groups, of a number in this language."""
    return COMMA_NUMBER if g.has_decimal_comma else POINT_NUMBER


def read(g: Grammar, written: str) -> Figure:
    """The value of what `number(g)` matched."""
    if not g.has_decimal_comma:
        whole, _, decimals = written.replace(",", "").partition(".")
        return Figure(int(whole), decimals)
    plain = written.replace(" ", "")
    mark = max(plain.rfind("."), plain.rfind(","))
    is_grouped = mark <= 3 or plain[mark] in plain[:mark]  # "1.250", "1.000.000"
    if mark < 0 or (len(plain) - mark == 4 and is_grouped and plain[0] != "0"):
        return Figure(int(plain.replace(".", "").replace(",", "")), "")
    return Figure(int(plain[:mark].replace(".", "").replace(",", "")), plain[mark + 1 :])


def say(g: Grammar, figure: Figure, noun: str = "") -> str:
    """A figure in words, before `noun` if there is one: "two point five"."""
    if figure.whole >= LARGEST:
        return " ".join(g.digits[int(d)] for d in str(figure.whole))
    if not figure.decimals:
        return g.counting(figure.whole, noun)
    decimals = " ".join(g.digits[int(d)] for d in figure.decimals)
    return f"{g.cardinal(figure.whole)} {g.speech['point']} {decimals}"
