"""What waits, where, for how long and why."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from gateway.api.auth import Caller, named_shop
from gateway.api.context import ApiContext
from gateway.api.decoding import read_query
from gateway.api.endpoints import Endpoint, json_answer
from gateway.dispatch.queue_report import QueueReport, report


class QueuesQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`shop`: what an admin wants to see as that shop does."""

    shop: Annotated[str, msgspec.Meta(max_length=64)] | None = None


async def find(context: ApiContext, caller: Caller, request: web.Request) -> web.Response:
    """The latest sample: everything for an admin; for a shop the routes of its numbers and its own
    messages.
    """
    query = read_query(QueuesQuery, request)
    shop = named_shop(context, caller, query.shop)
    snapshot = context.depths.latest
    if not snapshot.as_of_ms:
        snapshot = await context.depths.sample()
    if shop is None:
        return json_answer(report(snapshot))
    return json_answer(report(snapshot, shop.id, {number.route for number in shop.numbers}))


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/queues",
        find,
        "Show what waits, for how long and why",
        query=QueuesQuery,
        answer=QueueReport,
        problems=("invalid-request", "not-found", "unavailable"),
    ),
)
