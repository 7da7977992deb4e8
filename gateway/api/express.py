"""POST /v1/messages without a framework: the one request that comes thousands of times a second.

A connection begins here. As long as each request on it is a plain POST of one message, it is read,
judged and handed to the writer with no task and no request object, and answered by the writer's
callback. The first request that is anything else takes the connection over to aiohttp for good,
with every byte not yet answered: it knows the whole of HTTP, `plain_post` a narrow part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from gateway.api.auth import caller_of
from gateway.api.context import ApiContext
from gateway.api.endpoints import answer_error
from gateway.api.messages import read_send, require_quota, whose
from gateway.api.plain_post import HEAD_MAX_BYTES, START, Head, read_head
from gateway.dispatch.acceptance import Draft
from gateway.dispatch.intake import Idempotency, Outcome
from gateway.errors import Refusal

HEADS_KEPT: Final = 8
"""Heads that a connection remembers: a client repeats its own but for the length."""
LOOK_S: Final = 0.25
"""How often deadlines are looked at."""
SLOW_S: Final = 5.0
"""A request that takes longer to arrive is aiohttp's, with its limits."""

_JSON: Final = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
_REPLAYED: Final = b"Idempotent-Replayed: true\r\n"


class Express(asyncio.Protocol):
    """One connection, as long as it is not aiohttp's. One request is under way at a time."""

    __slots__ = (
        "_buffer",
        "_context",
        "_draft",
        "_heads",
        "_hall",
        "_is_busy",
        "_is_clogged",
        "_is_paused",
        "_is_taking",
        "_longest",
        "_serial",
        "_since",
        "_transport",
    )

    def __init__(self, context: ApiContext, hall: Hall) -> None:
        self._context = context
        self._hall = hall
        self._longest = context.settings.http.body_max_bytes
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._heads: dict[bytes, Head] = {}
        self._draft: Draft | None = None
        self._serial = 0
        self._is_busy = False
        self._is_clogged = False
        self._is_paused = False
        self._is_taking = False
        self._since = 0.0

    # ------------------------------------------------------------------ called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._since = self._hall.clock()
        self._hall.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def pause_writing(self) -> None:
        self._is_clogged = True

    def resume_writing(self) -> None:
        self._is_clogged = False
        self._go_on()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        self._go_on()
        if self._transport is not None and len(self._buffer) > HEAD_MAX_BYTES + self._longest:
            self._is_paused = True
            self._transport.pause_reading()

    # ------------------------------------------------------------------ requests

    def _go_on(self) -> None:
        """Take requests from the buffer while one is whole there and none is under way."""
        if self._is_taking:
            return
        self._is_taking = True
        while self._buffer and not self._is_busy and not self._is_clogged:
            if not self._take_one():
                break
        self._is_taking = False

    def _take_one(self) -> bool:
        """Take the request at the front of the buffer; False when there is none to be taken."""
        data = self._buffer
        end = data.find(b"\r\n\r\n")
        if end < 0:
            is_ours = len(data) <= HEAD_MAX_BYTES and START.startswith(data[: len(START)])
            return False if is_ours else self._hand_over()
        head = self._heads.get(data[:end]) or self._new_head(data[:end])
        if head is None:
            return self._hand_over()
        after = end + 4 + head.length
        if len(data) < after:
            return False
        self._buffer = data[after:]
        self._is_busy = True
        self._serial += 1
        self._since = self._hall.clock()
        self._post(head, data[end + 4 : after])
        return True

    def _new_head(self, data: bytes) -> Head | None:
        head = read_head(data, self._longest) if len(data) <= HEAD_MAX_BYTES else None
        if head is not None and head.idempotency_key is None:
            if len(self._heads) >= HEADS_KEPT:
                self._heads.clear()
            self._heads[data] = head
        return head

    def _hand_over(self) -> bool:
        """From here on the connection is aiohttp's."""
        transport, data = self._transport, self._buffer
        self._leave()
        if transport is not None and not transport.is_closing():
            successor = self._hall.successor()
            transport.set_protocol(successor)
            successor.connection_made(transport)
            if self._is_paused:
                transport.resume_reading()
            if data:
                successor.data_received(data)
        return False

    def _leave(self) -> None:
        self._hall.leave(self)
        self._transport = None
        self._buffer = b""

    def _post(self, head: Head, body: bytes) -> None:
        context, key = self._context, None
        try:
            caller = caller_of(context, head.authorization)
            wanted = read_send(context, body, head.idempotency_key)
            shop, key = whose(context, caller, wanted, head.idempotency_key)
            try:
                require_quota(context, shop, 0)
                self._draft = context.acceptance.draft(shop, wanted, context.now_ms())
            except Refusal as refusal:
                if key is None:
                    raise
                self._hall.replay(self, self._serial, shop.id, key, refusal)
                return
            context.intake.submit(self._draft, key, self, self._serial)
        except Exception as error:
            self._refuse(error)

    # ------------------------------------------------------------------ answers

    def settle(self, index: int, outcome: Outcome) -> None:
        """The outcome of request number `index`. Ignored when that one is answered already."""
        if not self._is_busy or index != self._serial:
            return
        if isinstance(outcome, Refusal):
            self._refuse(outcome)
            return
        draft = self._draft
        if draft is not None and not outcome.is_replay:
            self._context.metrics.accepted(draft.message.channel, draft.message.category)
        body = outcome.answer
        extra = _REPLAYED if outcome.is_replay else b""
        self._answer(202, b"%b%bContent-Length: %d\r\n\r\n%b" % (_JSON, extra, len(body), body))

    def is_waiting(self, index: int) -> bool:
        """Whether request number `index` still waits, and its caller is there."""
        return self._is_busy and index == self._serial and self._transport is not None

    def _refuse(self, error: Exception) -> None:
        """The same problem document that aiohttp would send."""
        response = answer_error(error)
        body = cast("bytes", response.body)
        lines = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
        head = f"HTTP/1.1 {response.status} {response.reason}\r\n{lines}"
        self._answer(
            response.status, b"%bContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body)
        )

    def _answer(self, status: int, data: bytes) -> None:
        self._context.metrics.requested(status)
        self._draft = None
        self._is_busy = False
        self._since = self._hall.clock()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        if self._hall.is_closing:
            transport.close()
            return
        if self._is_paused:
            self._is_paused = False
            transport.resume_reading()
        if self._buffer:
            self._go_on()

    # ------------------------------------------------------------------ time

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for its answer."""
        return self._is_busy

    def look(self, now: float) -> None:
        """Do what is due: give up a commit, close an idle connection, pass on a slow request."""
        waited_s = now - self._since
        if self._is_busy:
            if waited_s > self._context.settings.http.commit_timeout_s:
                self._refuse(TimeoutError())
        elif self._buffer:
            if waited_s > SLOW_S and not self._is_clogged:
                self._hand_over()
        elif waited_s > self._hall.idle_s:
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class Hall:
    """The connections of one listener that are here."""

    def __init__(
        self, context: ApiContext, successor: Callable[[], asyncio.Protocol], idle_s: float
    ) -> None:
        """`successor` makes the protocol that takes a connection over."""
        self._context = context
        self.successor = successor
        self.idle_s = idle_s
        self.clock = asyncio.get_running_loop().time
        self.is_closing = False
        self._live: set[Express] = set()
        self._is_empty = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._replays: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._live)

    def connect(self) -> Express:
        """A new connection."""
        return Express(self._context, self)

    def enter(self, express: Express) -> None:
        """A connection stands."""
        self._live.add(express)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def leave(self, express: Express) -> None:
        """A connection is gone, or aiohttp's."""
        self._live.discard(express)
        if not self._live:
            self._is_empty.set()

    def _look(self) -> None:
        now = self.clock()
        for express in list(self._live):
            express.look(now)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LOOK_S, self._look) if self._live else None

    def replay(
        self, express: Express, serial: int, shop: int, key: Idempotency, refusal: Refusal
    ) -> None:
        """Answer what would be refused as it was answered before, if it was posted before."""

        async def ask() -> None:
            try:
                outcome = await self._context.intake.replay(shop, key)
            except Exception as error:
                answer_error(error)
                outcome = Refusal("unavailable", "The database does not answer.", retry_after_s=2)
            express.settle(serial, refusal if outcome is None else outcome)

        task = asyncio.get_running_loop().create_task(ask())
        self._replays.add(task)
        task.add_done_callback(self._replays.discard)

    async def stop(self, drain_s: float) -> None:
        """Close what is idle, and let requests under way finish within `drain_s`."""
        self.is_closing = True
        for express in list(self._live):
            if not express.is_busy:
                express.close()
        try:
            async with asyncio.timeout(drain_s):
                while self._live:
                    self._is_empty.clear()
                    await self._is_empty.wait()
        except TimeoutError:
            for express in list(self._live):
                express.close()
        if self._timer is not None:
            self._timer.cancel()
