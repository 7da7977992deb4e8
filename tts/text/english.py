"""English as spoken in the United States."""

from __future__ import annotations

from tts.text import english_numbers as numbers
from tts.text.grammar import Grammar, Match

_MONTHS = (
    "January February March April May June July August September October November December"
).split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_TITLE_WORDS = {
    "mr": "Mister",
    "mrs": "Missus",
    "ms": "Miz",
    "prof": "Professor",
    "rev": "Reverend",
    "capt": "Captain",
    "sgt": "Sergeant",
    "gov": "Governor",
    "mt": "Mount",
    "ft": "Fort",
}


def _clock(hour: int, minute: int, half: str) -> str:
    """Minute -1: none was written. `half` "noon": that word follows."""
    said = numbers.cardinal(hour)
    if minute > 0:
        said += f" zero {numbers.DIGITS[minute]}" if minute < 10 else f" {numbers.cardinal(minute)}"
    elif minute == 0 and not half:
        if hour == 0:
            return "midnight"
        said += " o'clock" if hour <= 12 else " hundred"
    if half in ("a", "p"):
        said += f" {half.upper()} M"
    return said


def _date(month: str, day: int, year: str) -> str:
    return f"{month} {numbers.ordinal(day)}" + (f", {year}" if year else "")


def _counting(n: int, _noun: str) -> str:
    return numbers.cardinal(n)


_KINDS = {"St": "Street", "Dr": "Drive"}


def _noon(match: Match) -> str:
    return f"{'twelve '}{match[1].lower()}"


_STREET_AFTER = (
    r"\s*[,#!?)]|\s*$| (?:[a-z&#0-9]|Apt|Suite|Ste|Unit|Floor|Fl|North|South|East|West|[NSEW]\b)"
)

ENGLISH = Grammar(
    code="en",
    letters="",
    digits=numbers.DIGITS,
    cardinal=numbers.cardinal,
    counting=_counting,
    ordinal=numbers.ordinal,
    year=numbers.year,
    house=numbers.house,
    clock=_clock,
    date=_date,
    is_month_first=True,
    has_decimal_comma=False,
    months={
        **{name.lower(): name for name in _MONTHS},
        **{name[:3].lower(): name for name in _MONTHS},
        "sept": "September",
    },
    weekdays={
        **{name.lower(): name for name in _DAYS},
        **{name[:3].lower(): name for name in _DAYS},
        "tues": "Tuesday",
        "weds": "Wednesday",
        "thur": "Thursday",
        "thurs": "Thursday",
    },
    weekday_words=frozenset({"sat", "sun", "wed"}),
    money={
        "$": (("dollar", "dollars"), ("cent", "cents")),
        "usd": (("dollar", "dollars"), ("cent", "cents")),
        "us$": (("dollar", "dollars"), ("cent", "cents")),
        "€": (("euro", "euros"), ("cent", "cents")),
        "eur": (("euro", "euros"), ("cent", "cents")),
        "£": (("pound", "pounds"), ("penny", "pence")),
        "gbp": (("pound", "pounds"), ("penny", "pence")),
    },
    units={
        "%": ("percent", "percent"),
        "lb": ("pound", "pounds"),
        "lbs": ("pound", "pounds"),
        "oz": ("ounce", "ounces"),
        "in": ("inch", "inches"),
        '"': ("inch", "inches"),
        "ft": ("foot", "feet"),
        "yd": ("yard", "yards"),
        "yds": ("yard", "yards"),
        "mi": ("mile", "miles"),
        "mph": ("mile an hour", "miles an hour"),
        "mm": ("millimeter", "millimeters"),
        "cm": ("centimeter", "centimeters"),
        "km": ("kilometer", "kilometers"),
        "kg": ("kilogram", "kilograms"),
        "hr": ("hour", "hours"),
        "hrs": ("hour", "hours"),
        "min": ("minute", "minutes"),
        "mins": ("minute", "minutes"),
        "sec": ("second", "seconds"),
        "secs": ("second", "seconds"),
        "wk": ("week", "weeks"),
        "wks": ("week", "weeks"),
        "mo": ("month", "months"),
        "mos": ("month", "months"),
        "yr": ("year", "years"),
        "yrs": ("year", "years"),
        "pc": ("piece", "pieces"),
        "pcs": ("piece", "pieces"),
        "pr": ("pair", "pairs"),
        "doz": ("dozen", "dozen"),
        "sq ft": ("square foot", "square feet"),
        "°": ("degree", "degrees"),
        "°f": ("degree", "degrees"),
        "°c": ("degree Celsius", "degrees Celsius"),
        "gb": ("gigabyte", "gigabytes"),
        "mb": ("megabyte", "megabytes"),
        "k": ("thousand", "thousand"),
    },
    fractions={
        2: ("half", "halves"),
        3: ("third", "thirds"),
        4: ("quarter", "quarters"),
        5: ("fifth", "fifths"),
        8: ("eighth", "eighths"),
        16: ("sixteenth", "sixteenths"),
    },
    ordinal_ends={"st": "", "nd": "", "rd": "", "th": ""},
    id_words=(
        "orders?|tickets?|invoices?|code|codes|number|numbers|ref|reference|account|acct|claim|case"
        "|receipt|ids?|sku|pin|confirmation|tracking|card|ending in|ends in|item|style|po|extension"
        "|ext|text|model|lot|password|passcode"
    ),
    streets=(
        "street|st|avenue|ave|boulevard|blvd|road|rd|lane|ln|drive|dr|court|ct|place|pl|highway|hwy"
        "|parkway|pkwy|square|sq|terrace|ter|way|plaza|circle|cir|broadway|route|turnpike|tpke"
    ),
    is_number_after_street=False,
    words={
        **_TITLE_WORDS,
        "ft": "feet",
        "mt": "Mount",
        "appt": "appointment",
        "appts": "appointments",
        "ave": "Avenue",
        "blvd": "Boulevard",
        "rd": "Road",
        "ln": "Lane",
        "hwy": "Highway",
        "pkwy": "Parkway",
        "ste": "Suite",
        "bldg": "Building",
        "dept": "department",
        "qty": "quantity",
        "ext": "extension",
        "hrs": "hours",
        "hr": "hour",
        "mins": "minutes",
        "lbs": "pounds",
        "pls": "please",
        "plz": "please",
        "thx": "thanks",
        "msg": "message",
        "tel": "telephone",
        "asap": "as soon as possible",
        "fyi": "for your information",
        "aka": "also known as",
        "vs": "versus",
        "etc": "et cetera",
        "approx": "approximately",
        "incl": "including",
        "excl": "excluding",
        "acct": "account",
        "bday": "birthday",
        "tmrw": "tomorrow",
        "mgr": "manager",
        "jr": "Junior",
        "corp": "Corporation",
        "ltd": "Limited",
        "rsvp": "R S V P",
    },
    dotted={
        **_TITLE_WORDS,
        "sr": "Senior",
        "inc": "Incorporated",
        "co": "Company",
        "apt": "Apartment",
        "rm": "Room",
        "ct": "Court",
        "pl": "Place",
        "sq": "Square",
        "vol": "volume",
        "pg": "page",
        "num": "number",
        "misc": "miscellaneous",
        "ea": "each",
    },
    titles=frozenset({*_TITLE_WORDS, "dr", "ext", "tel", "vol", "pg", "num", "apt", "rm", "ste", "vs"}),
    symbols={
        "w/o": "without",
        "b/w": "between",
        "c/o": "care of",
        "&": "and",
        "@": "at",
        "+": "plus",
        "=": "equals",
        "%": "percent",
        "#": "number",
        "€": "euros",
        "£": "pounds",
        "$": "dollars",
        "¢": "cents",
        "°": "degrees",
    },
    acronyms=frozenset(
        "id ids vip atm faq usa us uk am pm pdf diy tv sku po qr gps dj llc sms ny nyc la ok ceo mc "
        "est pst uv ac cd dvd ups usps irs dob eta fbi er rn md aka".split()
    )
    - {"ok"},
    short_words=frozenset(
        "a an as at be by do go he hi i if in is it me my no of oh on or so to up us we you all and any "
        "are ask bag big but buy can day did due end few fit for fun get got had has her him his hot how "
        "its let lot low may men new not now off old one our out own pay put red sale see set she sun the "
        "tie top try two tux use was way who why win won yes yet ok".split()
    )
    - {"us"},
    speech={
        "to": "to",
        "and": "and",
        "or": "or",
        "point": "point",
        "minus": "minus",
        "plus": "plus",
        "by": "by",
        "times": "times",
        "a_half": "a half",
        "thousand": "thousand",
        "million": "million",
        "of_scale": "",
        "number": "number",
        "is": "is",
        "extension": "extension",
        "hashtag": "hashtag",
        "dot": "dot",
        "at": "at",
        "dash": "dash",
        "underscore": "underscore",
        "slash": "slash",
    },
    special=(
        (".", r"\b[Nn]os?\. ?(?=#? ?[A-Z]{0,5}-?[0-9])", "number "),
        ("N", r"\bN[oO]\.? (?=#?[0-9]{2})", "number "),
        ("wW", r"(?<!\w)[wW]/ ?(?=[A-Za-z0-9])", "with "),
        ("1", r"\b12(?::00)? ?(?:[pP]\.?[mM]\.? ?)?(?i:(noon|midnight))\b", _noon),
        ("2", r"\b24/7\b", "twenty four seven"),
        (".", r"(?i)\be\.g\.,?", "for example"),
        (".", r"(?i)\bi\.e\.,?", "that is"),
        (".", r"(?i)\ba\.k\.a\.", "also known as"),
        ("pP", r"(?i)\bp\.? ?o\.? box\b", "P O box"),
        ("NSEW", r"(?<=[0-9] )([NSEW])\.?(?= (?:[A-Z0-9]))", lambda m: _COMPASS[m[1]]),
        (
            "SD",
            r"\b(?P<name>[A-Z][a-z']{1,20}|[0-9]{1,3}(?:st|nd|rd|th)) (?P<kind>St|Dr)\b"
            rf"(?:\.?(?={_STREET_AFTER})|(?=\.\s+[A-Z](?!\w* (?:is|will|has|can|and)\b)))",
            lambda m: f"{m['name']} {_KINDS[m['kind']]}",
        ),
        ("S", r"(?<=[0-9](?:st|nd|rd|th) )St\b\.?", "Street"),
        ("S", r"\bSt\b\.?(?= ?[A-Z][a-z])", "Saint"),
        ("S", r"\bSt\b\.?", "Street"),
        ("D", r"\bDr\b\.?", "Doctor"),
        ("A", r"\bApt\b\.?(?= ?#?[0-9A-Z])", "Apartment"),
        ("R", r"\bRm\b\.?(?= ?[0-9])", "Room"),
        ("~", r"~ ?(?=[$0-9])", "about "),
        ("+", r"(?<=[0-9])\+(?! ?[0-9])", " plus "),
    ),
)

_COMPASS = {"N": "North", "S": "South", "E": "East", "W": "West"}
