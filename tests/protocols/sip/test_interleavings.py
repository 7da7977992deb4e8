"""What crosses on the wire, comes late, or never comes: nothing may stay behind, and nothing is
told of a call that is over."""

from __future__ import annotations

import pytest

from protocols.errors import LocalProtocolError
from protocols.sip.call_tables import CallState
from protocols.sip.core import Config
from protocols.sip.digest import Credentials
from protocols.sip.events import (
    EndCause,
    Ended,
    IncomingCall,
    OfferAnswered,
    Offered,
    OfferRefused,
    ReferProgress,
    ReferReceived,
    Rejected,
)
from protocols.sip.uri import Uri
from tests.protocols.sip.network import (
    ANSWER,
    OFFER,
    Agent,
    Two,
    bodies,
)
from tests.protocols.sip.test_incoming import Incoming
from tests.protocols.sip.test_outgoing import Outgoing

HOLD, HELD = bodies("v=0 hold"), bodies("v=0 held")
TARGET = Uri.parse("tel:+12125550199")


def told_after_the_end(agent: Agent) -> list[object]:
    """What was told of calls after their last event."""
    over: set[str] = set()
    late: list[object] = []
    for event in agent.events:
        call = getattr(event, "call", None)
        if call is None:
            continue
        if call.id in over:
            late.append(event)
        if isinstance(event, Ended | Rejected):
            over.add(call.id)
    return late


def established(config: Config | None = None, *lines: str) -> Outgoing:
    one = Outgoing(config)
    one.peer.reply("INVITE", 200, *lines, body="v=0")
    return one


# ---------------------------------------------------------------------- no final response


def test_an_invite_that_is_canceled_and_never_answered_is_forgotten() -> None:
    """RFC 3261 section 9.1: 64*T1 after the CANCEL the INVITE counts as canceled; a transaction
    that waits for its final response for ever would fill our table."""
    one = Outgoing()
    one.peer.reply("INVITE", 180)
    one.call.hang_up(one.net.now)
    one.net.run(33)
    assert one.ours.last(Rejected).cause is EndCause.CANCELED
    one.net.run(300)
    assert one.net.is_quiet()


def test_a_200_long_after_the_cancel_was_given_up_is_still_acknowledged_and_ended() -> None:
    """Somebody may lift the receiver at a peer that never heard the CANCEL: nobody is billed."""
    one = Outgoing()
    one.peer.reply("INVITE", 180)
    one.call.hang_up(one.net.now)
    one.net.run(60)
    one.peer.reply("INVITE", 200, body="v=0 late")
    assert one.peer.names()[-2:] == ["ACK", "BYE"]
    one.net.run(300)
    assert one.net.is_quiet()


def test_a_reinvite_without_final_response_is_canceled_and_then_ends_the_call() -> None:
    """A peer that said 100 and no more must not block every later offer and refresh."""
    one = established()
    one.call.reinvite(one.net.now, HOLD)
    one.net.run(0.05)
    one.peer.reply("INVITE", 100, tag="")
    one.net.run(61)
    assert "CANCEL" in one.peer.names()
    cancel = one.peer.request("CANCEL")
    assert cancel.via == one.peer.request("INVITE").via and cancel.to.tag == "peer"
    one.net.run(40)
    assert "BYE" in one.peer.names()
    one.net.run(300)
    assert one.ours.last(Ended).cause is EndCause.TIMEOUT
    assert one.net.is_quiet()


def test_a_reinvite_that_was_canceled_in_vain_is_accepted_all_the_same() -> None:
    """The 200 crosses the CANCEL: it counts."""
    one = established()
    one.call.reinvite(one.net.now, HOLD)
    one.net.run(0.05)
    one.peer.reply("INVITE", 100, tag="")
    one.net.run(61)
    one.peer.reply("INVITE", 200, body="v=0 held")
    assert one.peer.names()[-1] == "ACK"
    assert one.ours.last(OfferAnswered).body == HELD
    one.net.run(100)
    assert one.call.state is CallState.ESTABLISHED


def test_a_reinvite_under_way_when_the_call_ends_is_forgotten_too() -> None:
    one = established()
    one.call.reinvite(one.net.now, HOLD)
    one.net.run(0.05)
    one.peer.reply("INVITE", 100, tag="")
    one.call.hang_up(one.net.now)
    one.net.run(0.05)
    one.peer.reply("BYE", 200)
    one.net.run(300)
    assert one.net.is_quiet()


# ---------------------------------------------------------------------- responses after the end


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("code", [200, 401, 422, 487, 488, 491, 500])
def test_the_response_to_an_offer_after_the_call_has_ended_changes_nothing(
    method: str, code: int
) -> None:
    """Its BYE was sent: no request follows in that dialog, and nothing is told."""
    one = Outgoing(credentials=Credentials("u", "p"))
    one.peer.reply("INVITE", 200, body="v=0")
    (one.call.reinvite if method == "INVITE" else one.call.update)(one.net.now, HOLD)
    one.net.run(0.05)
    one.call.hang_up(one.net.now)
    one.net.run(0.05)
    one.peer.reply("BYE", 200)
    assert one.ours.told(Ended)
    before = one.peer.names().count(method)
    lines = ("Min-SE: 4000", 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"')
    one.peer.reply(method, code, *lines, body="v=0 held" if code == 200 else "")
    one.net.run(300)
    assert one.peer.names().count(method) == before
    assert not told_after_the_end(one.ours)
    assert ("ACK" in one.peer.names()[-2:]) is (method == "INVITE")
    assert one.net.is_quiet()


def test_a_bye_of_the_peer_during_a_reinvite_of_ours_is_the_last_that_is_told() -> None:
    one = established()
    one.call.reinvite(one.net.now, HOLD)
    one.net.run(0.05)
    invite = one.peer.request("INVITE")
    tag = invite.from_.tag
    one.peer.ask("BYE", "a.example", to_tag=tag, call_id=invite.call_id)
    one.peer.reply("INVITE", 487)
    assert one.peer.names()[-1] == "ACK"
    assert one.ours.last(Ended).cause is EndCause.REMOTE
    assert not one.ours.told(OfferRefused)
    one.net.run(100)
    assert one.net.is_quiet()


def test_the_bye_is_the_only_request_after_hanging_up() -> None:
    """No glare is waited for, no transfer told about."""
    one = established()
    one.call.reinvite(one.net.now, HOLD)
    one.net.run(0.05)
    one.call.hang_up(one.net.now)
    one.net.run(0.05)
    one.peer.reply("INVITE", 491)
    one.net.run(10)
    assert one.peer.names().count("INVITE") == 2


# ---------------------------------------------------------------------- forks


@pytest.mark.parametrize("code", [481, 408, 0])
def test_an_early_branch_that_is_gone_does_not_end_the_call_of_another(code: int) -> None:
    """The UPDATE went to a telephone that another one has overtaken since."""
    one = Outgoing()
    one.peer.reply("INVITE", 183, "Require: 100rel", "RSeq: 1", tag="desk", body="v=0 early")
    one.peer.reply("PRACK", 200)
    one.call.update(one.net.now, HOLD)
    one.net.run(0.05)
    one.peer.reply("INVITE", 200, tag="mobile", body="v=0 mobile")
    if code:
        one.peer.reply("UPDATE", code)
    one.net.run(40)
    assert "BYE" not in one.peer.names()
    assert one.call.state is CallState.ESTABLISHED
    one.call.reinvite(one.net.now, HOLD)


@pytest.mark.parametrize("tag", ["peer", "mobile"])
def test_an_update_that_waits_when_the_call_is_answered_gets_its_response(tag: str) -> None:
    """Ours, if its branch was answered; 487 if another was."""
    one = Outgoing()
    one.peer.reply("INVITE", 183, "Require: 100rel", "RSeq: 1", body="v=0 early")
    one.peer.reply("PRACK", 200)
    invite = one.peer.request("INVITE")
    to_tag, call_id = invite.from_.tag, invite.call_id
    one.peer.ask("UPDATE", "a.example", to_tag=to_tag, call_id=call_id, body="v=0 hold")
    one.peer.reply("INVITE", 200, tag=tag, body="v=0 final" if tag == "mobile" else "")
    if tag == "peer":
        one.call.accept_offer(one.net.now, HELD)
        one.net.run(0.05)
    assert ("200 UPDATE" if tag == "peer" else "487 UPDATE") in one.peer.names()
    one.call.hang_up(one.net.now)
    one.net.run(100)
    assert one.net.is_quiet()


def test_a_callee_that_ends_a_call_whose_200_never_came_ends_it_for_us() -> None:
    """It waited 64*T1 for our ACK, and nothing rings there any more."""
    one = Outgoing()
    one.peer.reply("INVITE", 180)
    invite = one.peer.request("INVITE")
    one.peer.ask("BYE", "a.example", to_tag=invite.from_.tag, call_id=invite.call_id)
    assert "200 BYE" in one.peer.names()
    one.net.run(40)
    assert one.ours.last(Rejected).cause is EndCause.REMOTE
    one.net.run(200)
    assert one.net.is_quiet()


def test_a_bye_that_crosses_ours_after_a_late_200_gets_200() -> None:
    """The dialog of a 200 that crossed the CANCEL is one like any other until its BYE is
    answered."""
    one = Outgoing()
    one.peer.reply("INVITE", 100, tag="")
    one.call.hang_up(one.net.now)
    one.net.run(0.05)
    one.peer.reply("INVITE", 200, body="v=0")
    invite = one.peer.request("INVITE")
    one.peer.ask("BYE", "a.example", to_tag=invite.from_.tag, call_id=invite.call_id)
    assert one.peer.names()[-1] == "200 BYE"


def test_giving_up_twice_keeps_the_first_reason() -> None:
    """The time limit passes while the CANCEL waits for a provisional response."""
    one = Outgoing(setup_s=5.0)
    one.call.hang_up(one.net.now)
    one.net.run(6)
    one.peer.reply("INVITE", 100, tag="")
    one.peer.reply("INVITE", 487)
    assert one.ours.last(Rejected).cause is EndCause.CANCELED


def test_a_peer_without_any_sign_of_life_did_not_leave_the_telephone_unanswered() -> None:
    """A limit shorter than timer B passes first: the server is dead all the same."""
    one = Outgoing(setup_s=20.0)
    one.net.run(33)
    assert (one.ours.last(Rejected).cause, one.ours.last(Rejected).code) == (EndCause.TIMEOUT, 408)


# ---------------------------------------------------------------------- requests of the peer


@pytest.mark.parametrize("line", ["Min-SE: soon", "Min-SE: -1", "Supported: <<"])
def test_a_header_that_cannot_be_read_is_refused_before_anybody_is_asked(line: str) -> None:
    """Found only when we answer, it would leave the request without an answer."""
    one = Incoming()
    one.invite(line)
    assert one.peer.names()[-1] == "400 INVITE"
    assert not one.ours.told(IncomingCall)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("line", ["Min-SE: soon", "Supported: <<"])
def test_a_further_offer_that_cannot_be_read_is_refused(method: str, line: str) -> None:
    one = Incoming()
    one.establish()
    tag = one.response("200 INVITE").to.tag
    one.peer.ask(method, "b.example", line, to_tag=tag, cseq=2, body="v=0 hold")
    assert one.peer.names()[-1] == f"400 {method}"
    assert not one.ours.told(Offered)


def ringing_reliably(config: Config | None = None) -> tuple[Incoming, str, str]:
    """A call whose 183 with a description waits for its PRACK; our tag and the RAck."""
    one = Incoming(config)
    one.invite("Supported: 100rel")
    one.call.ring(one.net.now, 183, ANSWER)
    one.net.run(0.05)
    ringing = one.response("183 INVITE")
    return one, ringing.to.tag, f"RAck: {ringing.number('RSeq')} 1 INVITE"


def test_an_offer_in_a_prack_that_nobody_answers_is_answered_in_time() -> None:
    one, tag, rack = ringing_reliably()
    one.peer.ask("PRACK", "b.example", rack, to_tag=tag, cseq=2, body="v=0 hold")
    assert one.ours.last(Offered).method == "PRACK"
    one.net.run(11)
    assert "200 PRACK" in one.peer.names()
    with pytest.raises(LocalProtocolError):
        one.call.accept_offer(one.net.now, HELD)


@pytest.mark.parametrize("ends", ["CANCEL", "BYE", "we"])
def test_a_prack_that_waits_for_us_is_answered_when_the_call_ends(ends: str) -> None:
    """A request other than INVITE without any response would be held for ever."""
    one, tag, rack = ringing_reliably()
    one.peer.ask("PRACK", "b.example", rack, to_tag=tag, cseq=2, body="v=0 hold")
    if ends == "we":
        one.call.hang_up(one.net.now)
    elif ends == "BYE":
        one.peer.ask("BYE", "b.example", to_tag=tag, cseq=3)
    else:
        one.peer.ask("CANCEL", "b.example", branch="z9hG4bKinv")
    one.net.run(0.05)
    assert "200 PRACK" in one.peer.names()
    one.net.run(100)
    assert one.net.is_quiet()


def test_a_second_offer_in_a_prack_does_not_displace_the_first() -> None:
    """An UPDATE waits for the application; the PRACK that brings another offer is refused as
    another UPDATE would be."""
    one, tag, rack = ringing_reliably()
    one.peer.ask("UPDATE", "b.example", to_tag=tag, cseq=2, body="v=0 hold")
    one.peer.ask("PRACK", "b.example", rack, to_tag=tag, cseq=3, body="v=0 other")
    assert one.peer.names()[-1] == "500 PRACK"
    one.call.accept_offer(one.net.now, HELD)
    one.net.run(0.05)
    assert one.response("200 UPDATE").content == HELD
    one.peer.ask("PRACK", "b.example", rack, to_tag=tag, cseq=4)
    assert one.peer.names()[-1] == "200 PRACK"
    one.call.hang_up(one.net.now)
    one.net.run(100)
    assert one.net.is_quiet()


@pytest.mark.parametrize(
    ("state", "method", "code"),
    [("ringing", "INVITE", 500), ("answered", "REFER", 500)],
)
def test_a_request_that_comes_too_early_is_put_off_and_not_told_that_the_call_is_gone(
    state: str, method: str, code: int
) -> None:
    """481 would make the peer give the call up (RFC 3261 section 12.2.1.2); 500 with Retry-After is
    what section 14.2 wants."""
    one = Incoming(Config(accepts_refer=True))
    one.invite()
    one.call.ring(one.net.now)
    if state == "answered":
        one.call.answer(one.net.now, ANSWER)
    one.net.run(0.05)
    tag = one.response("180 INVITE").to.tag
    lines = ("Refer-To: <sip:x@y.example>",) if method == "REFER" else ()
    one.peer.ask(method, "b.example", *lines, to_tag=tag, cseq=2)
    refusal = one.response(f"{code} {method}")
    assert refusal.headers.get("Retry-After") is not None


def test_an_invite_within_a_call_that_we_still_set_up_is_a_glare() -> None:
    """RFC 3261 section 14.2: 491."""
    one = Outgoing()
    one.peer.reply("INVITE", 180)
    invite = one.peer.request("INVITE")
    one.peer.ask("INVITE", "a.example", to_tag=invite.from_.tag, call_id=invite.call_id, body="v=0")
    assert one.peer.names()[-1] == "491 INVITE"


# ---------------------------------------------------------------------- transfers


def test_transfers_of_both_sides_do_not_disturb_each_other() -> None:
    two = Two(Config(accepts_refer=True))
    two.establish()
    two.call.refer(two.net.now, TARGET)
    two.taken.refer(two.net.now, TARGET)
    two.net.run(0.1)
    for agent in (two.a, two.b):
        agent.last(ReferReceived).call.accept_refer(two.net.now)
    two.net.run(0.1)
    for agent in (two.a, two.b):
        agent.last(ReferReceived).call.notify_refer(two.net.now, 200)
    two.net.run(0.1)
    for agent in (two.a, two.b):
        assert [(e.code, e.is_final) for e in agent.told(ReferProgress)] == [
            (100, False),
            (200, True),
        ]
    two.call.hang_up(two.net.now)
    two.net.run(70)
    assert two.net.is_quiet()


def test_a_transfer_for_the_peer_that_is_never_finished_lapses_when_we_said() -> None:
    """Our NOTIFYs promise an end (`expires`); another REFER is taken after it."""
    two = Two(Config(accepts_refer=True, session_expires_s=0))
    two.establish()
    two.call.refer(two.net.now, TARGET)
    two.net.run(0.1)
    two.taken.accept_refer(two.net.now)
    two.net.run(181)
    told = [(e.code, e.is_final) for e in two.a.told(ReferProgress)]
    assert told[0] == (100, False) and told[-1][1] and len(told) == 2
    two.call.refer(two.net.now, TARGET)
    two.net.run(0.1)
    assert len(two.b.told(ReferReceived)) == 2
    two.taken.accept_refer(two.net.now)
    two.call.hang_up(two.net.now)
    two.net.run(70)
    assert two.net.is_quiet()


# ---------------------------------------------------------------------- session timers


def test_a_refresh_that_is_refused_is_tried_again_before_the_session_ends() -> None:
    """RFC 4028 section 10: only 408 and 481 say that the peer is gone."""
    lines = ("Session-Expires: 200;refresher=uac", "Allow: UPDATE, INVITE")
    one = established(Config(session_expires_s=200), *lines)
    one.net.run(101)
    one.peer.reply("UPDATE", 500, "Retry-After: 3")
    one.net.run(30)
    assert one.peer.names().count("UPDATE") >= 2
    one.peer.reply("UPDATE", 200, *lines)
    one.net.run(90)
    assert one.call.state is CallState.ESTABLISHED


def test_a_refresh_that_found_an_offer_under_way_is_made_up_for() -> None:
    """The offer may come to nothing, and would have refreshed nothing then."""
    lines = ("Session-Expires: 200;refresher=uac", "Allow: UPDATE, INVITE")
    one = established(Config(session_expires_s=200), *lines)
    one.net.run(99)
    one.call.reinvite(one.net.now, HOLD)
    one.net.run(2)
    one.peer.reply("INVITE", 488)
    one.net.run(30)
    assert one.peer.names()[-1] == "UPDATE"


def test_a_refresh_offers_what_was_agreed_on_and_not_what_was_refused() -> None:
    one = established(Config(session_expires_s=200), "Session-Expires: 200;refresher=uac")
    one.call.reinvite(one.net.now, HOLD)
    one.net.run(0.05)
    one.peer.reply("INVITE", 488)
    one.net.run(101)
    assert one.peer.request("INVITE").cseq.number == 3
    assert one.peer.request("INVITE").content == OFFER
