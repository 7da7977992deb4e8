"""One spelling for everything that sounds the same, so that only what was misheard counts.

"$149.50", "149 dollars and 50 cents" and "one hundred forty nine dollars and fifty cents" all
become `1 4 9 dollars 5 0 cents`: digits one by one, no punctuation, lower case. Both the reference
and what the recogniser wrote go through here; nothing is corrected that sounds different.
"""

from __future__ import annotations

import re
import unicodedata

_ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
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
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = {word: n for n, word in enumerate([*_ONES, *_TEENS])}
_ROUND = {word: 20 + 10 * n for n, word in enumerate(_TENS)}
_SCALES = {"thousand": 1000, "million": 10**6}
_ORDINALS = {
    "first": "one",
    "second": "two",
    "third": "three",
    "fifth": "five",
    "eighth": "eight",
    "ninth": "nine",
    "twelfth": "twelve",
    **{f"{word}th": word for word in (*_ONES, *_TEENS)},
    **{f"{word[:-1]}ieth": word for word in _TENS},
}
_SAME = {
    "ok": "okay",
    "mr": "mister",
    "mrs": "missus",
    "dr": "doctor",
    "st": "street",
    "ave": "avenue",
    "rd": "road",
    "apt": "apartment",
    "ext": "extension",
    "alright": "all right",
}
_JOINED = {
    ("pick", "up"): "pickup",
    ("e", "mail"): "email",
    ("hash", "tag"): "hashtag",
    ("web", "site"): "website",
    ("brides", "maid"): "bridesmaid",
    ("brides", "maids"): "bridesmaids",
}
_AMOUNT = r"\$ ?(-?)([0-9][0-9,]*)(?:\.([0-9]{2}))?(?![0-9])"
_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), with_)
    for pattern, with_ in (
        (r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))", ""),
        (r"\b([0-9]{1,2})[:.]00 ?(?=[ap]\.? ?m\b)", r"\1 "),
        (r"\b([0-9]{1,2})[:.]([0-9]{2}) ?(?=[ap]\.? ?m\b)", r"\1 \2 "),
        (r"\b([0-9]{1,2}):00\b", r"\1"),
        (r"([ap])\.? ?m\b\.?", r"\1m "),
        (r"(?<=[0-9])/(?:2)\b", " half "),
        (r"\b1/4\b", "1 quarter "),
        (r"\b3/4\b", "3 quarters "),
        (r"\b1/3\b", "1 third "),
        (r"([0-9]{3})\.([0-9]{3})\.([0-9]{4})", r"\1 \2 \3"),
        (r"([0-9]{3})\.([0-9]{4})", r"\1 \2"),
        (r"([0-9])\.([0-9])", r"\1 point \2"),
        (r"(?<=[0-9])(?:st|nd|rd|th)\b", " "),
        (r'(?<=[0-9])"', " inches "),
        (r"\bno\.? ?(?=[0-9])", "number "),
        (r"#(?=[0-9])", " number "),
        (r"#(?=[a-z])", " hashtag "),
        (r"(?<=[a-z0-9])@(?=[a-z0-9])|@", " at "),
        (r"(?<=[a-z])\.(?=[a-z]{2})", " dot "),
        (r"(?<=[a-z])/(?=[a-z])", " slash "),
        (r"%", " percent "),
        (r"&", " and "),
        (r"'", ""),
    )
)
_BREAK = ","
"""Ends a number: "one, eight hundred, five" are three."""
_TOKENS = re.compile(r"[a-z]+|[0-9]+|[,.;?!]")


def canonical(text: str) -> list[str]:
    """The words of `text` in their one spelling, each digit a word of its own."""
    text = unicodedata.normalize("NFKC", text).lower().translate(_MARKS)
    text = re.sub(r"(-?)" + _AMOUNT, _dollars, text)
    for pattern, with_ in _REWRITES:
        text = pattern.sub(with_, text)
    words = [_SAME.get(w, w) if w.isalnum() else _BREAK for w in _TOKENS.findall(text)]
    return _without_fillers(_joined(_numbers(words)))


_MARKS = str.maketrans({"’": "'", "‘": "'", "\u2044": "/", "–": "-", "—": "-"})


def _dollars(match: re.Match[str]) -> str:
    minus = " minus " if match[1] or match[2] else " "
    cents = f" {match[4]} cents " if match[4] and match[4] != "00" else " "
    return f"{minus}{match[3]} dollars{cents}"


def _numbers(words: list[str]) -> list[str]:
    """Number words to digits; what stands in digits already is parted."""
    plain = [_ORDINALS.get(w, w) for w in words]
    said: list[str] = []
    at = 0
    while at < len(plain):
        value, after = _cardinal(plain, at)
        if after == at:
            said.append(plain[at])
            at += 1
        else:
            said.extend(value)
            at = after
    return [word for word in said if word != _BREAK]


def _cardinal(words: list[str], at: int) -> tuple[str, int]:
    """The digits of the number that starts at `at`, and where it ends; `at` itself for none."""
    if words[at].isdigit() and (len(words[at]) > 3 or words[at][0] == "0"):
        return words[at], at + 1
    total, end = 0, at
    while True:
        value, after = _below_thousand(words, end)
        if after == end:
            break
        if after < len(words) and words[after] in _SCALES:
            total += value * _SCALES[words[after]]
            end = after + 1
            if end + 1 < len(words) and words[end] == "and":
                end += _below_thousand(words, end + 1)[1] > end + 1
            continue
        if end > at and total == 0:
            break
        return str(total + value), after
    return (str(total), end) if total else ("", at)


def _below_thousand(words: list[str], at: int) -> tuple[int, int]:
    value, after = _below_hundred(words, at)
    if after == at or after >= len(words) or words[after] != "hundred":
        return value, after
    rest_at = after + 1
    if rest_at + 1 < len(words) and words[rest_at] == "and":
        rest, end = _below_hundred(words, rest_at + 1)
        return (value * 100 + rest, end) if end > rest_at + 1 else (value * 100, rest_at)
    rest, end = _below_hundred(words, rest_at)
    return value * 100 + rest, end


def _below_hundred(words: list[str], at: int) -> tuple[int, int]:
    if at >= len(words):
        return 0, at
    word = words[at]
    if word.isdigit():
        return (int(word), at + 1) if len(word) <= 3 and word[0] != "0" else (0, at)
    if word in _ROUND:
        ones = _SMALL.get(words[at + 1], 0) if at + 1 < len(words) else 0
        return (_ROUND[word] + ones, at + 2) if 1 <= ones <= 9 else (_ROUND[word], at + 1)
    return (_SMALL[word], at + 1) if word in _SMALL else (0, at)


def _joined(words: list[str]) -> list[str]:
    """Compounds as one word, letters that were spelled as one word: "i d" is `id`."""
    joined: list[str] = []
    for word in words:
        if joined and (both := _JOINED.get((joined[-1], word))):
            joined[-1] = both
        else:
            joined.append(word)
    return _letters(joined)


def _letters(words: list[str]) -> list[str]:
    merged: list[str] = []
    run = ""
    for word in [*words, ""]:
        if len(word) == 1 and word.isalpha():
            run += word
            continue
        if run:
            merged.append(run)
            run = ""
        merged.append(word)
    return merged[:-1]


def _without_fillers(words: list[str]) -> list[str]:
    """ "And" beside a number, "o'clock" and the like tell nothing; "a half" is `1 half`."""
    said: list[str] = []
    for index, word in enumerate(words):
        follow = words[index + 1] if index + 1 < len(words) else ""
        before = said[-1] if said else ""
        if word == "oclock" or (word == "and" and follow.isdigit()):
            continue
        if word == "a" and follow in ("half", "quarter"):
            said.append("1")
        elif word in ("oh", "o") and (before.isdigit() or follow.isdigit()):
            said.append("0")
        elif word == "and" and follow == "a" and before.isdigit():
            continue
        else:
            said.append(word)
    return said
