"""REGISTER, OPTIONS of ours, and credentials on the wire."""

from __future__ import annotations

import pytest

from protocols.sip.digest import Credentials
from protocols.sip.digest_server import DigestServer
from protocols.sip.events import (
    Answered,
    EndCause,
    Registered,
    RegistrationFailed,
    Rejected,
    Replied,
    Unregistered,
)
from protocols.sip.fields import NameAddr
from protocols.sip.flow import Hop, Transport
from protocols.sip.registration import TRANSITIONS, Account, Input, Registration, State
from protocols.sip.uri import Uri
from tests.protocols.sip.network import ANSWER, CountedRandomness, Network, Two
from tests.protocols.sip.script import Script

OURS = "<sip:gateway@a.example:5060>"
HOP = Hop(Transport.UDP, "p.example", 5060)


class Registering:
    """A registration at a scripted registrar."""

    def __init__(self, expires_s: int = 600) -> None:
        self.net = Network()
        self.peer = Script(self.net)
        self.ours = self.net.agent("a.example")
        account = Account(
            Uri.parse("sip:p.example"),
            NameAddr.parse("<sip:shop@p.example>"),
            HOP,
            Credentials("shop", "secret"),
            expires_s,
        )
        self.registration: Registration = self.ours.agent.register(account, self.net.now)
        self.net.run(0.05)

    def accept(self, *lines: str, expires: int = 600) -> None:
        self.peer.reply("REGISTER", 200, *lines, contact=f"{OURS};expires={expires}")


def test_a_registration_is_refreshed_before_it_runs_out() -> None:
    one = Registering()
    request = one.peer.request("REGISTER")
    assert str(request.uri) == "sip:p.example"
    assert request.headers.get("Expires") == "600"
    one.accept("Flow-Timer: 120")
    registered = one.ours.last(Registered)
    assert (registered.expires_s, registered.flow_timer_s) == (600.0, 120.0)
    one.net.run(500)
    assert one.peer.names() == ["REGISTER"]
    one.net.run(50)
    again = one.peer.request("REGISTER")
    assert again.call_id == request.call_id and again.cseq.number == 2
    assert again.from_.tag == request.from_.tag


def test_the_registrar_decides_how_long_it_lasts() -> None:
    one = Registering()
    one.accept(expires=60)
    assert one.ours.last(Registered).expires_s == 60.0
    one.net.run(31)
    assert one.peer.names().count("REGISTER") >= 2


@pytest.mark.parametrize(
    ("lines", "granted_s"),
    [
        (["Contact: <sip:gateway@192.0.2.44:5060>;expires=60"], 60.0),
        (["Contact: <name:nobody>;expires=9", f"Contact: {OURS};expires=60"], 60.0),
        (["Contact: , ;", f"Contact: {OURS};expires=60"], 60.0),
        ([f"Contact: {OURS};expires=x", "Expires: 90"], 90.0),
        (["Contact: <sip:other@c.example>;expires=30"], 600.0),
        ([f"Contact: {OURS};expires=4294967295"], 600.0),
    ],
)
def test_what_the_registrar_says_of_our_contact_counts(lines: list[str], granted_s: float) -> None:
    """Also when it wrote the contact anew, as it does behind address translation, or keeps others
    that we cannot read. It never keeps us for longer than we asked."""
    one = Registering()
    one.peer.reply("REGISTER", 200, *lines, contact="<sip:else@d.example>;expires=500")
    assert one.ours.last(Registered).expires_s == granted_s


def test_a_registrar_that_keeps_us_for_no_time_is_asked_again_later() -> None:
    """A binding of 0 s is none, and to ask each second would change nothing."""
    one = Registering()
    one.accept(expires=0)
    assert not one.ours.told(Registered)
    assert (one.ours.last(RegistrationFailed).retry_in_s or 0) >= 15
    one.net.run(14)
    assert one.peer.names() == ["REGISTER"]


def test_an_interval_too_brief_is_raised() -> None:
    one = Registering(60)
    one.peer.reply("REGISTER", 423, "Min-Expires: 1800")
    assert one.peer.request("REGISTER").headers.get("Expires") == "1800"


def answer_with_via(one: Registering, seen: str) -> None:
    """A 200 that echoes our Via with what the registrar says it saw."""
    request = one.peer.request("REGISTER")
    via = str(request.via).replace(";rport", seen)
    text = f"SIP/2.0 200 OK\r\nVia: {via}\r\n"
    for name in ("From", "To", "Call-ID", "CSeq"):
        text += f"{name}: {request.headers.get(name)}\r\n"
    one.peer.send(text, (), "", "a.example")


def test_the_public_address_is_told() -> None:
    """RFC 3581."""
    one = Registering()
    answer_with_via(one, ";rport=40000;received=203.0.113.9")
    assert one.ours.last(Registered).public == ("203.0.113.9", 40_000)
    one.ours.agent.set_local(Transport.UDP, "203.0.113.9", 40_000)
    one.registration.refresh(one.net.now)
    one.net.run(0.05)
    assert str(one.peer.request("REGISTER").contacts[0].uri) == "sip:gateway@203.0.113.9:40000"


@pytest.mark.parametrize(
    "seen", [";rport=\u00b2;received=203.0.113.9", ";rport=5060;received=evil.example.com"]
)
def test_a_registrar_that_saw_us_nowhere_registers_us_all_the_same(seen: str) -> None:
    """What it writes there may be anything; only an address is believed."""
    one = Registering()
    answer_with_via(one, seen)
    assert one.ours.last(Registered).public is None


def test_failures_are_retried_with_a_growing_wait() -> None:
    """RFC 5626 section 4.5: 30 s doubled up to 30 minutes, by half random."""
    one = Registering()
    waits = []
    for _ in range(8):
        one.peer.reply("REGISTER", 503)
        wait = one.ours.last(RegistrationFailed).retry_in_s
        assert wait is not None
        waits.append(wait)
        one.net.run(wait + 0.1)
    assert 15 <= waits[0] <= 30 and 30 <= waits[1] <= 60
    assert all(wait <= 1800 for wait in waits) and waits[-1] >= 900
    one.accept()
    assert one.ours.told(Registered)


def test_a_registrar_may_name_its_own_wait() -> None:
    one = Registering()
    one.peer.reply("REGISTER", 503, "Retry-After: 3600")
    assert one.ours.last(RegistrationFailed).retry_in_s == 3600.0


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_refused_account_is_not_hammered(code: int) -> None:
    one = Registering()
    one.peer.reply("REGISTER", code)
    assert (one.ours.last(RegistrationFailed).retry_in_s or 0) >= 600


def test_no_answer_is_a_failure() -> None:
    one = Registering()
    one.net.run(33)
    assert one.ours.last(RegistrationFailed).code == 408


def test_unregistering_takes_the_binding_back() -> None:
    one = Registering()
    one.accept()
    one.registration.unregister(one.net.now)
    one.net.run(0.05)
    assert one.peer.request("REGISTER").headers.get("Expires") == "0"
    one.accept(expires=0)
    assert one.ours.told(Unregistered)
    one.net.run(2000)
    assert one.peer.names().count("REGISTER") == 2 and one.net.is_quiet()


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("what", list(Input))
def test_registration_states(state: State, what: Input) -> None:
    """Whatever is over stays over; every other state has a way on."""
    row = TRANSITIONS.get((state, what))
    if state is State.OVER:
        assert row is None
    if what is Input.LEAVE and state in (State.WORKING, State.REGISTERED, State.WAITING):
        assert row is State.LEAVING


# ---------------------------------------------------------------------- credentials on the wire


def challenge(nonce: str = "n1", more: str = ', algorithm=SHA-256, qop="auth"') -> str:
    return f'WWW-Authenticate: Digest realm="p.example", nonce="{nonce}"{more}'


def test_a_challenge_is_answered_once() -> None:
    one = Registering()
    one.peer.reply("REGISTER", 401, challenge())
    request = one.peer.request("REGISTER")
    assert "nc=00000001" in (request.headers.get("Authorization") or "")
    assert request.cseq.number == 2
    one.peer.reply("REGISTER", 401, challenge())
    assert one.peer.names().count("REGISTER") == 2
    assert one.ours.last(RegistrationFailed).code == 401


def test_a_stale_nonce_is_replaced_and_a_fresh_refusal_is_final() -> None:
    one = Registering()
    one.peer.reply("REGISTER", 401, challenge("n1"))
    one.peer.reply("REGISTER", 401, challenge("n2", ", stale=true, algorithm=MD5"))
    assert one.peer.request("REGISTER").cseq.number == 3
    one.peer.reply("REGISTER", 401, challenge("n3"))
    assert one.peer.request("REGISTER").cseq.number == 3
    assert one.ours.told(RegistrationFailed)


def test_a_peer_that_calls_every_nonce_stale_is_given_up() -> None:
    one = Registering()
    for number in range(10):
        one.peer.reply("REGISTER", 401, challenge(f"n{number}", ", stale=true"))
    assert one.peer.request("REGISTER").cseq.number <= 5
    assert one.ours.told(RegistrationFailed)


def test_later_requests_bring_their_credentials_along() -> None:
    one = Registering()
    one.peer.reply("REGISTER", 401, challenge())
    one.accept(expires=60)
    one.net.run(32)
    assert "nc=00000002" in (one.peer.request("REGISTER").headers.get("Authorization") or "")


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
def test_a_call_is_authenticated_by_a_server_of_ours(algorithm: str) -> None:
    two = authenticated(algorithm)
    two.invite(credentials=Credentials("shop", "secret"))
    two.answer()
    assert two.a.told(Answered)
    assert two.net.names() == ["INVITE", "100 INVITE", "401 INVITE", "ACK"] + [
        "INVITE",
        "100 INVITE",
        "200 INVITE",
        "ACK",
    ]


@pytest.mark.parametrize(
    "credentials", [Credentials("shop", "wrong"), Credentials("nobody", "secret"), None]
)
def test_wrong_credentials_get_the_same_401(credentials: Credentials | None) -> None:
    two = authenticated("SHA-256")
    two.invite(credentials=credentials)
    assert two.a.last(Rejected).code == 401
    assert not two.b.events
    assert two.net.names("b.example").count("401 INVITE") == (2 if credentials else 1)


def test_only_the_configured_realm_is_answered() -> None:
    two = authenticated("SHA-256")
    two.invite(credentials=Credentials("shop", "secret", frozenset({"elsewhere"})))
    assert two.net.names("a.example") == ["INVITE", "ACK"]


def authenticated(algorithm: str) -> Two:
    server = DigestServer(
        "b.example",
        {"shop": "secret"}.get,
        b"key of this test",
        CountedRandomness("nonce"),
        algorithms=(algorithm,),
    )
    two = Two()
    two.net = Network()
    two.a = two.net.agent("a.example")
    two.b = two.net.agent("b.example", authenticator=server)
    return two


# ---------------------------------------------------------------------- OPTIONS of ours


def ask(net: Network, context: object = "probe") -> None:
    net.agents["a.example"].agent.options(
        Uri.parse("sip:p.example"),
        from_=NameAddr.parse("<sip:gateway@a.example>"),
        hop=HOP,
        now=net.now,
        context=context,
    )
    net.run(0.05)


@pytest.mark.parametrize("code", [200, 404, 503])
def test_any_answer_to_options_shows_a_living_peer(code: int) -> None:
    net = Network()
    peer, ours = Script(net), net.agent("a.example")
    ask(net)
    peer.reply("OPTIONS", code)
    replied = ours.last(Replied)
    assert (replied.context, replied.code, replied.cause) == ("probe", code, EndCause.RESPONSE)


def test_a_dead_peer_is_told_after_64_t1() -> None:
    net = Network()
    Script(net)
    ours = net.agent("a.example")
    ask(net)
    net.run(33)
    assert (ours.last(Replied).code, ours.last(Replied).cause) == (408, EndCause.TIMEOUT)


def test_what_cannot_be_sent_is_told_at_once() -> None:
    net = Network()
    Script(net)
    ours = net.agent("a.example")
    ask(net)
    ours.took(ours.agent.transport_failed(HOP, net.now))
    assert (ours.last(Replied).code, ours.last(Replied).cause) == (503, EndCause.TRANSPORT)


def test_a_call_answers_a_challenge_and_keeps_its_body() -> None:
    two = authenticated("MD5")
    two.invite(credentials=Credentials("shop", "secret"))
    two.taken.answer(two.net.now, ANSWER)
    two.net.run(0.1)
    assert two.taken.invite.body == b"v=0 offer"
