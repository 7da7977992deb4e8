"""Numbers that are names, said digit by digit in groups: phones, short codes, orders, receipts."""

from __future__ import annotations

import re
from collections.abc import Callable

from tts.text.grammar import NUMERALS, Grammar, Match, Rule, rule

_GROUPS = {5: (3, 2), 6: (3, 3), 7: (3, 4), 8: (4, 4), 9: (3, 3, 3), 10: (3, 3, 4)}
PAUSE = ". "
"""Between groups of digits. A comma is too short a pause: digits beside it are lost on the phone.
"""

_VOWELS = frozenset("aeiou")
_NUMBER_NEXT = re.compile(r" (?:[0-9]|/ ?\+?[0-9]|twenty four seven)")
_RUNS = re.compile(r"[0-9]+|[A-Za-z]+")
_PHONE = (
    r"(?<![\w.$])(?:\+?(?P<one>1)[-. ]{0,2})?(?:\((?P<a>[0-9]{3})\) ?-?|(?P<b>[0-9]{3})[-. /] ?)"
    r"(?P<c>[0-9]{3})[-. ](?P<d>[0-9]{4}|(?-i:[A-Z]{4}))(?![\w-])"
)
_EXTENSION = (
    r"(?:,? ?(?:extension|extensi[oó]n|ext|poste|x)(?![^\W\d])\.? ?#?(?P<x>[0-9]{1,6})(?!\w))?"
)
_ABROAD = r"(?<!\w)\+[1-9][0-9]{0,3}(?:[-. ()]{1,2}[0-9]{1,4}){2,6}(?![\w-])"
_E164 = r"(?<!\w)\+(?P<all>[1-9][0-9]{7,14})(?!\w)"
_LOCAL = r"(?<![\w.$/-])(?P<c>[0-9]{3})[-.](?P<d>[0-9]{4})(?![\w/-]|\.[0-9])"
_PAIRS = r"(?<![\w.$])0[0-9](?:[ .][0-9]{2}){4}(?!\w)"
_WRITTEN = (
    r"[A-Z]{0,5}-?[0-9][0-9A-Z]{0,29}"
    r"(?:-(?=[A-Z]{0,10}[0-9])[0-9A-Z]{1,20}){0,4}(?:-[A-Z]{1,3}(?!\w))?"
)
_HALVES = r"[0-9]{3} [0-9]{3}(?![\w,.]? ?[0-9])"
"""A code of six digits as the texts of codes write it: `482 913`."""
_POSTAL = r"(?<![\w-])([A-Z][0-9][A-Z]) ?([0-9][A-Z][0-9])(?![\w-])"
"""A Canadian postal code: `H2X 1Y4`."""
_SPACED = (
    r"(?<![\w.,$])(?:[6-9][0-9]{2}(?: [0-9]{3}){2}|[6-9][0-9][ .][0-9]{3}(?:[ .][0-9]{2}){2}"
    r"|[6-9][0-9]{2}(?:[ .][0-9]{2}){3}|(?:[1-9][0-9]|\([1-9][0-9]\)) [0-9]{4}[- ][0-9]{4})"
    r"(?!\w| ?[$€£]|[.,-][0-9])"
)
"""Spanish and Mexican numbers: `612 345 678`, `91 123 45 67`, `55 1234 5678`."""


def spell(g: Grammar, digits: str) -> str:
    """`48213` as "four eight two, one three"; runs of more than ten in threes."""
    if digits == "800":
        return g.cardinal(800)
    sizes = _GROUPS.get(len(digits)) or ((len(digits),) if len(digits) < 5 else (3,) * len(digits))
    groups, start = [], 0
    for size in sizes:
        if group := digits[start : start + size]:
            groups.append(" ".join(g.digits[int(d)] for d in group))
        start += size
    return PAUSE.join(groups)


def spell_id(g: Grammar, written: str) -> str:
    """`AB-1042` as "A B, one zero four two": letters one by one too, a pause at each change."""
    if len(written) < 3 and written.isdigit() and written[0] != "0":
        return g.cardinal(int(written))
    return ", ".join(
        spell(g, run) if run.isdigit() else _letters(run) for run in _RUNS.findall(written)
    )


def _letters(run: str) -> str:
    """Short runs are spelled, those that look like a word ("PROM25") are said."""
    is_word = len(run) > 3 and not _VOWELS.isdisjoint(run.lower())
    return run.lower() if is_word else " ".join(run.upper())


def phone_rules(g: Grammar) -> list[Rule]:
    """Phone numbers. A pause stands between groups and on both sides; +1 is not said."""

    def groups(*parts: str | None) -> str:
        return PAUSE.join(spell(g, p) if p.isdigit() else p.lower() for p in parts if p)

    def north_american(match: Match) -> str:
        area = match["a"] or match["b"]
        is_toll_free = area[0] == "8" and area[1] == area[2]
        first = f"{spell(g, '1')}, " if match["one"] and is_toll_free else ""
        return f" {first}{groups(area, match['c'], match['d'])}" + extension(match) + apart(match)

    def extension(match: Match) -> str:
        return f", {g.speech['extension']} {spell(g, match['x'])}" if match["x"] else ""

    def apart(match: Match) -> str:
        """A number that follows must not sound like a part of it."""
        return PAUSE if _NUMBER_NEXT.match(match.string, match.end()) else ""

    def runs(match: Match) -> str:
        return f" {groups(*re.findall('[0-9]+', match[0]))}{apart(match)}"

    def abroad(match: Match) -> str:
        return f" {g.speech['plus']} {groups(*re.findall('[0-9]+', match[0]))}"

    def e164(match: Match) -> str:
        digits = match["all"]
        if len(digits) == 11 and digits[0] == "1":
            return " " + spell(g, digits[1:])
        return f" {g.speech['plus']} {spell(g, digits)}"

    spaced = [rule(NUMERALS, _SPACED, runs)] if g.has_decimal_comma else []
    return [
        rule(NUMERALS, _PHONE + _EXTENSION, north_american, re.IGNORECASE),
        rule("+", _ABROAD, abroad),
        rule("+", _E164, e164),
        rule(NUMERALS, _LOCAL + _EXTENSION, lambda m: f" {groups(m['c'], m['d'])}{extension(m)}"),
        rule(NUMERALS, _PAIRS, runs),
        *spaced,
        rule(NUMERALS, _POSTAL, lambda m: ", ".join(" ".join(part) for part in m.groups())),
    ]


def id_rules(g: Grammar) -> list[Rule]:
    """Numbers after words such as "order" or "code", and those that look like nothing else."""
    number = g.speech["number"]
    alone = r"(?<![0-9] )" if g.has_decimal_comma else ""  # "1 000"

    def named(match: Match) -> str:
        link = match["link"]
        if "#" in link:
            link = link.replace("#", f" {number} ").replace(".", " ")
        return f"{match['word']}{link}{spell_id(g, match['id'])}"

    def numbered(match: Match) -> str:
        return f" {number} {spell_id(g, match[1])}"

    return [
        rule(
            NUMERALS,
            rf"\b(?P<word>(?i:{g.id_words}))(?P<link>(?:[ :]| ?#|\.){{1,2}} ?"
            rf"(?:(?i:{g.speech['is']})[ :] ?)?#? ?)(?P<id>{_HALVES}|{_WRITTEN})"
            r"(?![\w/]|[:.,][0-9])",
            named,
        ),
        rule("#", rf"# ?({_WRITTEN})(?!\w)", numbered),
        rule(
            NUMERALS,
            r"(?<![\w.,$€£/:-])((?=[0-9]{1,20}[A-Z]{1,20}[0-9])[0-9][0-9A-Z]{5,29})(?![\w/])",
            _spelled(g),
        ),
        rule(
            NUMERALS,
            r"(?<![\w.,$€£/:-])([A-Z]{1,5}-?[0-9]{3,}(?:-?[0-9A-Z]{1,12})?)(?![\w/])",
            _spelled(g),
        ),
        rule(NUMERALS, r"(?<![\w.,$€£/:-])([0-9]{3,12}-[A-Z]{1,3})(?![\w/-])", _spelled(g)),
        rule(
            NUMERALS,
            r"(?<![\w.,$€£/-])([0-9]{1,12}(?:-[0-9]{1,12}){2,6}|[0-9]{5}-[0-9]{4})(?![\w/-])",
            _spelled(g),
        ),
        rule(
            NUMERALS, rf"(?<![\w.,$€£])([0-9]{{5,}}|{alone}0[0-9]+)(?![\w/]|[.,][0-9])", _spelled(g)
        ),
    ]


def _spelled(g: Grammar) -> Callable[[Match], str]:
    return lambda match: spell_id(g, match[1])
