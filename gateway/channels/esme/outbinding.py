"""Outbind (SMPP v3.4 section 4.1.7): we dial an ESME that has no bind, and ask it to bind to us."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial
from typing import Final

import asyncpg

from config.settings import split_listen
from gateway.channels.esme.accounts import Accounts
from gateway.errors import StoreDown
from gateway.store.database import Database
from gateway.store.esmes import Esme
from gateway.store.queries import load
from protocols.smpp import Bind, BindRequested, Event, Session
from protocols.smpp.connection import SmppConnection, connect

log = logging.getLogger(__name__)

LOOK_S: Final = 5.0
_RETRY_MIN_S: Final = 5.0
_RETRY_MAX_S: Final = 300.0
_CONNECT_S: Final = 10.0


class Outbinder:
    """Dials the accounts that want it, with growing pauses."""

    def __init__(
        self,
        system_id: str,
        accounts: Accounts,
        database: Database,
        *,
        may_write: Callable[[], bool],
        new_session: Callable[[], Session],
        admit: Callable[[SmppConnection, str, Bind], None],
    ) -> None:
        """`system_id`: what we call ourselves. `admit` judges the bind that follows."""
        self._system_id = system_id
        self._accounts = accounts
        self._database = database
        self._may_write = may_write
        self._new_session = new_session
        self._admit = admit
        self._next: dict[int, float] = {}
        self._pause_s: dict[int, float] = {}

    async def run(self) -> None:
        """Look for accounts without a bind, and dial them, for ever."""
        while True:
            await asyncio.sleep(LOOK_S * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wanted = {esme.id: esme for esme in self._accounts.all() if esme.options.outbind}
            if not wanted or not self._may_write():
                continue
            try:
                rows = await self._database.fetch(load("esmes")["unbound"], list(wanted))
            except (StoreDown, asyncpg.PostgresError):
                continue
            idle = {row["esme"] for row in rows}
            for id_ in wanted.keys() - idle:
                self._next.pop(id_, None)
                self._pause_s.pop(id_, None)
            now = asyncio.get_running_loop().time()
            due = [wanted[id_] for id_ in idle if self._next.get(id_, 0.0) <= now]
            await asyncio.gather(*(self.dial(esme) for esme in due))

    async def dial(self, esme: Esme) -> None:
        """Connect to an account's ESME and send outbind. What comes of it comes by the bind."""
        host, port = split_listen(esme.options.outbind or "")
        session = self._new_session()
        loop = asyncio.get_running_loop()
        pause_s = self._pause_s.get(esme.id, _RETRY_MIN_S)
        self._pause_s[esme.id] = min(pause_s * 2, _RETRY_MAX_S)
        self._next[esme.id] = loop.time() + pause_s
        holder: list[SmppConnection] = []
        try:
            connection = await connect(
                host, port, session, partial(self._on_events, esme, holder), timeout_s=_CONNECT_S
            )
        except (OSError, ValueError) as error:
            # ValueError: a host that no name server could be asked for, such as `a..example`.
            log.warning("ESME %s cannot be dialled: %s", esme.system_id, error)
            return
        holder.append(connection)
        session.outbind(self._system_id, "", loop.time())
        connection.flush()

    def _on_events(self, esme: Esme, holder: list[SmppConnection], events: list[Event]) -> None:
        for event in events:
            if isinstance(event, BindRequested) and holder:
                connection = holder[0]
                if event.request.system_id == esme.system_id:
                    self._admit(connection, connection.peer_host, event.request)
                else:
                    connection.close("another account answered the outbind")
