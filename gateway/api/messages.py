"""POST /v1/messages and its preview: one send request, judged and stored."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
from aiohttp import web

from gateway.api.auth import SHOP_MISSING, Caller, named_shop
from gateway.api.context import ApiContext
from gateway.api.decoding import Body, BodyReader, Misfit, read_body
from gateway.api.endpoints import Endpoint, json_answer
from gateway.api.problems import invalid
from gateway.api.speaking import SpokenView, as_text, is_spoken, speak
from gateway.dispatch.acceptance import (
    Draft,
    answer,
    choose_route,
    choose_sender,
    explain_route,
    iso,
    settle_draft,
    support_ended,
)
from gateway.dispatch.choosing import Choice
from gateway.dispatch.intake import Idempotency
from gateway.dispatch.request import SendRequest
from gateway.dispatch.request_fields import read_fields
from gateway.errors import Fault, Refusal
from gateway.store.database import Database
from gateway.store.directory import Shop
from gateway.store.queries import load

KEY_HEADER = "Idempotency-Key"
KEY_LONGEST = 128
_REPLAYED = {"Idempotent-Replayed": "true"}
_JSON = "application/json"

_read = BodyReader(SendRequest).read
_encode = msgspec.json.Encoder().encode
_plain_shop = Shop(0, "", "", "", "", "UTC", None, None, False)


class Taken(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the caller is told of an accepted message."""

    id: str
    status: str
    channel: str
    encoding: str
    segments: int
    reason: str | None = None
    send_at: str | None = None


class Repair(msgspec.Struct):
    """A character that was replaced by one of the GSM alphabet."""

    character: str
    replacement: str
    count: int


class Preview(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What would become of a message. `text` is what would be sent.

    `route`: what it would wait for, and `why`, in sentences; `link`: the link that would carry it
    now, where this process knows of one that is able. A call has none of these, and neither
    `encoding`, `segments` nor `from`. `voice`: what would be heard.
    """

    status: str
    channel: str
    encoding: str | None = None
    segments: int | None = None
    sender: str | None = msgspec.field(name="from", default=None)
    to: str
    text: str
    repaired: list[Repair]
    expires_at: str
    route: str | None = None
    why: list[str]
    voice: SpokenView | None = None
    link: str | None = None
    reason: str | None = None
    send_at: str | None = None


async def create(context: ApiContext, caller: Caller, request: web.Request) -> web.Response:
    """Accept one message: durable when this answers."""
    body = await read_body(request, context.settings.http.body_max_bytes)
    header = request.headers.get(KEY_HEADER)
    wanted = read_send(context, body, header)
    shop, key = whose(context, caller, wanted, header)
    try:
        require_quota(context, shop, 0)
        draft = context.acceptance.draft(shop, wanted, context.now_ms())
    except Refusal:
        outcome = None if key is None else await context.intake.replay(shop.id, key)
        if outcome is None:
            raise
    else:
        accepting = context.intake.accept((draft,), (key,))
        (outcome,) = await context.deadline.keep(accepting)
    if isinstance(outcome, Refusal):
        raise outcome
    if outcome.is_replay:
        return web.Response(body=outcome.answer, status=202, content_type=_JSON, headers=_REPLAYED)
    context.metrics.accepted(draft.message.channel, draft.message.category)
    return web.Response(body=outcome.answer, status=202, content_type=_JSON)


def read_send(context: ApiContext, body: Body | msgspec.Raw, header: str | None) -> SendRequest:
    """The request in a body.

    Raises Refusal that names every faulty field, of form and of meaning.
    """
    try:
        wanted: SendRequest = _read(body)
    except Misfit as misfit:
        faults = with_meaning(context, misfit.faults, misfit.plain)
        check_header(header, faults)
        raise invalid(faults) from None
    if header is not None:
        faults = []
        check_header(header, faults)
        if faults:
            raise invalid([*faults, *_faults_of_meaning(context, wanted)])
    return wanted


def with_meaning(
    context: ApiContext, faults: list[Fault], plain: object, prefix: str = ""
) -> list[Fault]:
    """The faults of form, and those that the sound fields of the same request have besides."""
    known = {fault.field.removeprefix(prefix).split(".")[0].split("[")[0] for fault in faults}
    if not isinstance(plain, dict):
        return faults
    sound = {name: value for name, value in plain.items() if name not in known}
    if "text" in known:
        sound["text"] = "-"
    try:
        wanted = msgspec.convert(sound, SendRequest)
    except (msgspec.ValidationError, RecursionError):
        return faults
    covered = known | {"to"} if "contact" in known else known
    return faults + [
        Fault(prefix + fault.field, fault.problem, fault.hint)
        for fault in _faults_of_meaning(context, wanted)
        if fault.field.split(".")[0] not in covered
    ]


def _faults_of_meaning(context: ApiContext, wanted: SendRequest) -> tuple[Fault, ...]:
    """What acceptance finds faulty, whoever asks."""
    try:
        context.acceptance.draft(_plain_shop, wanted, context.now_ms())
    except Refusal as refusal:
        if refusal.type in ("invalid-request", "no-primary-phone"):
            return refusal.faults
    return ()


def whose(
    context: ApiContext,
    caller: Caller,
    wanted: SendRequest,
    header: str | None,
    prefix: str = "",
) -> tuple[Shop, Idempotency | None]:
    """The shop that a request is for, and its idempotency key if it has one. Raises Refusal.

    `header`: the checked key from the header; `prefix` stands before the names of faulty fields.
    """
    shop = named_shop(context, caller, wanted.shop)
    if shop is not None and header is None and wanted.idempotency_key is None:
        return shop, None
    faults: list[Fault] = []
    if shop is None:
        faults.append(SHOP_MISSING)
    name = wanted.idempotency_key
    if header is not None and name is not None and name != header:
        problem = f"is not the same as the header {KEY_HEADER}"
        faults.append(Fault("idempotency_key", problem, "give one of the two"))
    if faults or shop is None:
        faults += _faults_of_meaning(context, wanted)
        raise invalid([Fault(prefix + f.field, f.problem, f.hint) for f in faults])
    _check_storable(name, prefix, faults)
    if faults:
        raise invalid(faults)
    key = name if header is None else header
    return shop, None if key is None else Idempotency(key, fingerprint(wanted))


def check_header(header: str | None, faults: list[Fault]) -> None:
    """Add a fault where the idempotency key in the header cannot be one."""
    if header is None:
        return
    if not (1 <= len(header) <= KEY_LONGEST and header.isascii() and header.isprintable()):
        problem = f"is not 1 to {KEY_LONGEST} printable ASCII characters"
        faults.append(Fault(KEY_HEADER, problem, "a UUID will do"))


def _check_storable(name: str | None, prefix: str, faults: list[Fault]) -> None:
    if name is not None and "\0" in name:
        faults.append(Fault(f"{prefix}idempotency_key", "contains U+0000", "remove it"))


def fingerprint(wanted: SendRequest) -> bytes:
    """SHA-256 of a request in its canonical form: fields in order, defaults filled in, without
    key and shop.
    """
    return sha256(
        _encode(msgspec.structs.replace(wanted, idempotency_key=None, shop=None))
    ).digest()


def require_quota(context: ApiContext, shop: Shop, more: int) -> None:
    """Raise Refusal `over-limit` when as many of the shop's messages wait as may; `more`:
    others that are about to.
    """
    most = context.settings.limits.waiting_per_shop
    if context.depths.waiting(shop.id) + more >= most:
        raise Refusal(
            "over-limit",
            f"{most} messages of the shop wait already.",
            retry_after_s=10,
            hint="wait until some are sent; GET /v1/queues shows how many wait and why",
        )


# Preview ---------------------------------------------------------------------------------------


async def preview(context: ApiContext, caller: Caller, request: web.Request) -> web.Response:
    """Say what would become of a message. Nothing is stored."""
    body = await read_body(request, context.settings.http.body_max_bytes)
    header = request.headers.get(KEY_HEADER)
    wanted = read_send(context, body, header)
    shop, _ = whose(context, caller, wanted, header)
    if wanted.channel == "voice":
        return json_answer(await _preview_call(context, caller, shop, wanted))
    told = await _preview_text(context, shop, as_text(wanted))
    if is_spoken(wanted):
        told.status, told.reason = _REFUSED
        told.voice, why = await speak(context, caller, shop, wanted)
        told.why += why
    return json_answer(told)


_REFUSED = ("refused", "not-available")
"""Status and reason of what POST /v1/messages does not take in this version."""


async def _preview_text(context: ApiContext, shop: Shop, wanted: SendRequest) -> Preview:
    draft = context.acceptance.draft(shop, wanted, context.now_ms())
    alerts, number = await _known(context.database, draft)
    choose_sender(draft, number)
    known = alerts if draft.alerts is None else draft.alerts
    if draft.routing is not None and draft.needs_contact:
        choose_route(draft, known)
    settle_draft(
        draft,
        alerts,
        number,
        has_link=context.has_link(draft.message.route),
        now_ms=context.now_ms(),
    )
    link = context.next_link(draft.message.route)
    return _preview(draft, explain_route(draft, known), link)


async def _preview_call(
    context: ApiContext, caller: Caller, shop: Shop, wanted: SendRequest
) -> Preview:
    """A call needs neither a number of the shop nor a route: only its phone and times are read."""
    settings, now_ms = context.settings, context.now_ms()
    fields = read_fields(wanted, settings.sms, settings.limits, now_ms, is_counted=False)
    if not shop.is_supported(now_ms):
        raise support_ended(shop)
    voice, why = await speak(context, caller, shop, wanted)
    status, reason = _REFUSED
    return Preview(
        status=status,
        channel="voice",
        to=fields.phone,
        text=wanted.text,
        repaired=[],
        expires_at=iso(fields.expires_ms),
        why=why,
        voice=voice,
        reason=reason,
    )


async def _known(database: Database, draft: Draft) -> tuple[str | None, str | None]:
    """What the store knows of the contact: SMS Alerts, and the number that last talked with the
    phone.
    """
    if not draft.needs_contact:
        return None, None
    message = draft.message
    found = load("dispatch")["find_contacts"]
    rows = await database.read(lambda c: c.fetch(found, [message.shop], [message.target]))
    return (rows[0]["sms_alerts"], rows[0]["number"]) if rows else (None, None)


def _preview(draft: Draft, choice: Choice, link: str | None) -> Preview:
    told: dict[str, Any] = answer(draft)
    told.pop("id")
    message = draft.message
    return Preview(
        **told,
        sender=message.sender,
        to=message.target,
        text=message.body,
        repaired=[Repair(c.char, c.replacement, c.times) for c in draft.changes],
        expires_at=iso(message.expires_ms),
        route=choice.route,
        why=list(choice.why),
        link=link,
    )


_PROBLEMS = (
    "invalid-request",
    "not-found",
    "key-reused",
    "too-large",
    "no-primary-phone",
    "no-service",
    "support-ended",
    "number-not-allowed",
    "not-available",
    "over-limit",
    "unavailable",
)

ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/messages",
        create,
        "Send one message",
        body=SendRequest,
        answer=Taken,
        status=202,
        problems=_PROBLEMS,
    ),
    Endpoint(
        "POST",
        "/v1/messages/preview",
        preview,
        "Say what would become of a message, and send nothing",
        body=SendRequest,
        answer=Preview,
        problems=tuple(p for p in _PROBLEMS if p != "key-reused"),
    ),
)
