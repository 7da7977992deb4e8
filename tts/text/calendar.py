"""Clock times, dates and weekdays, alone and as ranges."""

from __future__ import annotations

import re
from math import gcd

from tts.text.grammar import NUMERALS, Grammar, Match, Rule, rule

_HALF = r"(?:[ap]\. ?m(?:\.|\b)|[ap]m\b)"
_TIME = (
    r"(?P<h{0}>[01]?[0-9]|2[0-4])(?:[:h](?P<m{0}>[0-5][0-9]))?"
    r"(?: ?(?P<ap{0}>" + _HALF + r"| ?h(?:rs?|s)?(?!\w)))?"
)
_DATE_CONTEXT = 24
_DATE_ENDS = "(?<=/[0-9])|(?<=/[0-9]{2})|(?<=/[0-9]{4})"
_DAY_ENDS = "(?<=[0-9/][0-9])(?! ?- ?(?:1/2|[13]/4|[1357]/8))"
_SIZE = re.compile(
    r"\b(?:sizes?|sz|tallas?|tailles?)[ :]{0,2}(?:[0-9/]{3,5}(?:, ?| ?& ?| and | or )){0,2}$",
    re.IGNORECASE,
)
_HOURS_NEXT = re.compile(r" [0-2]?[0-9](?![0-9])")
_DAY_BEFORE = re.compile(r"(?:\bon|\bthru|\bthrough|\buntil|day),? $", re.IGNORECASE)
_EACH_DAY = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th)?", re.IGNORECASE)
_LIST_ENDS = (
    r"(?=\s*(?:$|[.,;:!?()](?![0-9]))| (?:at|from|for|only|in|to|we|with|by|is|are)\b"
    r"| [0-9]{1,2}(?::[0-9]{2})? ?[ap-])"
)
"""Behind "Dec 5 & 6": no word that 6 might count."""
_FRACTION_AFTER = re.compile(
    r" ?(?:\"|inch|inches|in\b|yard|yd|off\b|of\b|hour|hr|day|price|size|cup|mile|pound|lb|foot"
    r"|ft\b|sleeve|length|carat|ct\b|cut\b|cup|manga|manche"
    r"|pulgada|yarda|hora|de\b|pouce|heure|prix|d')",
    re.IGNORECASE,
)


def clock_rules(g: Grammar) -> list[Rule]:
    """`10am-6pm`, `10:30 AM`, `14:00`; a full stop of "a.m." ends a sentence where one follows."""

    def half(text: str | None) -> str:
        return text.strip()[0].lower() if text else ""

    def said(hour: str, minute: str | None, ap: str, follow: str = "") -> str:
        if follow.startswith(" hora") and minute == "00":
            minute = None
        if minute == "00" and follow.lstrip().lower().startswith(("noon", "midnight")):
            minute, ap = None, "noon"
        return g.clock(int(hour), -1 if minute is None else int(minute), ap)

    def ends(match: Match) -> str:
        rest = match.string[match.end() :]
        is_end = not rest.strip() or re.match(r"\s+[A-Z]", rest) is not None
        return "." if match[0].endswith(".") and is_end else ""

    def single(match: Match) -> str:
        if match["m1"] is None and half(match["ap1"]) in unsaid:
            return match[0]
        rest = match.string[match.end() : match.end() + 10]
        return said(match["h1"], match["m1"], half(match["ap1"]), rest) + ends(match)

    def span(match: Match) -> str:
        halves = {half(match["ap1"]), half(match["ap2"])}
        if not (match["m1"] or match["m2"] or halves - unsaid):
            return match[0]
        first = said(match["h1"], match["m1"], half(match["ap1"]).strip("h"))
        second = said(match["h2"], match["m2"], half(match["ap2"]).strip("h"))
        return f"{first} {g.speech['to']} {second}{ends(match)}"

    unsaid = {"", "h"} if g.is_month_first else {""}
    edge = r"(?![\w:]|[.,]?[0-9])"
    return [
        rule(
            NUMERALS,
            r"(?<![\w:.,$/-])" + _TIME.format(1) + " ?- ?" + _TIME.format(2) + edge,
            span,
            re.IGNORECASE,
        ),
        rule(
            NUMERALS,
            r"(?<![\w:.,$/-])(?:" + _TIME.format(1) + ")" + edge,
            single,
            re.IGNORECASE,
        ),
    ]


def date_rules(g: Grammar) -> list[Rule]:
    """`2026-04-18`, `07/15`, `3/9/26`, `June 3-5, 2026`, `14 June`."""
    names = tuple(dict.fromkeys(g.months.values()))
    months = "|".join(sorted(g.months, key=len, reverse=True))
    counted = "|".join({*g.digits, *(g.cardinal(n).split()[0] for n in range(25))})
    hours = re.compile(rf" (?:[0-9]|(?:{counted})\b)")

    def year(text: str | None) -> str:
        if not text:
            return ""
        return g.year(int(text) if len(text) == 4 else 2000 + int(text))

    def iso(match: Match) -> str:
        month, day = int(match["m"]), int(match["d"])
        return g.date(names[month - 1], day, year(match["y"]))

    def numeric(match: Match) -> str:
        first, second = int(match["a"]), int(match["b"])
        month, day = (first, second) if g.is_month_first else (second, first)
        if month > 12:
            month, day = day, month
        if _is_fraction(g, match):
            return match[0]
        if _SIZE.search(_before(match)):
            return match[0].replace("/", ", ")
        if not (1 <= month <= 12 and 1 <= day <= 31):
            return match[0]
        said = g.date(names[month - 1], day, year(match["y"]))
        return said + ("," if hours.match(match.string, match.end()) else "")

    def days(match: Match) -> str:
        """`12/5-7`, of which only the first day has its month."""
        month, first, last = map(int, match.groups())
        if not 1 <= month <= 12 or last <= first or _is_part(month, first):
            return match[0]
        return f"{g.date(names[month - 1], first, '')} {g.speech['to']} {g.ordinal(last)}"

    def named(match: Match) -> str:
        word = match["month"]
        if word in ("may", "mar", "march", "sep") and not match["end"]:
            return match[0]
        said = g.date(g.months[word.lower()], int(match["d"]), "")
        if match["to"]:
            said += f" {g.speech['to']} {g.ordinal(int(match['to']))}"
        if match["more"]:
            said += _EACH_DAY.sub(lambda m: g.ordinal(int(m[1])), match["more"])
        said += f", {year(match['y'])}" if match["y"] else ""
        return said + ("," if hours.match(match.string, match.end()) else "")

    def day_first(match: Match) -> str:
        month = g.months[match["month"].lower()]
        if not g.is_month_first:
            first = f"{_day(g, match['from'])} {g.speech['to']} " if match["from"] else ""
            said = first + g.date(month, int(match["d"]), "")
            return said + ("," if _HOURS_NEXT.match(match.string, match.end()) else "")
        if match["of"]:
            return f"{g.ordinal(int(match['d']))} of {month} {year(match['y'])}"
        return g.date(month, int(match["d"]), year(match["y"]))

    rules = [
        rule(
            "/",
            rf"\b({months})\.?/({months})\b\.?",
            lambda m: f"{g.months[m[1].lower()]}/{g.months[m[2].lower()]}",
            re.IGNORECASE,
        ),
        # "12-Dec-2026", "12/Dec", "Dec-12"
        rule(
            "/-",
            rf"\b([0-3]?[0-9])([/-])({months})\2(?:20)?([0-9]{{2}})(?![\w/-])",
            r"\1 \3 20\4",
            re.IGNORECASE,
        ),
        rule("/", rf"(?<![\w/.-])([0-3]?[0-9])/(?=(?:{months})\b)", r"\1 ", re.IGNORECASE),
        rule("-", rf"\b({months})-(?=[0-3]?[0-9](?![\w/-]))", r"\1 ", re.IGNORECASE),
        rule(
            "/",
            rf"(?:{_DATE_ENDS if g.is_month_first else _DAY_ENDS}) ?- ?(?=[0-9]{{1,2}}/[0-9])",
            f" {g.speech['to']} ",
        ),
        rule(
            "-",
            rf"\b({months})\b\.? ?- ?({months})\b(?:\.(?=,? ?(?-i:[a-z0-9(])))?",
            lambda m: f"{g.months[m[1].lower()]} {g.speech['to']} {g.months[m[2].lower()]}",
            re.IGNORECASE,
        ),
        rule("-", rf"(?<=[0-9dht]) ?- ?(?=(?:{months})\b)", f" {g.speech['to']} ", re.IGNORECASE),
        rule(
            NUMERALS,
            r"(?<![\w/-])(?P<y>[12][0-9]{3})([/-])(?P<m>0[1-9]|1[0-2])\2"
            r"(?P<d>0[1-9]|[12][0-9]|3[01])(?![\d/-])",
            iso,
        ),
        rule(
            "/",
            r"(?<![\w/.])(?P<a>[0-3]?[0-9])/(?P<b>[0-3]?[0-9])(?:/(?P<y>[0-9]{4}|[0-9]{2}))?(?![\w/])",
            numeric,
        ),
        rule(
            NUMERALS,
            r"(?<![\w.,/#-])(?P<a>[0-3]?[0-9])([.-])(?P<b>[0-3]?[0-9])\2"
            r"(?P<y>20[0-9]{2}|(?<=[0-9]{2}\.[0-9]{2}\.)[0-9]{2})(?![\w/-]|\.[0-9])",
            numeric,
        ),
    ]
    if g.is_month_first:
        day = r"(?:[12][0-9]|3[01]|0?[1-9])"
        rules.insert(
            0,
            rule(
                "/", rf"(?<![\w/.])([01]?[0-9])/({day})-({day})(?![\w:/-]|\.[0-9]| ?[ap]\.?m)", days
            ),
        )
        end = r"(?:st|nd|rd|th)"
        spoken_year = r"(?:,? (?P<y>(?:19|20)[0-9]{2})(?!\w))?"
        rules += [
            rule(
                NUMERALS,
                rf"\b(?P<month>{months})\b\.?(?=,? (?:19|20)[0-9]{{2}}(?!\w))",
                lambda m: g.months[m["month"].lower()],
                re.IGNORECASE,
            ),
            rule(
                NUMERALS,
                rf"\b(?P<month>{months})\b\.?,? ?(?P<d>{day})(?P<end>{end}\b)?"
                rf"(?:(?: ?- ?| (?:to|thru|through) (?!{day} ?(?:[ap]\.?m|:)))"
                rf"(?P<to>{day})(?:{end}\b)?(?!\w))?"
                rf"(?P<more>(?:, ?{day}(?:{end})?){{0,3}},? (?:&|and) {day}(?:{end})?{_LIST_ENDS})?"
                rf"{spoken_year}(?![\w:]|[-.,/][0-9])",
                named,
                re.IGNORECASE,
            ),
            rule(
                NUMERALS,
                rf"(?<![\w$.,/:-])(?P<d>{day})(?:{end})?(?P<of> of)? "
                rf"(?P<month>{months.title()})\b\.?{spoken_year}",
                day_first,
            ),
        ]
    else:
        rules.append(
            rule(
                NUMERALS,
                r"(?<![\w$.,/:-])(?:(?P<from>[0-3]?[0-9])(?:er)? ?- ?)?"
                r"(?P<d>[12][0-9]|3[01]|0?[1-9])(?:er|ro|[º°])? (?:de )?"
                rf"(?P<month>{months})\b(?:\.(?!$| (?-i:[A-ZÀ-Ý])))?",
                day_first,
                re.IGNORECASE,
            )
        )
    return rules


def _day(g: Grammar, written: str) -> str:
    return g.ordinal(1) if int(written) == 1 else g.cardinal(int(written))


def _is_part(top: int, bottom: int) -> bool:
    """Whether people measure with it: `3/4`, but not `6/8`."""
    return top < bottom and bottom in (2, 3, 4, 8) and gcd(top, bottom) == 1


def _before(match: Match) -> str:
    return match.string[max(0, match.start() - _DATE_CONTEXT) : match.start()]


def _is_fraction(g: Grammar, match: Match) -> bool:
    """Whether `1/2` and the like are a part of something rather than a day."""
    top, bottom = int(match["a"]), int(match["b"])
    if match["y"] or bottom not in g.fractions or top >= bottom or match["a"][0] == "0":
        return False
    if re.search(
        r"(?:[0-9]|siz(?:e|es)|talla|taille|sleeves?|mangas?|manches?)[ -]?$",
        _before(match),
        re.IGNORECASE,
    ):
        return True
    fits = _FRACTION_AFTER.match(match.string, match.end()) is not None
    to = g.speech["to"]
    first = re.search(rf"([0-9]{{1,2}})/([0-9]{{1,2}}) {to} $", _before(match))
    last = re.compile(rf" {to} ([0-9]{{1,2}})/([0-9]{{1,2}})").match(match.string, match.end())
    if last:
        fits = _FRACTION_AFTER.match(match.string, last.end()) is not None
    if ends := first or last:  # a range, of days unless it measures
        return fits and _is_part(int(ends[1]), int(ends[2]))
    if not fits and _DAY_BEFORE.search(_before(match)):
        return False
    return fits or (top, bottom) == (1, 2)


def weekday_rules(g: Grammar) -> list[Rule]:
    """`Mon-Fri` as a range, `Tue` as Tuesday; `Sat` and `Sun` only where a day is meant."""
    days = "|".join(sorted((d for d in g.weekdays), key=len, reverse=True))
    months = "|".join(sorted(g.months, key=len, reverse=True))

    def span(match: Match) -> str:
        first, last = g.weekdays[match["a"].lower()], g.weekdays[match["b"].lower()]
        return f"{first} {g.speech['to']} {last}"

    def single(match: Match) -> str:
        word = match["a"]
        if word.islower() and (g.is_month_first or word in g.weekday_words) and not match["dot"]:
            return g.weekdays[word] if _is_day_beside(g, match) else match[0]
        if word.lower() in g.weekday_words and not (match["dot"] or _is_day(match)):
            return match[0]
        return g.weekdays[word.lower()]

    return [
        rule(
            "",
            rf"\b(?P<a>{days})\b\.?(?: ?- ?| {g.speech['to']} )(?P<b>{days})\b\.?",
            span,
            re.IGNORECASE,
        ),
        rule(
            "",
            rf"\b(?P<a>{days})\b(?P<dot>\.(?=,| (?:(?-i:[a-z0-9&@(/-])|(?:{months})\b)))?(?!')",
            single,
            re.IGNORECASE,
        ),
    ]


_NOUNS = frozenset({"mar", "mer", "jeu"})
_DAY_FOLLOWED = re.compile(r" (?:[0-9]|cerra|ferm[eé])")
_HOURS_FOLLOW = re.compile(r",? [0-9]{1,2}(?:/|:| ?[ap]\.?m)")
_ARTICLE = re.compile(
    r"\b(?:les?|du|au|el|los|al|del|et|y|on|this|next|every|by|until|til)\s$", re.IGNORECASE
)


def _is_day_beside(g: Grammar, match: Match) -> bool:
    """Whether `sam 10h`, `dim fermé`, `on sat` mean a day: by what stands beside it."""
    before = match.string[max(0, match.start() - 6) : match.start()]
    follows = match.string[match.end() : match.end() + 7]
    if g.is_month_first and match["a"] in g.weekday_words:
        return (
            before.endswith(("on ", "next ", "every ")) or _HOURS_FOLLOW.match(follows) is not None
        )
    is_after_article = match["a"] not in _NOUNS and _ARTICLE.search(before) is not None
    return _DAY_FOLLOWED.match(follows) is not None or is_after_article


_SENTENCE_START = re.compile(r"(?:^|[.!?]) ?$")
_DAY_AFTER = re.compile(
    r" ?[,&/)-]|\.| (?:and|or|at|from|by|until|[0-9]|noon"
    r"|(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)\b)",
    re.IGNORECASE,
)


def _is_day(match: Match) -> bool:
    """Inside a sentence a capital shows that a day is meant; at its start what follows does."""
    before = match.string[max(0, match.start() - 2) : match.start()]
    if not _SENTENCE_START.search(before):
        return True
    return _DAY_AFTER.match(match.string, match.end()) is not None
