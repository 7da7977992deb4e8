"""Two user agents that do whatever they may at any time, joined by a network that loses, doubles
and reorders: every call ends on both sides, exactly once, and nothing of it is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocols.errors import LocalProtocolError
from protocols.sip.call import Call
from protocols.sip.call_tables import CallState
from protocols.sip.core import Config
from protocols.sip.digest import Credentials
from protocols.sip.digest_server import DigestServer
from protocols.sip.events import (
    Answered,
    Confirmed,
    Ended,
    Event,
    IncomingCall,
    OfferAnswered,
    Offered,
    OfferRefused,
    OfferWanted,
    Progress,
    ReferReceived,
    Rejected,
)
from protocols.sip.fields import NameAddr
from protocols.sip.flow import Hop, Transport
from protocols.sip.uri import Uri
from tests.protocols.sip.network import (
    ANSWER,
    CALLER,
    DELAY_S,
    OFFER,
    Agent,
    CountedRandomness,
    Network,
    Packet,
    bodies,
)

HOSTS = ("a.example", "b.example")
HOLD, HELD = bodies("v=0 hold"), bodies("v=0 held")
TARGET = Uri.parse("tel:+12125550199")
WITHIN = ("reinvite", "ask for an offer", "update", "refresh", "refer", "hang up")
SESSION_S = 120
MAX_CALLS = 4
SETTLED_S = 2.0 * SESSION_S + 400.0
"""The longest that anything waits: an INVITE that was given up, a session without refresh."""

Command = Callable[[Call, float], None]
COMMANDS: dict[str, Command] = {
    "ring": lambda call, now: call.ring(now),
    "early": lambda call, now: call.ring(now, 183, ANSWER),
    "reliably": lambda call, now: call.ring(now, 180, is_reliable=True),
    "answer": lambda call, now: call.answer(now, ANSWER),
    "answer without a body": lambda call, now: call.answer(now, None),
    "reject": lambda call, now: call.reject(now, 486),
    "redirect": lambda call, now: call.redirect(now, [NameAddr(TARGET)]),
    "hang up": lambda call, now: call.hang_up(now),
    "reinvite": lambda call, now: call.reinvite(now, HOLD),
    "ask for an offer": lambda call, now: call.reinvite(now),
    "update": lambda call, now: call.update(now, HOLD),
    "refresh": lambda call, now: call.update(now),
    "accept": lambda call, now: call.accept_offer(now, HELD),
    "refuse": lambda call, now: call.refuse_offer(now),
    "refer": lambda call, now: call.refer(now, TARGET),
    "accept refer": lambda call, now: call.accept_refer(now),
    "refuse refer": lambda call, now: call.refuse_refer(now),
    "notify": lambda call, now: call.notify_refer(now, 180),
    "notify the end": lambda call, now: call.notify_refer(now, 200),
}


ANSWERS: dict[tuple[str, type], tuple[str, ...]] = {
    ("willing", Offered): ("accept",),
    ("willing", OfferWanted): ("accept",),
    ("willing", Answered): ("accept",),
    ("willing", Progress): ("accept",),
    ("willing", ReferReceived): ("accept refer", "notify the end"),
    ("contrary", Offered): ("refuse",),
    ("contrary", OfferWanted): ("refuse",),
    ("contrary", Confirmed): ("reinvite",),
    ("contrary", Answered): ("reinvite",),
    ("contrary", ReferReceived): ("refuse refer",),
    ("hasty", IncomingCall): ("early", "answer", "hang up"),
    ("hasty", Progress): ("update", "accept"),
    ("hasty", Answered): ("update", "hang up"),
    ("hasty", Confirmed): ("refer", "reinvite"),
    ("hasty", OfferRefused): ("reinvite",),
    ("hasty", Offered): ("accept", "update", "hang up"),
}
TEMPERS = ("idle", "willing", "contrary", "hasty")


class Weather:
    """How bad the network is; over a stream nothing is lost and all keeps its order."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose
        self.loss = 0.0
        self.copies = 1
        self.delay_s = DELAY_S

    def __call__(self, packet: Packet) -> list[float]:
        if packet.transport is not Transport.UDP:
            return [DELAY_S]
        if self._random.random() < self.loss:
            return []
        copies = self._random.randint(1, self.copies)
        return [self._random.uniform(DELAY_S, max(DELAY_S, self.delay_s)) for _ in range(copies)]

    def clear(self) -> None:
        self.loss, self.copies, self.delay_s = 0.0, 1, DELAY_S


class TwoAgents(RuleBasedStateMachine):
    """What both may do, what the network may do, and what must be true of it all."""

    @initialize(
        seed=st.integers(0, 2**32),
        transport=st.sampled_from((Transport.UDP, Transport.UDP, Transport.TCP)),
        is_established=st.booleans(),
        is_challenged=st.booleans(),
    )
    def begin(
        self, seed: int, transport: Transport, is_established: bool, is_challenged: bool
    ) -> None:
        self.net = Network()
        self.weather = Weather(seed)
        self.net.rules.append(self.weather)
        self.transport = transport
        config = Config(session_expires_s=SESSION_S, accepts_refer=True)
        guard = DigestServer("two.example", {"u": "p"}.get, b"s", CountedRandomness("guard"))
        guards = guard if is_challenged else None
        self.agents = [self.net.agent(host, config, authenticator=guards) for host in HOSTS]
        self.held: list[list[Call]] = [[], []]
        """The calls of each side, ended ones too."""
        self.tempers = ["idle", "idle"]
        """What each side does about offers and transfers of the other, at once."""
        for side, agent in enumerate(self.agents):
            agent.on_event = self._listener(side)
        if is_established:
            self.set_up(0, 0.1)

    def _listener(self, side: int) -> Callable[[Event], None]:
        def on_event(event: Event) -> None:
            if isinstance(event, IncomingCall):
                self.held[side].append(event.call)
            for name in ANSWERS.get((self.tempers[side], type(event)), ()):
                with suppress(LocalProtocolError):
                    COMMANDS[name](event.call, self.net.now)  # type: ignore[union-attr]

        return on_event

    @rule(side=st.integers(0, 1), has_offer=st.booleans())
    def invite(self, side: int, has_offer: bool) -> None:
        if len(self.agents[side].agent.calls) >= MAX_CALLS:
            return
        other = HOSTS[1 - side]
        call = self.agents[side].agent.invite(
            Uri.parse(f"sip:+12125550123@{other}"),
            from_=CALLER,
            hop=Hop(self.transport, other, self.transport.default_port),
            now=self.net.now,
            body=OFFER if has_offer else None,
            credentials=Credentials("u", "p"),
            setup_s=60.0,
        )
        self.held[side].append(call)
        self.net.run(0.0)

    @rule(
        side=st.integers(0, 1),
        name=st.sampled_from(sorted(COMMANDS)),
        back=st.integers(0, MAX_CALLS - 1),
    )
    def command(self, side: int, name: str, back: int) -> None:
        calls = self.held[side][-1 - back :]
        if calls:
            with suppress(LocalProtocolError):
                COMMANDS[name](calls[0], self.net.now)
            self.net.run(0.0)

    @rule(side=st.integers(0, 1), wait_s=st.sampled_from((0.0, 0.02, 0.1)))
    def set_up(self, side: int, wait_s: float) -> None:
        """The usual way to an established call, for what is rare otherwise."""
        self.invite(side, True)
        self.net.run(wait_s + 0.02)
        self.command(1 - side, "early", 0)
        self.net.run(wait_s + 0.05)
        self.command(1 - side, "answer", 0)
        self.net.run(wait_s)

    @rule(side=st.integers(0, 1), temper=st.sampled_from(TEMPERS))
    def temper_changes(self, side: int, temper: str) -> None:
        self.tempers[side] = temper

    @rule(side=st.integers(0, 1), names=st.lists(st.sampled_from(WITHIN), min_size=1, max_size=3))
    def within_a_call(self, side: int, names: list[str]) -> None:
        """Several commands at once to a call that stands, and as many of the other side."""
        calls = [c for c in self.held[side] if c.state is CallState.ESTABLISHED]
        for call, name in zip(calls * len(names), names, strict=False):
            with suppress(LocalProtocolError):
                COMMANDS[name](call, self.net.now)
        self.net.run(0.0)

    @rule(wait_s=st.sampled_from((0.005, 0.05, 0.4, 1.0, 4.0, 11.0, 35.0, 70.0)))
    def wait(self, wait_s: float) -> None:
        self.net.run(wait_s)

    @rule(
        loss=st.sampled_from((0.0, 0.2, 0.5, 1.0)),
        copies=st.integers(1, 3),
        delay_s=st.sampled_from((DELAY_S, 0.1, 1.0, 6.0)),
    )
    def weather_changes(self, loss: float, copies: int, delay_s: float) -> None:
        self.weather.loss, self.weather.copies, self.weather.delay_s = loss, copies, delay_s

    @rule()
    def connections_break(self) -> None:
        self.net.break_connections()

    @precondition(lambda self: hasattr(self, "agents"))
    @invariant()
    def nothing_is_told_of_a_call_that_is_over(self) -> None:
        for agent in self.agents:
            check_ends(agent)

    def teardown(self) -> None:
        if not hasattr(self, "agents"):
            return
        self.weather.clear()
        self.tempers = ["idle", "idle"]
        self.net.run(SETTLED_S)
        self._both_sides_agree()
        self._offers_are_possible()
        for call in list(self.agents[0].agent.calls.values()):
            call.hang_up(self.net.now)
        self.net.run(SETTLED_S)
        for side, agent in enumerate(self.agents):
            check_ends(agent)
            over = {e.call.id for e in agent.events if isinstance(e, Ended | Rejected)}
            assert over == {call.id for call in self.held[side]}
            assert not agent.agent.calls and not agent.agent._core.dialogs
        assert self.net.is_quiet()

    def _both_sides_agree(self) -> None:
        """No call is half open: each is established on both sides or over on both."""
        known = []
        for agent in self.agents:
            calls = agent.agent.calls.values()
            assert {call.state for call in calls} <= {CallState.ESTABLISHED}
            known.append({call.dialog.call_id for call in calls if call.dialog is not None})
        assert known[0] == known[1]

    def _offers_are_possible(self) -> None:
        """Whatever was tried before, nothing stands in the way of another offer."""
        self.tempers = ["willing", "willing"]
        calls = list(self.agents[0].agent.calls.values())
        before = len(self.agents[0].told(OfferAnswered))
        for call in calls:
            call.offer(self.net.now, HOLD)
        self.net.run(20)
        assert len(self.agents[0].told(OfferAnswered)) == before + len(calls)


def check_ends(agent: Agent) -> None:
    """A call ends once, and its end is the last that is told of it."""
    ends: Counter[str] = Counter()
    for event in agent.events:
        call = getattr(event, "call", None)
        if call is not None:
            assert not ends[call.id], f"{event} after the end"
            ends[call.id] += isinstance(event, Ended | Rejected)


TestTwoAgents = TwoAgents.TestCase
TestTwoAgents.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
