"""What operators and their machines ask without a key: is it alive, is it ready, its metrics."""

from __future__ import annotations

import asyncio

from aiohttp import web

from gateway.api.context import ApiContext
from gateway.api.endpoints import OpenEndpoint, json_answer
from gateway.observe import metrics

_KEPT_S = 1.0


async def health(_context: ApiContext, _request: web.Request) -> web.Response:
    """The process answers: all that this says."""
    return json_answer({"status": "ok"})


async def ready(context: ApiContext, _request: web.Request) -> web.Response:
    """Whether messages can be accepted now: 200, or 503 with the reasons."""
    reasons = context.readiness()
    if reasons:
        return json_answer({"status": "not-ready", "reasons": reasons}, status=503)
    return json_answer({"status": "ready"})


class Scrapes:
    """Renders metrics at most once a second, however many ask."""

    def __init__(self) -> None:
        self._rendered = b""
        self._until = 0.0

    async def show(self, context: ApiContext, _request: web.Request) -> web.Response:
        """The metrics in Prometheus's text format."""
        now = asyncio.get_running_loop().time()
        if now >= self._until:
            self._rendered = context.metrics.render()
            self._until = now + _KEPT_S
        return web.Response(body=self._rendered, headers={"Content-Type": metrics.CONTENT_TYPE})


def endpoints() -> tuple[OpenEndpoint, ...]:
    """The endpoints, with a cache of their own."""
    return (
        OpenEndpoint("/healthz", health, "Whether the process answers"),
        OpenEndpoint("/readyz", ready, "Whether messages can be accepted now"),
        OpenEndpoint("/metrics", Scrapes().show, "Metrics for Prometheus", "text/plain"),
    )
