"""An SMPP link that we open: we are the ESME, bound to a carrier's SMSC once or several times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from config.settings import LinkSettings
from gateway.channels.bind import SmppBind
from gateway.channels.bound import DRAIN_S, BoundLink
from gateway.channels.caps import DailyCap
from gateway.channels.dialling import Dialler
from gateway.channels.link import Lease, Services
from protocols.smpp import BindKind

_KINDS = {
    "transceiver": (BindKind.TRANSCEIVER,),
    "pair": (BindKind.TRANSMITTER, BindKind.RECEIVER),
}


class SmppLink(BoundLink):
    """One account at a carrier, with as many binds as were agreed, spread over the nodes that run
    it.
    """

    def __init__(
        self,
        settings: LinkSettings,
        id_: int,
        services: Services,
        lease: Callable[[int], Lease],
        cap: DailyCap | None = None,
    ) -> None:
        """`lease` makes the lease of the bind of an index."""
        super().__init__(settings, id_, services, cap)
        self.kinds = _KINDS[settings.bind]
        self.binds = [SmppBind(self, index, lease(index)) for index in range(settings.binds)]
        self._diallers: list[Dialler] = []
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Keep the binds open until told to drain. Never raises for what the carrier does."""
        self.cap.start()
        while not self.is_ending:
            self._changed.clear()
            if self.is_stopped:
                await self._changed.wait()
                continue
            await asyncio.gather(*(self._keep(bind) for bind in self.binds))
        for bind in self.binds:
            bind.show("stopped")

    async def _keep(self, bind: SmppBind) -> None:
        """One bind, until the link is told to stop."""
        bind.is_draining = False
        diallers = [Dialler(self, bind, kind) for kind in self.kinds]
        self._diallers += diallers
        await asyncio.gather(*(dialler.run() for dialler in diallers))
        await bind.lease.release()
        bind.show("stopped")

    async def stop(self) -> None:
        """Rest until `start`: an operator wants it."""
        if not self.is_stopped:
            self.is_stopped = True
            await self._end_binds(self._loop.time() + DRAIN_S)

    def start(self) -> None:
        """End the rest."""
        if self.is_stopped:
            self.is_stopped = False
            self._changed.set()

    async def drain(self, deadline: float) -> None:
        """Send nothing more, wait for the answers that are due until `deadline` (loop time), and
        unbind.
        """
        self.is_ending = True
        self._stop_diallers()
        await super().drain(deadline)
        self._changed.set()

    async def _end_binds(self, deadline: float) -> None:
        self._stop_diallers()
        await asyncio.gather(*(bind.drain(deadline) for bind in self.binds))

    def _stop_diallers(self) -> None:
        diallers, self._diallers = self._diallers, []
        for dialler in diallers:
            dialler.stop()
