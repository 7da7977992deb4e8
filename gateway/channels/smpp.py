"""An SMPP link that we open: we are the ESME, bound to a carrier's SMSC once or several times."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from config.settings import LinkSettings
from gateway.channels.bind import SmppBind
from gateway.channels.bound import DRAIN_S, BoundLink
from gateway.channels.caps import DailyCap
from gateway.channels.dialling import Dialler
from gateway.channels.link import Lease, Services
from gateway.channels.tls import TlsFiles
from protocols.smpp import BindKind

log = logging.getLogger(__name__)

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
        self.tls = TlsFiles(settings)
        self.binds = [SmppBind(self, index, lease(index)) for index in range(settings.binds)]
        for bind in self.binds:
            bind.lease.on_surplus = partial(self._give_up, bind)
        self._diallers: list[Dialler] = []
        self._given_up: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Keep the binds open until told to drain. Never raises for what the carrier does."""
        self.cap.start()
        while not self.is_ending:
            self._changed.clear()
            if self.is_stopped:
                for bind in self.binds:
                    bind.show("stopped")
                await self._changed.wait()
                continue
            await asyncio.gather(*(self._keep(bind) for bind in self.binds))
        await self.binds[0].lease.leave()
        for bind in self.binds:
            bind.show("stopped")

    def _give_up(self, bind: SmppBind) -> None:
        """Other nodes should have this bind."""
        if not bind.is_draining:
            bind.is_draining = True
            task = self._loop.create_task(self._leave(bind))
            self._given_up.add(task)
            task.add_done_callback(self._given_up.discard)

    async def _leave(self, bind: SmppBind) -> None:
        log.info("%s goes to another node", self.bind_words(bind.index))
        await bind.drain(self._loop.time() + DRAIN_S)
        await bind.lease.release()
        bind.is_draining = self.is_ending
        self.share_rate()

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
