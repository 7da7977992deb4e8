"""REFER and NOTIFY (RFC 3515)."""

from __future__ import annotations

import pytest

from protocols.errors import LocalProtocolError
from protocols.sip.call_tables import CallState
from protocols.sip.core import Config
from protocols.sip.events import ReferProgress, ReferReceived, ReferRefused
from protocols.sip.uri import Uri
from tests.protocols.sip.network import CALLER, Two
from tests.protocols.sip.test_incoming import Incoming
from tests.protocols.sip.test_outgoing import Outgoing

TARGET = Uri.parse("tel:+12125550199")
FRAG = "Content-Type: message/sipfrag;version=2.0"


def referred() -> Outgoing:
    one = Outgoing()
    one.peer.reply("INVITE", 200, body="v=0")
    one.call.refer(one.net.now, TARGET, CALLER)
    one.net.run(0.05)
    return one


def notify(one: Outgoing, line: str, state: str, cseq: int) -> None:
    invite = one.peer.request("INVITE")
    text = (
        "NOTIFY sip:gateway@a.example SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP p.example;branch=z9hG4bKn{cseq}\r\n"
        f"From: <sip:peer@p.example>;tag=peer\r\nTo: <sip:x@a.example>;tag={invite.from_.tag}\r\n"
        f"Call-ID: {invite.call_id}\r\nCSeq: {cseq} NOTIFY\r\nEvent: refer\r\n"
        f"Subscription-State: {state}\r\n{FRAG}\r\n"
    )
    one.net.send(
        f"{text}Content-Length: {len(line)}\r\n\r\n{line}".encode(), "p.example", "a.example"
    )
    one.net.run(0.05)


def test_an_accepted_transfer_is_told_step_by_step() -> None:
    one = referred()
    refer = one.peer.request("REFER")
    assert refer.headers.get("Refer-To") == "<tel:+12125550199>"
    assert refer.headers.get("Referred-By") == str(CALLER)
    one.peer.reply("REFER", 202)
    notify(one, "SIP/2.0 100 Trying\r\n", "active;expires=60", 1)
    notify(one, "SIP/2.0 180 Ringing\r\n", "active;expires=55", 2)
    notify(one, "SIP/2.0 200 OK\r\n", "terminated;reason=noresource", 3)
    told = [(e.code, e.is_final) for e in one.ours.told(ReferProgress)]
    assert told == [(100, False), (180, False), (200, True)]
    assert one.peer.names()[-1] == "200 NOTIFY"
    notify(one, "SIP/2.0 200 OK\r\n", "terminated", 4)
    assert one.peer.names()[-1] == "481 NOTIFY"
    assert one.call.state is CallState.ESTABLISHED


def test_a_notify_may_overtake_the_202() -> None:
    one = referred()
    notify(one, "SIP/2.0 100 Trying\r\n", "active;expires=60", 1)
    one.peer.reply("REFER", 202)
    notify(one, "SIP/2.0 486 Busy Here\r\n", "terminated", 2)
    assert [(e.code, e.is_final) for e in one.ours.told(ReferProgress)] == [
        (100, False),
        (486, True),
    ]


def test_a_notify_that_cannot_be_read_gets_400() -> None:
    one = referred()
    one.peer.reply("REFER", 202)
    notify(one, "no fragment", "active", 1)
    assert one.peer.names()[-1] == "400 NOTIFY"


@pytest.mark.parametrize("code", [405, 603, 403])
def test_a_refused_transfer_leaves_the_call(code: int) -> None:
    one = referred()
    one.peer.reply("REFER", code)
    assert one.ours.last(ReferRefused).code == code
    assert one.call.state is CallState.ESTABLISHED
    one.call.refer(one.net.now, TARGET)


def test_a_peer_that_falls_silent_ends_the_transfer() -> None:
    one = referred()
    one.peer.reply("REFER", 202)
    one.net.run(181)
    assert one.ours.told(ReferProgress)[0].is_final
    assert one.ours.told(ReferProgress)[0].code == 0


def test_one_transfer_at_a_time() -> None:
    one = referred()
    with pytest.raises(LocalProtocolError):
        one.call.refer(one.net.now, TARGET)


def test_a_refer_of_the_peer_is_declined_by_default() -> None:
    one = Incoming()
    one.establish()
    tag = one.response("200 INVITE").to.tag
    one.peer.ask("REFER", "b.example", "Refer-To: <sip:x@y.example>", to_tag=tag, cseq=2)
    assert one.peer.names()[-1] == "603 REFER"
    assert not one.ours.told(ReferReceived)


def test_a_refer_that_is_accepted_is_told_about() -> None:
    two = Two(Config(accepts_refer=True))
    two.establish()
    two.call.refer(two.net.now, Uri.parse("sip:x@y.example"))
    two.net.run(0.1)
    received = two.b.last(ReferReceived)
    assert str(received.target) == "sip:x@y.example"
    received.call.accept_refer(two.net.now)
    two.net.run(0.1)
    received.call.notify_refer(two.net.now, 180)
    two.net.run(0.1)
    received.call.notify_refer(two.net.now, 200)
    two.net.run(0.1)
    assert [e.code for e in two.a.told(ReferProgress)] == [100, 180, 200]
    two.call.hang_up(two.net.now)
    two.net.run(70)
    assert two.net.is_quiet()


def test_a_refer_that_nobody_decides_is_declined() -> None:
    two = Two(Config(accepts_refer=True))
    two.establish()
    two.call.refer(two.net.now, TARGET)
    two.net.run(11)
    assert two.a.last(ReferRefused).code == 603


@pytest.mark.parametrize("line", ["Refer-To: <<", "Refer-To: ", "Subject: none"])
def test_a_refer_without_a_readable_target_gets_400(line: str) -> None:
    one = Incoming(Config(accepts_refer=True))
    one.establish()
    tag = one.response("200 INVITE").to.tag
    one.peer.ask("REFER", "b.example", line, to_tag=tag, cseq=2)
    assert one.peer.names()[-1] == "400 REFER"
