"""One message, its timeline, the search for messages, and canceling."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Literal

import asyncpg
import msgspec
from aiohttp import web

from config.settings import SmsSettings
from gateway.api.auth import Caller, named_shop
from gateway.api.context import ApiContext
from gateway.api.decoding import Check, read_query
from gateway.api.endpoints import Endpoint, json_answer, path_id
from gateway.api.problems import invalid, no_such
from gateway.api.views import MessagePage, MessageView, Timeline, view_entry, view_message
from gateway.dispatch.cancel import CancelResult, cancel
from gateway.dispatch.timeline import compose
from gateway.errors import Fault, Refusal
from gateway.ids import lowest_at, read, show
from gateway.model import State
from gateway.phone import PhoneError, normalize
from gateway.store.reading import (
    Search,
    StoredEvent,
    StoredMessage,
    read_due,
    read_events,
    read_message,
    search,
)

_HIGHEST = 1 << 62
_TO_FIND = "GET /v1/messages finds messages by phone, reference and time"

STATUS_DAYS = 31
"""How far back a search by status goes."""
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000

Status = Literal[
    "queued",
    "held",
    "submitting",
    "submitted",
    "delivered",
    "undelivered",
    "failed",
    "expired",
    "canceled",
    "suppressed",
    "in_doubt",
]
"""The states that a message can be seen in."""
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class SearchQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to look for.

    `since` is included, `until` is not; `cursor` is the `next` of the page before. With `status`
    the search goes back 31 days, and pages may have few messages, or none, before the last.
    """

    shop: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    phone: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    status: Status | None = None
    since: Moment | None = None
    until: Moment | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


async def show_one(context: ApiContext, caller: Caller, request: web.Request) -> web.Response:
    """One message, with where it is and what became of each segment."""
    id_ = path_id(request, "msg", "message")

    async def work(
        connection: asyncpg.Connection,
    ) -> tuple[StoredMessage, int | None]:
        message = await _found(connection, id_, caller)
        return message, await read_due(connection, message)

    message, due_ms = await context.database.read(work)
    return json_answer(view_message(message, context.now_ms(), due_ms))


async def _found(connection: asyncpg.Connection, id_: int, caller: Caller) -> StoredMessage:
    message = await read_message(connection, id_, caller.shop_id)
    if message is None:
        raise no_such("message", "id", _TO_FIND)
    return message


async def show_events(context: ApiContext, caller: Caller, request: web.Request) -> web.Response:
    """The timeline of a message."""
    id_ = path_id(request, "msg", "message")

    async def work(
        connection: asyncpg.Connection,
    ) -> tuple[StoredMessage, list[StoredEvent]]:
        return await _found(connection, id_, caller), await read_events(connection, id_)

    message, events = await context.database.read(work)
    return json_answer(
        Timeline(
            show("msg", id_),
            message.state(context.now_ms()).word,
            [view_entry(entry) for entry in compose(message, events)],
        )
    )


async def find(context: ApiContext, caller: Caller, request: web.Request) -> web.Response:
    """Messages by shop, phone, reference, status and time, the newest first."""
    checks: dict[str, Check] = {
        "phone": partial(_phone_fault, context.settings.sms),
        "cursor": _cursor_fault,
    }
    query = read_query(SearchQuery, request, checks)
    wanted = _search(context, caller, query)
    found = await context.database.read(lambda connection: search(connection, wanted))
    return json_answer(
        MessagePage(
            messages=[view_message(message, wanted.now_ms) for message in found.messages],
            next=None if found.next is None else show("msg", found.next),
        )
    )


def _phone_fault(sms: SmsSettings, text: str) -> Fault | None:
    try:
        normalize(text, sms.default_region, sms.countries)
    except PhoneError as error:
        return Fault("phone", str(error), "an example: +12125550123, the + as %2B")
    return None


def _cursor_fault(text: str) -> Fault | None:
    if read("msg", text) is None:
        return Fault("cursor", "is not a cursor", "give `next` of the page before")
    return None


def _search(context: ApiContext, caller: Caller, query: SearchQuery) -> Search:
    shop = named_shop(context, caller, query.shop)
    if shop is None and (query.phone is not None or query.reference is not None):
        hint = "phones and references are looked for within one shop"
        raise invalid([Fault("shop", "is missing", hint)])
    phone = None
    if query.phone is not None:
        sms = context.settings.sms
        phone = normalize(query.phone, sms.default_region, sms.countries)
    low, high = _ids(query)
    now_ms = context.now_ms()
    state = None if query.status is None else State[query.status.upper()]
    if state is not None:
        low = _status_floor(query, low, high, now_ms)
    shop_id = shop.id if shop else None
    return Search(shop_id, phone, query.reference, low, high, query.limit, state, now_ms)


def _status_floor(query: SearchQuery, low: int, high: int, now_ms: int) -> int:
    """The lowest id that a search by status looks at. The days count from its first page on: a
    later one only ends sooner. An hour more is nobody's concern.
    """
    floor = lowest_at(now_ms - STATUS_DAYS * _DAY_MS)
    least = lowest_at(now_ms - STATUS_DAYS * _DAY_MS - _HOUR_MS)
    what = f"is more than {STATUS_DAYS} days ago, further than a search by status goes"
    hint = "leave `status` out, or name a later time"
    early = [("since", query.since is not None and low < least), ("until", high < least)]
    if query.cursor is None and (faults := [Fault(name, what, hint) for name, is_ in early if is_]):
        raise invalid(faults)
    return max(low, floor) if query.since is None else max(low, least)


def _ids(query: SearchQuery) -> tuple[int, int]:
    """The bounds of time and cursor as bounds of ids, which sort by time."""
    low = 0 if query.since is None else lowest_at(int(query.since.timestamp() * 1000))
    high = _HIGHEST if query.until is None else lowest_at(int(query.until.timestamp() * 1000))
    last = None if query.cursor is None else read("msg", query.cursor)
    if last is not None:
        high = min(high, last)
    return min(low, _HIGHEST), min(high, _HIGHEST)


_CANCEL_REFUSALS = {
    CancelResult.ALREADY_FINAL: (
        "too-late",
        "The message was sent, or is final for another reason.",
        "GET the message to see what became of it",
    ),
    CancelResult.BEING_SENT: (
        "being-sent",
        "The message is being handed to the carrier.",
        "look again in a moment: if it comes back to the queue, it can be canceled",
    ),
}


async def remove(context: ApiContext, caller: Caller, request: web.Request) -> web.Response:
    """Cancel a message while it is not sent."""
    id_ = path_id(request, "msg", "message")
    result = await cancel(
        context.database,
        caller.shop_id,
        id_,
        now_ms=context.now_ms(),
        event_id=context.ids.next(),
    )
    if result is CancelResult.NOT_FOUND:
        raise no_such("message", "id", _TO_FIND)
    if result in _CANCEL_REFUSALS:
        type_, detail, hint = _CANCEL_REFUSALS[result]
        raise Refusal(type_, detail, hint=hint)
    return web.Response(status=204)


_ONE = "/v1/messages/{id}"

ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/messages",
        find,
        "Find messages, the newest first",
        query=SearchQuery,
        answer=MessagePage,
        problems=("invalid-request", "not-found", "unavailable"),
    ),
    Endpoint(
        "GET",
        _ONE,
        show_one,
        "Show one message",
        answer=MessageView,
        problems=("not-found", "unavailable"),
    ),
    Endpoint(
        "GET",
        f"{_ONE}/events",
        show_events,
        "Show the timeline of a message",
        answer=Timeline,
        problems=("not-found", "unavailable"),
    ),
    Endpoint(
        "DELETE",
        _ONE,
        remove,
        "Cancel a message while it is not sent",
        status=204,
        problems=("not-found", "being-sent", "too-late", "unavailable"),
    ),
)
