"""The trunks of a process and what they share: sockets, sound, name service.

Nothing here knows of the store or of messages: `gateway trunk call` runs one alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Final

from config.settings import Settings, SmsSettings, TrunkSettings, split_listen
from gateway.errors import GatewayError
from gateway.phone import PhoneError, normalize
from gateway.voice.calls import TrunkCall
from gateway.voice.dns import Resolver
from gateway.voice.tls import TlsFault, server_context
from gateway.voice.trunk import Common, Trunk
from protocols.rtp.incoming import LegLimits
from protocols.rtp.ports import PortPool
from protocols.rtp.transport import MediaEngine
from protocols.sip.flow import Hop
from protocols.sip.randomness import SystemRandomness
from protocols.sip.resolving import Target
from protocols.sip.transport import SipTransport, TransportLimits

log = logging.getLogger(__name__)

DNS_PORT: Final = 53
NOT_HERE: Final = 480
LEAVE_S: Final = 4.0
"""How long a trunk whose settings changed may take to unregister, and the new one to find its
servers, before the other comes or goes all the same."""
Incoming = Callable[[TrunkCall], None]


class TrunkSet:
    """Runs trunks. Make it anywhere, `start` it with a running loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_incoming: Incoming | None = None,
        wall: Callable[[], float] = time.time,
        dns_port: int = DNS_PORT,
    ) -> None:
        self.on_incoming = on_incoming
        """Gets every incoming call that was let in; without it they are refused."""
        self.media: MediaEngine
        self.transport: SipTransport
        self.port = 0
        """Of UDP and TCP, once started."""
        self.tls_port = 0
        self._settings = settings
        self._wall = wall
        self._dns_port = dns_port
        self._trunks: dict[str, Trunk] = {}
        self._tasks: dict[Trunk, asyncio.Task[None]] = {}
        self._drains: dict[Trunk, asyncio.Task[None]] = {}
        """Trunks of settings that are not any more, with the calls that they still have."""
        self._marks = count()
        self._change = asyncio.Lock()
        self._applying: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._failure: asyncio.Future[None]
        self._common: Common
        self._exits = contextlib.AsyncExitStack()

    def __iter__(self) -> Iterator[Trunk]:
        return iter(self._trunks.values())

    def get(self, name: str) -> Trunk | None:
        """The trunk of this name."""
        return self._trunks.get(name)

    async def start(self) -> None:
        """Open the sockets and begin. Raises GatewayError with what to do."""
        try:
            await self._open()
        except BaseException:
            await self._exits.aclose()
            raise
        self._failure = asyncio.get_running_loop().create_future()
        for settings in self._settings.trunks:
            self._begin(settings)

    async def run(self) -> None:
        """Wait for ever; raises what a trunk fails with."""
        await self._failure

    async def apply(self, wanted: Sequence[TrunkSettings]) -> None:
        """Run these trunks from now on; those whose settings are the same notice nothing.

        One that changed or is gone takes no new calls, and unregisters; the calls that it has go on
        to their end as they began. Goes on to its end when who waits for it does not.
        """
        task = asyncio.create_task(self._apply(wanted), name="trunks of new settings")
        self._applying.add(task)
        task.add_done_callback(self._applying.discard)
        await asyncio.shield(task)

    async def _apply(self, wanted: Sequence[TrunkSettings]) -> None:
        async with self._change:
            await self._replace(wanted)

    async def _replace(self, wanted: Sequence[TrunkSettings]) -> None:
        kept = {each.name for each in wanted if (of := self.get(each.name)) and of.settings == each}
        old = {trunk.name: trunk for trunk in self if trunk.name not in kept}
        deadline = asyncio.get_running_loop().time() + LEAVE_S
        await asyncio.gather(*(trunk.leave(deadline) for trunk in old.values()))
        if self._is_stopping:
            return
        for name, trunk in old.items():
            del self._trunks[name]
            self._drains[trunk] = asyncio.create_task(self._drain(trunk), name=f"old trunk {name}")
        begun = [self._begin(each) for each in wanted if each.name not in kept]
        for trunk in begun:
            if trunk.name in old:
                trunk.follow(old[trunk.name])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await asyncio.gather(*(trunk.looked.wait() for trunk in begun))
        for trunk in self._drains:
            trunk.make_way()

    async def stop(self, deadline: float) -> None:
        """End calls and registrations in order, until `deadline` (loop time); close everything."""
        self._is_stopping = True
        for applying in self._applying:
            applying.cancel()
        everyone = {*self, *self._drains}
        tasks = [*self._tasks.values(), *self._drains.values()]
        try:
            await asyncio.gather(*(trunk.stop(deadline) for trunk in everyone))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._exits.aclose()

    def _begin(self, settings: TrunkSettings) -> Trunk:
        trunk = Trunk(
            settings, self._common, mark=f"g{next(self._marks)}", on_incoming=self._take
        )
        self._trunks[settings.name] = trunk
        task = asyncio.create_task(trunk.run(), name=f"trunk {trunk.name}")
        self._tasks[trunk] = task
        task.add_done_callback(self._on_ended)
        return trunk

    def _on_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._failure.done():
            self._failure.set_exception(error)

    async def _drain(self, trunk: Trunk) -> None:
        await trunk.drain()
        self._tasks.pop(trunk).cancel()
        del self._drains[trunk]

    async def _open(self) -> None:
        voice = self._settings.voice
        rng = SystemRandomness()
        host, port = split_listen(voice.listen)
        resolver = Resolver(
            voice.dns_servers, below=rng.below, is_ipv6=":" in host, port=self._dns_port
        )
        self._exits.push_async_callback(resolver.close)
        self.transport = transport = SipTransport(
            resolve=lambda hop: _resolve(resolver, hop),
            limits=TransportLimits(
                connections=voice.connections_max,
                connections_per_host=voice.connections_per_address,
                messages_per_s=voice.messages_per_s,
                burst=2 * voice.messages_per_s,
            ),
            on_error=_on_error,
        )
        self._exits.push_async_callback(transport.close)
        await self._listen(host, port)
        self.media = MediaEngine(
            host,
            PortPool(voice.rtp_port_first, voice.rtp_port_last),
            limits=LegLimits(silent_s=self._silent_s()),
            on_error=_on_error,
        )
        self._exits.callback(self.media.close)
        self._common = Common(
            voice=voice,
            transport=transport,
            media=self.media,
            resolver=resolver,
            rng=rng,
            wall=self._wall,
            is_allowed=partial(_is_allowed, self._settings.sms),
            host=host,
            port=self.port,
            tls_port=self.tls_port,
        )

    def _silent_s(self) -> float:
        """When silence on a line is first told: not after a trunk would end the call for it."""
        limits = [each.media_lost_s for each in self._settings.trunks if each.media_lost_s]
        return min([*limits, LegLimits().silent_s])

    async def _listen(self, host: str, port: int) -> None:
        voice = self._settings.voice
        try:
            self.port = await self.transport.listen(host, port)
        except OSError as error:
            raise _cannot_listen("listen", voice.listen, error) from error
        if not voice.tls_listen:
            return
        try:
            context = server_context(voice)
            self.tls_port = await self.transport.listen_tls(
                *split_listen(voice.tls_listen), context
            )
        except TlsFault as fault:
            raise GatewayError(f"[voice] {fault}") from fault
        except OSError as error:
            raise _cannot_listen("tls_listen", voice.tls_listen, error) from error

    def reload_certificates(self) -> None:
        """Read our certificate again; a bad one leaves the old one in use."""
        if self.tls_port:
            try:
                self.transport.tls = server_context(self._settings.voice)
            except TlsFault as fault:
                log.error("the certificate of [voice] was not read again: %s", fault)

    def _take(self, call: TrunkCall) -> None:
        if self.on_incoming is not None:
            self.on_incoming(call)
        else:
            call.reject(NOT_HERE)


def _is_allowed(sms: SmsSettings, number: str) -> bool:
    try:
        return normalize(number, sms.default_region, sms.countries) == number
    except PhoneError:
        return False


async def _resolve(resolver: Resolver, hop: Hop) -> Sequence[Target]:
    return await resolver.locate(hop.host, hop.port, (hop.transport,))


def _on_error(error: Exception) -> None:
    log.error("a call's handler failed", exc_info=error)


def _cannot_listen(key: str, address: str, error: OSError) -> GatewayError:
    words = error.strerror or str(error)
    return GatewayError(f"[voice] {key} {address}: {words}; is another program there?")
