"""From a send request to a message: what is wanted, whether the shop may, and what it takes.

`Acceptance.draft` does no I/O and changes nothing: the API's preview and its POST both call it.
What only the store knows (the contact's last known SMS Alerts field, the number that last talked
with the phone) is filled in by `settle_draft`, when the store has been asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from config.settings import LimitSettings, SmsSettings
from gateway.dispatch.choosing import Choice, Routing
from gateway.dispatch.request import Contact, SendRequest
from gateway.dispatch.request_fields import read_fields, too_long
from gateway.dispatch.wording import encoding_of, wording
from gateway.errors import Fault, Refusal
from gateway.ids import IdSource, show
from gateway.model import Category, Channel, Message, Place, State
from gateway.policy.gate import Action, Reason, Verdict, decide, fold_alerts
from gateway.store.directory import Number, Shop
from protocols.sms.compose import plan
from protocols.sms.dialect import DEFAULT_DIALECT, TextDialect
from protocols.sms.repair import Change


@dataclass(slots=True)
class Draft:
    """A request made a message, and what was found on the way. Not stored yet."""

    message: Message
    shop: Shop
    contact: Contact | None
    alerts: str | None
    """The request's SMS Alerts field, folded; None where it said nothing and the store's word
    counts.
    """
    is_sender_open: bool
    """Whether the sender is still to be chosen among the shop's numbers."""
    changes: tuple[Change, ...]
    send_at_ms: int | None
    dialects: Mapping[int, TextDialect]
    """By the id of the route, where it is not the default."""
    segments_max: int
    billed: int
    """Segments that carriers bill."""
    worded: TextDialect | None = None
    """The dialect that the text was put into; None: the default."""
    routing: Routing | None = None
    """How its route is chosen; None: by its sender alone."""
    verdict: Verdict | None = None

    @property
    def needs_contact(self) -> bool:
        """Whether the store must be asked for the contact before the message can be judged."""
        return self.alerts is None or self.is_sender_open

    def send_from(self, number: Number) -> None:
        """Let this number of the shop send it: its route decides how the text goes out.

        Raises Refusal where that takes more segments than may be.
        """
        self.message.sender, self.message.route = number.number, number.route
        self.word()

    def word(self) -> None:
        """Choose how the text goes out, as the links of its route take it. Raises Refusal where
        that takes more segments than may be.
        """
        message = self.message
        dialect = self.dialects.get(message.route)
        if dialect is not self.worded:
            self.worded = dialect
            dialect = dialect or DEFAULT_DIALECT
            way = plan(message.body, dialect)
            message.encoding = encoding_of(way, dialect.long)
            message.segments, self.billed = way.pieces, way.segments
        if self.billed > self.segments_max:
            fault = too_long(self.billed, self.segments_max)
            raise Refusal("invalid-request", "The request has faulty fields.", (fault,))


class Acceptance:
    """Checks requests and makes drafts of them."""

    def __init__(
        self,
        sms: SmsSettings,
        limits: LimitSettings,
        ids: IdSource,
        dialects: Mapping[int, TextDialect],
    ) -> None:
        """`dialects`: by the id of the route, where it is not the default; it may change."""
        self._sms = sms
        self._limits = limits
        self._ids = ids
        self._dialects = dialects
        self.routing: Routing | None = None
        """How messages find their route; None where each takes its number's home."""

    def draft(self, shop: Shop, request: SendRequest, now_ms: int) -> Draft:
        """The message that the request asks for.

        Raises Refusal: `invalid-request` names every faulty field, the other types what the shop or
        this version may not do.
        """
        fields = read_fields(
            request, self._sms, self._limits, now_ms, is_counted=not self._dialects
        )
        _refuse_what_this_version_cannot(request)
        number = _number(shop, fields.sender)
        message = Message(
            id=self._ids.next(),
            shop=shop.id,
            route=number.route,
            channel=Channel.SMS,
            category=_CATEGORIES[request.category],
            sender=number.number,
            target=fields.phone,
            body=fields.body.text,
            encoding=int(fields.body.encoding),
            segments=fields.body.segments,
            expires_ms=fields.expires_ms,
            reference=request.reference,
            source=request.source,
        )
        alerts = request.contact.sms_alerts if request.contact else None
        draft = Draft(
            message=message,
            shop=shop,
            contact=request.contact,
            alerts=None if alerts is None else fold_alerts(alerts),
            is_sender_open=request.sender is None and len(shop.numbers) > 1,
            changes=fields.body.changes,
            send_at_ms=fields.send_at_ms,
            dialects=self._dialects,
            segments_max=self._sms.segments_max,
            billed=message.segments,
            routing=self.routing,
        )
        if self._dialects:
            draft.word()
        if self.routing is not None:
            choose_route(draft, draft.alerts)
        return draft


_CATEGORIES = {category.name.lower(): category for category in Category}


def _refuse_what_this_version_cannot(request: SendRequest) -> None:
    if request.channel in ("auto", "sms") and request.voice is None and not request.fallback:
        return
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


def _number(shop: Shop, sender: str | None) -> Number:
    """The shop's number that is asked for, or its first."""
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


def choose_sender(draft: Draft, known_number: str | None) -> None:
    """Send from the number that last talked with the phone, where the request names none. Raises
    Refusal as `Draft.send_from` does.
    """
    if draft.is_sender_open and known_number is not None:
        for number in draft.shop.numbers:
            if number.number == known_number and number.number != draft.message.sender:
                draft.send_from(number)


def choose_route(draft: Draft, alerts: str | None) -> None:
    """Let the settings' routes say which way the message goes, by what is known of it so far.

    `alerts`: the contact's SMS Alerts field, folded. Raises Refusal as `Draft.send_from` does.
    """
    message, routing = draft.message, draft.routing
    number = next((n for n in draft.shop.numbers if n.number == message.sender), None)
    if routing is None or number is None:
        return
    name = routing.choose(
        number.number, number.route_name, message.target, message.category, alerts or ""
    )
    id_ = number.route if name is None else routing.ids[name]
    if id_ != message.route:
        draft.send_from(replace(number, route=id_, route_name=name or number.route_name))


def explain_route(draft: Draft, alerts: str | None) -> Choice:
    """The route that `choose_route` chose, and why."""
    message, routing = draft.message, draft.routing or Routing(())
    number = next(n for n in draft.shop.numbers if n.number == message.sender)
    return routing.explain(
        number.number, number.route_name, message.target, message.category, alerts or ""
    )


def settle_draft(
    draft: Draft, known_alerts: str | None, known_number: str | None, *, has_link: bool, now_ms: int
) -> None:
    """Complete a draft with what the store knows of its contact, and let the gate judge it.

    `has_link`: whether a link serves the route of the sender that `choose_sender` chooses. Raises
    Refusal as that does, and where acceptance refuses what the gate would hold or drop later:
    `support-ended`, and a validity that has passed.
    """
    message = draft.message
    choose_sender(draft, known_number)
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
        raise support_ended(draft.shop)
    if verdict.action is Action.EXPIRE:
        raise Refusal(
            "invalid-request",
            "The message would have expired before it was accepted.",
            (Fault("expires_at", "has passed", "give a later time, or leave it out"),),
        )
    message.place = _PLACES[verdict.action]
    message.reason = verdict.reason.value if verdict.reason else None
    message.due_ms = verdict.until_ms


def support_ended(shop: Shop) -> Refusal:
    """Why nothing is done for a shop whose support agreement has ended."""
    return Refusal(
        "support-ended",
        f"The support agreement of shop {shop.code} has ended.",
        hint="renew it: gateway shop set ID --support-until DATE",
    )


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
        "encoding": wording(message.encoding).name,
        "segments": draft.billed,
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
