"""A network in memory with a simulated clock: user agents, scripted peers, loss by rule."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from random import Random
from typing import Any, TypeVar

from protocols.sip.call import Call
from protocols.sip.core import Config
from protocols.sip.digest_server import DigestServer
from protocols.sip.endpoint import UserAgent
from protocols.sip.events import Event, IncomingCall
from protocols.sip.fields import Body, NameAddr
from protocols.sip.flow import Hop, Transport
from protocols.sip.limits import Limits
from protocols.sip.message import Request
from protocols.sip.parser import parse
from protocols.sip.uri import Uri

DELAY_S = 0.01
OFFER = Body("application/sdp", b"v=0 offer")
ANSWER = Body("application/sdp", b"v=0 answer")
CALLER = NameAddr.parse("<sip:+12125550100@shop.example.com>")

T = TypeVar("T")


class CountedRandomness:
    """Tokens that count; numbers from a seed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._random = Random(name)  # noqa: S311 - repeatable on purpose

    def token(self) -> str:
        self._count += 1
        return f"{self._name}{self._count}"

    def below(self, limit: int) -> int:
        return self._random.randrange(limit)


class Packet:
    """One message on its way."""

    def __init__(self, data: bytes, source: str, target: str, transport: Transport) -> None:
        self.data = data
        self.source = source
        self.target = target
        self.transport = transport
        self.message = parse(data)

    @property
    def name(self) -> str:
        """`INVITE`, or `200 INVITE`."""
        if isinstance(self.message, Request):
            return self.message.method
        return f"{self.message.code} {self.message.cseq.method}"


class Agent:
    """A user agent on the network, and what it told."""

    def __init__(self, network: Network, host: str, agent: UserAgent) -> None:
        self.network = network
        self.host = host
        self.agent = agent
        self.events: list[Event] = []
        self.on_event: Callable[[Event], None] = lambda event: None

    def took(self, events: list[Event]) -> None:
        self.events += events
        for event in events:
            self.on_event(event)
        self.flush()

    def flush(self) -> None:
        for out in self.agent.data_to_send():
            self.network.send(out.data, self.host, out.hop.host, out.hop.transport)

    def told(self, kind: type[T]) -> list[T]:
        """The events of a kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def last(self, kind: type[T]) -> T:
        return self.told(kind)[-1]


Rule = Callable[[Packet], list[float]]
"""What becomes of a packet: after how many seconds each copy arrives; none is a loss."""


class Network:
    """Delivers what the agents send, in the order of its clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.agents: dict[str, Agent] = {}
        self.peers: dict[str, Callable[[Packet], None]] = {}
        self.rules: list[Rule] = []
        self.log: list[tuple[float, str, str, str]] = []
        """When, from, to, what was sent: lost packets too."""
        self._heap: list[tuple[float, int, Packet]] = []
        self._count = 0

    def agent(
        self,
        host: str,
        config: Config | None = None,
        limits: Limits | None = None,
        authenticator: DigestServer | None = None,
    ) -> Agent:
        made = UserAgent(
            config or Config(),
            CountedRandomness(host.replace(".", "-")),
            limits=limits or Limits(),
            authenticator=authenticator,
        )
        for transport in Transport:
            made.set_local(transport, host, transport.default_port)
        self.agents[host] = Agent(self, host, made)
        return self.agents[host]

    def send(
        self, data: bytes, source: str, target: str, transport: Transport = Transport.UDP
    ) -> None:
        packet = Packet(data, source, target, transport)
        self.log.append((round(self.now, 3), source, target, packet.name))
        delays = [DELAY_S]
        for rule in self.rules:
            found = rule(packet)
            if found != [DELAY_S]:
                delays = found
                break
        for delay in delays:
            self._count += 1
            heappush(self._heap, (self.now + delay, self._count, packet))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        for agent in self.agents.values():
            agent.flush()
        while True:
            timers = [
                (t, a) for a in self.agents.values() if (t := a.agent.next_timer()) is not None
            ]
            due = min((t for t, _ in timers), default=end + 1)
            if self._heap and self._heap[0][0] <= min(due, end):
                self.now, _, packet = heappop(self._heap)
                self._deliver(packet)
            elif due <= end:
                self.now = max(self.now, due)
                agent = next(a for t, a in timers if t == due)
                agent.took(agent.agent.handle_timer(self.now))
            else:
                self.now = end
                return

    def _deliver(self, packet: Packet) -> None:
        if packet.target in self.peers:
            self.peers[packet.target](packet)
        elif packet.target in self.agents:
            source = Hop(packet.transport, packet.source, packet.transport.default_port)
            agent = self.agents[packet.target]
            agent.took(agent.agent.receive(packet.data, source, self.now))

    def names(self, source: str | None = None) -> list[str]:
        """What was sent, in order; by one host or by all."""
        return [name for _, sender, _, name in self.log if source in (None, sender)]

    def times(self, name: str, source: str | None = None) -> list[float]:
        """When messages of a name were sent, from the first on."""
        times = [t for t, sender, _, n in self.log if n == name and source in (None, sender)]
        return [round(t - times[0], 2) for t in times]

    def lose(self, name: str, count: int = 1) -> None:
        """Lose the next packets of a name."""
        left = [count]

        def rule(packet: Packet) -> list[float]:
            if packet.name == name and left[0]:
                left[0] -= 1
                return []
            return [DELAY_S]

        self.rules.append(rule)

    def break_connections(self) -> None:
        """What is on its way over streams is lost, and who waits for a response is told so."""
        self._heap = [each for each in self._heap if not each[2].transport.is_reliable]
        heapify(self._heap)
        for agent in self.agents.values():
            waiting = list(agent.agent._core.layer._client.values())
            for hop in {each.hop for each in waiting if each.hop.transport.is_reliable}:
                agent.took(agent.agent.transport_failed(hop, self.now))

    def is_quiet(self) -> bool:
        """Whether no agent holds anything any more."""
        return all(
            not a.agent.transactions and not a.agent.calls and a.agent.next_timer() is None
            for a in self.agents.values()
        )


class Two:
    """A caller, a callee, and the call between them."""

    def __init__(
        self,
        config: Config | None = None,
        callee: Config | None = None,
        transport: Transport = Transport.UDP,
        first_hop: str = "b.example",
    ) -> None:
        self.net = Network()
        self.first_hop = first_hop
        self.a = self.net.agent("a.example", config)
        self.b = self.net.agent("b.example", callee or config)
        self.transport = transport

    def invite(self, body: Body | None = OFFER, **more: Any) -> Call:
        self.call = self.a.agent.invite(
            Uri.parse("sip:+12125550123@b.example"),
            from_=CALLER,
            hop=Hop(self.transport, self.first_hop, self.transport.default_port),
            now=self.net.now,
            body=body,
            **more,
        )
        self.net.run(0.1)
        return self.call

    @property
    def taken(self) -> Call:
        """The callee's side of the call."""
        return self.b.last(IncomingCall).call

    def answer(self, body: Body | None = ANSWER) -> None:
        self.taken.answer(self.net.now, body)
        self.net.run(0.1)

    def establish(self) -> None:
        self.invite()
        self.answer()


def bodies(text: str) -> Body:
    return Body("application/sdp", text.encode())
