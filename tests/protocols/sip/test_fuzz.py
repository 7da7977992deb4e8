"""Random peers: whatever comes, only the protocol error type leaves a command, nothing leaves
`receive`, what is held stays within the limits, and in the end nothing is held."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.errors import LocalProtocolError
from protocols.sip.call import Call
from protocols.sip.core import Config
from protocols.sip.digest import Credentials
from protocols.sip.endpoint import UserAgent
from protocols.sip.errors import SipError
from protocols.sip.events import Ended, Event, IncomingCall, Rejected
from protocols.sip.fields import Body, NameAddr
from protocols.sip.flow import Hop, Transport
from protocols.sip.limits import Limits
from protocols.sip.message import Request
from protocols.sip.parser import parse
from protocols.sip.registration import Account
from protocols.sip.uri import Uri
from tests.protocols.sip.network import CALLER, CountedRandomness
from tests.protocols.sip.torture.messages import MESSAGES

LIMITS = Limits(calls=6, server_transactions=24, client_transactions=24, forks=3, setup_s=60.0)
SDP = Body("application/sdp", b"v=0")
METHODS = (
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "UPDATE",
    "PRACK",
    "REFER",
    "NOTIFY",
    "INFO",
    "OPTIONS",
)
EXTRAS = (
    "Require: 100rel",
    "Require: timer",
    "Supported: 100rel, timer",
    "Session-Expires: 90;refresher=uac",
    "Session-Expires: 90;refresher=uas",
    "Session-Expires: 10",
    "Min-SE: 4000000000",
    "Record-Route: <sip:r1.example;lr>, <sip:r2.example>",
    "Record-Route: <tel:1>",
    "Contact: <sip:new@q.example;transport=sctp>",
    "Contact: *",
    "Contact: <tel:+1>",
    "Retry-After: 5 (x);duration=1",
    "Event: refer",
    "Subscription-State: active;expires=1",
    "Subscription-State: terminated",
    "Refer-To: <sip:x@y.example>",
    "Replaces: a;to-tag=b;from-tag=c",
    "Expires: 1",
    "Expires: 99999999999",
    "Min-Expires: 700",
    "Allow: INVITE, UPDATE",
    "RSeq: 0",
    "RSeq: 4294967295",
    'WWW-Authenticate: Digest realm="r", nonce="1", qop="auth"',
    'Proxy-Authenticate: Digest realm="\\"", nonce="\\\\", algorithm=SHA-256-sess, qop="auth-int"',
    'Reason: Q.850;cause=16;text="\\""',
    "Accept: text/plain",
    "Content-Type: text/plain",
)


class Fuzz:
    """One user agent, a peer without sense, an application without sense."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - repeatable on purpose
        self.now = 10.0
        is_pinned, accepts_refer = self.random.random() < 0.3, self.random.random() < 0.7
        config = Config(is_pinned=is_pinned, accepts_refer=accepts_refer, session_expires_s=200)
        self.agent = UserAgent(config, CountedRandomness(str(seed)), limits=LIMITS)
        for transport in (Transport.UDP, Transport.TCP):
            self.agent.set_local(transport, "a.example", 5060)
        self.calls: list[Call] = []
        self.finals: dict[str, int] = {}
        self.requests: list[Request] = []  # of the agent
        self.sent: list[bytes] = []  # of the peer
        self.responses: list[bytes] = []

    def took(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, IncomingCall):
                self.calls.append(event.call)
            elif isinstance(event, (Ended, Rejected)):
                self.finals[event.call.id] = self.finals.get(event.call.id, 0) + 1
        for out in self.agent.data_to_send():
            try:
                message = parse(out.data, is_stream=True)
            except SipError:  # what we refuse to read we may repeat in the refusal
                assert out.data.startswith((b"SIP/2.0 400 ", b"SIP/2.0 505 "))
                continue
            if isinstance(message, Request):
                self.requests.append(message)
            else:
                self.responses.append(out.data)

    def step(self) -> None:
        steps = (self.respond, self.respond, self.request, self.command, self.command, self.wait)
        self.random.choice(steps)()
        if self.random.random() < 0.5:
            self.acknowledge()
        core = self.agent._core
        assert len(core.calls) <= LIMITS.calls
        assert self.agent.transactions <= 2 * (
            LIMITS.server_transactions + LIMITS.client_transactions
        )
        assert len(core.dialogs) <= LIMITS.calls * (LIMITS.forks + 1)

    def wait(self) -> None:
        self.now += self.random.choice((0.0, 0.1, 0.6, 5.0, 5.0, 40.0))
        self.took(self.agent.handle_timer(self.now))

    def receive(self, data: bytes) -> None:
        random = self.random
        if random.random() < 0.06:
            where = random.randrange(len(data) + 1)
            junk = random.choice((b"", b"\r\n", b";", b",", b"<", b'"', b"\0", b"\xff", b"=", b" "))
            data = data[:where] + junk + data[where + random.randrange(4) :]
        if random.random() < 0.05 and self.sent:
            data = random.choice(self.sent)
        self.sent.append(data)
        transport = random.choice((Transport.UDP, Transport.UDP, Transport.TCP))
        hop = Hop(transport, "p.example", 5060, 7 if transport is Transport.TCP else None)
        self.took(self.agent.receive(data, hop, self.now))

    def extras(self) -> str:
        chosen = self.random.sample(EXTRAS, self.random.choice((0, 0, 1, 1, 2, 4)))
        return "".join(f"{line}\r\n" for line in chosen)

    def body(self) -> str:
        body = self.random.choice(("", "", "v=0", "SIP/2.0 200 OK\r\n"))
        kind = "message/sipfrag" if body.startswith("SIP") else "application/sdp"
        return (f"Content-Type: {kind}\r\n" if body else "") + f"\r\n{body}"

    def respond(self) -> None:
        if not self.requests:
            return
        request = self.random.choice((self.requests[-1], *self.requests[-6:]))
        code = self.random.choice((100, 180, 183, 183, 200, 200, 200, 200, 200, 202))
        if self.random.random() < 0.15:
            code = self.random.choice((302, 401, 407, 408, 422, 423, 481, 486, 491, 500, 503, 603))
        text = f"SIP/2.0 {code} Said\r\n"
        for name in ("Via", "From", "Call-ID", "CSeq"):
            text += f"{name}: {request.headers.get(name)}\r\n"
        tag = "" if request.to.tag else f";tag={self.random.choice(('x', 'x', 'y', 'z', 'w'))}"
        rseq = f"RSeq: {self.random.randrange(1, 5)}\r\nRequire: 100rel\r\n"
        text += f"To: {request.headers.get('To')}{tag}\r\n"
        text += "Contact: <sip:peer@p.example>\r\n" + self.random.choice(("", rseq))
        self.receive((text + self.extras() + self.body()).encode("utf-8", "surrogateescape"))

    def acknowledge(self) -> None:
        """Send the ACK of the last 2xx, as a peer with sense would."""
        if not self.responses or not self.responses[-1].startswith(b"SIP/2.0 200"):
            return
        last = parse(self.responses[-1], is_stream=True)
        if last.cseq.method == "INVITE":
            text = "ACK sip:gateway@a.example SIP/2.0\r\n"
            text += "Via: SIP/2.0/UDP p.example;branch=z9hG4bKa\r\n"
            for name in ("From", "To", "Call-ID"):
                text += f"{name}: {last.headers.get(name)}\r\n"
            text += f"CSeq: {last.cseq.number} ACK\r\n" + self.body()
            self.receive(text.encode("utf-8", "surrogateescape"))

    def request(self) -> None:
        random = self.random
        if random.random() < 0.05:
            self.receive(random.choice(MESSAGES).data)
            return
        method = random.choice(METHODS)
        to_tag, from_tag = "", random.choice(("p", "q"))
        call_id, cseq = f"c{random.randrange(4)}", random.randrange(1, 8)
        branch = f"z9hG4bK{random.randrange(40)}" if random.random() < 0.9 else "old"
        if self.responses and random.random() < 0.7:
            with_tag = parse(random.choice(self.responses[-8:]), is_stream=True)
            to_tag, from_tag = with_tag.to.tag, with_tag.from_.tag
            call_id, number = with_tag.call_id, with_tag.cseq.number
            cseq = number if method in ("ACK", "CANCEL") else number + random.randrange(4)
            branch = with_tag.via.branch if method == "CANCEL" else branch
        elif self.requests and random.random() < 0.7:
            ours = random.choice(self.requests[-8:])
            call_id, to_tag = ours.call_id, ours.from_.tag
            from_tag = ours.to.tag or random.choice(("x", "y"))
            cseq = random.randrange(1, 50)
        text = (
            f"{method} sip:gateway@a.example SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP p.example;branch={branch}\r\n"
            f"From: <sip:p@p.example>;tag={from_tag}\r\n"
            f"To: <sip:a@a.example>{f';tag={to_tag}' if to_tag else ''}\r\nCall-ID: {call_id}\r\n"
            f"CSeq: {cseq} {method}\r\nContact: <sip:peer@p.example>\r\n"
        )
        rack = "RAck: 1 1 INVITE\r\n"
        if self.responses and method == "PRACK":
            last = parse(self.responses[-1], is_stream=True)
            rack = f"RAck: {last.headers.get('RSeq') or 1} {last.cseq.number} INVITE\r\n"
        self.receive((text + rack + self.extras() + self.body()).encode("utf-8", "surrogateescape"))

    def command(self) -> None:
        random, now = self.random, self.now
        with suppress(LocalProtocolError):
            if not self.calls or random.random() < 0.25:
                self.begin()
            else:
                call = random.choice(self.calls[-5:])
                random.choice(self.commands(call, now))()
        self.took(self.agent.handle_timer(now))

    def commands(self, call: Call, now: float) -> list[Callable[[], None]]:
        random = self.random
        body = random.choice((None, SDP))
        return [
            lambda: call.ring(now, random.choice((180, 183)), body),
            lambda: call.ring(now, 183, SDP, is_reliable=True),
            lambda: call.answer(now, body),
            lambda: call.answer(now, SDP),
            lambda: call.answer(now, SDP),
            lambda: call.reject(now, 486),
            lambda: call.redirect(now, [NameAddr.parse("<tel:+12125550199>")]),
            lambda: call.hang_up(now) if random.random() < 0.2 else None,
            lambda: call.reinvite(now, body),
            lambda: call.update(now, body),
            lambda: call.offer(now, SDP),
            lambda: call.accept_offer(now, SDP),
            lambda: call.accept_offer(now, SDP),
            lambda: call.refuse_offer(now),
            lambda: call.refer(now, Uri.parse("tel:+12125550199")),
            lambda: call.accept_refer(now),
            lambda: call.refuse_refer(now),
            lambda: call.notify_refer(now, random.choice((180, 200))),
        ]

    def begin(self) -> None:
        random, now = self.random, self.now
        credentials = random.choice((None, Credentials("u", "p")))
        hop = Hop(Transport.UDP, "p.example", 5060)
        if random.random() < 0.1:
            address = NameAddr.parse("<sip:u@p.example>")
            account = Account(Uri.parse("sip:p.example"), address, hop, credentials, 100)
            registration = self.agent.register(account, now)
            if random.random() < 0.9:
                registration.unregister(now)
        else:
            self.calls.append(
                self.agent.invite(
                    Uri.parse("sip:+12125550123@p.example"),
                    from_=CALLER,
                    now=now,
                    body=random.choice((None, SDP)),
                    credentials=credentials,
                )
            )

    def drain(self) -> None:
        """Everybody hangs up, and the peer is never heard of again."""
        for call in list(self.agent.calls.values()):
            call.hang_up(self.now)
        self.took([])
        for _ in range(400):
            due = self.agent.next_timer()
            if due is None:
                break
            self.now = max(self.now, due)
            self.took(self.agent.handle_timer(self.now))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(min_value=0, max_value=2**32))
def test_a_senseless_peer_breaks_nothing_and_leaves_nothing(seed: int) -> None:
    fuzz = Fuzz(seed)
    for _ in range(120):
        fuzz.step()
    fuzz.drain()
    core = fuzz.agent._core
    assert not core.calls and not core.dialogs
    assert all(count == 1 for count in fuzz.finals.values())
    assert {call.id for call in fuzz.calls} == set(fuzz.finals)
    assert not core.layer._server and not core.layer._origins
    assert not [each for each in core.layer._client.values() if each.request.method != "REGISTER"]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(MESSAGES), st.integers(min_value=0))
def test_mutated_torture_messages_never_raise(junk: bytes, torture: object, where: int) -> None:
    data = getattr(torture, "data", b"")
    where %= len(data)
    fuzz = Fuzz(1)
    hop = Hop(Transport.UDP, "p.example", 5060)
    fuzz.took(fuzz.agent.receive(data[:where] + junk + data[where:], hop, 1.0))
    fuzz.took(fuzz.agent.receive(data[:where] + junk, hop, 1.0))
