"""Our side of a call: the product's user agent and media engine on sockets of a test."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any, TypeVar

from protocols.rtp.events import DigitReceived, MediaEvent, PlaybackEnded
from protocols.rtp.leg import Leg, LegStatistics
from protocols.rtp.parameters import Direction, MediaParameters
from protocols.rtp.ports import PortPool
from protocols.rtp.transport import MediaEngine
from protocols.sip.agent_driver import Endpoint
from protocols.sip.call import Call
from protocols.sip.core import Config
from protocols.sip.digest_server import DigestServer
from protocols.sip.endpoint import UserAgent
from protocols.sip.events import Answered, Ended, Event, IncomingCall
from protocols.sip.fields import Body, NameAddr
from protocols.sip.flow import Hop, Transport
from protocols.sip.limits import DEFAULT_TIMERS, Timers
from protocols.sip.randomness import SystemRandomness
from protocols.sip.registration import Account, Registration
from protocols.sip.resolving import Target
from protocols.sip.sdp_audio import AudioPolicy
from protocols.sip.sdp_offer import Negotiation
from protocols.sip.transport import SipTransport, TransportLimits
from protocols.sip.uri import Uri
from tests.interop.sip.lossy import name_of

HOST = "127.0.0.1"
CALLER = NameAddr.parse("<sip:+12125550100@gateway.example.com>")
NETWORKS = (ip_network("127.0.0.0/8"),)
DEADLINE_S = 10.0
"""After this long a test gives up waiting; nothing is measured by it."""
SERVER_NAME = "localhost"
_LONG_S = 3_600.0
_CONFIG = Config()
_LIMITS = TransportLimits(messages_per_s=10_000.0, burst=10_000.0)
"""All calls of a test come from one address."""

E = TypeVar("E")
T = TypeVar("T")


class Heard:
    """What came, in order; each is fetched once, by its kind."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._unread: list[Any] = []
        self._came = asyncio.Event()

    def add(self, what: object) -> None:
        """Something came."""
        self.all.append(what)
        self._unread.append(what)
        self._came.set()

    async def until(
        self, kind: type[E], wanted: Callable[[E], object] = lambda _: True,
        timeout_s: float = DEADLINE_S,
    ) -> E:  # fmt: skip
        """The first of a kind that is wanted and was not fetched yet."""
        async def find() -> E:
            while True:
                for each in self._unread:
                    if isinstance(each, kind) and wanted(each):
                        self._unread.remove(each)
                        return each
                self._came.clear()
                await self._came.wait()

        try:
            return await asyncio.wait_for(find(), timeout_s)
        except TimeoutError:
            came = "\n".join(repr(each)[:300] for each in self.all[-8:])
            fault = f"no {kind.__name__} within {timeout_s:g} s, but\n{came}"
            raise AssertionError(fault) from None


class Line:
    """The media of one call: a leg, and what is agreed about it."""

    def __init__(self, engine: MediaEngine, policy: AudioPolicy) -> None:
        self._engine = engine
        self.heard = Heard()
        self.leg: Leg = engine.open(NETWORKS, self._on_event)
        self.negotiation = Negotiation(
            policy, address=HOST, port=self.leg.port, session_id=self.leg.port
        )
        self.digits = ""
        self.audio = bytearray()
        self.leg.add_tap(self.audio.extend)

    @classmethod
    def of(cls, agent: Agent) -> Line:
        """Media that the caller closes itself."""
        return cls(agent.media, AudioPolicy(networks=NETWORKS))

    def _on_event(self, event: MediaEvent) -> None:
        if isinstance(event, DigitReceived):
            self.digits += event.digit
        self.heard.add(event)

    async def until_digits(self, count: int) -> str:
        """Until the peer has pressed so many keys."""
        while len(self.digits) < count:
            await self.heard.until(DigitReceived)
        return self.digits

    async def until_played(self) -> None:
        """Until a clip has left whole."""
        assert (await self.heard.until(PlaybackEnded)).is_complete

    def offer(self, direction: Direction = Direction.SENDRECV) -> Body:
        """A session description that offers."""
        return Body("application/sdp", self.negotiation.offer(direction))

    def take(self, body: Body | None, is_final: bool = True) -> MediaParameters:
        """The peer's answer begins the media."""
        assert body is not None
        found = self.negotiation.take_answer(body.data)
        assert found is not None
        if is_final:
            self.negotiation.confirm()
        self._engine.start(self.leg, found)
        return found

    def answer(self, body: Body | None, direction: Direction = Direction.SENDRECV) -> Body:
        """What we answer to the peer's offer, which begins the media."""
        assert body is not None
        data, found = self.negotiation.answer(body.data, direction)
        assert found is not None
        self._engine.start(self.leg, found)
        return Body("application/sdp", data)

    def close(self) -> LegStatistics:
        """Give the ports back."""
        return self._engine.close_leg(self.leg)


class Clock:
    """The event loop's clock, which a test may put forward."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ahead_s = 0.0

    def time(self) -> float:
        """Now, in seconds."""
        return self._loop.time() + self.ahead_s

    def call_at(self, when: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        """Call at a time of this clock."""
        return self._loop.call_at(when - self.ahead_s, callback)


class Agent:
    """A user agent of ours on the product's transport, with its media."""

    def __init__(
        self, config: Config, timers: Timers, guard: DigestServer | None,
        client_tls: ssl.SSLContext | None,
    ) -> None:  # fmt: skip
        self.ua = UserAgent(config, SystemRandomness(), timers=timers, authenticator=guard)
        self.clock = Clock()
        self.errors: list[Exception] = []
        self.transport = SipTransport(
            resolve=_no_names, limits=_LIMITS, on_error=self.errors.append
        )
        self.endpoint = Endpoint(
            self.clock, self.ua, send=self.transport.send, on_events=self._told,
            on_error=self.errors.append, mark="", user=config.user, tls=lambda: client_tls,
            server_name=SERVER_NAME, on_message=self._noted,
        )  # fmt: skip
        self.transport.allowed.put(self.endpoint, NETWORKS)
        self.heard = Heard()
        self.on_event: Callable[[Event], None] | None = None
        self.ports = PortPool(20_000, 29_999, rest_s=0.0)
        self.media = MediaEngine(HOST, self.ports, on_error=self.errors.append)
        self.lines: list[Line] = []
        self.ports_of: dict[Transport, int] = {}
        self._received: list[str] = []

    async def open(self, server_tls: ssl.SSLContext | None) -> None:
        """Listen on free ports, and say so in Via and Contact."""
        port = await self.transport.listen(HOST, 0)
        self.ports_of = {Transport.UDP: port, Transport.TCP: port}
        if server_tls is not None:
            self.ports_of[Transport.TLS] = await self.transport.listen_tls(HOST, 0, server_tls)
        for transport, own in self.ports_of.items():
            self.ua.set_local(transport, HOST, own)

    @property
    def now(self) -> float:
        """The time as our side has it."""
        return self.clock.time()

    def skip(self, seconds: float) -> None:
        """Let time pass on our side, as if the test had waited."""
        self.clock.ahead_s += seconds
        self.endpoint.flush()

    def _noted(self, is_sent: bool, data: bytes, hop: Hop) -> None:
        if not is_sent:
            self._received.append(name_of(data))

    async def received(self, name: str, count: int = 1) -> None:
        """Until so many messages of a name have come."""
        async with asyncio.timeout(DEADLINE_S):
            while self._received.count(name) < count:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.005)

    def _told(self, events: Iterable[Event]) -> None:
        for event in events:
            self.heard.add(event)
            if self.on_event is not None:
                self.on_event(event)

    def do(self, command: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """A command that wants the time first."""
        try:
            return command(self.now, *arguments, **options)
        finally:
            self.endpoint.flush()

    def register(self, account: Account) -> Registration:
        """Register somewhere."""
        made = self.ua.register(account, self.now)
        self.endpoint.flush()
        return made

    def line(self, **policy: Any) -> Line:
        """Media for a call."""
        made = Line(self.media, AudioPolicy(networks=NETWORKS, **policy))
        self.lines.append(made)
        return made

    def invite(
        self, target: Hop, body: Body | None, user: str = "2125550123", **options: Any
    ) -> Call:
        """Call a peer."""
        transport = target.transport.value.lower()
        uri = Uri.parse(f"sip:{user}@{target.host}:{target.port};transport={transport}")
        call = self.ua.invite(
            uri, from_=CALLER, now=self.now, body=body, hop=target, **options
        )
        self.endpoint.flush()
        return call

    async def talk(
        self, target: Hop, line: Line | None = None, **options: Any
    ) -> tuple[Call, Line]:
        """Call a peer that answers."""
        line = line or self.line()
        call = self.invite(target, line.offer(), **options)
        answered = await self.heard.until(Answered)
        line.take(answered.body)
        return call, line

    async def taken(self, line: Line | None = None) -> tuple[Call, Line]:
        """Answer the next call that comes."""
        incoming = await self.heard.until(IncomingCall)
        line = line or self.line()
        self.do(incoming.call.answer, line.answer(incoming.body))
        return incoming.call, line

    async def hang_up(self, call: Call) -> Ended:
        """End a call, and wait until it is over."""
        self.do(call.hang_up)
        return await self.heard.until(Ended, lambda event: event.call is call)

    async def close(self) -> None:
        """Close the sockets."""
        self.endpoint.close()
        self.media.close()
        await self.transport.close()


async def _no_names(hop: Hop) -> Sequence[Target]:
    raise OSError(f"tests look up no {hop.host}")


def at(port: int, transport: Transport = Transport.UDP) -> Hop:
    """A peer on this machine."""
    return Hop(transport, HOST, port)


@asynccontextmanager
async def agent(
    *,
    config: Config = _CONFIG,
    timers: Timers = DEFAULT_TIMERS,
    guard: DigestServer | None = None,
    server_tls: ssl.SSLContext | None = None,
    client_tls: ssl.SSLContext | None = None,
    is_checked: bool = True,
) -> AsyncIterator[Agent]:
    """An agent on ports of its own. At the end it has nothing left: no call, no transaction, no
    port."""
    made = Agent(config, timers, guard, client_tls)
    try:
        await made.open(server_tls)
        yield made
        if is_checked:
            for line in made.lines:
                line.close()
            # What only waits for copies is over in an hour.
            made.skip(_LONG_S)
            assert not made.ua.calls
            assert made.ua.transactions == 0
            assert made.ports.taken == 0
            assert not made.errors
    finally:
        await made.close()
