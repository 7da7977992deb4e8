"""What an operator may write into each field of a shop, and what to do when it is refused.

Each reader takes the text as given and returns what is stored, or raises FieldError. `read` applies
many of them and reports every faulty field at once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import get_args
from zoneinfo import ZoneInfo

from config.speech import SpokenLanguage
from gateway import phone
from gateway.errors import Fault, Refusal

_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_SHORT_CODE = re.compile(r"[0-9]{5,6}")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_VOICE = re.compile(r"[A-Za-z0-9._ +-]{1,64}")
_UNSTORABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_NAME_MAX = 200
_EMAIL_MAX = 254
_LOCAL_PART_MAX = 64

Reader = Callable[[str], object]


class FieldError(ValueError):
    """A value that a field cannot take. `type`: the problem type that it would be alone."""

    def __init__(self, problem: str, hint: str, type_: str = "invalid-request") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        self.type = type_


def read(
    values: Mapping[str, str | None], readers: Mapping[str, Reader], what: str
) -> dict[str, object]:
    """`values` as they are stored. None stands for an empty field.

    Raises a Refusal that names every field that is faulty or unknown; `what` is the thing spoken
    of: `the shop`.
    """
    faults: list[Fault] = []
    types: set[str] = set()
    stored: dict[str, object] = {}
    for field, value in values.items():
        try:
            if field not in readers:
                raise FieldError("is not a known field", f"known: {', '.join(readers)}")
            stored[field] = readers[field](value or "")
        except FieldError as error:
            faults.append(Fault(field, error.problem, error.hint))
            types.add(error.type)
    if faults:
        type_ = types.pop() if len(types) == 1 else "invalid-request"
        raise Refusal(type_, f"{what} is not accepted: {_listed(faults)}", tuple(faults))
    return stored


def _listed(faults: list[Fault]) -> str:
    return "; ".join(f"{fault.field} {fault.problem}" for fault in faults)


def is_storable(text: str) -> bool:
    """Whether `text` is fit for a column and a mail header: one line of encodable characters."""
    return all(unicodedata.category(c) not in _UNSTORABLE for c in text)


def code(text: str) -> str:
    """A shop's code: the name that the outside calls it by, never changed."""
    if _CODE.fullmatch(text) is None:
        raise FieldError(
            "is not a code for a shop",
            "use 1 to 64 of a-z, 0-9 and -, the first no -: sample-bridal",
        )
    return text


def name(text: str) -> str:
    """The name that people read."""
    stripped = text.strip()
    if not is_storable(stripped):
        raise FieldError(
            "holds a control character", "write it on one line, letters and marks only"
        )
    if not stripped:
        raise FieldError("is empty", "give the name that people know the shop by")
    if len(stripped) > _NAME_MAX:
        raise FieldError(f"is longer than {_NAME_MAX} characters", "shorten it")
    return stripped


def main_phone(text: str, region: str, countries: tuple[str, ...]) -> str:
    """A phone of an allowed country, in E.164 form."""
    try:
        return phone.normalize(text, region, countries)
    except phone.PhoneError as error:
        raise _phone_fault(error, "give it as +12125550123 or in national form") from error


def number(text: str, region: str, countries: tuple[str, ...]) -> str:
    """A number to send texts from: E.164, or the 5 or 6 digits of a short code."""
    if _SHORT_CODE.fullmatch(text):
        return text
    try:
        return phone.normalize(text, region, countries)
    except phone.PhoneError as error:
        hint = "give it as +12125550123, or the 5 or 6 digits of a short code"
        raise _phone_fault(error, hint) from error


def _phone_fault(error: phone.PhoneError, hint: str) -> FieldError:
    """What `error` says, as a sentence without its subject and its advice."""
    problem, _, _ = str(error).partition(":")
    return FieldError(problem if problem.startswith(("is ", "has ")) else f"is {problem}", hint)


def email(text: str) -> str:
    """A plain address (RFC 5321) in ASCII, with neither a display name nor a quoted local part."""
    hint = "give one plain address: owner@example.com"
    if len(text) > _EMAIL_MAX:
        raise FieldError(f"is longer than {_EMAIL_MAX} characters", hint)
    local, at, domain = text.rpartition("@")
    if not at or "@" in local:
        raise FieldError("is not one mail address", hint)
    if not text.isascii():
        raise FieldError(
            "has characters beyond ASCII, which many mail hosts refuse",
            "use another address, or the xn-- form of the domain",
        )
    if len(local) > _LOCAL_PART_MAX or _LOCAL_PART.fullmatch(local) is None:
        raise FieldError("has characters before the @ that a plain address cannot have", hint)
    if _DOMAIN.fullmatch(domain) is None:
        raise FieldError("has no full domain after the @", hint)
    return text


def time_zone(text: str) -> str:
    """A zone of the IANA database, by its name."""
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        raise FieldError(
            "is not a known time zone", "give its IANA name: America/New_York"
        ) from error
    return text


def support_until(text: str) -> date | None:
    """The last day of the support agreement, ISO 8601; empty for one without end."""
    if not text:
        return None
    try:
        if _ISO_DATE.fullmatch(text) is None:
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        hint = "give the last active day as 2030-12-31, or leave it empty for no end"
        raise FieldError("is not a date", hint) from None


def method(text: str) -> str | None:
    """How the shop's messages go: `sms`, or empty (texts once a number is assigned)."""
    if text == "email":
        raise FieldError(
            "email (SMS via email) is not in this version",
            "use sms, or leave it empty",
            "not-available",
        )
    if text not in ("", "sms"):
        raise FieldError("is not a known method", "use sms, or leave it empty")
    return text or None


def language(text: str) -> str | None:
    """What a shop is spoken in; empty: as the settings say."""
    known = get_args(SpokenLanguage)
    if text and text not in known:
        raise FieldError("is not a language that can be spoken", f"known: {', '.join(known)}")
    return text or None


def voice(text: str, engines: Collection[str]) -> str | None:
    """`engine:voice`, of one of the engines that the settings have; empty: the engine's choice."""
    if not text:
        return None
    engine, colon, id_ = text.partition(":")
    if not colon or _VOICE.fullmatch(id_) is None:
        raise FieldError("is not a voice", "give it as `gateway voices` lists it: pico:en-GB")
    _require_engine(engine, engines)
    return text


def engine_names(text: str, engines: Collection[str]) -> tuple[str, ...]:
    """Engines that the settings have, between commas, each once."""
    names = tuple(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
    for each in names:
        _require_engine(each, engines)
    return names


def _require_engine(name: str, engines: Collection[str]) -> None:
    if name not in engines:
        shown = name[:32] if is_storable(name) else "?"
        problem = f"names {shown}, which [speech] engines of the settings do not"
        raise FieldError(problem, f"there are: {', '.join(engines)}")
