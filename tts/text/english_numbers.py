"""English number words, as Americans say them: no "and" inside, years in pairs."""

from __future__ import annotations

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = [
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_ONES = (*DIGITS, *_TEENS)
_TENS = ("", "", *["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"])
_SCALES = ((10**9, "billion"), (10**6, "million"), (10**3, "thousand"))
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(n: int) -> str:
    """`1250` as "one thousand two hundred fifty"; 0 up to 10^12 - 1."""
    if n < 20:
        return _ONES[n]
    if n < 100:
        return _TENS[n // 10] + (f" {_ONES[n % 10]}" if n % 10 else "")
    if n < 1000:
        return f"{_ONES[n // 100]} hundred" + (f" {cardinal(n % 100)}" if n % 100 else "")
    size, scale = next(pair for pair in _SCALES if n >= pair[0])
    return f"{cardinal(n // size)} {scale}" + (f" {cardinal(n % size)}" if n % size else "")


def ordinal(n: int) -> str:
    """`21` as "twenty first"."""
    head, space, last = cardinal(n).rpartition(" ")
    said = _ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")
    return head + space + said


def year(n: int) -> str:
    """`2026` as "twenty twenty six", `2005` as "two thousand five".

    "Oh" for zero is misheard on the phone: `1905` is "nineteen zero five".
    """
    if n < 1000 or 2000 <= n < 2010:
        return cardinal(n)
    return _pair(n)


def house(number: str) -> str:
    """`1420` as "fourteen twenty", `305` as "three zero five", `12` as "twelve"."""
    n = int(number)
    if number[0] == "0" or len(number) > 4 or n < 100 or n % 1000 == 0:
        return cardinal(n) if number[0] != "0" and n < 10**4 else " ".join(map(_digit, number))
    return _pair(n)


def _digit(digit: str) -> str:
    return DIGITS[int(digit)]


def _pair(n: int) -> str:
    head, tail = divmod(n, 100)
    if not tail:
        return f"{cardinal(head)} hundred"
    return f"{cardinal(head)} {f'zero {DIGITS[tail]}' if tail < 10 else cardinal(tail)}"
