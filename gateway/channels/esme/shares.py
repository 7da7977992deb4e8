"""Rates are agreed for the installation: each node has as much of an account's as it has of the
account's binds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import asyncpg

from gateway.channels.accepted import AcceptedLink
from gateway.channels.esme.accounts import Accounts
from gateway.errors import StoreDown
from gateway.store.database import Database
from gateway.store.nodes import Node
from gateway.store.queries import load

log = logging.getLogger(__name__)

LOOK_S: Final = 2.0
"""How often is looked for binds that came or went on other nodes."""


class Shares:
    """What part of each account's binds this node has."""

    def __init__(
        self,
        database: Database,
        node: Node,
        accounts: Accounts,
        *,
        accepted: Callable[[str], AcceptedLink | None],
    ) -> None:
        self._database = database
        self._node = node
        self._accounts = accounts
        self._accepted = accepted
        self._wake = asyncio.Event()
        self._of: dict[int, float] = {}

    def of(self, esme: int) -> float:
        """This node's part of the binds by which an account submits, above 0 to 1."""
        return self._of.get(esme, 1.0)

    def changed(self) -> None:
        """A bind came or went here."""
        self._wake.set()

    async def run(self) -> None:
        """Follow what other nodes have, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.look()
            except (StoreDown, asyncpg.PostgresError) as error:
                log.debug("rates of ESMEs are shared out later: %s", error)

    async def look(self) -> None:
        """Read how many binds there are. Raises StoreDown."""
        paced = [each for each in self._accounts.all() if each.link or each.options.rate]
        if not paced:
            return
        rows = await self._database.fetch(
            load("esmes")["shares"], self._node.id, self._node.epoch, [each.id for each in paced]
        )
        links = {each.id: each.link for each in paced if each.link}
        mine: Counter[str] = Counter()
        every: Counter[str] = Counter()
        for row in rows:
            if link := links.get(row["esme"]):
                mine[link] += row["my_receivers"]
                every[link] += row["receivers"]
        self._of = {
            row["esme"]: row["my_senders"] / row["senders"] for row in rows if row["my_senders"]
        }
        for name in set(links.values()):
            link_ = self._accepted(name)
            if link_ is not None:
                link_.set_share(mine[name] / every[name] if mine[name] else 1.0)
