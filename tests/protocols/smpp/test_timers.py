"""The session's timers (SMPP v3.4 section 7.2), on a clock of the tests' own."""

from __future__ import annotations

from protocols.smpp import (
    Bare,
    BindKind,
    Closed,
    Message,
    Role,
    Session,
    State,
    Timers,
    Unbound,
    encode,
    pack_header,
)
from protocols.smpp import commands as c
from protocols.smpp import status as s
from tests.protocols.smpp.sessions import BODY, ENQUIRE, bound_pair, carry, pdu_of, sent

TIMERS = Timers(session_init_s=5, response_s=20, enquire_s=30, control_response_s=10)


def test_peer_that_does_not_bind_is_cut_off() -> None:
    """The SMSC role waits for a bind no longer than the session-init timer, whatever else comes."""
    smsc = Session(Role.SMSC, timers=TIMERS)
    assert smsc.next_timer() is None
    smsc.connected(100.0)
    smsc.receive_data(ENQUIRE, 104.0)
    assert smsc.next_timer() == 105.0
    assert smsc.handle_timer(104.9) == []
    assert smsc.handle_timer(105.0) == [Closed("no bind within 5 s", [])]
    assert smsc.state is State.CLOSED


def test_undecided_bind_does_not_stop_the_session_init_timer() -> None:
    """A bind that is neither accepted nor refused ends with the timer."""
    smsc = Session(Role.SMSC, timers=TIMERS)
    smsc.connected(0.0)
    smsc.receive_data(encode(pdu_of(c.BIND_TRANSCEIVER)), 1.0)
    assert smsc.handle_timer(5.0) == [Closed("no bind within 5 s", [])]


def test_bind_without_response_ends_the_session() -> None:
    """The ESME role waits response_s for the bind_resp."""
    esme = Session(Role.ESME, timers=TIMERS)
    esme.connected(0.0)
    assert esme.next_timer() is None
    esme.bind(BindKind.TRANSCEIVER, "lab", "lab", 3.0)
    assert esme.next_timer() == 23.0
    assert esme.handle_timer(23.0) == [Closed("no response to the bind within 20 s", [])]


def test_message_without_response_ends_the_session() -> None:
    """The oldest message decides; what waits is named in order; no late response is taken."""
    esme, _ = bound_pair(timers=TIMERS)
    first = esme.request(BODY, 1.0, "a")
    second = esme.request(BODY, 4.0, "b")
    esme.request(BODY, 6.0, "c")
    assert esme.next_timer() == 21.0
    esme.receive_data(pack_header(0, c.SUBMIT_SM_RESP, 0, first), 5.0)
    assert esme.next_timer() == 24.0
    assert esme.handle_timer(21.0) == []
    assert esme.handle_timer(24.0) == [Closed("no response to a message within 20 s", ["b", "c"])]
    assert esme.receive_data(pack_header(0, c.SUBMIT_SM_RESP, 0, second), 25.0) == []


def test_silent_peer_is_asked_and_lives_by_answering() -> None:
    """enquire_link goes out after enquire_s of silence; its response starts the silence anew."""
    esme, smsc = bound_pair(timers=TIMERS)
    assert esme.next_timer() == 30.0
    assert esme.handle_timer(29.9) == []
    assert esme.data_to_send() == b""
    assert esme.handle_timer(30.0) == []
    assert esme.pending == 0
    assert esme.next_timer() == 40.0
    assert esme.handle_timer(35.0) == []
    assert carry(esme, smsc, 35.0) == []
    assert carry(smsc, esme, 36.0) == []
    assert esme.next_timer() == 66.0


def test_peer_that_does_not_answer_enquire_link_is_left() -> None:
    """Without a response to enquire_link the session ends."""
    esme, _ = bound_pair(timers=TIMERS)
    esme.handle_timer(30.0)
    assert esme.handle_timer(40.0) == [Closed("no response to enquire_link within 10 s", [])]


def test_refusal_of_enquire_link_is_a_sign_of_life() -> None:
    """A peer that does not know enquire_link lives."""
    esme, _ = bound_pair(timers=TIMERS)
    esme.handle_timer(30.0)
    (asked,) = sent(esme)
    nack = Bare(c.GENERIC_NACK, s.ESME_RINVCMDID, asked.sequence)
    assert esme.receive_data(encode(nack), 31.0) == []
    assert esme.handle_timer(40.0) == []
    assert esme.state is State.BOUND_TRX


def test_traffic_defers_enquire_link() -> None:
    """Only silence of the peer counts."""
    esme, _ = bound_pair(timers=TIMERS)
    esme.receive_data(ENQUIRE, 25.0)
    esme.data_to_send()
    assert esme.next_timer() == 55.0
    assert esme.handle_timer(30.0) == []
    assert esme.data_to_send() == b""


def test_unbind_without_response_ends_the_session() -> None:
    """control_response_s after an unbind we leave without it."""
    esme, _ = bound_pair(timers=TIMERS)
    esme.request(BODY, 0.0, "mine")
    esme.unbind(1.0)
    assert esme.next_timer() == 11.0
    assert esme.handle_timer(11.0) == [Closed("no response to the unbind", ["mine"])]


def test_peer_that_unbound_waits_no_longer_than_the_timer() -> None:
    """A peer's unbind waits for our responses, and is answered late or not at all."""
    _, smsc = bound_pair(timers=TIMERS)
    smsc.receive_data(encode(Message(c.SUBMIT_SM, sequence=2)), 1.0)
    assert smsc.receive_data(encode(Bare(c.UNBIND, 0, 3)), 2.0) == [Unbound()]
    assert smsc.next_timer() == 12.0
    assert smsc.handle_timer(12.0) == [Closed("the peer unbound", [])]
