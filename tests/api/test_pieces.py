"""Long bodies, sent a piece at a time."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
from aiohttp import ClientSession, web

from gateway.api import pieces
from gateway.api.pieces import PIECE_BYTES, Pieces


@dataclass
class Recording:
    """Octets that are no speech."""

    wav: bytes


LONG = Recording(os.urandom(PIECE_BYTES + 7) * 250)
"""More than an operating system keeps for a reader."""


class Server:
    """Sends one recording, and keeps the transports of its readers."""

    def __init__(self) -> None:
        self.transports: list[asyncio.Transport] = []
        self.port = 0

    async def send(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.transports.append(request.transport)
        start, end, _ = request.http_range.indices(len(LONG.wav))
        return web.Response(body=Pieces(LONG, start, end, request.transport))


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A server on a free port."""
    server = Server()
    app = web.Application()
    app.router.add_get("/", server.send)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (address,) = runner.addresses
    server.port = address[1]
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("octets", ["", "0-0", "5-99", f"{PIECE_BYTES - 1}-", "-3"])
async def test_a_body_arrives_whole(octets: str) -> None:
    """With its length, and the part that was asked for."""
    start, _, end = octets.partition("-")
    first = len(LONG.wav) - int(end) if octets.startswith("-") else int(start or 0)
    last = len(LONG.wav) if octets.startswith("-") or not end else int(end) + 1
    headers = {"Range": f"bytes={octets}"} if octets else {}
    async with serving() as server, ClientSession() as session:
        url = f"http://127.0.0.1:{server.port}/"
        async with session.get(url, headers=headers) as answer:
            assert await answer.read() == LONG.wav[first:last]
            assert answer.content_length == last - first
        async with session.head(url, headers=headers) as answer:
            assert answer.content_length == last - first
            assert await answer.read() == b""


@asynccontextmanager
async def stalled(server: Server) -> AsyncIterator[asyncio.StreamReader]:
    """A reader that asks, reads the beginning, and then no more."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.setblocking(False)
    address = ("127.0.0.1", server.port)
    await asyncio.get_running_loop().sock_connect(connection, address)
    reader, writer = await asyncio.open_connection(sock=connection, limit=1_024)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert await reader.readexactly(8) == b"HTTP/1.1"
        yield reader
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_what_waits_for_slow_readers_is_little() -> None:
    """A few pieces of millions of octets, however many readers stall."""
    async with serving() as server, AsyncExitStack() as readers:
        for _ in range(20):
            await readers.enter_async_context(stalled(server))
        for transport in server.transports:
            assert transport.get_write_buffer_size() <= 3 * PIECE_BYTES


async def test_a_reader_that_takes_too_long_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the recording in memory."""
    monkeypatch.setattr(pieces, "SENDING_S", 0.01)
    async with serving() as server, stalled(server):
        while not server.transports[0].is_closing():  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0)


async def test_octets_as_text() -> None:
    """Those of the part."""
    assert Pieces(Recording(b"some words"), 5, 10, None).decode() == "words"
