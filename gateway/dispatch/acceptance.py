"""From a send request to a message: what is wanted, whether the shop may, and what it takes.

`Acceptance.draft` does no I/O and changes nothing: the API's preview and its POST both call it. What only the store knows (the
contact's last known SMS Alerts field, the number that last talked with the phone) is filled in by `settle_draft`, when the
store has been asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from config.settings import LimitSettings, SmsSettings
from gateway.dispatch.request import Contact, SendRequest
from gateway.errors import Fault, Refusal
from gateway.ids import IdSource, show
from gateway.model import Category, Channel, Message, Place, State
from gateway.phone import PhoneError, normalize
from gateway.policy.gate import Action, Reason, Verdict, decide, fold_alerts
from gateway.store.directory import Number, Shop
from protocols.sms.encoding import Encoding, choose
from protocols.sms.repair import Change, repair
from protocols.sms.segment import count

WIDE_REFERENCE = 256
"""Added to a message's encoding where its segments carry a 16-bit concatenation reference."""

_FARTHEST_S = 366 * 86400


@dataclass(slots=True)
class Draft:
    """A request made a message, and what was found on the way. Not stored yet."""

    message: Message
    shop: Shop
    contact: Contact | None
    alerts: str | None
    """The request's SMS Alerts field, folded; None where it said nothing and the store's word counts."""
    is_sender_open: bool
    """Whether the sender is still to be chosen among the shop's numbers."""
    changes: tuple[Change, ...]
    send_at_ms: int | None
    verdict: Verdict | None = None

    @property
    def needs_contact(self) -> bool:
        """Whether the store must be asked for the contact before the message can be judged."""
        return self.alerts is None or self.is_sender_open


class Acceptance:
    """Checks requests and makes drafts of them."""

    def __init__(
        self, sms: SmsSettings, limits: LimitSettings, ids: IdSource, reference_bits: dict[str, int]
    ) -> None:
        """`reference_bits`: 8 or 16 by the name of the route."""
        self._sms = sms
        self._limits = limits
        self._ids = ids
        self._reference_bits = reference_bits

    def draft(self, shop: Shop, request: SendRequest, now_ms: int) -> Draft:
        """The message that the request asks for.

        Raises Refusal: `invalid-request` names every faulty field, the other types what the shop or this version may not do.
        """
        faults: list[Fault] = []
        _check_text_fields(request, faults)
        phone = self._phone(request, faults)
        send_at_ms, expires_ms = self._times(request, now_ms, faults)
        body, changes, encoding, segments = self._body(request.text, faults)
        sender = self._sender(request, faults)
        if faults:
            raise Refusal("invalid-request", "The request has faulty fields.", tuple(faults))
        self._refuse_what_this_version_cannot(request)
        number = self._number(shop, request, sender)
        coding = int(encoding)
        if segments > 1 and self._reference_bits.get(number.route_name) == 16:
            segments = count(body, encoding, 16)
            coding += WIDE_REFERENCE
        message = Message(
            id=self._ids.next(),
            shop=shop.id,
            route=number.route,
            channel=Channel.SMS,
            category=Category[request.category.upper()],
            sender=number.number,
            target=phone,
            body=body,
            encoding=coding,
            segments=segments,
            expires_ms=expires_ms,
            reference=request.reference,
            source=request.source,
        )
        alerts = request.contact.sms_alerts if request.contact else None
        return Draft(
            message=message,
            shop=shop,
            contact=request.contact,
            alerts=None if alerts is None else fold_alerts(alerts),
            is_sender_open=request.sender is None and len(shop.numbers) > 1,
            changes=changes,
            send_at_ms=send_at_ms,
        )

    # Fields -------------------------------------------------------------------------------------------------------

    def _phone(self, request: SendRequest, faults: list[Fault]) -> str:
        contact = request.contact
        if (request.to is None) == (contact is None):
            problem = "is missing" if contact is None else "stands beside `contact`"
            faults.append(Fault("to", problem, "give either `to` or `contact`"))
            return ""
        if contact is not None and not (contact.primary_phone or "").strip():
            raise Refusal(
                "no-primary-phone",
                "The contact has no primary phone.",
                (Fault("contact.primary_phone", "is empty", "enter a primary phone for the contact"),),
            )
        field = "to" if contact is None else "contact.primary_phone"
        text = request.to if contact is None else contact.primary_phone
        try:
            return normalize(text or "", self._sms.default_region, self._sms.countries)
        except PhoneError as error:
            faults.append(Fault(field, str(error), "an example: +12125550123"))
            return ""

    def _sender(self, request: SendRequest, faults: list[Fault]) -> str | None:
        if request.sender is None:
            return None
        text = request.sender.strip()
        if text.isascii() and text.isdigit() and 5 <= len(text) <= 6:
            return text
        try:
            return normalize(text, self._sms.default_region, self._sms.countries)
        except PhoneError as error:
            faults.append(Fault("from", str(error), "give one of the shop's numbers, or null"))
            return None

    def _times(
        self, request: SendRequest, now_ms: int, faults: list[Fault]
    ) -> tuple[int | None, int]:
        send_at_ms = _ms(request.send_at)
        if send_at_ms is not None and send_at_ms <= now_ms:
            send_at_ms = None
        start_ms = send_at_ms or now_ms
        if start_ms - now_ms > _FARTHEST_S * 1000:
            faults.append(Fault("send_at", "is more than a year away", "post it later"))
        expires_ms = _ms(request.expires_at)
        if expires_ms is None:
            return send_at_ms, start_ms + int(self._validity_s(request.category) * 1000)
        if expires_ms <= start_ms:
            problem = "is not after `send_at`" if send_at_ms else "has passed"
            faults.append(Fault("expires_at", problem, "give a later time, or leave it out"))
        elif expires_ms - start_ms > _FARTHEST_S * 1000:
            faults.append(Fault("expires_at", "is more than a year away", "give an earlier time"))
        return send_at_ms, expires_ms

    def _validity_s(self, category: str) -> float:
        if category == "marketing":
            return self._limits.validity_marketing_s
        return self._limits.validity_transactional_s

    def _body(
        self, text: str, faults: list[Fault]
    ) -> tuple[str, tuple[Change, ...], Encoding, int]:
        changes: tuple[Change, ...] = ()
        if self._sms.smart_repair:
            text, changes = repair(text)
        if not text.strip():
            faults.append(Fault("text", "is blank", "give the words to send"))
            return text, changes, Encoding.GSM7, 1
        try:
            encoding = choose(text)
            segments = count(text, encoding)
        except UnicodeEncodeError:
            return text, changes, Encoding.UCS2, 1
        most = self._sms.segments_max
        if segments > most:
            faults.append(
                Fault("text", f"takes {segments} segments; at most {most} are allowed", "shorten it")
            )
        return text, changes, encoding, segments

    # What the shop may ---------------------------------------------------------------------------------------------

    def _refuse_what_this_version_cannot(self, request: SendRequest) -> None:
        options = {
            "channel": request.channel in ("email", "voice") and request.channel,
            "voice": request.voice is not None and "spoken messages",
            "fallback": bool(request.fallback) and "a fallback",
        }
        faults = tuple(
            Fault(field, f"{what} is not available in this version", "leave it out")
            for field, what in options.items()
            if what
        )
        if faults:
            raise Refusal("not-available", "This version cannot do what is asked.", faults)

    def _number(self, shop: Shop, request: SendRequest, sender: str | None) -> Number:
        if not shop.numbers:
            raise Refusal(
                "no-service",
                f"Shop {shop.code} has no SMS number assigned.",
                hint="assign one: gateway number assign NUMBER --shop ID --link LINK",
            )
        if sender is None:
            return shop.numbers[0]
        for number in shop.numbers:
            if number.number == sender:
                return number
        raise Refusal(
            "number-not-allowed",
            f"The number is not assigned to shop {shop.code}.",
            (Fault("from", "is not one of the shop's numbers", "give one of them, or null"),),
        )


def settle_draft(
    draft: Draft, known_alerts: str | None, known_number: str | None, *, has_link: bool, now_ms: int
) -> None:
    """Complete a draft with what the store knows of its contact, and let the gate judge it.

    Raises Refusal where acceptance refuses what the gate would hold or drop later: `support-ended`, and a validity that has passed.
    """
    message = draft.message
    if draft.is_sender_open and known_number is not None:
        for number in draft.shop.numbers:
            if number.number == known_number:
                message.sender, message.route = number.number, number.route
    draft.verdict = verdict = decide(
        category=message.category,
        expires_ms=message.expires_ms,
        send_at_ms=draft.send_at_ms,
        is_supported=draft.shop.is_supported(now_ms),
        is_held=draft.shop.is_held,
        sms_alerts=known_alerts if draft.alerts is None else draft.alerts,
        has_link=has_link,
        now_ms=now_ms,
    )
    if verdict.reason is Reason.SUPPORT_ENDED:
        raise Refusal(
            "support-ended",
            f"The support agreement of shop {draft.shop.code} has ended.",
            hint="renew it: gateway shop set ID --support-until DATE",
        )
    if verdict.action is Action.EXPIRE:
        raise Refusal(
            "invalid-request",
            "The message would have expired before it was accepted.",
            (Fault("expires_at", "has passed", "give a later time, or leave it out"),),
        )
    message.place = _PLACES[verdict.action]
    message.reason = verdict.reason.value if verdict.reason else None
    message.due_ms = verdict.until_ms


_PLACES = {
    Action.SEND: Place.QUEUE,
    Action.WAIT: Place.LATER,
    Action.HOLD: Place.HOLD,
    Action.SUPPRESS: Place.STATUS,
}

_STATES = {
    Action.SEND: State.QUEUED,
    Action.WAIT: State.QUEUED,
    Action.HOLD: State.HELD,
    Action.SUPPRESS: State.SUPPRESSED,
}


def answer(draft: Draft) -> dict[str, Any]:
    """What the caller is told of an accepted message."""
    message, verdict = draft.message, draft.verdict
    assert verdict is not None  # noqa: S101 - settle_draft came first
    told = {
        "id": show("msg", message.id),
        "status": _STATES[verdict.action].word,
        "channel": message.channel.name.lower(),
        "encoding": "gsm7" if message.encoding & 15 == Encoding.GSM7 else "ucs2",
        "segments": message.segments,
    }
    if verdict.reason is not None:
        told["reason"] = verdict.reason.value
    if verdict.until_ms is not None:
        told["send_at"] = iso(verdict.until_ms)
    return told


def iso(ms: int) -> str:
    """Milliseconds since the epoch as RFC 3339 in UTC: `2026-11-22T19:02:00.123Z`."""
    whole, rest = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def _ms(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp() * 1000)


def _check_text_fields(request: SendRequest, faults: list[Fault]) -> None:
    """PostgreSQL stores neither U+0000 nor lone surrogates: they are refused here, by field."""
    for name, value in _strings(request):
        if value.isascii():
            if "\0" in value:
                faults.append(Fault(name, "contains U+0000", "remove it"))
        else:
            try:
                value.encode()
            except UnicodeEncodeError:
                faults.append(Fault(name, "contains half of a surrogate pair", "send whole characters"))
            if "\0" in value:
                faults.append(Fault(name, "contains U+0000", "remove it"))


_TEXT_FIELDS = ("text", "source", "sender", "to", "reference", "idempotency_key")
_CONTACT_FIELDS = tuple(f.name for f in msgspec.structs.fields(Contact))


def _strings(request: SendRequest) -> list[tuple[str, str]]:
    found = []
    for name in _TEXT_FIELDS:
        value = getattr(request, name)
        if value is not None:
            found.append(("from" if name == "sender" else name, value))
    if request.contact is not None:
        for name in _CONTACT_FIELDS:
            value = getattr(request.contact, name)
            if value is not None:
                found.append((f"contact.{name}", value))
    return found
