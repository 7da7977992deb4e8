"""French: hours with "heures", the sign of money behind or before, day before month."""

from __future__ import annotations

from tts.text import french_numbers as numbers
from tts.text.grammar import Grammar, Match

_MONTHS = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
]
_DAYS = ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"]
_HALVES = {"a": " du matin", "p": " de l'après midi"}
_EVENING = 6
"""From this hour after noon on it is evening."""


def _clock(hour: int, minute: int, half: str) -> str:
    """ "Dix heures trente"; minute -1: none was written."""
    if hour == 12 and half in _HALVES and minute <= 0:
        return "midi" if half == "p" else "minuit"
    said = f"{numbers.counting(hour, 'heure')} heure" + ("s" if hour > 1 else "")
    if minute > 0:
        said += f" {numbers.cardinal(minute)}" if minute > 9 else f" zéro {numbers.DIGITS[minute]}"
    if half == "p" and _EVENING <= hour < 12:
        return f"{said} du soir"
    return said + _HALVES.get(half, "")


def _date(month: str, day: int, year: str) -> str:
    said = "premier" if day == 1 else numbers.cardinal(day)
    return f"{said} {month}" + (f" {year}" if year else "")


def _height(match: Match) -> str:
    metres = "un mètre" if match[1] == "1" else "deux mètres"
    return f"{metres} {numbers.cardinal(int(match[2]))}"


def _house(number: str) -> str:
    if number[0] == "0" or len(number) > 4:
        return " ".join(numbers.DIGITS[int(digit)] for digit in number)
    return numbers.cardinal(int(number))


FRENCH = Grammar(
    code="fr",
    letters="àâäçéèêëîïôöùûüÿ",
    digits=numbers.DIGITS,
    cardinal=numbers.cardinal,
    counting=numbers.counting,
    ordinal=numbers.ordinal,
    year=numbers.cardinal,
    house=_house,
    clock=_clock,
    date=_date,
    is_month_first=False,
    has_decimal_comma=True,
    months={
        **{name: name for name in _MONTHS},
        "janv": "janvier",
        "févr": "février",
        "avr": "avril",
        "juil": "juillet",
        "sept": "septembre",
        "oct": "octobre",
        "nov": "novembre",
        "déc": "décembre",
    },
    weekdays={**{name: name for name in _DAYS}, **{name[:3]: name for name in _DAYS}},
    weekday_words=frozenset({"lun", "mar", "mer", "jeu", "ven", "sam", "dim"}),
    money={
        "$": (("dollar", "dollars"), ("cent", "cents")),
        "usd": (("dollar", "dollars"), ("cent", "cents")),
        "us$": (("dollar", "dollars"), ("cent", "cents")),
        "cad": (("dollar", "dollars"), ("cent", "cents")),
        "€": (("euro", "euros"), ("centime", "centimes")),
        "eur": (("euro", "euros"), ("centime", "centimes")),
        "£": (("livre", "livres"), ("penny", "pence")),
    },
    units={
        "%": ("pour cent", "pour cent"),
        "cm": ("centimètre", "centimètres"),
        "mm": ("millimètre", "millimètres"),
        "m": ("mètre", "mètres"),
        "km": ("kilomètre", "kilomètres"),
        "kg": ("kilo", "kilos"),
        "g": ("gramme", "grammes"),
        "lb": ("livre", "livres"),
        "lbs": ("livre", "livres"),
        "in": ("pouce", "pouces"),
        '"': ("pouce", "pouces"),
        "po": ("pouce", "pouces"),
        "ft": ("pied", "pieds"),
        "pi": ("pied", "pieds"),
        "h": ("heure", "heures"),
        "min": ("minute", "minutes"),
        "mins": ("minute", "minutes"),
        "sec": ("seconde", "secondes"),
        "°": ("degré", "degrés"),
        "°c": ("degré", "degrés"),
    },
    fractions={
        2: ("demi", "demis"),
        3: ("tiers", "tiers"),
        4: ("quart", "quarts"),
        5: ("cinquième", "cinquièmes"),
        8: ("huitième", "huitièmes"),
    },
    ordinal_ends={
        "er": "",
        "e": "",
        "es": "",
        "ième": "",
        "ème": "",
        "eme": "",
        "nd": "",
        "nde": "",
    },
    id_words=(
        r"commandes?|factures?|codes?(?: de [^\W\d]{4,15})?|numéros?|numero|référence|réf|ref"
        "|compte|dossier|reçu|id|sku|nip|confirmation|carte|se termine par|article|modèle|lot"
        "|billet|poste"
    ),
    streets="rue|avenue|av|boulevard|bd|boul|chemin|ch|place|route|allée|quai",
    is_number_after_street=False,
    words={
        "mme": "madame",
        "mlle": "mademoiselle",
        "mmes": "mesdames",
        "dr": "docteur",
        "bd": "boulevard",
        "boul": "boulevard",
        "tél": "téléphone",
        "tel": "téléphone",
        "mr": "monsieur",
        "dre": "docteure",
        "qté": "quantité",
        "env": "environ",
        "rdv": "rendez vous",
        "svp": "s'il vous plaît",
        "stp": "s'il te plaît",
        "etc": "et cetera",
        "apt": "appartement",
        "appt": "appartement",
        "bonj": "bonjour",
        "janv": "janvier",
        "févr": "février",
        "juil": "juillet",
        "déc": "décembre",
    },
    dotted={
        "m": "monsieur",
        "mm": "messieurs",
        "av": "avenue",
        "ch": "chemin",
        "réf": "référence",
        "app": "appartement",
        "pers": "personnes",
        "bât": "bâtiment",
        "exp": "expire",
        "rép": "répondez",
        "ét": "étage",
        "num": "numéro",
        "tx": "taxes",
        "incl": "inclus",
        "max": "maximum",
        "min": "minimum",
        "avr": "avril",
        "oct": "octobre",
        "nov": "novembre",
    },
    titles=frozenset(
        {
            "m",
            "mm",
            "mme",
            "mlle",
            "mmes",
            "mr",
            "dr",
            "dre",
            "tél",
            "tel",
            "num",
            "app",
            "bât",
            "exp",
            "rép",
            "bd",
            "boul",
            "av",
            "ch",
        }
    ),
    symbols={
        "&": "et",
        "@": "arobase",
        "+": "plus",
        "=": "égale",
        "%": "pour cent",
        "#": "numéro",
        "€": "euros",
        "£": "livres",
        "$": "dollars",
        "¢": "cents",
        "°": "degrés",
    },
    acronyms=frozenset(
        ["id", "vip", "sku", "qr", "gps", "dj", "sms", "tv", "usa", "pdf", "tva", "ttc", "ht"]
    ),
    short_words=frozenset(
        [
            "à",
            "a",
            "ai",
            "au",
            "aux",
            "ce",
            "ces",
            "de",
            "des",
            "du",
            "elle",
            "en",
            "est",
            "et",
            "eux",
            "il",
            "ils",
            "je",
            "la",
            "le",
            "les",
            "leur",
            "lui",
            "ma",
            "mais",
            "me",
            "mes",
            "mon",
            "ne",
            "non",
            "nos",
            "nous",
            "on",
            "ou",
            "où",
            "oui",
            "par",
            "pas",
            "pour",
            "qui",
            "sa",
            "sans",
            "se",
            "ses",
            "si",
            "son",
            "sur",
            "ta",
            "te",
            "tes",
            "toi",
            "ton",
            "tu",
            "un",
            "une",
            "va",
            "vos",
            "vous",
            "y",
        ]
    ),
    speech={
        "to": "à",
        "and": "et",
        "and_part": "et",
        "or": "ou",
        "point": "virgule",
        "minus": "moins",
        "plus": "plus",
        "by": "par",
        "times": "fois",
        "a_half": "demi",
        "thousand": "mille",
        "million": "millions",
        "of_scale": "de ",
        "number": "numéro",
        "is": "est(?: le)?",
        "extension": "poste",
        "hashtag": "mot dièse",
        "dot": "point",
        "at": "arobase",
        "dash": "tiret",
        "underscore": "tiret bas",
        "slash": "barre oblique",
    },
    special=(
        ("Nn", r"\b[Nn](?:[º°]s?|\.º|o\.?) ?(?=#? ?[A-Z]{0,5}-?[0-9])", "numéro "),
        ("1", r"\b1ers?\b(?! ?-)", "premier"),
        ("1", r"\b1(?:re|[eè]re)s?\b", "première"),
        ("S", r"\bSt(e?)(?:-|\. ?| )(?=[A-ZÀ-Ý])", r"Saint\1 "),
        (".", r"(?i)\bs\.v\.p\.", "s'il vous plaît"),
        ("/", r"(?i)\bet/ou\b", "et ou"),
        (".", r"\bav\. (?=[0-9]{1,2} ?h)", "avant "),
        (".", r"\bap\. (?=[0-9]{1,2} ?h)", "après "),
        ("L", r"\bL ?(?:-|à) ?V\b", "lundi à vendredi"),
        ("-", r"(?i)\bc\.?-à-d\b\.?", "c'est à dire"),
        (".", r"(?i)\bp\. ?ex\.", "par exemple"),
        ("c", r"(?<=[$€] )ch\b\.?(?! [A-Z])", "chacun"),
        ("h", r"\b24 ?h(?: ?/ ?24| sur 24\b)", "vingt quatre heures sur vingt quatre"),
        ("j", r"\b7 ?j(?: ?/ ?7| sur 7\b)", ", sept jours sur sept"),
        ("/", r"(?<=[\w$€]) ?/ ?h\b", " par heure"),
        # "1m65", the height of a person
        ("m", r"\b([12])m([0-9]{2})\b", _height),
        (
            "/",
            r"(?<=[\w$€]) ?/ ?(?=(?:jour|semaine|mois|heure|an|personne|pièce|paire)\b)",
            " par ",
        ),
        ("2", r"\b24/7\b", "vingt quatre heures sur vingt quatre"),
        ("~", r"~ ?(?=[$0-9])", "environ "),
        ("+", r"(?<=[0-9])\+(?! ?[0-9])", " ou plus "),
    ),
)
