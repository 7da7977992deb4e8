"""An SMPP link on real sockets, between a simulated SMSC and books that tests read."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from config.settings import LimitSettings, LinkSettings
from gateway.channels.bind import SmppBind
from gateway.channels.bound import BoundLink
from gateway.channels.caps import DailyCap
from gateway.channels.link import Respond, Services
from gateway.channels.pacing import DialPace
from gateway.channels.smpp import SmppLink
from gateway.dispatch.flights import Flight, Outgoing
from gateway.model import Category, Cause, Channel, EventKind, State
from gateway.sandbox.smsc import SandboxSmsc
from protocols.smpp import Message
from protocols.sms.encoding import Encoding, choose
from protocols.sms.receipts import Receipt
from protocols.sms.segment import segments

DEADLINE_S = 20.0
LINK = 7
TEXT = "Your gown is ready."


def message(id_: int, *, to: str = "+12125550100", text: str = TEXT) -> Outgoing:
    """A claimed text."""
    encoding = choose(text)
    return Outgoing(
        id=id_,
        shop=1,
        route=1,
        channel=Channel.SMS,
        category=Category.TRANSACTIONAL,
        rank=id_,
        tries=1,
        sender="+12125550199",
        target=to,
        body=text,
        encoding=int(encoding),
        segments=len(segments(text, Encoding(encoding), id_)),
        expires_ms=1 << 42,
        parent=None,
        flight=Flight(1, 1),
    )


class Books:
    """Who takes what a link reports. Everything is kept, and can be waited for."""

    def __init__(self) -> None:
        self.sent_ids: list[int] = []
        self.carriers: list[str | None] = []
        self.refusals: list[tuple[int, str]] = []
        self.again_ids: list[tuple[int, EventKind, str, int | None]] = []
        self.losses: list[tuple[int, int, Cause]] = []
        self.returned_ids: list[int] = []
        self.gated: list[tuple[int, State, str]] = []
        self.receipts: list[Receipt] = []
        self.texts: list[tuple[int, Message]] = []
        self.sessions: list[tuple[str, int]] = []
        self.bounds = 0
        self.is_acknowledging = True
        self.unsettled: Counter[int] = Counter()
        self.watchers: dict[int, Callable[[], None]] = {}
        self._changed = asyncio.Event()

    def _stir(self) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is reported, or a timer changed something."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.01):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    # As the settler ------------------------------------------------------------------------------

    def watch(self, link: int, on_fewer: Callable[[], None]) -> None:
        self.watchers[link] = on_fewer

    def sent(self, one: Outgoing, segment: int, link: int, carrier: str | None) -> None:
        one.outstanding -= 1
        self.sent_ids.append(one.id)
        self.carriers.append(carrier)
        self._stir()

    def refused(self, one: Outgoing, segment: int, link: int, error: str) -> None:
        one.outstanding -= 1
        one.waiting.clear()
        self.refusals.append((one.id, error))
        self._stir()

    def again(
        self,
        one: Outgoing,
        segment: int | None,
        kind: EventKind,
        error: str,
        delay_s: float = 0.0,
        *,
        avoid: int | None = None,
    ) -> None:
        one.outstanding -= 1
        one.waiting.clear()
        self.again_ids.append((one.id, kind, error, avoid))
        self._stir()

    def lost(self, one: Outgoing, segment: int, link: int, cause: Cause) -> None:
        one.outstanding -= 1
        one.waiting.clear()
        self.losses.append((one.id, segment, cause))
        self._stir()

    def returned(self, one: Outgoing) -> None:
        one.waiting.clear()
        self.returned_ids.append(one.id)
        self._stir()

    def gate(self, one: Outgoing, state: State, reason: str) -> None:
        self.gated.append((one.id, state, reason))
        self._stir()

    # As receipts and texts -----------------------------------------------------------------------

    def receipt(self, link: int, receipt: Receipt, phone: str, respond: Respond) -> None:
        self.receipts.append(receipt)
        if self.is_acknowledging:
            respond(0)
        self._stir()

    def bound(self, link: int) -> None:
        self.bounds += 1
        self._stir()

    def text(self, link: int, session: int, one: Message, respond: Respond) -> None:
        self.texts.append((session, one))
        respond(0)
        self._stir()

    def session_began(self, link: int, session: int) -> None:
        self.sessions.append(("began", session))
        self._stir()

    def session_ended(
        self, link: int, session: int, *, quiet_s: float = 0.0, is_clean: bool = False
    ) -> None:
        self.sessions.append(("clean" if is_clean else "cut", session))
        self._stir()


class PlayedLease:
    """A lease that the test gives and takes."""

    def __init__(self) -> None:
        self.on_lost: Callable[[], None] = lambda: None
        self.on_surplus: Callable[[], None] = lambda: None
        self.is_free = True
        self.is_mine = False
        self.is_fresh = True
        self.releases = 0
        self.is_asked_again = asyncio.Event()

    def is_held(self) -> bool:
        return self.is_mine and self.is_fresh

    async def acquire(self) -> bool:
        self.is_mine = self.is_free
        return self.is_mine

    async def freed(self) -> None:
        await self.is_asked_again.wait()
        self.is_asked_again.clear()

    async def release(self) -> None:
        self.is_mine = False
        self.releases += 1

    async def leave(self) -> None:
        return None


def services(books: Books) -> Services:
    """What a link needs, played by the books."""
    played: Any = books
    return Services(
        settler=played,
        receipts=played,
        texts=played,
        limits=LimitSettings(retry_min_s=0.01, retry_max_s=0.01),
        wall=time.time,
        dials=DialPace(10_000, 10_000),
    )


class Stage:
    """A link that runs, its SMSC, and what it reported."""

    def __init__(self, smsc: SandboxSmsc, settings: LinkSettings, cap: DailyCap | None) -> None:
        self.smsc = smsc
        self.books = Books()
        self.leases = [PlayedLease() for _ in range(settings.binds)]
        self.link = SmppLink(settings, LINK, services(self.books), self.leases.__getitem__, cap)
        self.rooms = 0
        self.link.on_room = self._on_room

    def _on_room(self) -> None:
        self.rooms += 1

    @property
    def binds(self) -> list[SmppBind]:
        return self.link.binds

    async def is_up(self, count: int | None = None) -> None:
        """Wait until so many binds, or all, are up."""
        wanted = len(self.binds) if count is None else count
        await self.books.until(lambda: states(self.link)["up"] == wanted)

    async def shows(self, state: str) -> None:
        """Wait until every bind is in a state."""
        await self.books.until(lambda: set(states(self.link)) == {state})

    def send(self, *messages: Outgoing) -> list[Outgoing]:
        """Give the link messages."""
        self.link.take(list(messages))
        return list(messages)


def states(link: BoundLink) -> Counter[str]:
    """How many binds are in which state, as reported."""
    return Counter(report.state.state for report in link.reports())


@asynccontextmanager
async def stage(
    smsc: SandboxSmsc, *, cap: DailyCap | None = None, is_up: bool = True, **changes: Any
) -> AsyncIterator[Stage]:
    """A link bound to the SMSC, drained at the end."""
    fields: dict[str, Any] = {
        "name": "acme",
        "host": "127.0.0.1",
        "port": smsc.port,
        "system_id": "lab",
        "password": "lab",
        "reconnect_min_s": 0.01,
        "reconnect_max_s": 0.02,
    }
    one = Stage(smsc, LinkSettings(**(fields | changes)), cap)
    running = asyncio.create_task(one.link.run())
    try:
        if is_up:
            await one.is_up()
        yield one
    finally:
        await one.link.drain(asyncio.get_running_loop().time() + 1.0)
        async with asyncio.timeout(DEADLINE_S):
            await running
