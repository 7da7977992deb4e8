"""Where requests within a call go, what they carry, and when their connections break."""

from __future__ import annotations

import pytest

from protocols.sip.call_tables import CallState
from protocols.sip.core import Config
from protocols.sip.digest import Credentials
from protocols.sip.events import (
    EndCause,
    Ended,
    IncomingCall,
    OfferRefused,
    ReferRefused,
)
from protocols.sip.flow import Hop, Transport
from protocols.sip.uri import Uri
from tests.protocols.sip.network import (
    ANSWER,
    CALLER,
    DELAY_S,
    OFFER,
    Network,
    Packet,
    Two,
    bodies,
)
from tests.protocols.sip.script import Script
from tests.protocols.sip.test_incoming import Incoming
from tests.protocols.sip.test_interleavings import TARGET, established
from tests.protocols.sip.test_outgoing import Outgoing

HOLD, HELD = bodies("v=0 hold"), bodies("v=0 held")

# ---------------------------------------------------------------------- where requests go


def test_an_invite_goes_to_its_first_route_unless_told_otherwise() -> None:
    net = Network()
    proxy = Script(net, "proxy.example")
    ours = net.agent("a.example")
    ours.agent.invite(
        Uri.parse("sip:+12125550123@p.example"),
        from_=CALLER,
        now=net.now,
        body=OFFER,
        routes=["<sip:proxy.example;lr>"],
    )
    net.run(0.05)
    assert str(proxy.request("INVITE").uri) == "sip:+12125550123@p.example"


def test_a_call_by_a_sips_uri_names_a_sips_contact_in_every_answer() -> None:
    """RFC 3261 section 12.1.1."""
    net = Network()
    ours = net.agent("b.example")
    source = Hop(Transport.TLS, "p.example", 5061, 1)

    def ask(method: str, cseq: int, to_tag: str) -> bytes:
        text = (
            f"{method} sips:gateway@b.example SIP/2.0\r\n"
            f"Via: SIP/2.0/TLS p.example;branch=z9hG4bKs{cseq}{method}\r\n"
            f"From: <sips:peer@p.example>;tag=p\r\nTo: <sips:gateway@b.example>{to_tag}\r\n"
            f"Call-ID: s\r\nCSeq: {cseq} {method}\r\nContact: <sips:peer@p.example>\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        ours.events += ours.agent.receive(text.encode(), source, net.now)
        return b"".join(out.data for out in ours.agent.data_to_send())

    ask("INVITE", 1, "")
    call = ours.last(IncomingCall).call
    call.answer(net.now, OFFER)
    assert call.dialog is not None
    ours.agent.data_to_send()
    tag = f";tag={call.dialog.local.tag}"
    ask("ACK", 1, tag)
    assert b"Contact: <sips:gateway@b.example" in ask("UPDATE", 2, tag)


# ---------------------------------------------------------------------- acknowledgements


def test_the_ack_of_a_reinvite_carries_the_credentials_of_the_reinvite() -> None:
    """RFC 3261 section 22.1: a proxy cannot challenge an ACK, and drops one without them."""
    one = Outgoing(credentials=Credentials("u", "p"))
    one.peer.reply("INVITE", 407, 'Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"')
    one.peer.reply("INVITE", 200, body="v=0")
    assert one.peer.request("ACK").headers.get("Proxy-Authorization") is not None
    one.call.reinvite(one.net.now, HOLD)
    one.net.run(0.05)
    one.peer.reply("INVITE", 200, body="v=0 held")
    ack, invite = one.peer.request("ACK"), one.peer.request("INVITE")
    assert ack.cseq.number == invite.cseq.number == 3
    credentials = invite.headers.get("Proxy-Authorization")
    assert credentials is not None
    assert ack.headers.get("Proxy-Authorization") == credentials


@pytest.mark.parametrize("contact", ["<sip:desk@p.example;transport=ws>", "<sip:d@p.example>"])
@pytest.mark.parametrize("route", ["Record-Route: <tel:1>", "Subject: none"])
def test_a_contact_that_cannot_be_reached_is_answered_where_the_invite_went(
    contact: str, route: str
) -> None:
    """Without ACK and BYE the call would go on at the peer, and be billed."""
    one = Outgoing()
    one.peer.reply("INVITE", 200, route, body="v=0", contact=contact)
    assert one.peer.names()[-1] == "ACK"
    one.call.hang_up(one.net.now)
    one.net.run(0.05)
    assert one.peer.names()[-1] == "BYE"


def test_a_prack_that_was_overtaken_is_sent_again_with_a_new_number() -> None:
    """RFC 3261 section 12.2.2 has it refused for its order; without a PRACK the peer would give the
    call up."""
    two = Two()
    held = [False]

    def rule(packet: Packet) -> list[float]:
        if packet.name == "PRACK" and not held[0]:
            held[0] = True
            return [0.3]
        return [DELAY_S]

    two.net.rules.append(rule)
    two.invite()
    two.taken.ring(two.net.now, 183, ANSWER)
    two.net.run(0.05)
    two.call.update(two.net.now)
    two.net.run(1)
    assert two.net.names().count("500 PRACK") == 1
    two.answer(None)
    assert two.call.state is two.taken.state is CallState.ESTABLISHED


def test_a_peer_that_refuses_every_prack_is_not_asked_for_ever() -> None:
    one = Outgoing()
    one.peer.reply("INVITE", 183, "Require: 100rel", "RSeq: 1", body="v=0 early")
    for _ in range(5):
        one.peer.reply("PRACK", 500)
    assert len([name for name in one.peer.names() if name == "PRACK"]) == 2


def test_a_100_repeats_the_timestamp_of_the_invite() -> None:
    """RFC 3261 section 8.2.6.1."""
    one = Incoming()
    one.invite("Timestamp: 54.25")
    assert one.response("100 INVITE").headers.get("Timestamp") == "54.25"


# ---------------------------------------------------------------------- broken connections


def connection_breaks(one: Outgoing) -> None:
    assert one.call.outgoing is not None
    one.ours.took(one.ours.agent.transport_failed(one.call.outgoing.hop, one.net.now))
    one.net.run(0.05)


def test_a_refresh_whose_connection_breaks_does_not_end_the_call() -> None:
    """A transport error counts as 503 (RFC 3261 section 8.1.3.1), which ends no dialog; the first
    request for long often finds that its connection is dead."""
    lines = ("Session-Expires: 200;refresher=uac", "Allow: UPDATE, INVITE")
    one = established(Config(session_expires_s=200), *lines)
    one.net.run(101)
    connection_breaks(one)
    assert one.call.state is CallState.ESTABLISHED
    one.net.run(30)
    assert one.peer.request("UPDATE").cseq.number == 3
    one.peer.reply("UPDATE", 200, *lines)
    assert one.call.state is CallState.ESTABLISHED


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_offer_whose_connection_breaks_is_refused(method: str) -> None:
    one = established()
    (one.call.reinvite if method == "INVITE" else one.call.update)(one.net.now, HOLD)
    connection_breaks(one)
    assert one.ours.last(OfferRefused).code == 503
    one.call.offer(one.net.now, HOLD)


def test_a_transfer_whose_connection_breaks_is_refused_and_the_call_stays() -> None:
    one = established()
    one.call.refer(one.net.now, TARGET)
    connection_breaks(one)
    assert one.ours.last(ReferRefused).code == 503
    assert one.call.state is CallState.ESTABLISHED


def test_a_bye_whose_connection_breaks_is_sent_once_more() -> None:
    """A call that we think over would go on at the peer; one that cannot be reached at all is given
    up."""
    one = established()
    one.call.hang_up(one.net.now)
    connection_breaks(one)
    assert one.peer.names()[-2:] == ["BYE", "BYE"]
    first, second = one.peer.packets[-2].message, one.peer.packets[-1].message
    assert second.cseq.number > first.cseq.number
    assert not one.ours.told(Ended)
    connection_breaks(one)
    assert one.ours.last(Ended).cause is EndCause.LOCAL
    assert one.peer.names().count("BYE") == 2
    one.net.run(100)
    assert one.net.is_quiet()
