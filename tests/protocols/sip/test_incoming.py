"""Incoming calls and other requests, against a peer that says what the test wants."""

from __future__ import annotations

import pytest

from protocols.sip.call import Call
from protocols.sip.call_tables import CallState
from protocols.sip.core import Config
from protocols.sip.events import Confirmed, EndCause, Ended, IncomingCall
from protocols.sip.fields import NameAddr
from protocols.sip.limits import Limits
from protocols.sip.message import Response
from tests.protocols.sip.network import ANSWER, OFFER, Network
from tests.protocols.sip.script import Script


class Incoming:
    """A scripted peer that calls us."""

    def __init__(self, config: Config | None = None, limits: Limits | None = None) -> None:
        self.net = Network()
        self.peer = Script(self.net)
        self.ours = self.net.agent("b.example", config, limits)

    def invite(self, *lines: str, body: str = "v=0 offer", branch: str = "z9hG4bKinv") -> None:
        self.peer.ask("INVITE", "b.example", *lines, body=body, branch=branch)

    @property
    def call(self) -> Call:
        return self.ours.last(IncomingCall).call

    def response(self, name: str) -> Response:
        message = self.peer.last(name).message
        assert isinstance(message, Response)
        return message

    def ack(self, body: str = "") -> None:
        tag = self.response("200 INVITE").to.tag
        self.peer.ask("ACK", "b.example", to_tag=tag, body=body)

    def establish(self) -> None:
        self.invite()
        self.call.answer(self.net.now, ANSWER)
        self.net.run(0.05)
        self.ack()


def test_an_invite_is_answered_with_100_at_once() -> None:
    one = Incoming()
    one.invite()
    assert one.peer.names() == ["100 INVITE"]
    assert not one.response("100 INVITE").to.tag


def test_ringing_and_answer_share_one_tag_and_repeat_the_recorded_route() -> None:
    one = Incoming()
    one.invite("Record-Route: <sip:p2.example;lr>, <sip:p1.example;lr>")
    one.call.ring(one.net.now, 180)
    one.call.answer(one.net.now, ANSWER)
    one.net.run(0.05)
    ringing, answer = one.response("180 INVITE"), one.response("200 INVITE")
    assert ringing.to.tag == answer.to.tag != ""
    expected = ["<sip:p2.example;lr>, <sip:p1.example;lr>"]
    assert ringing.headers.get_all("Record-Route") == expected
    assert answer.headers.get_all("Record-Route") == expected
    assert answer.content == ANSWER
    p2 = Script(one.net, "p2.example")
    one.ack()
    one.call.hang_up(one.net.now)
    one.net.run(0.05)
    routes = p2.request("BYE").headers.get_all("Route")
    assert routes == ["<sip:p2.example;lr>", "<sip:p1.example;lr>"]


def test_a_copy_of_the_invite_gets_the_last_response_again() -> None:
    one = Incoming()
    one.invite()
    one.call.ring(one.net.now)
    one.invite()
    assert one.peer.names() == ["100 INVITE", "180 INVITE", "180 INVITE"]
    assert len(one.ours.told(IncomingCall)) == 1


def test_a_cancel_ends_the_call_with_487() -> None:
    one = Incoming()
    one.invite()
    one.call.ring(one.net.now)
    one.peer.ask("CANCEL", "b.example", "Reason: SIP;cause=200", branch="z9hG4bKinv")
    assert one.peer.names()[-2:] == ["200 CANCEL", "487 INVITE"]
    ended = one.ours.last(Ended)
    assert (ended.cause, ended.reasons[0].cause) == (EndCause.CANCELED, 200)


def test_a_cancel_after_the_answer_changes_nothing() -> None:
    one = Incoming()
    one.invite()
    one.call.answer(one.net.now, ANSWER)
    one.peer.ask("CANCEL", "b.example", branch="z9hG4bKinv")
    assert "200 CANCEL" in one.peer.names()
    assert one.call.state is CallState.ANSWERED


def test_a_cancel_of_nothing_gets_481() -> None:
    one = Incoming()
    one.peer.ask("CANCEL", "b.example", branch="z9hG4bKnone")
    assert one.peer.names() == ["481 CANCEL"]


def test_an_offer_of_ours_is_confirmed_with_the_answer() -> None:
    one = Incoming()
    one.invite(body="")
    one.call.answer(one.net.now, OFFER)
    one.net.run(0.05)
    one.ack(body="v=0 answer")
    body = one.ours.last(Confirmed).body
    assert body is not None and body.data == b"v=0 answer"


def test_a_redirection_names_where_to_call() -> None:
    one = Incoming()
    one.invite()
    one.call.redirect(one.net.now, [NameAddr.parse("<tel:+12125550199>")])
    one.net.run(0.05)
    assert one.response("302 INVITE").headers.get("Contact") == "<tel:+12125550199>"
    assert one.ours.last(Ended).cause is EndCause.REFUSED


def test_who_calls_is_read_from_the_headers_and_a_broken_one_says_nothing() -> None:
    one = Incoming()
    one.invite(
        'P-Asserted-Identity: "Sample" <sip:+12125550142@c.example>, <tel:+12125550142>',
        "Diversion: <sip:+12125550111@c.example>;reason=no-answer;counter=1",
    )
    caller = one.call.caller
    assert [a.uri.number for a in caller.asserted] == ["+12125550142", "+12125550142"]
    assert caller.asserted[0].display == "Sample"
    assert caller.diversions[0].params["reason"] == "no-answer"
    two = Incoming()
    two.invite("P-Asserted-Identity: <<")
    assert two.call.caller.asserted == ()


def test_a_call_that_nobody_takes_is_refused_in_the_end() -> None:
    one = Incoming()
    one.invite("Expires: 30")
    one.net.run(31)
    assert "480 INVITE" in one.peer.names()
    assert one.ours.last(Ended).cause is EndCause.NO_ANSWER


def test_a_long_ring_is_repeated_each_minute() -> None:
    one = Incoming()
    one.invite()
    one.call.ring(one.net.now)
    one.net.run(125)
    assert one.peer.names().count("180 INVITE") == 3


@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "REGISTER", "PUBLISH", "NEWMETHOD"])
def test_methods_that_are_not_ours_get_405_with_allow(method: str) -> None:
    one = Incoming()
    one.peer.ask(method, "b.example")
    assert "INVITE" in (one.response(f"405 {method}").headers.get("Allow") or "")


@pytest.mark.parametrize(
    ("lines", "code", "header", "value"),
    [
        (("Require: nothingSupportsThis, timer",), 420, "Unsupported", "nothingSupportsThis"),
        (("Content-Type: application/unknown",), 415, "Accept", "application/sdp"),
        (("Content-Encoding: gzip",), 415, "Accept-Encoding", "identity"),
        (("Session-Expires: 60", "Supported: timer"), 422, "Min-SE", "90"),
        (("Replaces: nobody;to-tag=1;from-tag=2",), 481, "Call-ID", "script"),
        (("Session-Expires: soon",), 400, "Call-ID", "script"),
        (("Expires: soon",), 400, "Call-ID", "script"),
        (("Contact: <sip:second@p.example>",), 400, "Call-ID", "script"),
        (("Record-Route: <<<",), 400, "Call-ID", "script"),
    ],
)
def test_an_invite_that_asks_too_much_is_refused(
    lines: tuple[str, ...], code: int, header: str, value: str
) -> None:
    one = Incoming()
    body = "" if lines[0].startswith("Content-Type") else "v=0"
    if body:
        one.invite(*lines, body=body)
    else:
        text = "Content-Length: 3\r\n\r\nabc"
        one.peer._branches += 1
        one.net.send(
            (
                "INVITE sip:x@b.example SIP/2.0\r\nVia: SIP/2.0/UDP p.example;branch=z9hG4bK1\r\n"
                "From: <sip:p@p.example>;tag=1\r\nTo: <sip:x@b.example>\r\nCall-ID: script\r\n"
                f"CSeq: 1 INVITE\r\nContact: <sip:p@p.example>\r\n{lines[0]}\r\n{text}"
            ).encode(),
            "p.example",
            "b.example",
        )
        one.net.run(0.05)
    assert one.response(f"{code} INVITE").headers.get(header) == value
    assert not one.ours.told(IncomingCall)
    assert not one.ours.agent.calls


def test_a_call_of_ours_is_not_replaced() -> None:
    """603 when it is there, 481 when it is not."""
    one = Incoming()
    one.establish()
    tag = one.response("200 INVITE").to.tag
    one.peer.ask(
        "INVITE",
        "b.example",
        f"Replaces: script;to-tag={tag};from-tag=peer",
        call_id="other",
        body="v=0",
    )
    assert one.peer.names()[-1] == "603 INVITE"


def test_a_request_that_came_another_way_before_gets_482() -> None:
    """RFC 3261 section 8.2.2.2."""
    one = Incoming()
    one.invite(branch="z9hG4bKone")
    one.invite(branch="z9hG4bKtwo")
    assert one.peer.names() == ["100 INVITE", "482 INVITE"]


@pytest.mark.parametrize("method", ["BYE", "UPDATE", "PRACK", "INFO", "NOTIFY"])
def test_requests_without_their_dialog_get_481(method: str) -> None:
    one = Incoming()
    one.peer.ask(method, "b.example")
    one.peer.ask(method, "b.example", to_tag="nobody", cseq=2)
    assert one.peer.names() == [f"481 {method}", f"481 {method}"]


def test_a_refer_from_a_stranger_is_declined() -> None:
    one = Incoming()
    one.peer.ask("REFER", "b.example", "Refer-To: <sip:x@y.example>")
    assert one.peer.names() == ["603 REFER"]


def test_options_are_answered_with_what_we_can() -> None:
    one = Incoming()
    one.peer.ask("OPTIONS", "b.example")
    answer = one.response("200 OPTIONS")
    assert answer.headers.get("Accept") == "application/sdp"
    assert answer.tokens("Supported") == {"100rel", "timer"}
    assert "UPDATE" in (answer.headers.get("Allow") or "")


def test_a_request_numbered_no_higher_than_the_last_gets_500() -> None:
    """RFC 3261 section 12.2.2."""
    one = Incoming()
    one.establish()
    tag = one.response("200 INVITE").to.tag
    one.peer.ask("INFO", "b.example", to_tag=tag, cseq=1)
    one.peer.ask("INFO", "b.example", to_tag=tag, cseq=5)
    one.peer.ask("INFO", "b.example", to_tag=tag, cseq=4)
    assert one.peer.names()[-3:] == ["500 INFO", "200 INFO", "500 INFO"]


def test_digits_in_info_are_refused() -> None:
    one = Incoming()
    one.establish()
    tag = one.response("200 INVITE").to.tag
    one.peer.ask("INFO", "b.example", to_tag=tag, cseq=2, body="Signal=1")
    assert one.peer.names()[-1] == "415 INFO"
    assert one.call.state is CallState.ESTABLISHED


def test_responses_go_to_the_source_when_rport_asks_for_it() -> None:
    """RFC 3581; without rport to the port of Via, at the address the request came from."""
    from protocols.sip.flow import Hop, Transport

    one = Incoming()
    for extra, port in ((";rport", 40_000), ("", 5070)):
        text = (
            "OPTIONS sip:x@b.example SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 192.168.0.7:5070;branch=z9hG4bK{port}{extra};received=10.9.9.9\r\n"
            "From: <sip:p@p.example>;tag=1\r\nTo: <sip:x@b.example>\r\n"
            f"Call-ID: {port}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        source = Hop(Transport.UDP, "203.0.113.7", 40_000)
        one.ours.agent.receive(text.encode(), source, one.net.now)
        (out,) = one.ours.agent.data_to_send()
        assert out.hop == Hop(Transport.UDP, "203.0.113.7", port)
        assert b"received=203.0.113.7" in out.data and b"10.9.9.9" not in out.data
        assert (b"rport=40000" in out.data) is (port == 40_000)


def test_a_response_by_a_connection_names_the_port_of_via_should_the_connection_be_gone() -> None:
    """RFC 3261 section 18.2.2: the port that the peer connected from takes no connections."""
    from protocols.sip.flow import Hop, Transport

    one = Incoming()
    for port, expected in ((":5070", 5070), ("", 5060)):
        text = (
            "OPTIONS sip:x@b.example SIP/2.0\r\n"
            f"Via: SIP/2.0/TCP p.example{port};branch=z9hG4bK{expected}\r\n"
            "From: <sip:p@p.example>;tag=1\r\nTo: <sip:x@b.example>\r\n"
            f"Call-ID: {expected}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        source = Hop(Transport.TCP, "203.0.113.7", 40_000, 3)
        one.ours.agent.receive(text.encode(), source, one.net.now)
        (out,) = one.ours.agent.data_to_send()
        assert out.hop == Hop(Transport.TCP, "203.0.113.7", expected, 3)


def test_a_pinned_call_that_came_by_a_connection_outlives_it() -> None:
    """Its BYE goes by the connection, or to the port of Via by another, but never to the port that
    the peer connected from."""
    from protocols.sip.flow import Hop, Transport

    one = Incoming(Config(is_pinned=True))
    agent, source = one.ours.agent, Hop(Transport.TCP, "203.0.113.7", 40_000, 3)

    def ask(method: str, to_tag: str) -> None:
        text = (
            f"{method} sip:x@b.example SIP/2.0\r\n"
            f"Via: SIP/2.0/TCP p.example:5070;branch=z9hG4bK{method}\r\n"
            f"From: <sip:p@p.example>;tag=1\r\nTo: <sip:x@b.example>{to_tag}\r\n"
            f"Call-ID: c\r\nCSeq: 1 {method}\r\nContact: <sip:p@192.168.0.7>\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        one.ours.events += agent.receive(text.encode(), source, one.net.now)

    ask("INVITE", "")
    one.call.answer(one.net.now, OFFER)
    assert one.call.dialog is not None
    ask("ACK", f";tag={one.call.dialog.local.tag}")
    one.call.hang_up(one.net.now)
    bye = agent.data_to_send()[-1]
    assert bye.data.startswith(b"BYE sip:p@192.168.0.7 ")
    assert bye.hop == Hop(Transport.TCP, "203.0.113.7", 5070, 3)


def test_calls_and_transactions_over_the_limit_get_503() -> None:
    one = Incoming(limits=Limits(calls=2, server_transactions=4))
    for number in range(6):
        one.peer.ask("INVITE", "b.example", call_id=f"call{number}", body="v=0")
    refused = [name for name in one.peer.names() if name == "503 INVITE"]
    assert len(refused) == 4
    assert one.response("503 INVITE").headers.get("Retry-After") == "10"
    assert len(one.ours.agent.calls) == 2
    assert one.ours.agent.transactions <= 4


def test_a_call_can_end_when_no_new_request_is_taken() -> None:
    one = Incoming(limits=Limits(server_transactions=2))
    one.establish()
    tag = one.response("200 INVITE").to.tag
    one.peer.ask("OPTIONS", "b.example", call_id="x1")
    one.peer.ask("OPTIONS", "b.example", call_id="x2")
    assert one.peer.names()[-2:] == ["200 OPTIONS", "503 OPTIONS"]
    one.peer.ask("BYE", "b.example", to_tag=tag, cseq=2)
    assert one.peer.names()[-1] == "200 BYE"


def test_a_bye_while_we_ring_ends_the_invite_too() -> None:
    one = Incoming()
    one.invite()
    one.call.ring(one.net.now)
    one.net.run(0.05)
    tag = one.response("180 INVITE").to.tag
    one.peer.ask("BYE", "b.example", to_tag=tag, cseq=2)
    assert one.peer.names()[-2:] == ["200 BYE", "487 INVITE"]
    assert one.ours.last(Ended).cause is EndCause.CANCELED


def test_a_peer_of_rfc_2543_is_served() -> None:
    """Without the magic cookie the older fields identify the transaction."""
    one = Incoming()
    one.invite(branch="1")
    one.invite(branch="1")
    assert one.peer.names() == ["100 INVITE", "100 INVITE"]
    one.call.reject(one.net.now, 486)
    one.net.run(0.05)
    one.peer.ask("ACK", "b.example", branch="1", to_tag=one.response("486 INVITE").to.tag)
    one.net.run(5)
    assert one.peer.names().count("486 INVITE") == 1
