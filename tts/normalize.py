"""Written messages to text that an engine can say and a person understands on the phone.

    normalize("Your gown is $149.50, call (212) 555-0123.")
    "Your gown is one hundred forty nine dollars and fifty cents, call two one two, five five
    five, zero one two three."

Pure: no files, no network, no clock. The work is linear in the text, which is refused above
MAX_TEXT_CHARS characters. What comes out holds letters, spaces, apostrophes and `, . ? !` alone; so
digits and markup never reach an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

from tts.engine import MAX_SPOKEN_CHARS, MAX_TEXT_CHARS
from tts.lexicon import compiling
from tts.steps import Steps, at_once
from tts.text import (
    addresses,
    calendar,
    digits,
    figures,
    money,
    quantities,
    wording,
)
from tts.text.cleaning import cleaning, finish
from tts.text.english import ENGLISH
from tts.text.french import FRENCH
from tts.text.grammar import Grammar, Rule, rule
from tts.text.spanish import SPANISH

_HOPELESS_CHARS = 2 * MAX_SPOKEN_CHARS
"""What grows beyond it is not read to its end only to be refused."""
_NO_ENTRIES: Mapping[str, str] = MappingProxyType({})
_GRAMMARS: dict[str, Grammar] = {g.code: g for g in (ENGLISH, SPANISH, FRENCH)}
LANGUAGES = tuple(_GRAMMARS)


class UnspeakableText(ValueError):
    """Nothing that could be said, or too much; the words never quote the text."""


class UnspeakablyLong(UnspeakableText):
    """Too much."""


def normalize(text: str, language: str = "en", lexicon: Mapping[str, str] = _NO_ENTRIES) -> str:
    """What is said for `text`: words only, numbers and abbreviations written out.

    `language` is "en", "es" or "fr", also with a region ("en-US"); others raise UnspeakableText, as
    do texts above MAX_TEXT_CHARS and those without a letter or digit. `lexicon` is the shop's
    {written: spoken}; it raises `tts.lexicon.LexiconError`.
    """
    return at_once(normalizing(text, language, lexicon))


def normalizing(
    text: str, language: str = "en", lexicon: Mapping[str, str] = _NO_ENTRIES
) -> Steps[str]:
    """The same in steps."""
    if len(text) > MAX_TEXT_CHARS:
        raise UnspeakablyLong(f"longer than {MAX_TEXT_CHARS:,} characters")
    grammar = _GRAMMARS.get(language[:2].lower())
    if grammar is None:
        raise UnspeakableText(f"no rules for language {language[:10]!r}; known: {_known()}")
    plain = yield from cleaning(text, grammar.letters)
    if len(plain) > _HOPELESS_CHARS:
        raise _too_long()
    if lexicon:
        ready = yield from compiling(lexicon, grammar.letters)
        plain = yield from ready.apply(plain)
        _require_short(plain)
    said = yield from _apply(rules(grammar.code), plain)
    spoken = finish(said, grammar.letters)
    if not spoken:
        raise UnspeakableText("nothing in it can be said")
    _require_short(spoken)
    return spoken


def _require_short(spoken: str) -> None:
    if len(spoken) > MAX_SPOKEN_CHARS:
        raise _too_long()


def _too_long() -> UnspeakablyLong:
    return UnspeakablyLong(f"takes more than {MAX_SPOKEN_CHARS:,} characters to say")


def _known() -> str:
    return ", ".join(LANGUAGES)


@lru_cache(maxsize=8)
def rules(code: str) -> tuple[Rule, ...]:
    """All rules of a language in their order: what is more particular comes first."""
    g = _GRAMMARS[code]
    makers: tuple[Callable[[Grammar], list[Rule]], ...] = (
        digits.phone_rules,
        quantities.address_rules,
        money.rules,
        calendar.weekday_rules,
        calendar.clock_rules,
        calendar.date_rules,
        quantities.fraction_rules,
        digits.id_rules,
        quantities.measure_rules,
        quantities.number_rules,
        wording.symbol_rules,
        wording.word_rules,
    )
    special = [rule(*entry) for entry in g.special]
    made = [*addresses.rules(g), *figures.rules(), *special]
    for maker in makers:
        made += maker(g)
    return tuple(made)


def _apply(rules: tuple[Rule, ...], text: str) -> Steps[str]:
    characters = frozenset(text)
    for each in rules:
        if not each.needs or not each.needs.isdisjoint(characters):
            text = yield from _rewritten(each, text)
            if len(text) > _HOPELESS_CHARS:
                raise _too_long()
    return text


def _rewritten(rule: Rule, text: str) -> Steps[str]:
    """As `rule.pattern.sub` does, a match in a step."""
    say = rule.say
    parts: list[str] = []
    done = 0
    yield
    for match in rule.pattern.finditer(text):
        said = match.expand(say) if isinstance(say, str) else say(match)
        parts += text[done : match.start()], said
        done = match.end()
        yield
    return "".join([*parts, text[done:]]) if parts else text
