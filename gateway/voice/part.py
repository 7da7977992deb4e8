"""The role `voice` of a node: its trunks, and what it tells operators of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from config.settings import Settings
from gateway.store.database import Database
from gateway.voice.console import TrunkConsole
from gateway.voice.trunkset import TrunkSet

log = logging.getLogger(__name__)

SHARE: Final = 0.4
"""Of the time that a node has to end. A peer that lives answers a BYE within a second."""


class VoicePart:
    """Made only where there are trunks: what it imports is for nobody else."""

    def __init__(self, settings: Settings, database: Database, node: int) -> None:
        self.trunks = TrunkSet(settings)
        self._console = TrunkConsole(database, self.trunks, node)

    async def start(self) -> None:
        """Open the sockets. Raises GatewayError."""
        await self.trunks.start()
        names = ", ".join(trunk.name for trunk in self.trunks)
        log.info("trunks %s, SIP on port %d", names, self.trunks.port)

    def parts(self) -> Iterator[tuple[str, Callable[[], Coroutine[Any, Any, None]]]]:
        """What runs until the node ends."""
        yield "trunks", self.trunks.run
        yield "trunk console", self._console.run

    async def reload(self, settings: Settings) -> None:
        """Read our certificate again, and take over what changed in trunks."""
        self.trunks.reload_certificates()
        await self.trunks.apply(settings.trunks)

    async def stop(self, deadline: float) -> None:
        """End calls and registrations before `deadline` (loop time): others need of that time."""
        now = asyncio.get_running_loop().time()
        await self.trunks.stop(now + (deadline - now) * SHARE)
