"""Reads the fields of a send request one by one, and notes every fault with its field."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

import msgspec

from config.settings import LimitSettings, SmsSettings
from gateway.dispatch.request import Contact, SendRequest
from gateway.errors import Fault, Refusal
from gateway.phone import PhoneError, normalize
from gateway.store.fields import FieldError, time_zone
from protocols.sms.encoding import Encoding, choose
from protocols.sms.repair import Change, repair
from protocols.sms.segment import count

_FARTHEST_S = 366 * 86400
_TEXT_FIELDS = ("text", "source", "sender", "to", "reference", "idempotency_key")
_CONTACT_FIELDS = tuple(f.name for f in msgspec.structs.fields(Contact))
_texts_of = attrgetter(*_TEXT_FIELDS)
_words_of = attrgetter(*_CONTACT_FIELDS)


class Body(NamedTuple):
    """A text as it will be sent."""

    text: str
    changes: tuple[Change, ...] = ()
    encoding: Encoding = Encoding.GSM7
    segments: int = 1


class Fields(NamedTuple):
    """What a request says, read. Sender None: still to be chosen. Times are ms since the epoch."""

    phone: str
    sender: str | None
    send_at_ms: int | None
    expires_ms: int
    body: Body


def read_fields(
    request: SendRequest,
    sms: SmsSettings,
    limits: LimitSettings,
    now_ms: int,
    *,
    is_counted: bool = True,
) -> Fields:
    """`is_counted`: whether the segments that the standard's alphabets take are those that count.

    Raises Refusal: `invalid-request` names every faulty field; `no-primary-phone`.
    """
    faults: list[Fault] = []
    unstorable = _check_storable(request, faults)
    phone = _phone(request, sms, faults)
    _check_zone(request, faults)
    send_at_ms, expires_ms = _times(request, limits, now_ms, faults)
    body = Body("") if "text" in unstorable else _body(
        request.text, sms, faults, is_counted=is_counted
    )
    sender = _sender(request, sms, faults)
    if faults:
        raise Refusal("invalid-request", "The request has faulty fields.", tuple(faults))
    return Fields(phone, sender, send_at_ms, expires_ms, body)


def _check_storable(request: SendRequest, faults: list[Fault]) -> set[str]:
    """PostgreSQL stores neither U+0000 nor lone surrogates: they are refused here, by field."""
    found: set[str] = set()
    contact = request.contact
    said = _texts_of(request) if contact is None else _texts_of(request) + _words_of(contact)
    whole = "".join(filter(None, said))
    if whole.isascii() and "\0" not in whole:
        return found
    for name, value in _strings(request):
        if "\0" in value:
            faults.append(Fault(name, "contains U+0000", "remove it"))
            found.add(name)
        if not value.isascii() and not _is_unicode(value):
            problem, hint = "contains half of a surrogate pair", "send whole characters"
            faults.append(Fault(name, problem, hint))
            found.add(name)
    return found


def _strings(request: SendRequest) -> list[tuple[str, str]]:
    """Every text of the request, by the name that the caller knows it by."""
    found = [
        ("from" if name == "sender" else name, getattr(request, name)) for name in _TEXT_FIELDS
    ]
    if request.contact is not None:
        found += [(f"contact.{name}", getattr(request.contact, name)) for name in _CONTACT_FIELDS]
    return [(name, value) for name, value in found if value is not None]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _phone(request: SendRequest, sms: SmsSettings, faults: list[Fault]) -> str:
    contact = request.contact
    if (request.to is None) == (contact is None):
        problem = "is missing" if contact is None else "stands beside `contact`"
        faults.append(Fault("to", problem, "give either `to` or `contact`"))
        return ""
    if contact is not None and not (contact.primary_phone or "").strip():
        fault = Fault("contact.primary_phone", "is empty", "enter a primary phone for the contact")
        raise Refusal("no-primary-phone", "The contact has no primary phone.", (fault,))
    field = "to" if contact is None else "contact.primary_phone"
    text = request.to if contact is None else contact.primary_phone
    try:
        return normalize(text or "", sms.default_region, sms.countries)
    except PhoneError as error:
        faults.append(Fault(field, str(error), "an example: +12125550123"))
        return ""


def _sender(request: SendRequest, sms: SmsSettings, faults: list[Fault]) -> str | None:
    if request.sender is None:
        return None
    text = request.sender.strip()
    if text.isascii() and text.isdigit() and 5 <= len(text) <= 6:
        return text
    try:
        return normalize(text, sms.default_region, sms.countries)
    except PhoneError as error:
        faults.append(Fault("from", str(error), "give one of the shop's numbers, or null"))
        return None


def _check_zone(request: SendRequest, faults: list[Fault]) -> None:
    zone = request.contact.time_zone if request.contact else None
    if zone and (fault := _zone_fault(zone)):
        faults.append(fault)


@lru_cache(maxsize=1024)
def _zone_fault(zone: str) -> Fault | None:
    try:
        time_zone(zone)
    except FieldError as error:
        return Fault("contact.time_zone", error.problem, error.hint)
    return None


def _times(
    request: SendRequest, limits: LimitSettings, now_ms: int, faults: list[Fault]
) -> tuple[int | None, int]:
    """When to send (None: now), and until when."""
    send_at_ms = _ms(request.send_at)
    if send_at_ms is not None and send_at_ms <= now_ms:
        send_at_ms = None
    start_ms = send_at_ms or now_ms
    if start_ms - now_ms > _FARTHEST_S * 1000:
        faults.append(Fault("send_at", "is more than a year away", "post it later"))
    expires_ms = _ms(request.expires_at)
    if expires_ms is None:
        is_marketing = request.category == "marketing"
        validity_s = limits.validity_transactional_s
        if is_marketing:
            validity_s = limits.validity_marketing_s
        return send_at_ms, start_ms + int(validity_s * 1000)
    if expires_ms <= start_ms:
        problem = "is not after `send_at`" if send_at_ms else "has passed"
        faults.append(Fault("expires_at", problem, "give a later time, or leave it out"))
    elif expires_ms - start_ms > _FARTHEST_S * 1000:
        faults.append(Fault("expires_at", "is more than a year away", "give an earlier time"))
    return send_at_ms, expires_ms


def _ms(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp() * 1000)


def too_long(segments: int, most: int) -> Fault:
    """The fault of a text of more segments than may be."""
    return Fault("text", f"takes {segments} segments; at most {most} are allowed", "shorten it")


def _body(text: str, sms: SmsSettings, faults: list[Fault], *, is_counted: bool) -> Body:
    changes: tuple[Change, ...] = ()
    if sms.smart_repair:
        text, changes = repair(text)
    if not text.strip():
        faults.append(Fault("text", "is blank", "give the words to send"))
        return Body(text)
    encoding = choose(text)
    segments = count(text, encoding)
    if is_counted and segments > sms.segments_max:
        faults.append(too_long(segments, sms.segments_max))
    return Body(text, changes, encoding, segments)
