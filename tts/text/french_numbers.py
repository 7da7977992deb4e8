"""French number words, as said in France and Canada: soixante-dix, quatre-vingts; no hyphens."""

from __future__ import annotations

import re

DIGITS = ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf")
_TO_19 = (
    *DIGITS,
    *["dix", "onze", "douze", "treize", "quatorze", "quinze", "seize"],
    "dix sept",
    "dix huit",
    "dix neuf",
)
_TENS = (
    "",
    "",
    *["vingt", "trente", "quarante", "cinquante", "soixante", "soixante"],
    "quatre vingt",
)
_ORDINAL_ENDS = {"cinq": "cinquième", "neuf": "neuvième"}
_FEMININE = frozenset(["fois", "saison", "saisons", "livraison", "livraisons", "façon", "façons"])
_MASCULINE = re.compile(
    r".*(?:mètre|gramme|centime|pouce|homme|costume|voile|modèle|article|acompte|chèque|membre|age)s?"
)
_FEMININE_ENDS = ("e", "es", "tion", "tions", "ée", "ées")


def cardinal(n: int) -> str:
    """`1250` as "mille deux cent cinquante"; 0 up to 10^12 - 1."""
    if n < 20:
        return _TO_19[n]
    if n < 100:
        return _below_hundred(n)
    if n < 1000:
        head = "cent" if n < 200 else f"{_TO_19[n // 100]} cent" + ("s" if n % 100 == 0 else "")
        return head + (f" {cardinal(n % 100)}" if n % 100 else "")
    if n < 10**6:
        head = "mille" if n < 2000 else f"{_bare(cardinal(n // 1000))} mille"
        return head + (f" {cardinal(n % 1000)}" if n % 1000 else "")
    size, scale = (10**9, "milliard") if n >= 10**9 else (10**6, "million")
    count = n // size
    head = f"{cardinal(count)} {scale}" + ("s" if count > 1 else "")
    return head + (f" {cardinal(n % size)}" if n % size else "")


def _below_hundred(n: int) -> str:
    if n == 80:
        return "quatre vingts"
    tens = n // 10
    if tens in (7, 9):
        rest = n - (60 if tens == 7 else 80)
        joint = " et " if n == 71 else " "
        return _TENS[tens - 1 if tens == 7 else 8] + joint + _TO_19[rest]
    if n % 10 == 0:
        return _TENS[tens]
    return _TENS[tens] + (" et " if n % 10 == 1 and tens < 8 else " ") + _TO_19[n % 10]


def _bare(words: str) -> str:
    """Without the plural s that "cents" and "vingts" lose before "mille"."""
    return words[:-1] if words.endswith(("cents", "vingts")) else words


def counting(n: int, noun: str) -> str:
    """`n` before `noun`: "une heure", "vingt et une livres"; no noun leaves the plain form."""
    words = cardinal(n)
    last = words.rpartition(" ")[2]
    lower = noun.lower()
    ends_so = lower.endswith(_FEMININE_ENDS) and not _MASCULINE.fullmatch(lower)
    return words + "e" if last == "un" and (ends_so or lower in _FEMININE) else words


def ordinal(n: int) -> str:
    """`3` as "troisième", `1` as "premier"."""
    if n == 1:
        return "premier"
    head, space, last = _bare(cardinal(n)).rpartition(" ")
    said = _ORDINAL_ENDS.get(last) or (last[:-1] if last.endswith("e") else last) + "ième"
    return head + space + said
