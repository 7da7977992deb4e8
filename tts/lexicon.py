"""A shop's own pronunciations: how a name that is written oddly is said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from tts.text.cleaning import clean

MAX_ENTRIES = 500
MAX_WRITTEN = 60
"""Characters of what is written."""
MAX_SPOKEN = 120
"""Characters of what is said for it."""


_BEGINS = re.compile(r"(?<![\w@])(?<!\w\.)\S")
"""Where a word may begin: not within another, nor within a web or e-mail address."""


class LexiconError(ValueError):
    """An entry that cannot be used; `entry` is its written form."""

    def __init__(self, entry: str, fault: str) -> None:
        super().__init__(f"lexicon entry {entry[:MAX_WRITTEN]!r} {fault}")
        self.entry = entry


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Entries ready for use: one pattern for all, to be tried where a word begins, and what is said
    for each written form."""

    pattern: re.Pattern[str]
    exact: Mapping[str, str]
    folded: Mapping[str, str]

    def apply(self, text: str) -> str:
        """`text` with every whole word of the lexicon replaced, the longest first, once.

        One look a word: hundreds of entries that all but match take a tenth of a second for a text,
        and within one search the interpreter would belong to no other thread all that time.
        """
        said: list[str] = []
        done = 0
        for begin in _BEGINS.finditer(text):
            if begin.start() >= done and (match := self.pattern.match(text, begin.start())):
                said += text[done : match.start()], self._say(match)
                done = match.end()
        return "".join([*said, text[done:]])

    def _say(self, match: re.Match[str]) -> str:
        found = match[0]
        return self.exact.get(found) or self.folded.get(found.lower(), found)


def compiled(entries: Mapping[str, str], letters: str) -> Lexicon:
    """The lexicon of a shop for a language that writes `letters`. Raises LexiconError.

    A written form without capitals matches in any case, one with capitals only as it is. It stands
    for whole words alone, and never inside a web or e-mail address. Compiled lexicons are kept.
    """
    if len(entries) > MAX_ENTRIES:
        first = next(iter(entries))
        raise LexiconError(first, f"is one of {len(entries)}; at most {MAX_ENTRIES} are allowed")
    return _compiled(tuple(entries.items()), letters)


@lru_cache(maxsize=512)
def _compiled(entries: tuple[tuple[str, str], ...], letters: str) -> Lexicon:
    exact: dict[str, str] = {}
    folded: dict[str, str] = {}
    for written, spoken in entries:
        key, said = _checked(written, spoken, letters)
        (folded if key == key.lower() else exact)[key] = said
    words = sorted({*exact, *folded}, key=len, reverse=True)
    alternatives = "|".join(re.escape(w) if w in exact else f"(?i:{re.escape(w)})" for w in words)
    pattern = re.compile(rf"(?:{alternatives})(?![\w@]|\.\w)")
    return Lexicon(pattern, exact, folded)


def _checked(written: str, spoken: str, letters: str) -> tuple[str, str]:
    if len(written) > MAX_WRITTEN:
        raise LexiconError(written, f"is longer than {MAX_WRITTEN} characters")
    if len(spoken) > MAX_SPOKEN:
        raise LexiconError(written, f"is said with more than {MAX_SPOKEN} characters")
    key, said = clean(written, letters), clean(spoken, letters)
    if not any(c.isalnum() for c in key):
        raise LexiconError(written, "has no letter or digit that could be found in a text")
    if not any(c.isalnum() for c in said):
        raise LexiconError(written, "says nothing")
    return key, said
