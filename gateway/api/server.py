"""The HTTP server: the route table bound to aiohttp, its listeners, and their limits."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from config.settings import split_listen
from gateway.api import batch, lookups, messages, openapi, ops, queues, reload, replies, speaking
from gateway.api.context import ApiContext
from gateway.api.endpoints import Endpoint, OpenEndpoint, bind
from gateway.api.express import Hall
from gateway.api.problems import nowhere, problem
from gateway.errors import GatewayError, Refusal

log = logging.getLogger(__name__)

KEEPALIVE_S = 60.0
"""How long a connection may be idle, and how long a request's head may take to arrive."""
LINGERING_S = 2.0
"""How long what follows a refused head is read and thrown away."""
DRAIN_S = 3.0
CONNECTIONS_MAX = 4_000
HEADERS_MAX = 64
LINE_MAX_BYTES = 8_190
BACKLOG = 1_024

KEYED: tuple[Endpoint, ...] = (
    *messages.ENDPOINTS,
    *batch.ENDPOINTS,
    *lookups.ENDPOINTS,
    *replies.ENDPOINTS,
    *queues.ENDPOINTS,
    *speaking.ENDPOINTS,
    *reload.ENDPOINTS,
)
"""Every endpoint that needs a key."""

CONTEXT: web.AppKey[ApiContext] = web.AppKey("context", ApiContext)


class CannotListen(GatewayError):
    """The address is taken, is not this machine's, or the files for TLS do not serve."""


def open_endpoints() -> tuple[OpenEndpoint, ...]:
    """Every endpoint that needs no key."""
    opened = (*ops.endpoints(), *speaking.endpoints())
    return (*opened, *openapi.endpoints(KEYED, opened))


def make_app(context: ApiContext, *, with_ops: bool = True) -> web.Application:
    """The API as an aiohttp application.

    `with_ops`: whether the operators' endpoints are on it as well.
    """
    app = web.Application()
    app[CONTEXT] = context
    opened = [each for each in open_endpoints() if with_ops or not each.is_ops]
    return _route(app, context, [*KEYED, *opened])


def make_ops_app(context: ApiContext) -> web.Application:
    """The operators' endpoints alone, for a listener of their own."""
    app = web.Application()
    return _route(app, context, [each for each in open_endpoints() if each.is_ops])


def _route(
    app: web.Application, context: ApiContext, endpoints: Sequence[Endpoint | OpenEndpoint]
) -> web.Application:
    allowed: dict[str, set[str]] = {}
    for endpoint in endpoints:
        method = endpoint.method if isinstance(endpoint, Endpoint) else "GET"
        # What may be read may be asked about (RFC 9110 section 9.3.2), as load balancers do.
        known = {"GET", "HEAD"} if method == "GET" else {method}
        handler = bind(context, endpoint)
        for each in known:
            app.router.add_route(each, endpoint.path, handler)
        allowed.setdefault(endpoint.path, set()).update(known)
    for path, methods in allowed.items():
        app.router.add_route("*", path, _wrong_method(methods))
    app.router.add_route("*", "/{tail:.*}", _nowhere)
    return app


def _wrong_method(methods: set[str]) -> Any:
    allow = ", ".join(sorted(methods))

    async def refuse(_request: web.Request) -> web.Response:
        refusal = Refusal(
            "method-not-allowed", "The path does not know this method.", hint=f"use {allow}"
        )
        return problem(refusal, {"Allow": allow})

    return refuse


async def _nowhere(_request: web.Request) -> web.Response:
    return problem(nowhere())


class _Connection(web.RequestHandler):
    """A connection whose broken requests are answered by a problem document, and not logged:
    they quote what was sent.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, and close the connection."""
        log.debug("a request was no HTTP: %s", type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        refusal = Refusal("invalid-request", "The request is not valid HTTP/1.1.")
        response = problem(refusal if status < 500 else Refusal("internal", "The gateway failed."))
        response.force_close()
        return response


class _Refused(asyncio.Protocol):
    """What a connection beyond the limit gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        transport.close()


class Listener:
    """One listening address that serves one application."""

    def __init__(
        self,
        app: web.Application,
        listen: str,
        *,
        express: ApiContext | None = None,
        tls: ssl.SSLContext | None = None,
        connections_max: int = CONNECTIONS_MAX,
        drain_s: float = DRAIN_S,
    ) -> None:
        """`express`: the context of the API, whose plain posts then go past aiohttp."""
        self._listen = listen
        self._express = express
        self._hall: Hall | None = None
        self._drain_s = drain_s
        self._tls = tls
        self._most = connections_max
        self._options: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": KEEPALIVE_S,
            "lingering_time": LINGERING_S,
            "max_line_size": LINE_MAX_BYTES,
            "max_field_size": LINE_MAX_BYTES,
            "max_headers": HEADERS_MAX,
            "auto_decompress": False,
        }
        self._runner = web.AppRunner(app, shutdown_timeout=drain_s)
        self._server: asyncio.Server | None = None
        self.url = ""
        """Where it can be reached, once started: `http://127.0.0.1:8080`."""

    async def start(self) -> None:
        """Listen. Raises CannotListen."""
        host, port = split_listen(self._listen)
        await self._runner.setup()
        if self._express is not None:
            self._hall = Hall(self._express, self._successor, KEEPALIVE_S)
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._connect, host, port, ssl=self._tls, backlog=BACKLOG
            )
        except OSError as error:
            await self._runner.cleanup()
            raise CannotListen(f"cannot listen on {self._listen}: {error.strerror}") from error
        bound = self._server.sockets[0]
        shown = f"[{host}]" if bound.family == socket.AF_INET6 else host
        self.url = f"{'https' if self._tls else 'http'}://{shown}:{bound.getsockname()[1]}"

    def _connect(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None  # noqa: S101 - set up before it listens
        here = 0 if self._hall is None else len(self._hall)
        if len(server.connections) + here >= self._most:
            return _Refused()
        return self._successor() if self._hall is None else self._hall.connect()

    def _successor(self) -> asyncio.Protocol:
        """A connection of aiohttp's."""
        server = self._runner.server
        assert server is not None  # noqa: S101 - set up before it listens
        loop = asyncio.get_running_loop()
        return _Connection(server, loop=loop, **self._options)

    async def stop(self) -> None:
        """Take no new connection, let requests under way finish within `drain_s`, and close the
        rest.
        """
        if self._server is not None:
            self._server.close()
        if self._hall is not None:
            await self._hall.stop(self._drain_s)
        await self._runner.cleanup()


class ApiServer:
    """The API's listener, and the operators' own where the settings name one."""

    def __init__(self, context: ApiContext) -> None:
        http = context.settings.http
        self._tls: ssl.SSLContext | None = None
        if http.tls_cert is not None and http.tls_key is not None:
            self._tls = _tls(http.tls_cert, http.tls_key)
        self._http = http
        has_own_ops = bool(http.ops_listen)
        self._api = Listener(
            make_app(context, with_ops=not has_own_ops), http.listen, express=context, tls=self._tls
        )
        self._listeners = [self._api]
        if has_own_ops:
            self._listeners.append(Listener(make_ops_app(context), http.ops_listen))

    def reload_tls(self) -> None:
        """Read the certificate again, for the next connections. Raises CannotListen."""
        http = self._http
        if self._tls is not None and http.tls_cert is not None and http.tls_key is not None:
            _tls(http.tls_cert, http.tls_key)  # a pair that does not serve must not get halfway in
            self._tls.load_cert_chain(http.tls_cert, http.tls_key)

    @property
    def url(self) -> str:
        """Where the API can be reached, once started."""
        return self._api.url

    @property
    def ops_url(self) -> str:
        """Where operators' endpoints can be reached, once started."""
        return self._listeners[-1].url

    async def start(self) -> None:
        """Listen on every address. Raises CannotListen, and then listens on none."""
        try:
            for listener in self._listeners:
                await listener.start()
        except CannotListen:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop gracefully: requests under way get their answers, for up to `DRAIN_S`."""
        await asyncio.gather(*(listener.stop() for listener in self._listeners))


def _tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or later with this certificate. Raises CannotListen."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # A password, so that a locked key is an error and never asks at a terminal.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        raise CannotListen(f"tls_cert and tls_key do not serve: {error}") from error
    return context
