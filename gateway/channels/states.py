"""Writes down what each link of this node is doing, for `gateway queue` and the API, which may ask
another process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

import asyncpg

from gateway.channels.link import LinkState
from gateway.errors import StoreDown
from gateway.store.database import Database
from gateway.store.queries import load

log = logging.getLogger(__name__)

SQL = load("nodes")

LOOK_S = 0.5
REPEAT_S = 10.0
"""How often a state that has not changed is written again, so that its age tells whether the node
lives.
"""


class HasState(Protocol):
    """A link, as far as its state goes."""

    id: int
    name: str
    state: LinkState


class LinkStates:
    """Reports the states of the links of one node."""

    def __init__(self, database: Database, links: Sequence[HasState], node: int) -> None:
        self._database = database
        self._links = links
        self._node = node
        self._written: dict[int, LinkState] = {}
        self._failed: dict[int, str] = {}
        """SQLSTATE of the last error of a link, which is told once."""

    async def run(self) -> None:
        """Write what changed, for ever."""
        loop = asyncio.get_running_loop()
        repeated = loop.time()
        while True:
            if loop.time() - repeated >= REPEAT_S:
                repeated = loop.time()
                self._written.clear()
            await self.write()
            await asyncio.sleep(LOOK_S)

    async def write(self) -> None:
        """Write what changed since the last time."""
        for link in self._links:
            state = link.state
            if self._written.get(link.id) is state:
                continue
            try:
                await self._database.fetch(
                    SQL["put_link_state"],
                    link.id,
                    0,
                    self._node,
                    state.state,
                    state.since,
                    state.error,
                    state.next_try,
                    state.rate,
                )
            except StoreDown as error:
                log.debug("link states wait: %s", error)
                return
            except asyncpg.PostgresError as error:
                if error.sqlstate != self._failed.get(link.id):
                    log.error("the state of link %s is not written: %s", link.name, error.sqlstate)
                self._failed[link.id] = error.sqlstate
                continue
            self._written[link.id] = state
            self._failed.pop(link.id, None)
