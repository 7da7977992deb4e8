"""What an endpoint is: one row of the route table, from which routing, authorization and
/openapi.json are made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from aiohttp import web

from gateway.api.auth import Caller, identify
from gateway.api.context import ApiContext
from gateway.api.problems import no_such, nowhere, problem
from gateway.errors import Refusal, StoreDown
from gateway.ids import read
from gateway.observe.logs import trace

log = logging.getLogger(__name__)

Handler = Callable[[ApiContext, Caller, web.Request], Awaitable[web.Response]]
OpenHandler = Callable[[ApiContext, web.Request], Awaitable[web.Response]]

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    `body`, `query` and `answer` are the structs that describe it to the outside. `is_admin`: for a
    shop's key there is nothing at this path.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Handler
    summary: str
    body: Any = None
    query: type[msgspec.Struct] | None = None
    answer: Any = None
    status: int = 200
    problems: tuple[str, ...] = ()
    is_admin: bool = False


@dataclass(frozen=True, slots=True)
class OpenEndpoint:
    """One path for GET that needs no key.

    `is_ops`: served by the operators' listener where there is one.
    """

    path: str
    handler: OpenHandler
    summary: str
    content_type: str = "application/json"
    is_ops: bool = True
    problems: tuple[str, ...] = ()


def bind(context: ApiContext, endpoint: Endpoint | OpenEndpoint) -> Any:
    """The endpoint as aiohttp calls it: with the caller known, and whatever is raised made a
    problem document.
    """
    requested = context.metrics.requested
    if isinstance(endpoint, Endpoint):
        keyed, is_admin = endpoint.handler, endpoint.is_admin

        async def handle(request: web.Request) -> web.Response:
            try:
                caller = identify(context, request)
                if is_admin and caller.shop is not None:
                    raise nowhere()
                response = await keyed(context, caller, request)
            except Exception as error:
                response = answer_error(error)
            requested(response.status)
            return response

    else:
        unkeyed = endpoint.handler

        async def handle(request: web.Request) -> web.Response:
            try:
                response = await unkeyed(context, request)
            except Exception as error:
                response = answer_error(error)
            requested(response.status)
            return response

    return handle


def answer_error(error: Exception) -> web.Response:
    """The problem document for an exception.

    What nobody expected is logged, without what it says.
    """
    if isinstance(error, Refusal):
        return problem(error)
    if isinstance(error, StoreDown | asyncio.TimeoutError):
        log.debug("a request met a store that does not answer")
        return problem(Refusal("unavailable", "The database does not answer.", retry_after_s=2))
    if isinstance(error, ConnectionError):
        raise error
    log.error("a request failed unexpectedly\n%s", trace(error))
    return problem(Refusal("internal", "The gateway failed; nothing more is known to the caller."))


def json_answer(data: Any, status: int = 200) -> web.Response:
    """Data as a JSON answer."""
    return web.Response(body=_encode(data), status=status, content_type="application/json")


def path_id(request: web.Request, prefix: str, what: str) -> int:
    """The id in the path. Raises Refusal `not-found` for what is none."""
    id_ = read(prefix, request.match_info["id"])
    if id_ is None:
        raise no_such(what, "id", f"an id begins with `{prefix}_`")
    return id_
