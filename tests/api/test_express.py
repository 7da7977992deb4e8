"""The way past aiohttp for plain posts: the same answers, and no doubt where a request ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import HttpSettings, Settings, StoreSettings
from gateway.api import express
from gateway.api.context import ApiContext
from gateway.api.plain_post import START, read_head
from gateway.api.server import ApiServer
from tests.api.fixtures import SHOP_KEY, NoDatabase, make_context

BODY = b'{"to":"+12125550123","text":"Your gown is ready."}'
PATH = "/v1/messages"


def post(body: bytes = BODY, *lines: str, path: str = PATH, key: str = SHOP_KEY) -> bytes:
    """A request as bytes."""
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {key}", *lines]
    head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to pass")


class Caller:
    """A connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """The next answer: status, headers with lower-case names, JSON."""
        async with asyncio.timeout(10):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await self._reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, msgspec.json.decode(body)

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], Any]:
        """Send a request and wait for its answer."""
        self.writer.write(request)
        return await self.answer()

    async def is_closed(self) -> bool:
        """Wait until the server hangs up; whether it does so without another byte."""
        async with asyncio.timeout(10):
            return await self._reader.read() == b""


class Place:
    """A server, and clients that connect to it."""

    def __init__(self, server: ApiServer, context: ApiContext) -> None:
        self.server, self.context = server, context
        self._callers: list[Caller] = []

    async def caller(self) -> Caller:
        """A new connection."""
        port = int(self.server.url.rpartition(":")[2])
        caller = Caller(*await asyncio.open_connection("127.0.0.1", port))
        self._callers.append(caller)
        return caller

    async def close(self) -> None:
        """Hang up and stop."""
        for caller in self._callers:
            caller.writer.close()
        await self.server.stop()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A listening server in front of an intake in memory."""
    settings = Settings(
        store=StoreSettings(data_dir=tmp_path),
        http=HttpSettings(listen="127.0.0.1:0", body_max_bytes=2_048, commit_timeout_s=1.0),
    )
    context = make_context(settings, NoDatabase())
    server = ApiServer(context)
    await server.start()
    place = Place(server, context)
    yield place
    await place.close()


@pytest.mark.parametrize(
    ("body", "lines", "key", "status"),
    [
        (BODY, (), SHOP_KEY, 202),
        (BODY, ("Idempotency-Key: one",), SHOP_KEY, 202),
        (BODY, ("Idempotency-Key: " + "k" * 129,), SHOP_KEY, 400),
        (b"{", (), SHOP_KEY, 400),
        (b'{"to":"12","text":"Hello","extra":1}', (), SHOP_KEY, 400),
        (b'{"text":"Hello"}', (), SHOP_KEY, 400),
        (BODY, (), "gw_" + "x" * 43, 401),
        (b'{"shop":"other","to":"+12125550123","text":"Hello"}', (), SHOP_KEY, 404),
    ],
)
async def test_answers_are_those_of_aiohttp(
    place: Place, body: bytes, lines: tuple[str, ...], key: str, status: int
) -> None:
    """Whether a connection began with another request or not makes no difference to the caller."""
    plain, other = await place.caller(), await place.caller()
    await other.ask(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    one = await plain.ask(post(body, *lines, key=key))
    two = await other.ask(post(body, *(line.replace("one", "two") for line in lines), key=key))
    assert one[0] == two[0] == status
    one[2].pop("id", None), two[2].pop("id", None)
    assert one[2] == two[2]
    for headers in (one[1], two[1]):
        for name in ("date", "server", "content-length"):
            headers.pop(name, None)
    assert {n: v.partition(";")[0] for n, v in one[1].items()} == {
        n: v.partition(";")[0] for n, v in two[1].items()
    }


async def test_a_key_used_again_gets_the_first_answer(place: Place) -> None:
    """The same post with the same key is answered as before, another one is refused."""
    caller = await place.caller()
    first = await caller.ask(post(BODY, "Idempotency-Key: todo-1"))
    again = await caller.ask(post(BODY, "Idempotency-Key: todo-1"))
    assert again[2] == first[2]
    assert again[1]["idempotent-replayed"] == "true"
    other = await caller.ask(post(BODY.replace(b"gown", b"suit"), "Idempotency-Key: todo-1"))
    assert (other[0], other[2]["type"]) == (409, "/problems/key-reused")


async def test_a_replay_comes_before_a_refusal(place: Place) -> None:
    """What was accepted under its key is answered so, also where it would be refused now."""
    caller = await place.caller()
    first = await caller.ask(post(BODY, "Idempotency-Key: todo-1"))
    place.context.depths.waits = {1: 1_000_000}  # type: ignore[attr-defined]
    assert (await caller.ask(post(BODY, "Idempotency-Key: todo-1")))[2] == first[2]
    assert (await caller.ask(post(BODY, "Idempotency-Key: todo-2")))[0] == 429
    assert (await caller.ask(post()))[0] == 429


async def test_a_request_may_come_in_any_pieces(place: Place) -> None:
    """Octet by octet, and several at once: each is answered once, in order."""
    caller = await place.caller()
    request = post()
    for n in range(len(request)):
        caller.writer.write(request[n : n + 1])
        await caller.writer.drain()
    assert (await caller.answer())[0] == 202
    caller.writer.write(post() + post(b"{") + post()[:-10])
    assert (await caller.answer())[0] == 202
    assert (await caller.answer())[0] == 400
    caller.writer.write(post()[-10:])
    assert (await caller.answer())[0] == 202


async def test_hundreds_of_refusals_in_one_piece_are_answered(place: Place) -> None:
    """Pipelined requests that are refused at once do not pile up on the stack."""
    caller = await place.caller()
    caller.writer.write(post(b"{") * 2_000)
    for _ in range(2_000):
        assert (await caller.answer())[0] == 400


async def test_any_other_request_takes_the_connection_over(place: Place) -> None:
    """What is no plain post is answered as ever, behind a post that waits for its answer too."""
    caller = await place.caller()
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    caller.writer.write(post() + get + post())
    assert (await caller.answer())[0] == 202
    assert (await caller.answer())[2] == {"status": "ok"}
    assert (await caller.answer())[0] == 202


@pytest.mark.parametrize(
    "lines",
    [
        ("Transfer-Encoding: chunked",),
        ("Content-Length: 5",),
        ("Host: elsewhere",),
        ("Content-Length : 5",),
        (" folded: line",),
        ("Expect: 100-continue",),
        ("Connection: close",),
        ("Content-Encoding: gzip",),
        ("X-Odd: \x01",),
        ("No colon",),
        ("X-Bare: a\nContent-Length: 3",),
    ],
)
def test_what_leaves_a_doubt_is_not_plain(lines: tuple[str, ...]) -> None:
    """Heads whose reading might differ between implementations are left to aiohttp."""
    head = post(BODY, *lines).partition(b"\r\n\r\n")[0]
    assert read_head(post().partition(b"\r\n\r\n")[0], 2_048) is not None
    assert read_head(head, 2_048) is None


def test_a_plain_head_has_host_and_a_length_within_the_limit() -> None:
    """Neither may be missing, and the length is a number of at most eight digits."""
    start = START + b"\r\n"
    assert read_head(start + b"Host: a\r\nContent-Length: 7", 7) is not None
    assert read_head(start + b"Host: a\r\nContent-Length: 8", 7) is None
    assert read_head(start + b"Host: a", 7) is None
    assert read_head(start + b"Content-Length: 7", 7) is None
    for length in (b"+7", b"-7", b"7 7", b"0x7", b"7,7", b"", b"000000007"):
        assert read_head(start + b"Host: a\r\nContent-Length: " + length, 7) is None
    many = b"\r\n".join(b"X-%d: 1" % n for n in range(70))
    assert read_head(start + b"Host: a\r\nContent-Length: 7\r\n" + many, 7) is None


@given(st.binary(max_size=200))
def test_no_head_makes_reading_fail(data: bytes) -> None:
    """Whatever stands in a head, it is read or left alone."""
    read_head(START + b"\r\n" + data, 100)
    read_head(data, 100)


async def test_too_large_a_body_is_refused_as_ever(place: Place) -> None:
    """Beyond the limit it is aiohttp that answers."""
    caller = await place.caller()
    status, _, told = await caller.ask(post(b'{"text":"' + b"x" * 3_000 + b'"}'))
    assert (status, told["type"]) == (413, "/problems/too-large")


async def test_a_slow_request_is_passed_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head or body that takes long falls under aiohttp's limits, and is answered when whole."""
    monkeypatch.setattr(express, "SLOW_S", 0.0)
    monkeypatch.setattr(express, "LOOK_S", 0.01)
    caller = await place.caller()
    runner = place.server._api._runner
    caller.writer.write(post()[:-10])
    await until(lambda: bool(runner.server and runner.server.connections))
    caller.writer.write(post()[-10:])
    assert (await caller.answer())[0] == 202


async def test_an_idle_connection_is_closed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the keep-alive time the server hangs up."""
    hall = place.server._api._hall
    assert hall is not None
    hall.idle_s = 0.0
    caller = await place.caller()
    assert await caller.is_closed()
    assert len(hall) == 0


async def test_a_store_that_does_not_answer_is_given_up(place: Place) -> None:
    """After the commit's deadline the caller is told, and what comes later is not taken for the
    next answer.
    """
    stuck = asyncio.Event()
    intake: Any = place.context.intake
    accept = intake.accept

    async def wait(*args: Any) -> Any:
        await stuck.wait()
        return await accept(*args)

    intake.accept = wait
    caller = await place.caller()
    status, headers, told = await caller.ask(post())
    assert (status, told["type"], headers["retry-after"]) == (503, "/problems/unavailable", "2")
    caller.writer.write(post(BODY, "Idempotency-Key: next"))
    intake.accept = accept
    stuck.set()
    status, _, told = await caller.answer()
    assert (status, told["id"][:4]) == (202, "msg_")


async def test_stopping_answers_what_is_under_way(place: Place) -> None:
    """Idle connections are closed at once, the others once they have their answers."""
    going = asyncio.Event()
    intake: Any = place.context.intake
    accept = intake.accept

    async def wait(*args: Any) -> Any:
        await going.wait()
        return await accept(*args)

    intake.accept = wait
    idle, busy = await place.caller(), await place.caller()
    await idle.ask(post(b"{"))
    busy.writer.write(post())
    hall = place.server._api._hall
    assert hall is not None
    await until(lambda: any(each.is_busy for each in hall._live))
    stopping = asyncio.create_task(place.server.stop())
    assert await idle.is_closed()
    going.set()
    assert (await busy.answer())[0] == 202
    assert await busy.is_closed()
    await stopping


async def test_a_caller_who_leaves_is_forgotten(place: Place) -> None:
    """An answer that nobody waits for harms nothing."""
    caller = await place.caller()
    caller.writer.write(post())
    caller.writer.close()
    await caller.writer.wait_closed()
    other = await place.caller()
    assert (await other.ask(post()))[0] == 202
