"""The load driver, a process of its own: keep-alive connections that post prepared requests, one at
a time each.

It reads its `Load` as one line of JSON, prepares every request, says `ready`, waits for a line,
runs, and prints one line of JSON. A raw protocol, because what the driver costs is taken from
the gateway on the same processors.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import cast

from bench.people import Sender, body_of, phone

_HEAD = (
    b"POST %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
)


@dataclass(frozen=True)
class Load:
    """What to post. `rate` posts a second, or as fast as the answers come with 0; `first` numbers
    the first message.
    """

    port: int
    messages: int
    connections: int
    senders: list[Sender]
    batch: int = 1
    rate: float = 0.0
    first: int = 0
    are_phones_new: bool = False


@dataclass
class Result:
    """What the driver saw. Times are monotonic nanoseconds, latencies milliseconds."""

    first_ns: int = 0
    last_ns: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    sent_ns: dict[str, int] = field(default_factory=dict)
    """When each request left, by the digits of its phone; only with a rate."""


def requests_of(load: Load) -> list[tuple[str, bytes]]:
    """Every request, ready to send, with the phone of its first message."""
    requests = []
    for start in range(load.first, load.first + load.messages, load.batch):
        count = min(load.batch, load.first + load.messages - start)
        sender = load.senders[start // load.batch % len(load.senders)]
        bodies = [body_of(n, load.are_phones_new) for n in range(start, start + count)]
        path, body = b"/v1/messages", bodies[0]
        if load.batch > 1:
            path, body = b"/v1/messages/batch", b'{"messages":[%b]}' % b",".join(bodies)
        request = _HEAD % (path, sender.key.encode(), len(body), body)
        requests.append((phone(start, load.are_phones_new)[1:], request))
    return requests


class Connection(asyncio.Protocol):
    """One connection: the next request goes out when the answer to the last has come."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._began = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def post(self, request: bytes) -> None:
        """Send a request."""
        assert self._transport is not None  # noqa: S101
        self._began = time.monotonic_ns()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0 or len(data) < end + 4 + _content_length(data[:end]):
            self._buffer = data
            return
        self._buffer = b""
        self._driver.answered(self, data[9:12].decode(), time.monotonic_ns() - self._began)

    def connection_lost(self, exc: Exception | None) -> None:
        self._driver.lost()


def _content_length(head: bytes) -> int:
    start = head.find(b"Content-Length: ") + 16
    end = head.find(b"\r\n", start)
    return int(head[start : end if end >= 0 else None])


class Driver:
    """Posts a load over its connections."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._requests = deque(requests_of(load))
        self._left = len(self._requests)
        self._idle: asyncio.Queue[Connection] = asyncio.Queue()
        self._statuses: Counter[str] = Counter()
        self._latencies: list[int] = []
        self._done = asyncio.Event()
        self._result = Result()

    async def connect(self) -> None:
        """Open the connections."""
        loop = asyncio.get_running_loop()
        for _ in range(self._load.connections):
            _, connection = await loop.create_connection(
                lambda: Connection(self), "127.0.0.1", self._load.port
            )
            self._idle.put_nowait(connection)

    async def run(self) -> Result:
        """Post everything and wait for the last answer."""
        self._result.first_ns = time.monotonic_ns()
        if self._load.rate:
            await self._at_rate()
        else:
            while not self._idle.empty():
                self._next(self._idle.get_nowait())
        await self._done.wait()
        result = self._result
        result.last_ns = time.monotonic_ns()
        result.statuses = dict(self._statuses)
        waits = sorted(self._latencies)
        if waits:
            result.p50_ms = waits[len(waits) // 2] / 1e6
            result.p99_ms = waits[int(len(waits) * 0.99)] / 1e6
        return result

    async def _at_rate(self) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for n in range(len(self._requests)):
            await asyncio.sleep(start + n / self._load.rate - loop.time())
            digits, request = self._requests.popleft()
            # Waiting for a connection counts too: a caller would have waited as well.
            self._result.sent_ns[digits] = time.monotonic_ns()
            (await self._idle.get()).post(request)

    def _next(self, connection: Connection) -> None:
        if self._requests:
            connection.post(self._requests.popleft()[1])

    def answered(self, connection: Connection, status: str, took_ns: int) -> None:
        """An answer has come."""
        self._statuses[status] += 1
        self._latencies.append(took_ns)
        self._left -= 1
        if not self._left:
            self._done.set()
        elif self._load.rate:
            self._idle.put_nowait(connection)
        else:
            self._next(connection)

    def lost(self) -> None:
        """A connection is gone, which none should be before the end."""
        if self._left:
            self._statuses["lost"] += 1
            self._done.set()


async def _main() -> None:
    told = json.loads(sys.stdin.readline())
    told["senders"] = [Sender(**sender) for sender in told["senders"]]
    driver = Driver(Load(**told))
    await driver.connect()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print(json.dumps(asdict(await driver.run())), flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main())
