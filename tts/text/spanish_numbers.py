"""Spanish number words: masculine unless said otherwise, "uno" shortened before a noun."""

from __future__ import annotations

DIGITS = ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve")
_TO_29 = (
    *DIGITS,
    *[
        "diez",
        "once",
        "doce",
        "trece",
        "catorce",
        "quince",
        "dieciséis",
        "diecisiete",
        "dieciocho",
        "diecinueve",
        "veinte",
    ],
    *[
        "veintiuno",
        "veintidós",
        "veintitrés",
        "veinticuatro",
        "veinticinco",
        "veintiséis",
        "veintisiete",
    ],
    *["veintiocho", "veintinueve"],
)
_TENS = (
    "",
    "",
    "",
    *["treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"],
)
_HUNDREDS = (
    "",
    "ciento",
    *["doscientos", "trescientos", "cuatrocientos", "quinientos", "seiscientos", "setecientos"],
    *["ochocientos", "novecientos"],
)
_ORDINALS = [
    "cero",
    "primero",
    "segundo",
    "tercero",
    "cuarto",
    "quinto",
    "sexto",
    "séptimo",
    "octavo",
    "noveno",
    "décimo",
    "undécimo",
    "duodécimo",
]
_MASCULINE = frozenset({"día", "días", "dia", "dias", "mapa", "mapas", "problema", "problemas"})
_FEMININE = frozenset(
    ["vez", "veces", "mano", "manos", "noche", "noches", "tarde", "tardes", "foto", "fotos"]
    + ["clase", "clases", "parte", "partes", "calle", "calles", "llave", "llaves"]
)
_FEMININE_ENDS = ("a", "as", "ad", "ades", "ción", "ciones")


def cardinal(n: int) -> str:
    """`1250` as "mil doscientos cincuenta"; 0 up to 10^12 - 1."""
    if n < 30:
        return _TO_29[n]
    if n < 100:
        return _TENS[n // 10] + (f" y {_TO_29[n % 10]}" if n % 10 else "")
    if n == 100:
        return "cien"
    if n < 1000:
        return _HUNDREDS[n // 100] + (f" {cardinal(n % 100)}" if n % 100 else "")
    if n < 10**6:
        head = "mil" if n < 2000 else f"{shortened(cardinal(n // 1000))} mil"
        return head + (f" {cardinal(n % 1000)}" if n % 1000 else "")
    millions = n // 10**6
    head = "un millón" if millions == 1 else f"{shortened(cardinal(millions))} millones"
    return head + (f" {cardinal(n % 10**6)}" if n % 10**6 else "")


def shortened(words: str) -> str:
    """`words` as they stand before a masculine noun: "veintiuno" becomes "veintiún"."""
    if words.endswith("veintiuno"):
        return words[:-3] + "ún"
    return words[:-1] if words == "uno" or words.endswith(" uno") else words


def counting(n: int, noun: str) -> str:
    """`n` before `noun`: "un dólar", "doscientas yardas"; an empty noun leaves the plain form."""
    words = cardinal(n)
    if not noun:
        return words
    lower = noun.lower()
    ends_so = lower.endswith(_FEMININE_ENDS) and lower not in _MASCULINE
    if not ends_so and lower not in _FEMININE:
        return shortened(words)
    words = words.replace("cientos", "cientas").replace("quinientos", "quinientas")
    return words[:-1] + "a" if words.endswith("uno") else words


def ordinal(n: int) -> str:
    """`3` as "tercero"; above twelve the cardinal, as people say it."""
    return _ORDINALS[n] if n < len(_ORDINALS) else cardinal(n)
