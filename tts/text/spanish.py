"""Spanish as spoken in the Americas: dollars, day before month, "y" in clock times."""

from __future__ import annotations

from tts.text import spanish_numbers as numbers
from tts.text.grammar import Grammar

_MONTHS = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
]
_DAYS = ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"]
_HALVES = {"a": "de la mañana", "p": "de la tarde"}
_EVENING = 8
"""From this hour after noon on it is night."""


def _clock(hour: int, minute: int, half: str) -> str:
    """Hours are feminine: "una treinta de la tarde". Minute -1: none was written."""
    said = numbers.counting(hour, "horas")
    if half == "h" and minute < 0:
        return f"{said} hora" + ("s" if hour != 1 else "")
    if minute > 0:
        said += (
            f" cero {numbers.DIGITS[minute]}" if minute < 10 else f" y {numbers.cardinal(minute)}"
        )
    elif minute == 0 and not half:
        said += " en punto" if hour <= 12 else " horas"
    if hour == 12 and half in _HALVES:
        return f"{said} {'del mediodía' if half == 'p' else 'de la noche'}"
    if half == "p" and _EVENING <= hour < 12:
        return f"{said} de la noche"
    return f"{said} {_HALVES[half]}" if half in _HALVES else said


def _date(month: str, day: int, year: str) -> str:
    said = "primero" if day == 1 else numbers.cardinal(day)
    return f"{said} de {month}" + (f" de {year}" if year else "")


def _house(number: str) -> str:
    if number[0] == "0" or len(number) > 4:
        return " ".join(numbers.DIGITS[int(digit)] for digit in number)
    return numbers.cardinal(int(number))


_WORDS = {
    "sr": "señor",
    "sra": "señora",
    "srta": "señorita",
    "dr": "doctor",
    "dra": "doctora",
    "ud": "usted",
    "uds": "ustedes",
    "av": "avenida",
    "avda": "avenida",
    "blvd": "bulevar",
    "tel": "teléfono",
    "teléf": "teléfono",
    "aprox": "aproximadamente",
    "dpto": "departamento",
    "depto": "departamento",
    "apto": "apartamento",
    "etc": "etcétera",
    "ext": "extensión",
    "hrs": "horas",
    "xq": "porque",
    "cel": "celular",
    "izq": "izquierda",
    "izda": "izquierda",
    "núms": "números",
    "vd": "usted",
    "vds": "ustedes",
    "dcha": "derecha",
    "edif": "edificio",
    "dto": "descuento",
    "dcto": "descuento",
    "dña": "doña",
    "sres": "señores",
    "ctra": "carretera",
    "cra": "carrera",
    "pza": "plaza",
}
_TITLES = frozenset(
    ["sr", "sra", "srta", "dr", "dra", "ud", "uds", "av", "avda", "tel", "ext", "blvd", "dpto"]
    + ["depto", "apto", "edif", "col", "of", "int", "cód", "cod", "dña", "sres", "ctra", "cra"]
    + ["pza", "núm", "núms", "nro", "pág", "sta", "sto", "st", "cel", "mod", "vd", "vds"]
)
_HOUR = r"(?<![\w.,$€])([01]?[0-9]|2[0-3])"
_LAST_DAYS = {"V": "viernes", "S": "sábado", "D": "domingo"}

SPANISH = Grammar(
    code="es",
    letters="áéíóúüñ",
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
        **{name[:3]: name for name in _MONTHS},
        "sept": "septiembre",
    },
    weekdays={
        **{name: name for name in _DAYS},
        **{name[:3]: name for name in _DAYS},
        "mier": "miércoles",
        "sab": "sábado",
    },
    weekday_words=frozenset({"mar", "lun", "mié", "jue", "vie", "sáb", "dom", "mier", "sab"}),
    money={
        "$": (("dólar", "dólares"), ("centavo", "centavos")),
        "usd": (("dólar", "dólares"), ("centavo", "centavos")),
        "us$": (("dólar", "dólares"), ("centavo", "centavos")),
        "mxn": (("peso", "pesos"), ("centavo", "centavos")),
        "€": (("euro", "euros"), ("céntimo", "céntimos")),
        "eur": (("euro", "euros"), ("céntimo", "céntimos")),
        "£": (("libra", "libras"), ("penique", "peniques")),
    },
    units={
        "%": ("por ciento", "por ciento"),
        "cm": ("centímetro", "centímetros"),
        "mm": ("milímetro", "milímetros"),
        "m": ("metro", "metros"),
        "km": ("kilómetro", "kilómetros"),
        "kg": ("kilo", "kilos"),
        "g": ("gramo", "gramos"),
        "lb": ("libra", "libras"),
        "lbs": ("libra", "libras"),
        "in": ("pulgada", "pulgadas"),
        '"': ("pulgada", "pulgadas"),
        "pulg": ("pulgada", "pulgadas"),
        "ft": ("pie", "pies"),
        "min": ("minuto", "minutos"),
        "mins": ("minuto", "minutos"),
        "hr": ("hora", "horas"),
        "hrs": ("hora", "horas"),
        "seg": ("segundo", "segundos"),
        "h": ("hora", "horas"),
        "°": ("grado", "grados"),
        "°c": ("grado Celsius", "grados Celsius"),
        "°f": ("grado Fahrenheit", "grados Fahrenheit"),
    },
    fractions={
        2: ("medio", "medios"),
        3: ("tercio", "tercios"),
        4: ("cuarto", "cuartos"),
        5: ("quinto", "quintos"),
        8: ("octavo", "octavos"),
    },
    ordinal_ends={
        "º": "",
        "°": "",
        "er": "",
        "ro": "",
        "do": "",
        "to": "",
        "mo": "",
        "vo": "",
        "ª": "a",
        "ra": "a",
        "da": "a",
        "ta": "a",
        "ma": "a",
        "va": "a",
    },
    id_words=(
        r"pedidos?|órdenes|orden|facturas?|c[oó]digos?(?: de [^\W\d]{4,15})?|c[oó]d|números?|numero"
        "|referencia|ref|cuenta"
        "|reclamo|caso|recibo|id|sku|pin|confirmación|tarjeta|termina en|artículo|estilo|boleto"
        "|modelo|lote|clave|texto|envíe|extensión"
    ),
    streets="calle|c/|avenida|avda|av|bulevar|blvd|camino|carretera|paseo|plaza|calzada|ruta",
    is_number_after_street=True,
    words=_WORDS,
    dotted={
        "núm": "número",
        "nro": "número",
        "pág": "página",
        "máx": "máximo",
        "mín": "mínimo",
        "st": "santo",
        "sta": "santa",
        "cía": "compañía",
        "col": "color",
        "mod": "modelo",
        "resp": "responda",
        "sto": "santo",
        "incl": "incluido",
        "desc": "descuento",
        "of": "oficina",
        "int": "interior",
        "cód": "código",
        "cod": "código",
        "ene": "enero",
        "feb": "febrero",
        "abr": "abril",
        "jun": "junio",
        "jul": "julio",
        "ago": "agosto",
        "sep": "septiembre",
        "sept": "septiembre",
        "oct": "octubre",
        "nov": "noviembre",
        "dic": "diciembre",
    },
    titles=_TITLES,
    symbols={
        "&": "y",
        "@": "arroba",
        "+": "más",
        "=": "igual a",
        "%": "por ciento",
        "#": "número",
        "€": "euros",
        "£": "libras",
        "$": "dólares",
        "¢": "centavos",
        "°": "grados",
    },
    acronyms=frozenset(
        ["id", "vip", "sku", "po", "qr", "gps", "dj", "sms", "tv", "usa", "pdf", "dni"]
    ),
    short_words=frozenset(
        [
            "a",
            "al",
            "con",
            "da",
            "de",
            "del",
            "dos",
            "el",
            "en",
            "es",
            "esa",
            "ese",
            "eso",
            "fin",
            "ha",
            "hay",
            "hoy",
            "la",
            "las",
            "le",
            "les",
            "lo",
            "los",
            "más",
            "me",
            "mi",
            "mis",
            "muy",
            "no",
            "nos",
            "o",
            "para",
            "por",
            "que",
            "sea",
            "ser",
            "si",
            "sí",
            "sin",
            "so",
            "son",
            "su",
            "sus",
            "te",
            "tu",
            "un",
            "una",
            "uno",
            "va",
            "ven",
            "ver",
            "y",
            "ya",
        ]
    ),
    speech={
        "to": "a",
        "and": "con",
        "and_part": "y",
        "or": "o",
        "point": "punto",
        "minus": "menos",
        "plus": "más",
        "by": "por",
        "times": "veces",
        "a_half": "medio",
        "thousand": "mil",
        "million": "millones",
        "of_scale": "de ",
        "number": "número",
        "is": "es",
        "extension": "extensión",
        "hashtag": "etiqueta",
        "dot": "punto",
        "at": "arroba",
        "dash": "guion",
        "underscore": "guion bajo",
        "slash": "barra",
    },
    special=(
        ("Nn", r"\b[Nn](?:[º°]|\.º|úm\.?|ro\.?|o\.) ?(?=#? ?[A-Z]{0,5}-?[0-9])", "número "),
        ("c", r"\bc/ ?(?=[A-ZÁÉÍÓÚÑ])", "calle "),
        ("C", r"\bC/ ?(?=[A-ZÁÉÍÓÚÑ])", "calle "),
        ("1", r"\b1\.?er\b\.?", "primer"),
        ("3", r"\b3\.?er\b\.?", "tercer"),
        ("a", r"\b([1-9])a (?!(?:con|del|las|los|para|por|que)\b)(?=[a-záéíóúñ]{3})", r"\1ª "),
        ("o", r"\b([1-9])o (?=[a-záéíóúñ]{2})", r"\1º "),
        ("k", r"\bkm (?=[0-9])", "kilómetro "),
        (".", r"(?i)\bp\. ?ej\.", "por ejemplo"),
        ("/", r"(?i)\by/o\b", "y o"),
        ("Pp", r"(?i)\bpº (?=de\b|[a-z])", "paseo "),
        ("/", r"(?<=[\w$€]) ?/ ?h\b", " por hora"),
        ("'", r"(?<=[0-9])'(?=[0-9]{3}(?![0-9]))", ","),
        (".", rf"{_HOUR}\.([0-5][0-9])(?= ?h(?:s|rs)?\b)", r"\1:\2"),
        (".", rf"(?<=a las ){_HOUR}\.([0-5][0-9])(?![\w%€]|[.,][0-9])", r"\1:\2"),
        ("1", r"(?<=a la )1(?![\w:/]|[.,][0-9]| ?[hap]\b)", "una"),
        ("1", r"(?<=a las )21(?![\w:/]|[.,][0-9]| ?[hap]\b)", "veintiuna"),
        ("ºª", r"(?<=[0-9][ºª])(?=[A-Z])", " "),
        ("C", r"\bCol\. ?(?=[A-ZÁÉÍÓÚÑ])", "colonia "),
        ("c", r"(?i)\bc/u\b", "cada uno"),
        ("S", r"\bSr(?:\(a\)|/a)\.?", "señor o señora"),
        ("sS", r"(?i)\bs/n\b", "sin número"),
        ("pP", r"\b[pP]/ ?(?=[a-záéíóú])", "para "),
        ("x", r"(?i)\bx (?=favor\b)", "por "),
        ("E", r"\bEE\. ?UU\b\.?", "Estados Unidos"),
        ("C", r"\bC\. ?P\. ?(?=[0-9])", "código postal "),
        ("L", r"\bL ?(?:-|a) ?(?=[VSD]\b)", "lunes a "),
        ("VSD", r"(?<=lunes a )([VSD])\b", lambda m: _LAST_DAYS[m[1]]),
        (
            "/",
            r"(?<=[\w$€]) ?/ ?(?=(?:d[ií]a|semana|mes|hora|hr|año|persona|pieza|par)\b)",
            " por ",
        ),
        ("2", r"\b24/7\b", "las veinticuatro horas"),
        ("~", r"~ ?(?=[$0-9])", "unos "),
        ("+", r"(?<=[0-9])\+(?! ?[0-9])", " o más "),
    ),
)
