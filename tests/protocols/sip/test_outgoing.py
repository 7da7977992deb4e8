"""Outgoing calls against a peer that says what the test wants."""

from __future__ import annotations

import pytest

from protocols.errors import LocalProtocolError
from protocols.sip.call import Call
from protocols.sip.call_tables import CallState
from protocols.sip.core import Config
from protocols.sip.digest import Credentials
from protocols.sip.events import Answered, EndCause, Ended, Progress, Rejected
from protocols.sip.fields import Reason
from protocols.sip.flow import Hop, Transport
from protocols.sip.uri import Uri
from tests.protocols.sip.network import ANSWER, CALLER, OFFER, Network
from tests.protocols.sip.script import Script


class Outgoing:
    """One call of ours to a scripted peer."""

    def __init__(self, config: Config | None = None, **more: object) -> None:
        self.net = Network()
        self.peer = Script(self.net)
        self.ours = self.net.agent("a.example", config)
        self.call: Call = self.ours.agent.invite(
            Uri.parse("sip:+12125550123@p.example"),
            from_=CALLER,
            now=self.net.now,
            **{"body": OFFER, **more},  # type: ignore[arg-type]
        )
        self.net.run(0.05)


def test_an_invite_carries_what_a_request_needs() -> None:
    one = Outgoing(headers=[("P-Asserted-Identity", "<sip:+12125550100@shop.example.com>")])
    invite = one.peer.request("INVITE")
    assert str(invite.uri) == "sip:+12125550123@p.example"
    assert invite.via.is_rfc3261
    assert "rport" in invite.via.params
    assert invite.from_.tag and not invite.to.tag
    assert invite.headers.get("Max-Forwards") == "70"
    assert str(invite.contacts[0]) == "<sip:gateway@a.example:5060>"
    assert {"100rel", "timer"} <= invite.tokens("Supported")
    assert invite.headers.get("P-Asserted-Identity") == "<sip:+12125550100@shop.example.com>"
    assert invite.content == OFFER


def test_no_cancel_leaves_before_a_provisional_response() -> None:
    """RFC 3261 section 9.1."""
    one = Outgoing()
    one.call.hang_up(one.net.now)
    one.net.run(0.3)
    assert "CANCEL" not in one.peer.names()
    one.peer.reply("INVITE", 100, tag="")
    assert one.peer.names()[-1] == "CANCEL"
    cancel, invite = one.peer.request("CANCEL"), one.peer.request("INVITE")
    assert cancel.via == invite.via
    assert cancel.cseq.number == invite.cseq.number
    assert cancel.uri == invite.uri and not cancel.to.tag
    one.peer.reply("CANCEL", 200)
    one.peer.reply("INVITE", 487)
    assert one.peer.names()[-1] == "ACK"
    assert one.ours.last(Rejected).cause is EndCause.CANCELED


def test_a_200_that_crosses_the_cancel_is_acknowledged_and_ended() -> None:
    one = Outgoing()
    one.peer.reply("INVITE", 180)
    one.call.hang_up(one.net.now, [Reason("SIP", 200, "Call completed elsewhere")])
    one.net.run(0.05)
    assert one.peer.names()[-1] == "CANCEL"
    text = 'SIP;cause=200;text="Call completed elsewhere"'
    assert one.peer.request("CANCEL").headers.get("Reason") == text
    one.peer.reply("INVITE", 200, body="v=0 answer")
    assert one.peer.names()[-2:] == ["ACK", "BYE"]
    one.peer.reply("BYE", 200)
    assert not one.ours.told(Answered)
    assert one.ours.last(Ended).cause is EndCause.CANCELED
    one.net.run(70)
    assert one.net.is_quiet()


def test_a_200_to_a_cancel_that_never_left_is_ended_too() -> None:
    one = Outgoing()
    one.call.hang_up(one.net.now)
    one.peer.reply("INVITE", 200, body="v=0 answer")
    assert one.peer.names()[-2:] == ["ACK", "BYE"]


def test_nobody_answers_in_time() -> None:
    one = Outgoing(setup_s=20.0)
    one.peer.reply("INVITE", 180)
    one.net.run(21)
    assert one.peer.names()[-1] == "CANCEL" or "CANCEL" in one.peer.names()
    one.peer.reply("INVITE", 487)
    assert one.ours.last(Rejected).cause is EndCause.NO_ANSWER


def test_every_branch_of_a_forked_call_rings_and_one_answers() -> None:
    """RFC 3261 section 13.2.2.4: further 2xx get an ACK and a BYE."""
    one = Outgoing()
    one.peer.reply("INVITE", 180, tag="desk")
    one.peer.reply("INVITE", 183, tag="mobile", body="v=0 early")
    assert [e.fork for e in one.ours.told(Progress)] == ["desk", "mobile"]
    one.peer.reply("INVITE", 200, tag="mobile", body="v=0 mobile")
    one.peer.reply("INVITE", 200, tag="desk", body="v=0 desk", contact="<sip:desk@p.example>")
    assert one.peer.names()[-3:] == ["ACK", "ACK", "BYE"]
    bye = one.peer.request("BYE")
    assert bye.to.tag == "desk" and str(bye.uri) == "sip:desk@p.example"
    assert len(one.ours.told(Answered)) == 1
    assert one.call.state is CallState.ESTABLISHED
    one.peer.reply("INVITE", 200, tag="desk", body="v=0 desk")
    assert one.peer.names()[-1] == "ACK"
    assert one.peer.names().count("BYE") == 1


def test_forks_beyond_the_limit_are_not_kept() -> None:
    one = Outgoing()
    for number in range(100):
        one.peer.reply("INVITE", 180, tag=f"fork{number}")
    assert len(one.ours.told(Progress)) == one.ours.agent._core.limits.forks
    assert len(one.ours.agent._core.dialogs) <= 12


def test_requests_follow_a_recorded_route() -> None:
    """RFC 3261 section 12.1.2: reversed for the caller, Request-URI the Contact."""
    one = Outgoing()
    routes = (
        "Record-Route: <sip:r2.example;lr>, <sip:r1.example;lr>",
        "Record-Route: <sip:r0.example;lr>",
    )
    router = Script(one.net, "r0.example")
    one.peer.reply("INVITE", 200, *routes, body="v=0", contact="<sip:desk@10.0.0.9:5070>")
    assert router.names() == ["ACK"]
    ack = router.request("ACK")
    assert str(ack.uri) == "sip:desk@10.0.0.9:5070"
    assert ack.headers.get_all("Route") == [
        "<sip:r0.example;lr>",
        "<sip:r1.example;lr>",
        "<sip:r2.example;lr>",
    ]
    one.call.hang_up(one.net.now)
    one.net.run(0.05)
    assert router.request("BYE").headers.get_all("Route") == ack.headers.get_all("Route")


def test_a_strict_router_gets_the_request_uri() -> None:
    """RFC 3261 section 12.2.1.1."""
    one = Outgoing()
    router = Script(one.net, "strict.example")
    routes = ("Record-Route: <sip:far.example;lr>", "Record-Route: <sip:strict.example>")
    one.peer.reply("INVITE", 200, *routes, body="v=0", contact="<sip:desk@10.0.0.9>")
    ack = router.request("ACK")
    assert str(ack.uri) == "sip:strict.example"
    assert ack.headers.get_all("Route") == ["<sip:far.example;lr>", "<sip:desk@10.0.0.9>"]


def test_a_pinned_call_sends_everything_to_where_the_invite_went() -> None:
    one = Outgoing(Config(is_pinned=True))
    one.peer.reply("INVITE", 200, body="v=0", contact="<sip:desk@192.168.0.7>")
    assert one.peer.names()[-1] == "ACK"
    assert str(one.peer.request("ACK").uri) == "sip:desk@192.168.0.7"


@pytest.mark.parametrize("code", [486, 603, 404, 480, 503])
def test_a_refusal_is_acknowledged_and_told_once(code: int) -> None:
    one = Outgoing()
    lines = ("Retry-After: 120 (busy)", 'Reason: Q.850;cause=17;text="User busy"')
    one.peer.reply("INVITE", code, *lines)
    one.peer.reply("INVITE", code, *lines)
    assert one.peer.names().count("ACK") == 2
    ack, invite = one.peer.request("ACK"), one.peer.request("INVITE")
    assert ack.via == invite.via and ack.to.tag == "peer"
    (rejected,) = one.ours.told(Rejected)
    assert (rejected.code, rejected.retry_after_s) == (code, 120.0)
    assert rejected.reasons == (Reason("Q.850", 17, "User busy"),)


def test_a_redirection_is_told_and_not_followed() -> None:
    one = Outgoing()
    one.peer.reply("INVITE", 302, contact="<sip:+12125550199@x.example>;q=0.5, <tel:+12125550198>")
    contacts = one.ours.last(Rejected).contacts
    assert [str(c.uri) for c in contacts] == ["sip:+12125550199@x.example", "tel:+12125550198"]
    assert one.peer.names() == ["INVITE", "ACK"]


def test_a_delayed_offer_is_answered_in_the_ack() -> None:
    one = Outgoing(body=None)
    one.peer.reply("INVITE", 200, body="v=0 offer")
    assert one.ours.last(Answered).is_offer
    assert "ACK" not in one.peer.names()
    one.peer.reply("INVITE", 200, body="v=0 offer")
    one.call.accept_offer(one.net.now, ANSWER)
    one.net.run(0.05)
    assert one.peer.request("ACK").content == ANSWER
    assert len(one.ours.told(Answered)) == 1


def test_a_delayed_offer_refused_ends_the_call_after_the_ack() -> None:
    one = Outgoing(body=None)
    one.peer.reply("INVITE", 200, body="v=0 offer")
    one.call.refuse_offer(one.net.now)
    one.net.run(0.05)
    assert one.peer.names()[-2:] == ["ACK", "BYE"]


def test_hanging_up_before_a_delayed_offer_is_answered_sends_the_ack_first() -> None:
    one = Outgoing(body=None)
    one.peer.reply("INVITE", 200, body="v=0 offer")
    one.call.hang_up(one.net.now)
    one.net.run(0.05)
    assert one.peer.names()[-2:] == ["ACK", "BYE"]
    one.peer.reply("INVITE", 200, body="v=0 offer")
    assert one.peer.names()[-1] == "ACK"


def test_a_cancel_waits_for_the_provisional_response_of_the_repeated_invite() -> None:
    one = Outgoing(credentials=Credentials("u", "p"))
    one.peer.reply("INVITE", 100, tag="")
    one.peer.reply("INVITE", 407, 'Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"')
    assert one.peer.request("INVITE").cseq.number == 2
    one.call.hang_up(one.net.now)
    one.net.run(0.1)
    assert "CANCEL" not in one.peer.names()
    one.peer.reply("INVITE", 100, tag="")
    assert one.peer.request("CANCEL").cseq.number == 2


def test_an_early_update_that_times_out_cancels_the_call() -> None:
    one = Outgoing()
    one.peer.reply("INVITE", 183, "Require: 100rel", "RSeq: 1", body="v=0 early")
    one.peer.reply("PRACK", 200)
    one.call.update(one.net.now, OFFER)
    one.net.run(33)
    assert "CANCEL" in one.peer.names()
    one.peer.reply("INVITE", 487)
    assert one.ours.last(Rejected).cause is EndCause.TIMEOUT


def test_a_200_without_contact_or_with_a_broken_one_is_still_acknowledged() -> None:
    one = Outgoing()
    one.peer.reply("INVITE", 200, body="v=0", contact="<<broken")
    assert one.peer.names()[-1] == "ACK"
    assert str(one.peer.request("ACK").uri) == "sip:+12125550123@p.example"


def test_stray_responses_are_dropped() -> None:
    one = Outgoing()
    before = list(one.ours.events)
    text = (
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bKother\r\n"
        "From: <sip:a@b.example>;tag=1\r\nTo: <sip:c@d.example>;tag=2\r\n"
        "Call-ID: other\r\nCSeq: 1 INVITE\r\n"
    )
    one.peer.send(text, (), "", "a.example")
    assert one.ours.events == before
    assert one.ours.agent.stray_responses == 1


def test_commands_out_of_place_are_refused_and_send_nothing() -> None:
    one = Outgoing()
    sent = one.peer.names()
    commands = [
        lambda: one.call.answer(one.net.now, ANSWER),
        lambda: one.call.ring(one.net.now),
        lambda: one.call.reject(one.net.now),
        lambda: one.call.reinvite(one.net.now, OFFER),
        lambda: one.call.update(one.net.now, OFFER),
        lambda: one.call.refer(one.net.now, Uri.parse("sip:x@y.example")),
        lambda: one.call.accept_offer(one.net.now, ANSWER),
        lambda: one.call.notify_refer(one.net.now, 200),
    ]
    for command in commands:
        with pytest.raises(LocalProtocolError):
            command()
    one.net.run(0.1)
    assert one.peer.names() == sent


def test_a_reason_in_the_bye_of_the_peer_is_told() -> None:
    one = Outgoing()
    one.peer.reply("INVITE", 200, body="v=0")
    invite = one.peer.request("INVITE")
    one.peer.ask(
        "BYE",
        "a.example",
        "Reason: Q.850;cause=16",
        to_tag=invite.from_.tag,
        call_id=invite.call_id,
    )
    assert one.ours.last(Ended).reasons == (Reason("Q.850", 16),)


def test_a_sips_uri_is_called_over_tls_only() -> None:
    net = Network()
    ours = net.agent("a.example")
    to = Uri.parse("sips:x@p.example")
    with pytest.raises(LocalProtocolError):
        hop = Hop(Transport.UDP, "p.example")
        ours.agent.invite(to, from_=CALLER, now=net.now, hop=hop, body=OFFER)
    ours.agent.invite(to, from_=CALLER, now=net.now, body=OFFER)
    (out,) = ours.agent.data_to_send()
    assert out.hop.transport is Transport.TLS
    assert b"Contact: <sips:gateway@a.example:5061>" in out.data


def test_no_call_leaves_without_an_address_of_ours() -> None:
    net = Network()
    ours = net.agent("a.example")
    ours.agent._core.local.clear()
    with pytest.raises(LocalProtocolError):
        ours.agent.invite(
            Uri.parse("sip:x@p.example"),
            from_=CALLER,
            now=net.now,
            hop=Hop(Transport.TLS, "p.example"),
        )
    assert not ours.agent.calls
