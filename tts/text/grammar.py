"""What a language has to tell the rules: its number words, its names and its abbreviations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Match = re.Match[str]
Noun = tuple[str, str]
"""One and several of what is counted: ("dollar", "dollars")."""


class Rule(NamedTuple):
    """One rewriting: where `pattern` matches, what `say` returns stands instead.

    `needs` are characters of which the text must have one; without them the rule is not tried.
    """

    needs: frozenset[str]
    pattern: re.Pattern[str]
    say: Callable[[Match], str] | str


@dataclass(frozen=True, slots=True)
class Grammar:
    """Tables of one language. Keys of mappings are lower case."""

    code: str
    letters: str
    """What it writes besides a to z, lower case."""
    digits: Sequence[str]
    cardinal: Callable[[int], str]
    counting: Callable[[int, str], str]
    """A number before a noun."""
    ordinal: Callable[[int], str]
    year: Callable[[int], str]
    house: Callable[[str], str]
    clock: Callable[[int, int, str], str]
    """Hour, minute and "a", "p" or "" as said."""
    date: Callable[[str, int, str], str]
    """Month name, day and the year in words or "" as said."""
    is_month_first: bool
    """Whether 3/9 is March 9."""
    has_decimal_comma: bool
    """Whether 2,5 may be two and a half; then 1.250 may be more than a thousand."""
    months: Mapping[str, str]
    """Names and abbreviations to names."""
    weekdays: Mapping[str, str]
    weekday_words: frozenset[str]
    """Abbreviations that are words too ("sat"): days only beside a day, a date or a time."""
    money: Mapping[str, tuple[Noun, Noun]]
    """Signs and codes to currency and its hundredth."""
    units: Mapping[str, Noun]
    fractions: Mapping[int, Noun]
    ordinal_ends: Mapping[str, str]
    """Ends of written ordinals to what becomes of the ordinal: "st" leaves it, "ª" makes it end
    in "a"."""
    id_words: str
    """Alternatives of a regular expression: words before a number that is read digit by digit."""
    streets: str
    """Alternatives of a regular expression: what makes a number before it, or after it, one of a
    house."""
    is_number_after_street: bool
    words: Mapping[str, str]
    """Abbreviations that are none other than that, with or without a full stop."""
    dotted: Mapping[str, str]
    """Abbreviations only with a full stop or in capitals at the start: "No.", "Co."."""
    titles: frozenset[str]
    """Of both, those after which a name follows: their full stop never ends a sentence."""
    symbols: Mapping[str, str]
    acronyms: frozenset[str]
    """Lower-case words that are spelled when in capitals."""
    short_words: frozenset[str]
    """Words of two and three letters that are said as words also in capitals."""
    speech: Mapping[str, str]
    """Single words of the rules: "to", "and", "point", "minus", "percent", "dot", "at" …"""
    special: Sequence[tuple[str, str, Callable[[Match], str] | str]] = field(default=())
    """Rules of this language alone, tried first: characters needed, pattern, what is said."""


def rule(needs: str, pattern: str, say: Callable[[Match], str] | str, flags: int = 0) -> Rule:
    """A Rule from plain text."""
    return Rule(frozenset(needs), re.compile(pattern, flags), say)


NUMERALS = "0123456789"
