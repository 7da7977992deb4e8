"""How a message's text goes out: chosen when it is accepted, for the links of its route together,
and kept as one number in its row.

A message may be sent by any link of its route, and its segments are counted one by one. So what the
choice fixes is what decides their number: the alphabet, its shift tables, and the room that the
marks of a long text take. How each link writes that is its own affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final, NamedTuple

from config.breach import Breach
from config.links import LinkSettings
from config.settings import Settings
from protocols.sms.compose import Plan, plan
from protocols.sms.dialect import DEFAULT_DIALECT, Charset, Long, TextDialect
from protocols.sms.languages import LOCKING, SINGLE, Language

WIDE_REFERENCE: Final = 1 << 8
"""Added to a message's encoding where the marks of its segments take 16 bits."""
WHOLE: Final = 1 << 13
"""Added where a long text goes out as one submit_sm: it then counts as one segment here."""

_CHARSETS: Final = {Charset.GSM7: 0, Charset.LATIN1: 3, Charset.UCS2: 8}
_NAMES: Final = {Charset.GSM7: "gsm7", Charset.LATIN1: "latin1", Charset.UCS2: "ucs2"}
_CHARSET_OF: Final = {number: charset for charset, number in _CHARSETS.items()}
_LOCKING_SHIFT: Final = 4
_SINGLE_SHIFT: Final = 9
_LANGUAGE: Final = 15

_LANGUAGES: Final = {
    "tr": Language.TURKISH,
    "es": Language.SPANISH,
    "pt": Language.PORTUGUESE,
    "bn": Language.BENGALI,
    "gu": Language.GUJARATI,
    "hi": Language.HINDI,
    "kn": Language.KANNADA,
    "ml": Language.MALAYALAM,
    "or": Language.ORIYA,
    "pa": Language.PUNJABI,
    "ta": Language.TAMIL,
    "te": Language.TELUGU,
    "ur": Language.URDU,
}


class Wording(NamedTuple):
    """What the `encoding` of a message says."""

    charset: Charset
    locking: Language | None
    single: Language | None
    is_wide: bool
    is_whole: bool

    @property
    def name(self) -> str:
        """The alphabet as the outside calls it: `gsm7`, `latin1` or `ucs2`."""
        return _NAMES[self.charset]


@lru_cache(maxsize=1024)
def wording(encoding: int) -> Wording:
    """Read the number in a message's row."""
    locking = encoding >> _LOCKING_SHIFT & _LANGUAGE
    single = encoding >> _SINGLE_SHIFT & _LANGUAGE
    return Wording(
        _CHARSET_OF[encoding & 15],
        Language(locking) if locking else None,
        Language(single) if single else None,
        bool(encoding & WIDE_REFERENCE),
        bool(encoding & WHOLE),
    )


def encoding_of(way: Plan, long: Long) -> int:
    """The number for a plan, made with a dialect that cuts long texts like this."""
    number = _CHARSETS[way.charset]
    number |= (way.locking or 0) << _LOCKING_SHIFT | (way.single or 0) << _SINGLE_SHIFT
    if way.segments > 1:
        number |= _MARKS[long]
    return number


_MARKS: Final = {
    Long.UDH8: 0,
    Long.UDH16: WIDE_REFERENCE,
    Long.SAR: WIDE_REFERENCE,
    Long.PAYLOAD: WHOLE,
}


def billed_segments(text: str, encoding: int, segments: int) -> int:
    """How many segments carriers bill for a message that counts `segments` here."""
    return _whole(text, encoding) if encoding & WHOLE else segments


def _whole(text: str, encoding: int) -> int:
    how = wording(encoding)
    dialect = TextDialect(
        gsm=0 if how.charset is Charset.GSM7 else None,
        latin1=3 if how.charset is Charset.LATIN1 else None,
        long=Long.PAYLOAD,
    )
    return plan(text, dialect).segments


def text_dialect(settings: LinkSettings) -> TextDialect:
    """What a link takes, by its settings. Raises ValueError for a language without such a table."""
    coding = settings.alphabet_coding
    latin1 = None if settings.latin1_coding < 0 else settings.latin1_coding
    is_gsm = settings.alphabet != "latin1"
    return TextDialect(
        gsm=coding if is_gsm else None,
        is_packed=settings.alphabet == "gsm-packed",
        latin1=latin1 if is_gsm else coding,
        ucs2=settings.ucs2_coding,
        locking=tuple(_LANGUAGES[name] for name in settings.locking_shift),
        single=tuple(_LANGUAGES[name] for name in settings.single_shift),
        long=Long(settings.long_texts),
    )


def common(dialects: Iterable[TextDialect]) -> TextDialect:
    """What all of these links take: the dialect to choose by for a route that they serve.

    They cut long texts alike (`cuts_alike`), else the first one's way stands.
    """
    first, *others = dialects
    for other in others:
        has_gsm = first.gsm is not None and other.gsm is not None
        has_latin1 = first.latin1 is not None and other.latin1 is not None
        first = replace(
            first,
            gsm=first.gsm if has_gsm else None,
            is_packed=first.is_packed and has_gsm,
            latin1=first.latin1 if has_latin1 else None,
            locking=_both(first.locking, other.locking) if has_gsm else (),
            single=_both(first.single, other.single) if has_gsm else (),
        )
    return first


def _both(one: tuple[Language, ...], other: tuple[Language, ...]) -> tuple[Language, ...]:
    return tuple(language for language in one if language in other)


def cuts_alike(one: Long, other: Long) -> bool:
    """Whether a long text has the same segments either way, so that one link may stand in for the
    other.
    """
    return _MARKS[one] == _MARKS[other]


def is_default(dialect: TextDialect) -> bool:
    """Whether texts are chosen and counted as the standard's defaults say."""
    return replace(dialect, gsm=dialect.gsm and 0, ucs2=8, is_packed=False) == DEFAULT_DIALECT


def dialect_breaches(settings: Settings) -> Iterator[Breach]:
    """What is wrong with the dialects of links, each by itself and together on a route."""
    for index, link in enumerate(settings.links):
        for key, problem, hint in _link_breaches(link):
            yield Breach(("links", index, key), problem, hint)
    links = {link.name: link for link in settings.links}
    for index, route in enumerate(settings.routes):
        known = [links[each.link] for each in route.members if each.link in links]
        for link in known[1:]:
            if not cuts_alike(Long(known[0].long_texts), Long(link.long_texts)):
                problem = (
                    f"{known[0].name} and {link.name} cut long texts differently: "
                    f'"{known[0].long_texts}" and "{link.long_texts}"'
                )
                hint = "a text half sent by one could not be counted on the other: set them alike"
                yield Breach(("routes", index, "links"), problem, hint)


def _link_breaches(link: LinkSettings) -> Iterator[tuple[str, str, str]]:
    for key, tables in (("locking_shift", LOCKING), ("single_shift", SINGLE)):
        languages = getattr(link, key)
        missing = [name for name in languages if _LANGUAGES[name] not in tables]
        if missing:
            yield key, f"the standard has no such table for {', '.join(missing)}", "leave it out"
        if languages and link.alphabet == "latin1":
            hint = 'leave it out, or set alphabet = "gsm"'
            yield key, "shift tables belong to the GSM alphabet", hint
    yield from _coding_breaches(link)


def _coding_breaches(link: LinkSettings) -> Iterator[tuple[str, str, str]]:
    """No phone could tell apart what two alphabets have in common."""
    taken = {link.alphabet_coding: "alphabet_coding"}
    keys = ("ucs2_coding",) if link.alphabet == "latin1" else ("latin1_coding", "ucs2_coding")
    for key in keys:
        coding = getattr(link, key)
        if coding in taken:
            yield key, f"that of {taken[coding]} too", "each alphabet has its own"
        taken.setdefault(coding, key)
