"""What only English needs: streets and doctors, states, decades, "w/" and other shorthand."""

from __future__ import annotations

import re

from tts.text import english_numbers as numbers
from tts.text.american_states import STATES
from tts.text.grammar import NUMERALS, Match

_COMPASS = {"N": "North", "S": "South", "E": "East", "W": "West"}
_KINDS = {"ST": "Street", "DR": "Drive"}
_IN_THE_HOUSE = "Apt|Suite|Ste|Unit|Floor|Fl|Room|Rm|North|South|East|West|[NSEW]\\b"
_NEW_SENTENCE = re.compile(rf"\s*$| (?!{_IN_THE_HOUSE})[A-Z]")
_STREET_ENDS = (
    rf"\s*[,#!?)]|\s*$| (?:[a-z&#0-9]|{_IN_THE_HOUSE}"
    r"|(?:APT|AND|AT|BY|FOR|FROM|IN|IS|NEAR|NEXT|ON|STE|SUITE|TO|UNIT)\b)"
)


def _street(match: Match) -> str:
    """After a house number it is a street, and its full stop may end the sentence."""
    ends = match["dot"] and _NEW_SENTENCE.match(match.string, match.end())
    return f"{match['name'].strip()} {_KINDS[match['kind'].upper()]}" + ("." if ends else "")


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
_PERIODS = {
    "wk": "week",
    "mo": "month",
    "hr": "hour",
    "yr": "year",
    "pp": "person",
    "appt": "appointment",
}
_BEFORE_US = "|".join(
    f"(?<={verb} US)"
    for verb in ("CALL", "VISIT", "SEE", "TEXT", "JOIN", "TELL", "FOLLOW", "FIND", "LET", "WITH")
)
_ZONES = {"E": "eastern", "C": "central", "M": "mountain", "P": "pacific"}
_BEFORE_U = {"c": "see ", "r": "are ", "4": "for "}
_WEEKDAYS = {
    **{"M": "Monday", "T": "Tuesday", "Tu": "Tuesday", "W": "Wednesday", "Th": "Thursday"},
    **{"TH": "Thursday", "F": "Friday", "Sa": "Saturday", "Su": "Sunday"},
}
_SHORT_DAY = "M|T[hu]?|W|F|S[au]"
_LETTER_SIZE = r"(?:[0-9]?X{0,3}[SL]|[0-9]X|M)"


def _hours(match: Match) -> str:
    """`1h 30m` as a length of time."""
    said = f"{match[1]} hour" + ("" if match[1] == "1" else "s")
    return said + (f" {match[2]} min" if match[2] else "")


def _days(match: Match) -> str:
    """`M/W/F` as three days."""
    return ", ".join(_WEEKDAYS[day] for day in match[0].split("/"))


def _period(match: Match) -> str:
    """`$99/mo` as what it is for a month."""
    return f" per {_PERIODS.get(match[1].lower(), match[1])}"


SPECIAL = (
    (
        "/",
        r"(?<=\w) ?/ ?((?i:day|week|month|hour|year|person|pair|wk|mo|hr|yr|pp|appt))\b",
        _period,
    ),
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
    ("/", r"(?:M(?<!\wM)/W(?:/F)?|T(?<!\wT)u?/T[hH])\b", _days),
    ("wW", r"(?<!\w)[wW]/ ?(?![oO]\b)(?=[A-Za-z0-9])", "with "),
    ("/", r"(?i)(?<!\w)b/c\b", "because"),
    ("/", r"(?i)(?<!\w)p/u\b", "pick up"),
    ("/", r"(?i)\band/or\b", "and or"),
    # "c u", "r u", "4 u", "ur gown"
    ("u", r"[cCrR4] (?<=\b[cCrR4] )(?=u\b)", lambda m: _BEFORE_U[m[0][0].lower()]),
    ("u", r"u(?<![\w.'/-]u)(?![\w'/-]|\.\w)", "you"),
    ("uU", r"[uU]r(?<![\w.'/-][uU]r)(?![\w'/-]|\.\w)", "your"),
    ("/", r"/(?<=[0-9apm]/) ?(?=(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun))", ", "),
    ("p", r"pp\b(?<=[0-9] pp)", "per person"),
    (
        "J",
        r"Jan\b(?:(?<=[BIObio][yfn] Jan)|(?<=until Jan)|(?<=mid[ -]Jan))\.?(?! [A-Z])",
        "January",
    ),
    (":", r"[rR][eE]:(?<!\w[rR][eE]:) ?(?=\w)", "about "),
    ("'", r"ec'd\b(?<=\b[Rr]ec'd)", "eceived"),
    ("'", r"eq'd\b(?<=\b[Rr]eq'd)", "equired"),
    (
        "c",
        r"conf\b(?:(?<=\b[tT]o conf)|(?<=\b2 conf)|(?<=[pP]l[sz] conf)|(?<=ease conf))\.?",
        "confirm",
    ),
    ("e", r"ea\b(?<=[0-9] ea)\.?(?! [A-Z])", "each"),
    ("1", r"(?<![\w:])1:1(?![\w:])", "one on one"),
    ("'", r"(?<![\w.])([2-9])' ?(?=(?:1[01]|[0-9]) [13]/[24]\")", r"\1 feet "),
    ("kK", r"(?<=[0-9])([kK]) ?- ?(?=\$ ?[0-9])", r"\1 to "),
    (".", r"[eE]st\.(?<!\w[eE]st\.) (?=[a-z$])", "estimated "),
    (
        "xX",
        r"\b[eE]xp(?:[.:]|\b)(?= ?(?:[0-9]|(?:Jan|Feb|Mar|Apr|May|Ju[nl]|Aug|Sep|Oct|Nov|Dec)))",
        "expires",
    ),
    ("U", rf"US\b(?:{_BEFORE_US})(?! (?:SIZE|SZ|[0-9]))", "us"),
    ("N", r"\bNYE\b", "New Year's Eve"),
    ("M", r"\bMO([BG])\b", lambda m: f"mother of the {'bride' if m[1] == 'B' else 'groom'}"),
    ("/", r"\b[nN]/[aA]\b", "not applicable"),
    ("/", r"(?<=[0-9])/ ?ea(?:ch)?\b\.?", " each"),
    ("/", r"(?<=[0-9])/ ?(?=\$)", " for "),
    ("/", r"(?<=[0-9])/ ?(?=[a-z]{2})", " per "),
    (
        "1",
        r"\b12(?::00)? ?(?:[pP]\.?[mM]\.? ?)?(?i:(noon|midnight))\b",
        lambda m: f"twelve {m[1].lower()}",
    ),
    ("-", r"(?i)(?<=[0-9m.]) ?- ?(?=(?:noon|midnight|close)\b)", " to "),
    ("-", r"([Nn]oon|NOON|[Mm]idnight) ?- ?(?=[0-9])", r"\1 to "),
    # "Tu-Sa 10-6"
    (
        "-",
        rf"\b({_SHORT_DAY}) ?- ?({_SHORT_DAY})(?=[:,]? [0-9]{{1,2}}(?![0-9]))",
        lambda m: f"{_WEEKDAYS[m[1]]} to {_WEEKDAYS[m[2]]}",
    ),
    # "Sizes S-XL, 0-28W, 2T-4T"
    ("-", rf"(?<![\w'-])({_LETTER_SIZE}) ?- ?(?={_LETTER_SIZE}(?![\w'-]))", r"\1 to "),
    ("WTM", r"(?<![\w#.,-])([0-9]{1,2}[WTM]?) ?- ?(?=[0-9]{1,2}[WTM]\b)", r"\1 to "),
    ("h", r"(?<![\w.,$#/:-])([1-9][0-9]?) ?h(?: ?([0-5]?[0-9]) ?m(?:ins?)?)?(?![\w'-])", _hours),
    ("i", r"ish\b(?:(?<=[0-9m]ish)|(?<=[0-9m]-ish))", " ish"),
    ("0", r"(?<![\w#.,/-])00 ?- ?(?=[1-9][0-9]?(?![\w-]))", "00 to "),
    ("0", r"\b100(0?)s\b", lambda m: "thousands" if m[1] else "hundreds"),
    # "$ave", and the name of an account
    ("$", r"(?<![\w$])\$(?=(?:ave|aving)\b)", "s"),
    ("$", r"(?<![\w$])\$(?=[A-Za-z])", " dollar sign "),
    (
        "T",
        r"(?:(?<=[pPaA][mM] )|(?<=[pPaA]\.[mM]\. )|(?<=:[0-9]{2} ))([ECMP])[SD]?T\b",
        lambda m: f"{_ZONES[m[1]]} time",
    ),
    ("fF", r"(?<=[0-9](?:st|nd|rd|th) )[fF][lL][rR]?\b(?:\.(?! [A-Z]|$))?", "floor"),
    ("F", r"\bFl\b\.? (?=[0-9])", "Floor "),
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
    (
        "NSEW",
        r"([NSEW])(?<!\w[NSEW])\.? (?=[0-9]{1,3}(?:st|nd|rd|th)\b)",
        lambda m: f"{_COMPASS[m[1]]} ",
    ),
    ("NSEW", r"(?<=[0-9] )([NSEW])\.?(?= (?:[A-Z0-9]))", lambda m: _COMPASS[m[1]]),
    (
        "SD",
        r"\b(?P<name>[0-9]{1,5},? (?:[A-Z][\w']{0,20} ){1,3}?|[0-9]{1,3}(?i:st|nd|rd|th) )"
        r"(?P<kind>S[tT]|D[rR])\b(?P<dot>\.?)",
        _street,
    ),
    (
        "SD",
        rf"\b(?P<name>[A-Z][A-Za-z']{{1,20}}) (?P<kind>S[tT]|D[rR])\b\.?(?={_STREET_ENDS})",
        lambda m: f"{m['name']} {_KINDS[m['kind'].upper()]}",
    ),
    ("S", r"\bS[tT]\b\.?(?= ?[A-Z][A-Za-z])", "Saint"),
    ("S", r"\bS[tT]\b\.?", "Street"),
    ("D", r"\bD[rR]\b\.?", "Doctor"),
    ("A", r"\bA(?:pt|PT)\b\.?(?= ?#?[0-9A-Z])", "Apartment"),
    ("R", r"\bR[mM]\b\.?(?= ?[0-9])", "Room"),
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
