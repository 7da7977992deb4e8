"""Customers' texts, for shops and programs that read them here rather than by mail."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from gateway.api.auth import Caller, named_shop
from gateway.api.context import ApiContext
from gateway.api.decoding import read_query
from gateway.api.endpoints import Endpoint, json_answer
from gateway.api.views import ReplyPage, view_reply
from gateway.errors import Fault
from gateway.ids import read, show
from gateway.store.reading import FIRST_REPLY, ReplyPlace, read_replies

_CURSOR = "after"
_HALF = len(show(_CURSOR, 0))


class RepliesQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`after`: the `next` of the page before; without it from the first reply on."""

    shop: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    after: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


async def find(context: ApiContext, caller: Caller, request: web.Request) -> web.Response:
    """Replies, the oldest first. An admin who names no shop gets those of all, and the unrouted."""
    query = read_query(RepliesQuery, request, {"after": _after_fault})
    shop = named_shop(context, caller, query.shop)
    shop_id = None if shop is None else shop.id
    after = (query.after and _place(query.after)) or FIRST_REPLY
    found = await context.database.read(
        lambda connection: read_replies(connection, shop_id, after, query.limit)
    )
    now_ms = context.now_ms()
    return json_answer(
        ReplyPage(
            replies=[view_reply(reply, now_ms) for reply in found],
            next=_cursor(found[-1].place) if found else query.after,
        )
    )


def _cursor(place: ReplyPlace) -> str:
    xact, id_ = place
    return show(_CURSOR, xact) + show("", id_)[1:]


def _place(cursor: str) -> ReplyPlace | None:
    """The place that a cursor stands for; None for what is no cursor."""
    xact, id_ = read(_CURSOR, cursor[:_HALF]), read("", f"_{cursor[_HALF:]}")
    return None if xact is None or id_ is None else (xact, id_)


def _after_fault(text: str) -> Fault | None:
    if _place(text) is None:
        return Fault("after", "is not a cursor", "give `next` of the page before")
    return None


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/replies",
        find,
        "Read customers' texts, the oldest first",
        query=RepliesQuery,
        answer=ReplyPage,
        problems=("invalid-request", "not-found", "unavailable"),
    ),
)
