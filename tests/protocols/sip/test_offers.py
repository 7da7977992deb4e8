"""Offers within a call: re-INVITE, UPDATE, PRACK, glare; between two of our own agents and against
a scripted peer."""

from __future__ import annotations

import pytest

from protocols.errors import LocalProtocolError
from protocols.sip.call_tables import CallState
from protocols.sip.core import Config
from protocols.sip.events import (
    Answered,
    Confirmed,
    EndCause,
    Ended,
    OfferAnswered,
    Offered,
    OfferRefused,
    OfferWanted,
    Progress,
    Rejected,
)
from tests.protocols.sip.network import ANSWER, Two, bodies
from tests.protocols.sip.test_incoming import Incoming
from tests.protocols.sip.test_outgoing import Outgoing

HOLD, HELD = bodies("v=0 hold"), bodies("v=0 held")


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("is_caller", [True, False])
def test_either_side_may_offer_something_new(method: str, is_caller: bool) -> None:
    two = Two()
    two.establish()
    ours, theirs = (two.call, two.b) if is_caller else (two.taken, two.a)
    told = two.a if is_caller else two.b
    (ours.reinvite if method == "INVITE" else ours.update)(two.net.now, HOLD)
    two.net.run(0.1)
    offered = theirs.last(Offered)
    assert (offered.body, offered.method) == (HOLD, method)
    offered.call.accept_offer(two.net.now, HELD)
    two.net.run(0.1)
    assert told.last(OfferAnswered).body == HELD
    two.net.run(40)
    assert two.call.state is two.taken.state is CallState.ESTABLISHED


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refused_offer_leaves_the_call_as_it_was(method: str) -> None:
    two = Two()
    two.establish()
    (two.call.reinvite if method == "INVITE" else two.call.update)(two.net.now, HOLD)
    two.net.run(0.1)
    two.taken.refuse_offer(two.net.now, 488)
    two.net.run(0.1)
    assert two.a.last(OfferRefused).code == 488
    two.call.reinvite(two.net.now, HOLD)
    two.net.run(0.1)
    assert len(two.b.told(Offered)) == 2


@pytest.mark.parametrize("lost", ["200 INVITE", "ACK", "INVITE"])
def test_a_reinvite_survives_losses(lost: str) -> None:
    two = Two()
    two.establish()
    two.net.lose(lost, 2)
    two.call.reinvite(two.net.now, HOLD)
    two.net.run(3)
    two.taken.accept_offer(two.net.now, HELD)
    two.net.run(40)
    assert two.a.last(OfferAnswered).body == HELD
    assert len(two.a.told(OfferAnswered)) == len(two.b.told(Offered)) == 1
    assert two.call.state is two.taken.state is CallState.ESTABLISHED


def test_a_reinvite_whose_2xx_has_no_ack_ends_the_call() -> None:
    two = Two()
    two.establish()
    two.net.lose("ACK", 99)
    two.call.reinvite(two.net.now, HOLD)
    two.net.run(0.1)
    two.taken.accept_offer(two.net.now, HELD)
    two.net.run(33)
    assert two.b.last(Ended).cause is EndCause.NO_ACK
    assert two.a.last(Ended).cause is EndCause.REMOTE


def test_a_reinvite_without_a_body_asks_for_the_offer() -> None:
    two = Two()
    two.establish()
    two.call.reinvite(two.net.now)
    two.net.run(0.1)
    two.b.last(OfferWanted).call.accept_offer(two.net.now, HOLD)
    two.net.run(0.1)
    assert two.a.last(Offered).body == HOLD
    two.call.accept_offer(two.net.now, HELD)
    two.net.run(0.1)
    assert two.b.last(OfferAnswered).body == HELD


def test_two_reinvites_that_cross_are_both_refused_and_tried_again() -> None:
    """RFC 3261 section 14.1: the owner of the Call-ID waits 2.1 to 4 s, the other 0 to 2 s."""
    two = Two()
    two.establish()
    two.b.on_event = lambda e: (
        e.call.accept_offer(two.net.now, HELD) if isinstance(e, Offered) else None
    )
    two.a.on_event = lambda e: (
        e.call.accept_offer(two.net.now, HELD) if isinstance(e, Offered) else None
    )
    start = two.net.now
    two.call.reinvite(two.net.now, HOLD)
    two.taken.reinvite(two.net.now, bodies("v=0 other"))
    two.net.run(0.1)
    assert two.net.names().count("491 INVITE") == 2
    two.net.run(6)
    again = [(t, s) for t, s, _, n in two.net.log if n == "INVITE" and t > start + 0.05]
    (time, who), *rest = again
    assert who == "b.example" and time - start < 2.2
    assert two.b.last(OfferAnswered).body == HELD
    # What the caller wanted is no longer up to date, and it is told so.
    assert not rest and two.a.last(OfferRefused).code == 491
    two.call.reinvite(two.net.now, HOLD)
    two.net.run(1)
    assert two.a.last(OfferAnswered).body == HELD


def test_the_owner_of_the_call_id_waits_longer_after_a_glare() -> None:
    one = Outgoing()
    one.peer.reply("INVITE", 200, body="v=0")
    one.call.reinvite(one.net.now, HOLD)
    one.net.run(0.05)
    one.peer.reply("INVITE", 491)
    one.net.run(2.0)
    assert one.peer.request("INVITE").cseq.number == 2
    one.net.run(2.1)
    assert one.peer.request("INVITE").cseq.number == 3
    one.peer.reply("INVITE", 200, body="v=0 held")
    assert one.ours.last(OfferAnswered).body == HELD


def test_an_offer_during_an_offer_of_the_peer_gets_500_and_one_during_ours_491() -> None:
    one = Incoming()
    one.establish()
    tag = one.response("200 INVITE").to.tag
    one.peer.ask("INVITE", "b.example", to_tag=tag, cseq=2, body="v=0 hold")
    one.peer.ask("UPDATE", "b.example", to_tag=tag, cseq=3, body="v=0 hold")
    assert one.peer.names()[-1] == "500 UPDATE"
    assert one.response("500 UPDATE").headers.get("Retry-After") is not None
    with pytest.raises(LocalProtocolError):
        one.call.reinvite(one.net.now, HOLD)
    one.call.accept_offer(one.net.now, HELD)
    one.net.run(0.05)
    one.peer.ask("ACK", "b.example", to_tag=tag, cseq=2)
    one.call.update(one.net.now, HOLD)
    one.peer.ask("UPDATE", "b.example", to_tag=tag, cseq=4, body="v=0 hold")
    assert one.peer.names()[-1] == "491 UPDATE"


def test_a_reinvite_that_the_peer_cancels_ends_with_487() -> None:
    one = Incoming()
    one.establish()
    tag = one.response("200 INVITE").to.tag
    one.peer.ask("INVITE", "b.example", to_tag=tag, cseq=2, body="v=0", branch="z9hG4bKre")
    one.peer.ask("CANCEL", "b.example", to_tag=tag, cseq=2, branch="z9hG4bKre")
    assert one.peer.names()[-2:] == ["200 CANCEL", "487 INVITE"]
    assert one.call.state is CallState.ESTABLISHED
    with pytest.raises(LocalProtocolError):
        one.call.accept_offer(one.net.now, HELD)


def test_an_offer_that_nobody_answers_is_refused_in_time() -> None:
    one = Incoming()
    one.establish()
    tag = one.response("200 INVITE").to.tag
    one.peer.ask("UPDATE", "b.example", to_tag=tag, cseq=2, body="v=0 hold")
    one.net.run(11)
    assert one.peer.names()[-1] == "504 UPDATE"


def test_a_bye_during_a_reinvite_ends_both() -> None:
    one = Incoming()
    one.establish()
    tag = one.response("200 INVITE").to.tag
    one.peer.ask("INVITE", "b.example", to_tag=tag, cseq=2, body="v=0 hold")
    one.peer.ask("BYE", "b.example", to_tag=tag, cseq=3)
    assert {"200 BYE", "487 INVITE"} <= set(one.peer.names())
    one.peer.ask("ACK", "b.example", to_tag=tag, cseq=2)
    one.net.run(70)
    assert one.net.is_quiet()


@pytest.mark.parametrize("code", [481, 408])
def test_a_peer_that_lost_the_dialog_ends_the_call(code: int) -> None:
    one = Outgoing()
    one.peer.reply("INVITE", 200, body="v=0")
    one.call.update(one.net.now, HOLD)
    one.net.run(0.05)
    one.peer.reply("UPDATE", code)
    one.peer.reply("BYE", 481)
    assert one.ours.last(Ended).cause is EndCause.LOST


def test_a_target_refresh_moves_later_requests() -> None:
    one = Outgoing()
    one.peer.reply("INVITE", 200, body="v=0")
    one.call.update(one.net.now)
    one.net.run(0.05)
    one.peer.reply("UPDATE", 200, contact="<sip:moved@p.example>")
    one.call.hang_up(one.net.now)
    one.net.run(0.05)
    assert str(one.peer.request("BYE").uri) == "sip:moved@p.example"


# ---------------------------------------------------------------------- PRACK


def test_a_reliable_provisional_response_is_acknowledged() -> None:
    one = Outgoing()
    one.peer.reply("INVITE", 183, "Require: 100rel", "RSeq: 7", body="v=0 early")
    prack = one.peer.request("PRACK")
    assert prack.headers.get("RAck") == f"7 {one.peer.request('INVITE').cseq.number} INVITE"
    assert prack.to.tag == "peer"
    one.peer.reply("INVITE", 183, "Require: 100rel", "RSeq: 7", body="v=0 early")
    one.peer.reply("INVITE", 180, "Require: 100rel", "RSeq: 9")
    assert one.peer.names().count("PRACK") == 1
    one.peer.reply("INVITE", 180, "Require: 100rel", "RSeq: 8")
    assert one.peer.names().count("PRACK") == 2
    assert [e.code for e in one.ours.told(Progress)] == [183, 180]


def test_a_prack_offer_is_answered_before_the_call_is() -> None:
    """A call without an offer gets one in a reliable provisional response (RFC 3262 section 5)."""
    one = Outgoing(body=None)
    one.peer.reply("INVITE", 183, "Require: 100rel", "RSeq: 1", body="v=0 offer")
    assert one.ours.last(Progress).is_offer
    assert "PRACK" not in one.peer.names()
    one.call.accept_offer(one.net.now, ANSWER)
    one.net.run(0.05)
    assert one.peer.request("PRACK").content == ANSWER
    one.peer.reply("PRACK", 200)
    one.peer.reply("INVITE", 200)
    assert not one.ours.last(Answered).is_offer
    assert one.peer.request("ACK").content is None


@pytest.mark.parametrize("lost", ["183 INVITE", "PRACK", "200 PRACK"])
def test_reliable_ringing_survives_losses(lost: str) -> None:
    two = Two()
    two.net.lose(lost, 2)
    two.invite()
    two.taken.ring(two.net.now, 183, ANSWER)
    two.net.run(5)
    assert len(two.a.told(Progress)) == 1
    two.answer(None)
    two.net.run(1)
    assert two.call.state is two.taken.state is CallState.ESTABLISHED
    two.call.hang_up(two.net.now)
    two.net.run(70)
    assert two.net.is_quiet()


def test_the_answer_waits_for_the_prack_of_a_description() -> None:
    two = Two()
    two.net.lose("PRACK", 2)
    two.invite()
    two.taken.ring(two.net.now, 183, ANSWER)
    two.taken.answer(two.net.now, None)
    two.net.run(0.3)
    assert "200 INVITE" not in two.net.names()
    two.net.run(3)
    assert two.call.state is CallState.ESTABLISHED


def test_reliable_responses_go_one_at_a_time_with_rising_numbers() -> None:
    two = Two()
    two.net.lose("PRACK", 1)
    two.invite()
    for code in (181, 182, 180):
        two.taken.ring(two.net.now, code, is_reliable=True)
    two.net.run(0.3)
    assert [e.code for e in two.a.told(Progress)] == [181]
    two.net.run(3)
    assert [e.code for e in two.a.told(Progress)] == [181, 182, 180]


def test_a_peer_that_never_sends_prack_is_refused() -> None:
    two = Two()
    two.net.lose("PRACK", 99)
    two.invite()
    two.taken.ring(two.net.now, 183, ANSWER)
    two.net.run(40)
    assert two.a.last(Rejected).code == 504
    assert two.b.last(Ended).cause is EndCause.NO_ACK


def test_a_peer_that_requires_100rel_gets_all_ringing_reliably() -> None:
    one = Incoming()
    one.invite("Require: 100rel")
    one.call.ring(one.net.now)
    one.net.run(0.05)
    ringing = one.response("180 INVITE")
    assert ringing.tokens("Require") == {"100rel"}
    number, tag = ringing.number("RSeq"), ringing.to.tag
    one.peer.ask("PRACK", "b.example", f"RAck: {(number or 0) + 1} 1 INVITE", to_tag=tag, cseq=2)
    assert one.peer.names()[-1] == "481 PRACK"
    one.peer.ask("PRACK", "b.example", f"RAck: {number} 1 INVITE", to_tag=tag, cseq=3)
    assert one.peer.names()[-1] == "200 PRACK"
    one.peer.ask("PRACK", "b.example", f"RAck: {number} 1 INVITE", to_tag=tag, cseq=4)
    assert one.peer.names()[-1] == "481 PRACK"


def test_a_peer_without_100rel_gets_none() -> None:
    one = Incoming()
    one.invite()
    one.call.ring(one.net.now, 183, ANSWER)
    one.net.run(0.05)
    assert one.response("183 INVITE").headers.get("RSeq") is None
    with pytest.raises(LocalProtocolError):
        one.call.ring(one.net.now, 183, ANSWER, is_reliable=True)


def test_an_offer_in_a_prack_is_answered_in_its_200() -> None:
    one = Incoming()
    one.invite("Supported: 100rel")
    one.call.ring(one.net.now, 183, ANSWER)
    one.net.run(0.05)
    ringing = one.response("183 INVITE")
    rack = f"RAck: {ringing.number('RSeq')} 1 INVITE"
    one.peer.ask("PRACK", "b.example", rack, to_tag=ringing.to.tag, cseq=2, body="v=0 hold")
    assert one.ours.last(Offered).method == "PRACK"
    one.call.accept_offer(one.net.now, HELD)
    one.net.run(0.05)
    assert one.response("200 PRACK").content == HELD


def test_an_update_changes_the_session_before_the_answer() -> None:
    two = Two()
    two.invite()
    two.taken.ring(two.net.now, 183, ANSWER)
    two.net.run(0.1)
    two.call.offer(two.net.now, HOLD)
    two.net.run(0.1)
    assert two.b.last(Offered).method == "UPDATE"
    two.taken.accept_offer(two.net.now, HELD)
    two.net.run(0.1)
    assert two.a.last(OfferAnswered).body == HELD
    two.taken.update(two.net.now, HOLD)
    two.net.run(0.1)
    two.call.accept_offer(two.net.now, HELD)
    two.net.run(0.1)
    two.answer(None)
    assert two.b.told(Confirmed)


def test_an_update_with_an_offer_must_wait_for_the_first_answer() -> None:
    two = Two()
    two.invite()
    two.taken.ring(two.net.now)
    two.net.run(0.1)
    with pytest.raises(LocalProtocolError):
        two.call.update(two.net.now, HOLD)


# ---------------------------------------------------------------------- session timers


def test_a_session_is_refreshed_at_half_its_interval() -> None:
    """By UPDATE, by whoever was chosen: the callee, where the caller leaves the choice."""
    two = Two(Config(session_expires_s=200))
    two.establish()
    assert (two.call.timer.is_refresher, two.taken.timer.is_refresher) == (False, True)
    two.net.run(1001)
    assert two.net.names("b.example").count("UPDATE") == 10
    assert two.call.state is two.taken.state is CallState.ESTABLISHED


def test_a_caller_without_timers_leaves_the_refreshing_to_us() -> None:
    one = Incoming()
    one.invite("Session-Expires: 120")
    one.call.answer(one.net.now, ANSWER)
    one.net.run(0.05)
    answer = one.response("200 INVITE")
    assert answer.headers.get("Session-Expires") == "120;refresher=uas"
    assert answer.headers.get("Require") is None
    one.ack()
    one.net.run(61)
    # The peer never said that it knows UPDATE.
    assert one.peer.names()[-1] == "INVITE"
    assert one.peer.request("INVITE").content == ANSWER


def test_a_caller_that_refreshes_is_told_so() -> None:
    one = Incoming()
    one.invite("Session-Expires: 120;refresher=uac", "Supported: timer")
    one.call.answer(one.net.now, ANSWER)
    one.net.run(0.05)
    answer = one.response("200 INVITE")
    assert answer.headers.get("Session-Expires") == "120;refresher=uac"
    assert answer.tokens("Require") == {"timer"}


def test_a_session_that_is_not_refreshed_ends_before_its_interval_does() -> None:
    one = Incoming()
    one.invite("Session-Expires: 120;refresher=uac", "Supported: timer")
    one.call.answer(one.net.now, ANSWER)
    one.net.run(0.05)
    one.ack()
    one.net.run(87)
    assert "BYE" not in one.peer.names()
    one.net.run(2)
    assert one.peer.names()[-1] == "BYE"
    one.peer.reply("BYE", 200)
    assert one.ours.last(Ended).cause is EndCause.SESSION_EXPIRED


def test_a_refresh_that_nobody_answers_ends_the_call() -> None:
    one = Outgoing(Config(session_expires_s=200))
    lines = ("Session-Expires: 200;refresher=uac", "Require: timer", "Allow: UPDATE, INVITE")
    one.peer.reply("INVITE", 200, *lines, body="v=0")
    one.net.run(101)
    assert one.peer.names()[-1] == "UPDATE"
    one.net.run(40)
    assert "BYE" in one.peer.names()
    one.net.run(40)
    assert one.ours.last(Ended).cause is EndCause.TIMEOUT


@pytest.mark.parametrize("code", [491, 422])
def test_a_refresh_that_is_put_off_is_tried_again(code: int) -> None:
    one = Outgoing(Config(session_expires_s=200))
    lines = ("Session-Expires: 200;refresher=uac", "Allow: UPDATE, INVITE")
    one.peer.reply("INVITE", 200, *lines, body="v=0")
    one.net.run(101)
    one.peer.reply("UPDATE", code, "Min-SE: 300")
    one.net.run(5)
    assert one.peer.names().count("UPDATE") >= 2
    if code == 422:
        update = one.peer.request("UPDATE")
        assert update.headers.get("Session-Expires") == "300;refresher=uac"
        assert update.headers.get("Min-SE") == "300"


def test_an_invite_whose_interval_is_too_small_is_sent_again() -> None:
    one = Outgoing(Config(session_expires_s=100))
    one.peer.reply("INVITE", 422, "Min-SE: 600")
    one.net.run(0.05)
    invite = one.peer.request("INVITE")
    assert one.peer.names() == ["INVITE", "ACK", "INVITE"]
    assert invite.headers.get("Session-Expires") == "600"
    assert invite.headers.get("Min-SE") == "600"
    assert invite.cseq.number == 2


def test_without_a_timer_of_ours_none_runs_unless_the_peer_wants_it() -> None:
    two = Two(Config(session_expires_s=0))
    two.establish()
    assert two.call.timer.is_refresher is two.taken.timer.is_refresher is None


# ---------------------------------------------------------------------- the rest


def test_nothing_is_left_after_a_call_with_everything_in_it() -> None:
    two = Two(Config(session_expires_s=200))
    two.invite()
    two.taken.ring(two.net.now, 183, ANSWER)
    two.net.run(0.1)
    two.answer(None)
    two.call.reinvite(two.net.now, HOLD)
    two.net.run(0.1)
    two.taken.accept_offer(two.net.now, HELD)
    two.net.run(300)
    two.taken.hang_up(two.net.now)
    two.net.run(70)
    assert two.net.is_quiet()
    assert not two.a.agent._core.dialogs and not two.b.agent._core.dialogs
