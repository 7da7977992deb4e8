"""Keeps one session of a bind open towards a carrier's SMSC: connects, binds, and after a loss
connects again after growing pauses.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from typing import TYPE_CHECKING

from gateway.channels.bind import Half, SmppBind
from gateway.channels.pacing import backoff_s
from gateway.channels.tls import TlsFault
from protocols.smpp import VERSION_3_4, VERSION_5, BindKind, Role, Session, Timers
from protocols.smpp.connection import connect

if TYPE_CHECKING:
    from gateway.channels.smpp import SmppLink

log = logging.getLogger(__name__)

STANDBY_S = 60.0
"""After this long a node asks again for a bind that another has, heard or not."""


class Dialler:
    """One session of a bind that we open."""

    def __init__(self, link: SmppLink, bind: SmppBind, kind: BindKind) -> None:
        self._link = link
        self._bind = bind
        self._kind = kind
        self._loop = asyncio.get_running_loop()
        self._wanted = asyncio.Event()
        """Set when the bind is to end."""

    def stop(self) -> None:
        """Dial no more. What is open is for the bind to drain."""
        self._wanted.set()

    async def run(self) -> None:
        """Stay bound until told to stop. Never raises for what the carrier does."""
        failures = 0
        while not self._wanted.is_set():
            if not await self._has_lease():
                self._bind.show("standby")
                await self._stand_by()
                continue
            await self._pause(self._link.services.dials.wait_s(self._loop.time()))
            if self._wanted.is_set():
                return
            error, lasted_s = await self._serve_once()
            if self._wanted.is_set():
                return
            failures = 1 if lasted_s >= self._link.settings.stable_s else failures + 1
            settings = self._link.settings
            delay_s = backoff_s(failures, settings.reconnect_min_s, settings.reconnect_max_s)
            self._tell(error, delay_s)
            await self._pause(delay_s)

    async def _stand_by(self) -> None:
        """Wait until the bind may be had; not for ever, and not all nodes the same time."""
        waits = [
            asyncio.ensure_future(self._bind.lease.freed()),
            asyncio.ensure_future(self._wanted.wait()),
        ]
        longest_s = STANDBY_S * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
        await asyncio.wait(waits, timeout=longest_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await self._pause(random.uniform(0.05, 0.2))  # noqa: S311 - so that all get some

    async def _has_lease(self) -> bool:
        """Whether the bind is this node's; it is asked for if it is not known to be."""
        bind = self._bind
        return (bind.lease.is_held() and not bind.is_draining) or await bind.lease.acquire()

    def _tell(self, error: str, delay_s: float) -> None:
        words = self._link.bind_words(self._bind.index)
        if self._kind is not BindKind.TRANSCEIVER:
            words += f" ({self._kind.name.lower()})"
        log.warning("%s is down: %s; next try in %.1f s", words, error, delay_s)
        self._bind.note(error)
        if self._bind.session is None or self._kind is not self._link.receiving_kind:
            self._bind.show("down", error, delay_s)
        else:
            self._bind.show("up", f"its receiver is down: {error}")

    async def _pause(self, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        except TimeoutError:
            return

    async def _serve_once(self) -> tuple[str, float]:
        """One connection from end to end; returns why it ended, and how long it was bound."""
        link, settings = self._link, self._link.settings
        if self._bind.session is None:
            self._bind.show("connecting")
        timers = Timers(
            response_s=settings.response_s,
            enquire_s=settings.enquire_s,
            inactivity_s=settings.inactivity_s or None,
        )
        version = VERSION_5 if settings.version == "5.0" else VERSION_3_4
        session = Session(Role.ESME, window=settings.window, timers=timers, version=version)
        half = Half(self._bind, self._kind, session, link.next_session())
        where = f"{settings.host}:{settings.port}"
        try:
            connection = await connect(
                settings.host,
                settings.port,
                session,
                half.on_events,
                on_writable=self._bind.pump,
                ssl=await link.tls.context(),
                server_hostname=link.tls.server_name,
            )
        except TlsFault as error:
            return str(error), 0.0
        except ssl.SSLCertVerificationError as error:
            return f"the certificate of {where} is not accepted: {error.verify_message}", 0.0
        except ssl.SSLError as error:
            return f"no TLS with {where}: {error.reason or error}", 0.0
        except (OSError, TimeoutError, ValueError) as error:
            # ValueError: a host that no name server could be asked for, such as `a..example`.
            return f"no connection to {where}: {error or 'no answer'}", 0.0
        self._bind.begin(half, connection)
        session.bind(
            self._kind,
            settings.system_id,
            settings.password,
            self._loop.time(),
            system_type=settings.system_type,
        )
        connection.flush()
        try:
            if self._wanted.is_set():
                connection.close("the link stops")
            await half.ended.wait()
        finally:
            connection.close("the link stops")
        return half.error, half.lasted_s
