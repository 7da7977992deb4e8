"""A shop's own pronunciations: how a name that is written oddly is said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tts.steps import Steps, at_once
from tts.text.cleaning import cleaning

MAX_ENTRIES: Final = 500
MAX_WRITTEN: Final = 60
"""Characters of what is written."""
MAX_SPOKEN: Final = 120
"""Characters of what is said for it."""
KEPT: Final = 512
"""Lexicons kept ready for use."""
KEPT_ENTRIES: Final = 20_000
"""Entries of all that are kept, which have up to a kilobyte each."""

_BEGINS = re.compile(r"(?<![\w@])(?<!\w\.)\S")
"""Where a word may begin: not within another, nor within a web or e-mail address."""

_GOES_ON = re.compile(r"[\w@]|\.\w")
"""What follows a word's end where it is no end."""


class LexiconError(ValueError):
    """An entry that cannot be used; `entry` is its written form."""

    def __init__(self, entry: str, fault: str) -> None:
        super().__init__(f"lexicon entry {entry[:MAX_WRITTEN]!r} {fault}")
        self.entry = entry


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Entries ready for use: what is said for each written form."""

    exact: Mapping[str, str]
    """Of forms with capitals, which match only as they are written."""
    folded: Mapping[str, str]
    """Of forms without, which match in any case."""
    lengths: Mapping[str, tuple[int, ...]]
    """How long the forms are that begin with a character, the longest first."""

    def apply(self, text: str) -> Steps[str]:
        """`text` with every whole word of the lexicon replaced, the longest first, once."""
        said: list[str] = []
        done = 0
        for begin in _BEGINS.finditer(text):
            if (start := begin.start()) >= done and (found := self._at(text, start)):
                said += text[done:start], found[1]
                done = found[0]
            yield
        return "".join([*said, text[done:]])

    def _at(self, text: str, start: int) -> tuple[int, str] | None:
        """The longest form that a word or words are from `start` on: their end, what is said."""
        for length in self.lengths.get(text[start].lower(), ()):
            end = start + length
            written = text[start:end]
            spoken = self.exact.get(written) or self.folded.get(written.lower())
            if spoken and end <= len(text) and not _GOES_ON.match(text, end):
                return end, spoken
        return None


_kept: dict[tuple[tuple[tuple[str, str], ...], str], Lexicon] = {}


def compiled(entries: Mapping[str, str], letters: str) -> Lexicon:
    """The lexicon of a shop for a language that writes `letters`. Raises LexiconError.

    A written form without capitals matches in any case, one with capitals only as it is. It stands
    for whole words alone, and never inside a web or e-mail address. Compiled lexicons are kept.
    """
    return at_once(compiling(entries, letters))


def compiling(entries: Mapping[str, str], letters: str) -> Steps[Lexicon]:
    """The same in steps."""
    if len(entries) > MAX_ENTRIES:
        first = next(iter(entries))
        raise LexiconError(first, f"is one of {len(entries)}; at most {MAX_ENTRIES} are allowed")
    key = (tuple(entries.items()), letters)
    if (known := _kept.get(key)) is not None:
        return known
    exact: dict[str, str] = {}
    folded: dict[str, str] = {}
    lengths: dict[str, set[int]] = {}
    for written, spoken in entries.items():
        form, said = yield from _checked(written, spoken, letters)
        (folded if form == form.lower() else exact)[form] = said
        lengths.setdefault(form[0].lower(), set()).add(len(form))
        yield
    ordered = {first: tuple(sorted(each, reverse=True)) for first, each in lengths.items()}
    while _kept and (len(_kept) >= KEPT or _entries_kept() + len(entries) > KEPT_ENTRIES):
        del _kept[next(iter(_kept))]
    lexicon = _kept[key] = Lexicon(exact, folded, ordered)
    return lexicon


def _entries_kept() -> int:
    return sum(len(key[0]) for key in _kept)


def _checked(written: str, spoken: str, letters: str) -> Steps[tuple[str, str]]:
    if len(written) > MAX_WRITTEN:
        raise LexiconError(written, f"is longer than {MAX_WRITTEN} characters")
    if len(spoken) > MAX_SPOKEN:
        raise LexiconError(written, f"is said with more than {MAX_SPOKEN} characters")
    form = yield from cleaning(written, letters)
    said = yield from cleaning(spoken, letters)
    if not any(c.isalnum() for c in form):
        raise LexiconError(written, "has no letter or digit that could be found in a text")
    if not any(c.isalnum() for c in said):
        raise LexiconError(written, "says nothing")
    return form, said
