"""What is counted or measured: fractions, percentages, units, ordinals, house numbers, years, and
every number that no other rule took.
"""

from __future__ import annotations

import re

from tts.text.digits import spell
from tts.text.figures import Figure, number, read, say
from tts.text.grammar import NUMERALS, Grammar, Match, Rule, rule

_NO_NOUN = r"(?!(?:at|by|for|from|has|in|is|its|on|or|and|this|to|was|with)\b)"
_PLURAL_FOLLOWS = re.compile(rf"(?: {_NO_NOUN}[a-z]{{2,20}}){{0,2}} {_NO_NOUN}[a-z]{{2,20}}s\b")
_NEXT_WORD = re.compile(r" ([^\W\d_]{1,30})")
_MEASURED = re.compile(
    r" ?(?:$|[,;:.!?)/x×&+]|(?:by|x|and|or|to|wide|long|tall|deep|high|at|heels?|trains?|veils?"
    r"|hems?|waist|bust|hips?|inseam|each|de|y|o|et|ou)\b)",
    re.IGNORECASE,
)
"""What follows "in" where it measures: `36 in long`, but `size 8 in ivory` and `3 in stock`."""


def _next_word(match: Match) -> str:
    follow = _NEXT_WORD.match(match.string, match.end())
    return follow[1] if follow else ""


def _is_measured(match: Match) -> bool:
    return match["dot"] is not None or _MEASURED.match(match.string, match.end()) is not None


_HEADS = r"(?:[NSEWO]\.? |(?:North|South|East|West) )?"


def fraction(g: Grammar, top: int, bottom: int) -> str:
    """`3/4` as "three quarters"."""
    one, several = g.fractions[bottom]
    return f"{g.counting(top, one)} {one if top == 1 else several}"


def fraction_rules(g: Grammar) -> list[Rule]:
    """`7 1/2` as "seven and a half", `3/4` as "three quarters"; other slashes as they stand."""
    bottoms = "|".join(str(n) for n in sorted(g.fractions, reverse=True))
    units = "|".join(re.escape(u) for u in sorted(g.units, key=len, reverse=True))

    def mixed(match: Match) -> str:
        top, bottom = int(match["top"]), int(match["bottom"])
        part, unit = fraction(g, top, bottom), (match["unit"] or "").lower()
        after = "" if not unit else f" {g.units[unit][bool(match['whole'])]}"
        if unit == "in" and not _is_measured(match):
            after = " in"
        if (top, bottom) == (1, 2) and (match["whole"] or not g.is_month_first):
            part = g.speech["a_half"]
            if not match["whole"] and g.counting(1, after.strip() or _next_word(match)) == "una":
                part = "media"
        if not match["whole"]:
            return part + after
        return f"{g.cardinal(int(match['whole']))} {g.speech['and_part']} {part}{after}"

    return [
        rule(
            "/",
            r"(?<![\w/.,$])(?:(?P<whole>[0-9]{1,4})[ -])?"
            rf"(?P<top>[0-9]{{1,2}})/(?P<bottom>{bottoms})(?![\w/]|\.[0-9])"
            rf"(?:[ -]?(?P<unit>(?i:{units}))(?![\w'])(?P<dot>\.(?!\w|\s+[A-Z]|$))?)?",
            mixed,
        ),
        rule("/", r"(?<=[0-9]) ?/ ?(?=[0-9])", " "),
    ]


def address_rules(g: Grammar) -> list[Rule]:
    """`1420 Main St.`: the number in pairs, as people say house numbers."""

    def house(match: Match) -> str:
        return g.house(match["n"])

    def houses(match: Match) -> str:
        """`100-102 Main St` are two; `45-10 Sample Blvd` is one, as in Queens."""
        low, high = match["low"], match["n"]
        to = f" {g.speech['to']} " if low and int(low) < int(high) else " "
        return f"{g.house(low)}{to}{g.house(high)}" if low else g.house(high)

    name = r"[A-ZÀ-Ý][\wÀ-ÿ'.]{0,20}|[0-9]{1,3}(?i:st|nd|rd|th)"
    if g.is_number_after_street:
        pattern = (
            rf"(?<=\b)(?P<street>(?:{g.streets})\b\.? (?:[^\W\d_]+\.? ){{0,3}}[^\W\d_]+,?)"
            r" (?:#|n[o°º]\.? ?)?(?P<n>[0-9]{1,5})(?![\w.,]?[0-9])"
        )
        return [rule(NUMERALS, pattern, lambda m: f"{m['street']} {house(m)}", re.IGNORECASE)]
    return [
        rule(
            NUMERALS,
            rf"(?<![\w$.,#-])(?:(?P<low>[0-9]{{2,5}}) ?- ?(?=[0-9]{{2}}))?(?P<n>[0-9]{{1,5}})"
            rf"(?=,? {_HEADS}(?:(?:{name}) ){{0,3}}(?i:{g.streets})\b)",
            houses,
        )
    ]


def measure_rules(g: Grammar) -> list[Rule]:
    """Percentages, feet and inches, units, `34x32`, ordinals."""
    figure = number(g)
    units = "|".join(re.escape(u) for u in sorted(g.units, key=len, reverse=True))
    ends = "|".join(re.escape(e) for e in sorted(g.ordinal_ends, key=len, reverse=True))
    to = g.speech["to"]

    def measured(match: Match) -> str:
        unit = match["unit"].lower()
        one, several = g.units[unit]
        if unit == "in" and not (match["link"] != " " or _is_measured(match)):
            return match[0]
        last = read(g, match["n"])
        is_one = last == Figure(1, "") or (g.is_month_first and match["link"] == "-")
        noun = one if is_one else several
        low = f"{say(g, read(g, match['low']))} {to} " if match["low"] else ""
        minus = f"{g.speech['minus']} " if match["minus"] else ""
        dot = "." if match["dot"] and re.match(r"$|\s+[A-Z]", match.string[match.end() :]) else ""
        return f"{minus}{low}{say(g, last, several)} {noun}{dot}"

    def feet(match: Match) -> str:
        foot, inch = g.units["ft"], g.units["in"]
        tall = int(match["feet"])
        said = f"{g.counting(tall, foot[1])} {foot[tall != 1]}"
        if match["inches"]:
            inches = int(match["inches"])
            said += f" {g.counting(inches, inch[1])} {inch[inches != 1]}"
        return said

    def ordinal(match: Match) -> str:
        said = _ordinal(g, match["n"], match["end"])
        if match["to"]:
            said += f" {to} {_ordinal(g, match['to'], match['end2'])}"
        return said

    low = rf"(?:(?P<low>{figure}) ?- ?)?"
    by = rf"\1 {g.speech['by']} "
    return [
        rule("%", r"(?<=[0-9]) ?% ?- ?(?=[0-9]{1,3}(?:[.,][0-9])? ?%)", "-"),
        rule("xX", rf"(?<=[0-9])( ?(?:{units}))\.? ?[xX] ?(?=[0-9])", by, re.IGNORECASE),
        rule("xX", r"(?<=[0-9]) ?[xX] ?(?=[0-9])", f" {g.speech['by']} "),
        rule(
            "'",
            r"(?<![\w.])(?P<feet>[1-9])'(?: ?(?P<inches>1[01]|[0-9])"
            r"(?:\"|''|(?<='[0-9])(?!\w|[/.]\w)|(?<='1[01])(?!\w|[/.]\w)))?(?!\w)",
            feet,
        ),
        rule(
            NUMERALS,
            rf"(?<![\w.])(?P<minus>(?<!\d)-)?{low}(?P<n>{figure})(?P<link>[ -]?)"
            rf"(?=[^\W\d_]|[%°\"])(?P<unit>{units})(?![\w'])(?P<dot>\.(?!\w))?",
            measured,
            re.IGNORECASE,
        ),
        rule("x", r"(?<=[0-9])x\b", f" {g.speech['times']}"),
        rule(
            NUMERALS,
            rf"(?<![\w.,$])(?P<n>[0-9]{{1,6}})\.?(?P<end>{ends})(?!\w)"
            rf"(?: ?- ?(?P<to>[0-9]{{1,6}})\.?(?P<end2>{ends})(?!\w))?",
            ordinal,
            re.IGNORECASE,
        ),
    ]


def _ordinal(g: Grammar, digits: str, written_end: str) -> str:
    said = g.ordinal(int(digits))
    end = g.ordinal_ends[written_end.lower()]
    return said[: -len(end)] + end if end else said


def number_rules(g: Grammar) -> list[Rule]:
    """Years, ranges, signs and plain numbers; after these no digit is left."""
    figure = number(g)

    def plain(match: Match) -> str:
        written = match["n"]
        follow = _next_word(match)
        return _number(g, written, match, "" if follow.lower() in g.short_words else follow)

    def signed(match: Match) -> str:
        return f"{g.speech['minus']} {plain(match)}"

    def span(match: Match) -> str:
        low = _number(g, match["low"], match, "")
        return f"{low} {g.speech['to']} {plain(match)}"

    return [
        rule(
            "-",
            rf"(?<![\w.,/-])(?P<low>{figure}) ?- ?(?P<n>{figure})(?![\w/-])",
            span,
        ),
        rule("-", rf"(?<![\w.)-])-(?P<n>{figure})", signed),
        rule(NUMERALS, rf"(?P<n>{figure})", plain),
    ]


def _number(g: Grammar, written: str, match: Match, follow: str) -> str:
    around = match.string
    start, end = match.start(), match.end()
    left = " " if start and around[start - 1].isalnum() else ""
    right = " " if end < len(around) and around[end].isalnum() else ""
    return left + _value(g, written, follow, around, end) + right


def _value(g: Grammar, written: str, follow: str, around: str, end: int) -> str:
    if written.isdigit():
        if len(written) > 1 and written[0] == "0":
            return spell(g, written)
        n = int(written)
        if len(written) == 4 and not _PLURAL_FOLLOWS.match(around, end):
            if 1900 <= n < 2050:
                return g.year(n)
            return g.year(n) if n % 100 == 0 and n % 1000 else _four(g, written)
    return say(g, read(g, written), follow)


def _four(g: Grammar, written: str) -> str:
    """A bare number of four digits is mostly a name (amounts have a comma): digit by digit."""
    return say(g, Figure(int(written), "")) if written.endswith("000") else spell(g, written)
