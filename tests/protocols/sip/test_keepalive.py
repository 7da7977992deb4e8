"""The life signs of a connection, with a clock of the test."""

from __future__ import annotations

import pytest

from protocols.sip.keepalive import Care, KeepAliver, Patience


def opened(*, ping_s: float = 0.0) -> KeepAliver:
    """A connection of ours, opened at 100."""
    return KeepAliver(100.0, ping_s=ping_s, is_caller=False)


def test_a_connection_without_any_answer_to_a_request_is_given_up() -> None:
    """A wire that was cut without a word takes requests for a quarter of an hour; by 64*T1 their
    senders have given up, and the next ones are to find another connection."""
    care = opened()
    care.carried(b"INVITE sip:a@h SIP/2.0\r\n", 110.0)
    care.carried(b"BYE sip:a@h SIP/2.0\r\n", 130.0)  # the first is the one that counts
    assert care.due() == 142.0
    assert care.check(141.9) is Care.NOTHING
    assert care.check(142.0) is Care.CLOSE
    assert care.why == "requests are not answered"


def test_whatever_is_heard_shows_that_the_peer_is_there() -> None:
    """A message, a ping or a pong, after the request."""
    for is_pong in (False, True):
        care = opened()
        care.carried(b"INVITE sip:a@h SIP/2.0\r\n", 110.0)
        care.heard(120.0, is_pong=is_pong)
        assert care.check(500.0) is Care.NOTHING
        care.carried(b"REGISTER sip:h SIP/2.0\r\n", 600.0)
        assert care.check(631.0) is Care.NOTHING
        assert care.check(632.0) is Care.CLOSE


@pytest.mark.parametrize("start", [b"SIP/2.0 200 OK", b"ACK sip:a@h SIP/2.0", b"OPTIONS sip:h SIP"])
def test_what_may_stay_without_an_answer_costs_no_connection(start: bytes) -> None:
    """Responses, ACK, and the OPTIONS that some peers drop unread."""
    care = opened()
    care.carried(start + b"\r\n", 110.0)
    assert care.check(200.0) is Care.NOTHING


def test_a_peer_that_ponged_once_has_to_go_on() -> None:
    """RFC 5626 section 4.4.1: ten seconds for a pong, once it is known that it sends them."""
    care = opened(ping_s=30.0)
    assert care.check(130.0) is Care.PING
    assert care.check(160.0) is Care.PING  # not held to it yet
    care.heard(161.0, is_pong=True)
    assert care.check(190.0) is Care.PING
    assert care.check(199.9) is Care.NOTHING
    assert care.check(200.0) is Care.CLOSE
    assert care.why == "pings are not answered any more"


def test_an_empty_line_that_answers_no_ping_binds_nobody_to_pongs() -> None:
    """Some peers send empty lines of their own accord and know nothing of pings."""
    care = opened(ping_s=30.0)
    care.heard(110.0, is_pong=True)
    assert care.check(130.0) is Care.PING
    care.heard(155.0, is_pong=True)  # too late for an answer
    assert care.check(160.0) is Care.PING
    assert care.check(171.0) is Care.NOTHING


def test_a_caller_has_to_say_something_whole_in_time() -> None:
    """Neither silence nor a message that never ends holds a connection."""
    patience = Patience(first_s=10.0, message_s=20.0, idle_s=50.0)
    care = KeepAliver(100.0, ping_s=0.0, is_caller=True, patience=patience)
    assert care.due() == 110.0 and care.check(110.0) is Care.CLOSE
    care.heard(105.0)
    care.rest(106.0, has_rest=True)
    care.rest(120.0, has_rest=True)
    assert care.due() == 126.0 and care.check(126.0) is Care.CLOSE
    care.rest(120.0, has_rest=False)
    assert care.due() == 155.0 and care.check(155.0) is Care.CLOSE
