"""Who is admitted: bans and pace first, then the password, then a free bind of the account.

An unknown account, a wrong password and a wrong address get the same answer at the same cost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import asyncpg

from config.smpp_server import SmppServerSettings
from gateway.channels.accepted import AcceptedLink
from gateway.channels.esme.accounts import Accounts
from gateway.channels.esme.checks import PasswordChecks
from gateway.channels.esme.guard import AddressGuard
from gateway.errors import StoreDown
from gateway.store.database import HotConnection
from gateway.store.esmes import Esme
from gateway.store.nodes import Node
from gateway.store.queries import load
from protocols.smpp import (
    Bind,
    BindKind,
    BindRequested,
    Event,
    Limits,
    Session,
    State,
    status_name,
)
from protocols.smpp import commands as c
from protocols.smpp import status as s
from protocols.smpp.connection import SmppConnection
from protocols.smpp.states import BOUND_STATE

log = logging.getLogger(__name__)

READ_AHEAD: Final = 1_000
"""Requests beyond an account's window that one read may bring before they are throttled."""
CARRIER_TAKES: Final = frozenset({c.SUBMIT_SM, c.DATA_SM})
"""What carriers may bring us."""
_STOP_S: Final = 1.0


class Caller(SmppConnection):
    """A connection that came to our door, and is not bound yet."""

    def __init__(
        self,
        session: Session,
        *,
        on_bind: Callable[[Caller, Bind], None],
        on_came: Callable[[Caller], None],
        on_left: Callable[[Caller], None],
    ) -> None:
        super().__init__(session, self._unbound_events)
        self.host = ""
        self._on_bind = on_bind
        self._on_came = on_came
        self._on_left = on_left

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.host = self.peer_host
        self._on_came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._on_left(self)

    def _unbound_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, BindRequested):
                self._on_bind(self, event.request)


class ShopBound(Protocol):
    """Takes over the bind of a shop's account."""

    def __call__(
        self,
        esme: Esme,
        connection: SmppConnection,
        kind: BindKind,
        release: Callable[[], None],
        /,
    ) -> None: ...


class _Denied(Exception):
    """A bind that is refused with this command_status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Admission:
    """Judges binds, and counts those that stand."""

    def __init__(
        self,
        settings: SmppServerSettings,
        *,
        accounts: Accounts,
        guard: AddressGuard,
        checks: PasswordChecks,
        connection: HotConnection,
        node: Node,
        accepted: Callable[[str], AcceptedLink | None],
        on_shop: ShopBound,
        on_changed: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """`on_changed`: a bind came or went."""
        self._settings = settings
        self._accounts = accounts
        self._guard = guard
        self._checks = checks
        self._connection = connection
        self._node = node
        self._accepted = accepted
        self._on_shop = on_shop
        self._on_changed = on_changed
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._checking: dict[SmppConnection, asyncio.Task[None]] = {}
        self._standing: dict[int, set[SmppConnection]] = {}
        self._held: dict[SmppConnection, tuple[int, int]] = {}
        """Account and index of the place of each; of two with the same one, the first has lost it.
        """
        self._to_give: list[tuple[int, int]] = []
        self._is_doubtful = False
        """Whether a place may have been taken without our knowing."""
        self._placing = asyncio.Lock()

    def requested(self, connection: SmppConnection, host: str, request: Bind) -> None:
        """Somebody asks for a bind."""
        task = asyncio.get_running_loop().create_task(self._judge(connection, host, request))
        self._checking[connection] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def gone(self, connection: SmppConnection) -> None:
        """A connection is gone: its password need not be checked any more."""
        task = self._checking.pop(connection, None)
        if task is not None:
            task.cancel()

    def end(self, esme: int, reason: str) -> None:
        """End all binds of an account at once."""
        for connection in list(self._standing.get(esme, ())):
            with suppress(Exception):
                connection.session.unbind(self._clock())
                connection.flush()
            connection.close(reason)

    async def settle(self) -> None:
        """Give back what could not be given back at once. Raises StoreDown."""
        async with self._placing:
            await self._settle()

    async def _settle(self) -> None:
        node = self._node
        while self._to_give:
            place = self._to_give[0]
            await self._connection.fetch(load("esmes")["give_bind"], *place, node.id, node.epoch)
            self._to_give.pop(0)
        if self._is_doubtful:
            places = self._held.values()
            held = [esme for esme, _ in places], [index for _, index in places]
            await self._connection.fetch(load("esmes")["forget_binds"], node.id, node.epoch, *held)
            self._is_doubtful = False

    async def verify(self) -> None:
        """Have binds made anew whose places are lost: others thought this node dead while it slept
        or could not reach the store. Raises StoreDown."""
        node = self._node
        async with self._placing:
            sql = load("esmes")["held_binds"]
            rows = await self._connection.fetch(sql, node.id, node.epoch)
            there = {(row["esme"], row["index"]) for row in rows}
            having = {place: connection for connection, place in self._held.items()}
            lost = [
                connection
                for connection, place in self._held.items()
                if place not in there or having[place] is not connection
            ]
        for connection in lost:
            log.warning("a bind from %s has lost its place: it is ended", connection.peer_host)
            if connection.session.state in BOUND_STATE.values():
                connection.session.unbind(self._clock())
                connection.flush()

    async def stop(self) -> None:
        """Judge nothing more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_STOP_S)

    # Judging -------------------------------------------------------------------------------------

    async def _judge(self, connection: SmppConnection, host: str, request: Bind) -> None:
        session = connection.session
        try:
            try:
                esme = await self._identify(host, request)
            finally:
                self._checking.pop(connection, None)
            await self._admit(esme, connection, host, request)
        except _Denied as denied:
            log.info("a bind from %s is refused: %s", host, denied)
            session.refuse_bind(request, denied.status)
            connection.flush()
            connection.close("the bind was refused")
        except (StoreDown, asyncpg.PostgresError) as error:
            log.warning("a bind from %s is refused: %s", host, error)
            session.refuse_bind(request, s.ESME_RSYSERR)
            connection.flush()
            connection.close("the store does not answer")
        except Exception:
            log.exception("a bind from %s could not be judged", host)
            connection.close("an error of the gateway")

    async def _identify(self, host: str, request: Bind) -> Esme:
        """The account whose password this is. Raises _Denied."""
        if self._guard.is_banned(host, self._clock()):
            raise _Denied(s.ESME_RBINDFAIL, "the address is banned")
        esme = self._accounts.named(request.system_id)
        is_right = await self._checks.check(esme, request.password, host)
        if is_right is None:
            raise _Denied(s.ESME_RBINDFAIL, "too many passwords wait to be checked")
        esme = self._accounts.named(request.system_id) if is_right else None
        if esme is None:
            who = ascii(request.system_id)
            ban_s = self._guard.failed(host, self._clock())
            if ban_s:
                log.warning("%s is banned for %.0f s: too many wrong passwords", host, ban_s)
            raise _Denied(s.ESME_RINVPASWD, f"no account {who}, or wrong password or address")
        self._guard.succeeded(host)
        return esme

    async def _admit(
        self, esme: Esme, connection: SmppConnection, host: str, request: Bind
    ) -> None:
        """Take a place of the account, and hand the session to whoever it is for."""
        kind = request.kind
        link = self._link(esme, kind)
        index = await self._take(esme, kind, connection)
        if index is None:
            raise _Denied(s.ESME_RALYBND, f"{esme.system_id} has all its binds")
        release = self._releaser(esme.id, index, connection)
        session = connection.session
        try:
            if session.state not in (State.OPEN, State.OUTBOUND):
                raise _Denied(s.ESME_RBINDFAIL, "it is gone")
            known = self._accounts.by_id(esme.id)
            if known is None or known.password != esme.password:
                raise _Denied(s.ESME_RINVPASWD, "the account was changed meanwhile")
            if link is not None:
                link = self._link(esme, kind)
        except BaseException:
            release()
            raise
        self._standing.setdefault(esme.id, set()).add(connection)
        window = esme.options.window
        session.window = window if link is None else min(window, link.settings.window)
        session.limits = Limits(
            pdu_bytes=self._settings.pdu_max_bytes, unanswered=window + READ_AHEAD, pause_at=window
        )
        if link is not None:
            session.takes = CARRIER_TAKES
        session.accept_bind(request, self._settings.system_id)
        log.info("ESME %s is bound as %s from %s", esme.system_id, kind.name.lower(), host)
        if link is not None:
            link.attach(session, connection, on_detached=release)
        else:
            self._on_shop(esme, connection, kind, release)
        self._on_changed()
        connection.flush()

    def _link(self, esme: Esme, kind: BindKind) -> AcceptedLink | None:
        """The link of a carrier's account; None for a shop's. Raises _Denied."""
        if esme.link is None:
            return None
        link = self._accepted(esme.link)
        if link is None:
            raise _Denied(s.ESME_RBINDFAIL, f"no link {esme.link} of kind smpp-server runs here")
        status = link.may_attach(kind)
        if status:
            words = status_name(status)
            raise _Denied(status, f"link {esme.link} takes no {kind.name.lower()} now: {words}")
        return link

    async def _take(self, esme: Esme, kind: BindKind, connection: SmppConnection) -> int | None:
        """A free bind of the account, counted over all nodes. Raises StoreDown."""
        node = self._node
        if not node.may_write():
            raise StoreDown("the node's lease was not renewed")

        async def work(store: asyncpg.Connection) -> int | None:
            sql = load("esmes")
            await store.execute(sql["unsynced"])
            await store.execute(sql["lock"], [esme.id])
            await store.execute(sql["drop_dead_binds"], esme.id)
            index: int | None = await store.fetchval(
                sql["take_bind"], esme.id, node.id, node.epoch, kind, connection.peer
            )
            return index

        async with self._placing:
            await self._settle()
            self._is_doubtful = True
            index = await self._connection.transact(work)
            self._is_doubtful = False
            if index is not None:
                self._held[connection] = esme.id, index
        return index

    def _releaser(self, esme: int, index: int, connection: SmppConnection) -> Callable[[], None]:
        """Gives the place back, once."""
        is_given = False

        def release() -> None:
            nonlocal is_given
            if is_given:
                return
            is_given = True
            standing = self._standing.get(esme)
            if standing is not None:
                standing.discard(connection)
                if not standing:
                    del self._standing[esme]
            self._held.pop(connection, None)
            if (esme, index) not in self._held.values():
                self._to_give.append((esme, index))
            self._on_changed()
            task = asyncio.get_running_loop().create_task(self._give())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return release

    async def _give(self) -> None:
        try:
            await self.settle()
        except (StoreDown, asyncpg.PostgresError) as error:
            log.debug("a bind's row is deleted later: %s", error)
