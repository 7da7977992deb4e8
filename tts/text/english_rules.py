"""What only English needs: streets and doctors, states, decades, "w/" and other shorthand."""

from __future__ import annotations

import re

from tts.text import english_numbers as numbers
from tts.text.american_states import STATES
from tts.text.grammar import NUMERALS, Match

_COMPASS = {"N": "North", "S": "South", "E": "East", "W": "West"}
_KINDS = {"St": "Street", "Dr": "Drive"}
_IN_THE_HOUSE = "Apt|Suite|Ste|Unit|Floor|Fl|Room|Rm|North|South|East|West|[NSEW]\\b"
_NEW_SENTENCE = re.compile(rf"\s*$| (?!{_IN_THE_HOUSE})[A-Z]")
_STREET_ENDS = rf"\s*[,#!?)]|\s*$| (?:[a-z&#0-9]|{_IN_THE_HOUSE})"


def _street(match: Match) -> str:
    """After a house number it is a street, and its full stop may end the sentence."""
    ends = match["dot"] and _NEW_SENTENCE.match(match.string, match.end())
    return f"{match['name'].strip()} {_KINDS[match['kind']]}" + ("." if ends else "")


def _decade(match: Match) -> str:
    """`1980s` as "nineteen eighties", `'90s` as "nineties"."""
    tens = numbers.cardinal(int(match["decade"]))
    said = f"{tens[:-1]}ies" if tens.endswith("y") else f"{tens}s"
    if match["decade"] == "00":
        said = "hundreds"
    return f"{numbers.cardinal(int(match['century']))} {said}" if match["century"] else said


_HOUR = r"(?:1[0-2]|0?[1-9])(?::[0-5][0-9])?"
_BEFORE_AN_HOUR = (
    r"(?:\b(?i:at|to|til|till|until|by|from|before|after|opens?|close[sd]?) |[@(] ?|[0-9m] ?- ?)"
)
_PERIODS = {"wk": "week", "mo": "month", "hr": "hour", "yr": "year", "pp": "person"}


def _period(match: Match) -> str:
    """`$99/mo` as what it is for a month."""
    return f" per {_PERIODS.get(match[1].lower(), match[1])}"


SPECIAL = (
    ("/", r"(?<=\w) ?/ ?((?i:day|week|month|hour|year|person|pair|wk|mo|hr|yr|pp))\b", _period),
    # "9a-5p", "til 8p", "the 7:15p slot": shorthand for hours before and after noon.
    (
        "ap",
        rf"(?<![\w.$#/-])({_HOUR})([ap])(?= ?- ?{_HOUR}(?:[ap]m?)?(?![\w:]))",
        r"\1\2m",
    ),
    ("ap", rf"({_BEFORE_AN_HOUR}{_HOUR}[ap])(?![\w']|\.[mM])", r"\1m"),
    (
        "apAP",
        r"(?<![\w.$#/-])((?:1[0-2]|0?[1-9]):[0-5][0-9][apAP])(?![\w']|\.[mM])",
        r"\1m",
    ),
    # "between 10-6" has two ends, and no way from one to the other.
    ("-", r"(?i)\b(?:between|btwn) ([$0-9:/apm. ]{1,12}?) ?- ?(?=[$0-9])", r"between \1 and "),
    (
        "kK",
        r"(?<![\w$.,])([0-9]{2}) ?[kK]t?\b(?= (?i:gold|white|yellow|rose|plated|solid|ring|band))",
        r"\1 karat",
    ),
    # "Prom '27"
    ("'", r"(?<![\w'\"])'(2[4-9]|3[0-9])(?![\w'\"])", lambda m: numbers.year(2000 + int(m[1]))),
    ("I", r"\b[Ii]nv\b\.?(?= ?#)", "invoice"),
    (".", r"\b[Nn]os?\. ?(?=#? ?[A-Z]{0,5}-?[0-9])", "number "),
    ("N", r"\bN[oO]\.? (?=#?[0-9]{2})", "number "),
    ("/", r"(?i)(?<!\w)w/in\b", "within"),
    ("'", r"\b([Aa])dd'l\b", r"\1dditional"),
    ("E", r"\bEst\.? (?=(?:1[89]|20)[0-9]{2}\b)", "Established "),
    ("wW", r"(?<!\w)[wW]/ ?(?=[A-Za-z0-9])", "with "),
    ("/", r"\b[nN]/[aA]\b", "not applicable"),
    ("/", r"(?<=[0-9])/ ?ea(?:ch)?\b\.?", " each"),
    ("/", r"(?<=[0-9])/ ?(?=\$)", " for "),
    ("/", r"(?<=[0-9])/ ?(?=[a-z]{2})", " per "),
    (
        "1",
        r"\b12(?::00)? ?(?:[pP]\.?[mM]\.? ?)?(?i:(noon|midnight))\b",
        lambda m: f"twelve {m[1].lower()}",
    ),
    ("-", r"(?<=[0-9m]) ?- ?(?=(?:noon|midnight)\b)", " to "),
    ("2", r"\b24/7\b", "twenty four seven"),
    ("s", r"(?<![\w.])'?(?P<century>1[789]|20)?(?P<decade>[0-9]0)'?s\b", _decade),
    (".", r"(?i)\be\.g\.,?", "for example"),
    (".", r"(?i)\bi\.e\.,?", "that is"),
    (".", r"(?i)\ba\.k\.a\.", "also known as"),
    ("pP", r"(?i)\bp\.? ?o\.? box\b", "P O box"),
    ("M", r"\bM ?- ?F\b", "Monday to Friday"),
    ("M", r"\bM ?- ?(?=(?:Th|Thurs?|Fri|Sat|Sun)\b)", "Monday to "),
    ("<", r"<(?= ?\$?[0-9])", " less than "),
    (">", r"(?<![=-])>(?= ?\$?[0-9])", " more than "),
    ("NSEW", r"(?<=[0-9] )([NSEW])\.?(?= (?:[A-Z0-9]))", lambda m: _COMPASS[m[1]]),
    (
        "SD",
        r"\b(?P<name>[0-9]{1,5},? (?:[A-Z][\w']{0,20} ){1,3}?|[0-9]{1,3}(?:st|nd|rd|th) )"
        r"(?P<kind>St|Dr)\b(?P<dot>\.?)",
        _street,
    ),
    (
        "SD",
        rf"\b(?P<name>[A-Z][a-z']{{1,20}}) (?P<kind>St|Dr)\b\.?(?={_STREET_ENDS})",
        lambda m: f"{m['name']} {_KINDS[m['kind']]}",
    ),
    ("S", r"\bSt\b\.?(?= ?[A-Z][a-z])", "Saint"),
    ("S", r"\bSt\b\.?", "Street"),
    ("D", r"\bDr\b\.?", "Doctor"),
    ("A", r"\bApt\b\.?(?= ?#?[0-9A-Z])", "Apartment"),
    ("R", r"\bRm\b\.?(?= ?[0-9])", "Room"),
    (
        ",",
        rf"(?<=[a-z], )({'|'.join(STATES)})\b(?=\.?,? [0-9]{{5}}\b|[.,;!?]|$)",
        lambda m: STATES[m[1]],
    ),
    (
        NUMERALS,
        rf"(?<=[a-z] )({'|'.join(STATES)})(?=,? [0-9]{{5}}\b)",
        lambda m: STATES[m[1]],
    ),
    ("~", r"~ ?(?=[$0-9])", "about "),
    ("+", r"(?<=[0-9])\+(?! ?[0-9])", " plus "),
)
