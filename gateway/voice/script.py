"""What a call says, from the first word to the last: who calls, the message, how to call back, and
how to be called no more.

A call with an artificial voice has to name at its beginning the business that is responsible, by
the name it is registered under, and give its telephone number; a marketing call has to offer a way
out by key within two seconds of that, and on a voicemail a toll-free number for it (47 CFR
64.1200(b)). So the order is fixed here, and the words are data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from gateway.model import Category
from gateway.phone import is_e164, national
from tts.normalize import UnspeakableText, normalizing
from tts.steps import Steps

OPT_OUT_KEY = "9"
REPEAT_KEY = "2"

_TOLL_FREE = frozenset({"800", "833", "844", "855", "866", "877", "888"})

_NO_ENTRIES: Mapping[str, str] = MappingProxyType({})


class ScriptError(ValueError):
    """Something that a call must say is missing; the words never quote the message."""


class Part(StrEnum):
    """The parts of a script."""

    IDENTIFICATION = "identification"
    OPT_OUT = "opt-out"
    MESSAGE = "message"
    CALLBACK = "callback"
    REPEAT = "repeat"


class Lines(NamedTuple):
    """The gateway's own sentences in one language."""

    identification: str
    opt_out_by_key: str
    opt_out_by_phone: str
    callback: str
    repeat: str
    star: str
    pound: str


LINES: Mapping[str, Lines] = {
    "en": Lines(
        identification="This is {name}.",
        opt_out_by_key="To stop these calls, press {key}.",
        opt_out_by_phone="To stop these calls, dial {number}.",
        callback="You can call us back at {number}.",
        repeat="Press {key} to hear this again.",
        star="star",
        pound="the pound key",
    ),
    "es": Lines(
        identification="Le habla {name}.",
        opt_out_by_key="Para no recibir más estas llamadas, marque {key}.",
        opt_out_by_phone="Para no recibir más estas llamadas, llame al {number}.",
        callback="Puede llamarnos al {number}.",
        repeat="Marque {key} para escuchar este mensaje otra vez.",
        star="asterisco",
        pound="la tecla numeral",
    ),
    "fr": Lines(
        identification="Ici {name}.",
        opt_out_by_key="Pour ne plus recevoir ces appels, faites le {key}.",
        opt_out_by_phone="Pour ne plus recevoir ces appels, appelez le {number}.",
        callback="Vous pouvez nous rappeler au {number}.",
        repeat="Faites le {key} pour entendre ce message encore une fois.",
        star="étoile",
        pound="carré",
    ),
}


@dataclass(frozen=True, slots=True)
class Script:
    """A call's words in their order; `text` is for people to read, `spoken` for an engine."""

    parts: Mapping[Part, str]
    """As written."""
    words: Mapping[Part, str]
    """As an engine is given them."""

    @property
    def text(self) -> str:
        """The whole script as written, one part a line."""
        return as_lines(self.parts)

    @property
    def spoken(self) -> str:
        """The whole script as an engine is given it."""
        return " ".join(self.words.values())

    @property
    def spoken_again(self) -> str:
        """What follows when the person asks to hear it again: all but the offer to repeat it."""
        return " ".join(words for part, words in self.words.items() if part is not Part.REPEAT)


def call_script(
    shop_name: str,
    message: str,
    *,
    callback: str,
    category: Category,
    language: str = "en",
    is_voicemail: bool = False,
    opt_out_phone: str = "",
    opt_out_key: str = OPT_OUT_KEY,
    repeat_key: str = REPEAT_KEY,
    lexicon: Mapping[str, str] = _NO_ENTRIES,
) -> Steps[Script]:
    """The script of a call to a person, or of what is left on a voicemail, made in steps.

    `shop_name` is the registered one; `callback` and `opt_out_phone` are in E.164 form.
    `opt_out_phone` is the toll-free number whose calls end in an opt-out: a marketing voicemail
    needs it. An empty `repeat_key` offers no repetition. Raises ScriptError; UnspeakableText if
    the message has nothing to say; LexiconError.
    """
    parts = call_parts(
        shop_name,
        message,
        callback=callback,
        category=category,
        language=language,
        is_voicemail=is_voicemail,
        opt_out_phone=opt_out_phone,
        opt_out_key=opt_out_key,
        repeat_key=repeat_key,
    )
    name = _name(shop_name)
    try:
        yield from normalizing(name, language)
    except UnspeakableText as error:
        raise ScriptError("the shop has no registered name that could be said") from error
    # The lexicon is for their words, not for ours: "Le habla" has the look of a name in it.
    said_name = yield from normalizing(name, language, lexicon)
    own = _lines(language).identification.format(name=said_name.rstrip(" ,.?!"))
    words = {}
    for part, text in ({**parts, Part.IDENTIFICATION: own}).items():
        entries = lexicon if part is Part.MESSAGE else _NO_ENTRIES
        said = yield from normalizing(text, language, entries)
        words[part] = _closed(said)
    return Script(MappingProxyType(parts), MappingProxyType(words))


def call_parts(
    shop_name: str,
    message: str,
    *,
    callback: str,
    category: Category,
    language: str = "en",
    is_voicemail: bool = False,
    opt_out_phone: str = "",
    opt_out_key: str = OPT_OUT_KEY,
    repeat_key: str = REPEAT_KEY,
) -> dict[Part, str]:
    """The parts of such a script as they are written. Raises ScriptError."""
    lines = _lines(language)
    parts = {Part.IDENTIFICATION: lines.identification.format(name=_name(shop_name))}
    if category is Category.MARKETING:
        parts[Part.OPT_OUT] = _way_out(lines, is_voicemail, opt_out_phone, opt_out_key)
    parts[Part.MESSAGE] = message.strip()
    parts[Part.CALLBACK] = lines.callback.format(number=_readable(callback, "callback number"))
    if repeat_key and not is_voicemail:
        parts[Part.REPEAT] = lines.repeat.format(key=_key(lines, repeat_key, "repeat key"))
    return parts


def as_lines(parts: Mapping[Part, str]) -> str:
    """A script for people to read, a part a line."""
    return "\n".join(" ".join(part.split()) for part in parts.values())


def _lines(language: str) -> Lines:
    if (lines := LINES.get(language[:2].lower())) is None:
        raise ScriptError(f"no lines for language {language[:10]!r}; known: {', '.join(LINES)}")
    return lines


def _name(shop_name: str) -> str:
    """As it stands in a sentence that ends with it."""
    return shop_name.strip().rstrip(".")


def _way_out(lines: Lines, is_voicemail: bool, phone: str, key: str) -> str:
    if is_voicemail:
        if not phone:
            raise ScriptError("a marketing voicemail has to name a toll-free number to opt out")
        what = "toll-free opt-out number of a marketing voicemail"
        number = _readable(phone, what)
        if phone.startswith("+1") and phone[2:5] not in _TOLL_FREE:
            raise ScriptError(f"the {what} is not toll-free")
        return lines.opt_out_by_phone.format(number=number)
    return lines.opt_out_by_key.format(key=_key(lines, key, "opt-out key of a marketing call"))


def _key(lines: Lines, key: str, what: str) -> str:
    """A key of a telephone as people call it: a sign alone is not spoken."""
    if len(key) != 1 or key not in "0123456789*#":
        raise ScriptError(f"the {what} must be one key of a telephone")
    return {"*": lines.star, "#": lines.pound}.get(key, key)


def _readable(number: str, what: str) -> str:
    if not is_e164(number):
        raise ScriptError(f"the {what} is missing, or not in E.164 form as +12125550123")
    return national(number)


def _closed(words: str) -> str:
    """With an end, so that the next part begins anew."""
    return words if words[-1] in ".?!" else f"{words}."
