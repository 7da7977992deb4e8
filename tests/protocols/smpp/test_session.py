"""The session: binds, messages both ways, window, faults, the end."""

from __future__ import annotations

import pytest

from protocols.errors import LocalProtocolError
from protocols.smpp import (
    Answered,
    Bare,
    Bind,
    BindKind,
    BindRefused,
    BindRequested,
    BindResponse,
    Bound,
    Closed,
    Limits,
    Message,
    MessageResponse,
    Received,
    Role,
    Session,
    State,
    Tag,
    Unbound,
    decode,
    encode,
    pack_header,
)
from protocols.smpp import commands as c
from protocols.smpp import status as s
from tests.protocols.smpp.corpus import BROKEN_FRAMING, MALFORMED, WELL_FORMED
from tests.protocols.smpp.sessions import BODY, ENQUIRE, bound_pair, carry, pdu_of, sent


def answer(sequence: int, status: int = 0, message_id: str = "7f00a1") -> bytes:
    return encode(MessageResponse(c.SUBMIT_SM_RESP, status, sequence, message_id))


# ---------------------------------------------------------------------- binding


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (BindKind.TRANSMITTER, State.BOUND_TX),
        (BindKind.RECEIVER, State.BOUND_RX),
        (BindKind.TRANSCEIVER, State.BOUND_TRX),
    ],
)
def test_both_sides_are_bound_as_asked(kind: BindKind, state: State) -> None:
    """Each kind of bind brings both sides into its state."""
    esme, smsc = bound_pair(kind)
    assert esme.state is smsc.state is state
    assert esme.room == (0 if kind is BindKind.RECEIVER else 100)
    assert smsc.room == (0 if kind is BindKind.TRANSMITTER else 100)


def test_bind_carries_what_was_given() -> None:
    """The SMSC sees system_id, password, system_type, address_range and version."""
    session = Session(Role.ESME)
    session.bind(
        BindKind.TRANSCEIVER, "lab", "secret", 0.0, system_type="SHOP", address_range="^1212"
    )
    (request,) = sent(session)
    assert request == Bind(
        c.BIND_TRANSCEIVER, 0, 1, "lab", "secret", "SHOP", 0x34, 0, 0, "^1212", []
    )


def test_bound_tells_who_the_smsc_is() -> None:
    """The event has the SMSC's system_id and its optional parameters."""
    esme, smsc = Session(Role.ESME), Session(Role.SMSC)
    esme.bind(BindKind.TRANSCEIVER, "lab", "lab", 0.0)
    (asked,) = carry(esme, smsc)
    assert isinstance(asked, BindRequested)
    smsc.accept_bind(asked.request, "smsc")
    assert carry(smsc, esme) == [
        Bound(BindKind.TRANSCEIVER, "smsc", [(Tag.SC_INTERFACE_VERSION, b"\x34")])
    ]


@pytest.mark.parametrize("is_nack", [True, False])
def test_refused_bind_ends_the_session(is_nack: bool) -> None:
    """The refusal comes with its status, whether by bind_resp or generic_nack, and closes."""
    session = Session(Role.ESME)
    session.bind(BindKind.TRANSCEIVER, "lab", "wrong", 0.0)
    session.data_to_send()
    command = c.GENERIC_NACK if is_nack else c.BIND_TRANSCEIVER_RESP
    events = session.receive_data(pack_header(0, command, s.ESME_RINVPASWD, 1), 0.1)
    assert events == [
        BindRefused(s.ESME_RINVPASWD),
        Closed("the bind was refused: ESME_RINVPASWD: the password is wrong", []),
    ]
    assert session.state is State.CLOSED


def test_refused_esme_may_try_again() -> None:
    """The SMSC role stays open after a refusal until its timer, and can accept a second bind."""
    esme, smsc = Session(Role.ESME), Session(Role.SMSC)
    smsc.connected(0.0)
    esme.bind(BindKind.TRANSCEIVER, "lab", "wrong", 0.0)
    (first,) = carry(esme, smsc)
    assert isinstance(first, BindRequested)
    smsc.refuse_bind(first.request, s.ESME_RINVPASWD)
    assert sent(smsc) == [BindResponse(c.BIND_TRANSCEIVER_RESP, s.ESME_RINVPASWD, 1)]
    (second,) = smsc.receive_data(encode(pdu_of(c.BIND_TRANSCEIVER, 2)), 1.0)
    assert isinstance(second, BindRequested)
    smsc.accept_bind(first.request, "smsc")
    assert smsc.state is State.OPEN
    smsc.accept_bind(second.request, "smsc")
    assert smsc.state is State.BOUND_TRX


def test_second_bind_while_the_first_is_decided_is_refused() -> None:
    """Only one bind is under way at a time, on either side."""
    smsc = Session(Role.SMSC)
    smsc.receive_data(encode(pdu_of(c.BIND_RECEIVER, 1)), 0.0)
    assert smsc.receive_data(encode(pdu_of(c.BIND_RECEIVER, 2)), 0.0) == []
    assert sent(smsc) == [BindResponse(c.BIND_RECEIVER_RESP, s.ESME_RALYBND, 2)]
    esme = Session(Role.ESME)
    esme.bind(BindKind.RECEIVER, "lab", "lab", 0.0)
    with pytest.raises(LocalProtocolError, match="under way"):
        esme.bind(BindKind.RECEIVER, "lab", "lab", 0.0)


def test_bind_with_a_field_too_long_sends_nothing() -> None:
    """The field is named; the session can still bind."""
    session = Session(Role.ESME)
    with pytest.raises(LocalProtocolError, match="password has 9 octets"):
        session.bind(BindKind.TRANSCEIVER, "lab", "123456789", 0.0)
    assert session.data_to_send() == b""
    session.bind(BindKind.TRANSCEIVER, "lab", "12345678", 0.0)


def test_messages_behind_the_bind_resp_in_one_segment_are_taken() -> None:
    """An SMSC that sends its waiting messages right behind the bind_resp loses none."""
    session = Session(Role.ESME)
    session.bind(BindKind.TRANSCEIVER, "lab", "lab", 0.0)
    deliveries = b"".join(encode(pdu_of(c.DELIVER_SM, n)) for n in range(1, 501))
    response = encode(BindResponse(c.BIND_TRANSCEIVER_RESP, 0, 1, "smsc"))
    events = session.receive_data(response + deliveries, 0.1)
    assert isinstance(events[0], Bound)
    assert [e.message.sequence for e in events[1:] if isinstance(e, Received)] == [*range(1, 501)]


# ---------------------------------------------------------------------- messages


def test_message_and_its_response_go_both_ways() -> None:
    """What one side sends the other receives; the response comes back with the context."""
    esme, smsc = bound_pair()
    assert esme.request(BODY, 1.0, "mine") == 2
    (got,) = carry(esme, smsc)
    assert isinstance(got, Received)
    assert (got.message.dest, got.message.payload) == ("12125550123", b"Your gown is ready")
    smsc.respond(got.message, message_id="7f00a1")
    pdu = MessageResponse(c.SUBMIT_SM_RESP, 0, 2, "7f00a1")
    assert carry(smsc, esme) == [Answered("mine", 0, "7f00a1", pdu)]

    smsc.request(Message(c.DELIVER_SM, source="12125550123", payload=b"Thanks"), 2.0, "theirs")
    (reply,) = carry(smsc, esme)
    assert isinstance(reply, Received)
    esme.respond(reply.message)
    (done,) = carry(esme, smsc)
    assert isinstance(done, Answered)
    assert (done.context, done.status) == ("theirs", 0)
    assert esme.pending == smsc.pending == esme.unanswered == smsc.unanswered == 0


def test_responses_come_in_any_order() -> None:
    """Each response finds its request by sequence number."""
    esme, smsc = bound_pair()
    for context in "abc":
        esme.request(BODY, 1.0, context)
    got = [e.message for e in carry(esme, smsc) if isinstance(e, Received)]
    for message in reversed(got):
        smsc.respond(message, message_id=f"id{message.sequence}")
    answers = [(e.context, e.message_id) for e in carry(smsc, esme) if isinstance(e, Answered)]
    assert answers == [("c", "id4"), ("b", "id3"), ("a", "id2")]


def test_window_is_kept() -> None:
    """No more messages wait for a response than the window allows; each response makes room."""
    esme, _ = bound_pair(window=2)
    first, _ = esme.request(BODY, 1.0), esme.request(BODY, 1.0)
    esme.data_to_send()
    assert esme.room == 0
    with pytest.raises(LocalProtocolError, match="the window of 2 messages is full"):
        esme.request(BODY, 1.0)
    assert esme.data_to_send() == b""
    esme.receive_data(answer(first), 1.1)
    assert esme.room == 1
    esme.request(BODY, 1.2)
    assert esme.pending == 2


def test_message_that_cannot_be_encoded_takes_no_room() -> None:
    """A field out of its limits leaves window and stream as they were."""
    esme, _ = bound_pair()
    with pytest.raises(LocalProtocolError, match="destination_addr"):
        esme.request(Message(dest="1" * 21), 1.0)
    with pytest.raises(LocalProtocolError, match="the body has 65521 octets"):
        esme.request(b"x" * 65521, 1.0)
    assert (esme.pending, esme.data_to_send()) == (0, b"")


def test_error_response_carries_the_carriers_code() -> None:
    """A refused message comes back with its status, a vendor's own included, and no id."""
    esme, _ = bound_pair()
    sequence = esme.request(BODY, 1.0, "mine")
    (event,) = esme.receive_data(pack_header(0, c.SUBMIT_SM_RESP, 0x450, sequence), 1.1)
    assert isinstance(event, Answered)
    assert (event.context, event.status, event.message_id) == ("mine", 0x450, "")


@pytest.mark.parametrize(
    ("status", "seen"), [(s.ESME_RTHROTTLED, s.ESME_RTHROTTLED), (0, s.ESME_RUNKNOWNERR)]
)
def test_generic_nack_answers_the_request(status: int, seen: int) -> None:
    """A nack with our sequence number is the response, an error even with the status 0."""
    esme, _ = bound_pair()
    sequence = esme.request(BODY, 1.0, "mine")
    (event,) = esme.receive_data(pack_header(0, c.GENERIC_NACK, status, sequence), 1.1)
    assert event == Answered("mine", seen, "", Bare(c.GENERIC_NACK, status, sequence))
    assert esme.pending == 0


@pytest.mark.parametrize("name", ["submit_sm_resp_no_nul", "submit_sm_resp_long_id"])
def test_unreadable_response_still_answers(name: str) -> None:
    """The header says that the message was taken; only its id is lost."""
    esme, _ = bound_pair()
    for _ in range(6):
        esme.request(BODY, 1.0)
    (event,) = esme.receive_data(MALFORMED[f"malformed_{name}"], 1.1)
    assert isinstance(event, Answered)
    assert (event.status, event.message_id) == (0, "")
    assert esme.pending == 5


def test_duplicate_and_unknown_responses_are_ignored() -> None:
    """A second response, one to nothing, and one of the wrong kind change nothing."""
    esme, _ = bound_pair()
    sequence = esme.request(BODY, 1.0)
    esme.data_to_send()
    assert len(esme.receive_data(answer(sequence) * 3 + answer(12345), 1.1)) == 1
    assert esme.stray_responses == 3
    other = esme.request(BODY, 1.0)
    esme.data_to_send()
    wrong = encode(MessageResponse(c.DELIVER_SM_RESP, 0, other))
    assert esme.receive_data(wrong, 1.1) == []
    assert (esme.pending, esme.stray_responses, esme.data_to_send()) == (1, 4, b"")


def test_sequence_numbers_wrap() -> None:
    """Behind 0x7FFFFFFF comes 1 (section 5.1.4)."""
    esme, _ = bound_pair()
    esme._sequence = 0x7FFFFFFE
    assert [esme.request(BODY, 1.0) for _ in range(3)] == [0x7FFFFFFF, 1, 2]


# ---------------------------------------------------------------------- messages to answer


def test_responses_have_the_bodies_the_standard_asks_for() -> None:
    """A submit_sm_resp with an error has no body; a deliver_sm_resp has an empty message_id."""
    esme, smsc = bound_pair()
    esme.request(BODY, 1.0)
    (got,) = carry(esme, smsc)
    assert isinstance(got, Received)
    smsc.respond(got.message, s.ESME_RINVDSTADR)
    assert smsc.data_to_send() == pack_header(0, c.SUBMIT_SM_RESP, s.ESME_RINVDSTADR, 2)
    (reply,) = esme.receive_data(encode(pdu_of(c.DELIVER_SM)), 1.0)
    assert isinstance(reply, Received)
    esme.respond(reply.message, s.ESME_RX_T_APPN)
    assert esme.data_to_send() == pack_header(1, c.DELIVER_SM_RESP, s.ESME_RX_T_APPN, 7) + b"\0"


def test_message_is_answered_once() -> None:
    """A second respond, one for another session's message and one after the end do nothing."""
    esme, smsc = bound_pair()
    esme.request(BODY, 1.0)
    esme.request(BODY, 1.0)
    first, second = (e.message for e in carry(esme, smsc) if isinstance(e, Received))
    smsc.respond(first)
    smsc.respond(first)
    smsc.respond(Message(c.SUBMIT_SM, 0, 3))
    assert len(sent(smsc)) == 1
    smsc.close("over")
    smsc.respond(second)
    assert smsc.data_to_send() == b""


def test_message_id_too_long_can_be_corrected() -> None:
    """Our mistake in a response is an error; the message still waits for its response."""
    esme, smsc = bound_pair()
    esme.request(BODY, 1.0)
    (got,) = carry(esme, smsc)
    assert isinstance(got, Received)
    with pytest.raises(LocalProtocolError, match="message_id has 65 octets"):
        smsc.respond(got.message, message_id="x" * 65)
    smsc.respond(got.message, message_id="x" * 64)
    assert len(sent(smsc)) == 1


def test_repeated_sequence_numbers_of_a_peer_are_each_answered() -> None:
    """A peer that uses one sequence number twice gets two responses."""
    esme, _ = bound_pair()
    events = esme.receive_data(encode(pdu_of(c.DELIVER_SM)) * 2, 1.0)
    for event in events:
        assert isinstance(event, Received)
        esme.respond(event.message)
    assert [pdu.sequence for pdu in sent(esme)] == [7, 7]


def test_messages_waiting_for_us_are_bounded() -> None:
    """Beyond the bound a submit_sm is throttled and a deliver_sm told that the queue is full."""
    esme, smsc = bound_pair(limits=Limits(unanswered=2))
    for _ in range(3):
        esme.request(BODY, 1.0)
        smsc.request(BODY, 1.0)
    at_smsc = carry(esme, smsc)
    at_esme = esme.receive_data(b"".join(encode(pdu_of(c.DELIVER_SM, n)) for n in (1, 2, 3)), 1.0)
    assert len(at_smsc) == len(at_esme) == 2
    assert sent(smsc)[-1] == MessageResponse(c.SUBMIT_SM_RESP, s.ESME_RTHROTTLED, 4)
    assert sent(esme)[-1] == MessageResponse(c.DELIVER_SM_RESP, s.ESME_RMSGQFUL, 3)
    assert isinstance(at_smsc[0], Received)
    smsc.respond(at_smsc[0].message)
    assert len(smsc.receive_data(encode(pdu_of(c.SUBMIT_SM, 9)), 1.0)) == 1


# ---------------------------------------------------------------------- faults of the peer


def test_bad_deliver_sm_is_answered_by_deliver_sm_resp() -> None:
    """A malformed deliver_sm gets its own response (0x80000005) and the session goes on."""
    esme, _ = bound_pair()
    octets = MALFORMED["malformed_deliver_sm_sm_length_past_end"]
    assert esme.receive_data(octets + encode(pdu_of(c.DELIVER_SM, 8)), 1.0) != []
    assert sent(esme) == [MessageResponse(c.DELIVER_SM_RESP, s.ESME_RINVMSGLEN, 7)]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("name", MALFORMED)
def test_session_goes_on_after_a_malformed_pdu(name: str, role: Role) -> None:
    """While the framing holds, a fault is answered and the next enquire_link too."""
    session = bound_pair()[0 if role is Role.ESME else 1]
    session.receive_data(MALFORMED[name] + ENQUIRE, 1.0)
    answers = sent(session)
    assert answers[-1] == Bare(c.ENQUIRE_LINK_RESP, 0, 99)
    is_response = decode_command(MALFORMED[name]) & c.RESPONSE
    assert len(answers) == (1 if is_response else 2)


def decode_command(octets: bytes) -> int:
    return int.from_bytes(octets[4:8], "big")


@pytest.mark.parametrize("name", BROKEN_FRAMING)
def test_lost_framing_is_nacked_and_closed(name: str) -> None:
    """A hostile length: what came before counts, then generic_nack, the end, and nothing kept."""
    esme, smsc = bound_pair()
    esme.request(BODY, 1.0, "mine")
    esme.data_to_send()
    events = esme.receive_data(encode(pdu_of(c.DELIVER_SM)) + BROKEN_FRAMING[name], 1.0)
    received, closed = events
    assert isinstance(received, Received)
    assert isinstance(closed, Closed)
    assert closed.reason.startswith("the peer's framing is lost: command_length")
    assert closed.unanswered == ["mine"]
    assert sent(esme) == [Bare(c.GENERIC_NACK, s.ESME_RINVCMDLEN, 0)]


def test_limit_of_a_pdu_can_be_lowered() -> None:
    """A smaller cap refuses at the header."""
    session = Session(Role.SMSC, limits=Limits(pdu_bytes=100))
    (closed,) = session.receive_data(b"\0\0\0\x65", 0.0)
    assert isinstance(closed, Closed)


@pytest.mark.parametrize("role", Role)
def test_stored_pdus_have_the_same_effect_in_any_pieces(role: Role) -> None:
    """A session fed octet by octet does what it does when fed whole."""
    stream = b"".join((WELL_FORMED | MALFORMED).values())
    whole = bound_pair()[0 if role is Role.ESME else 1]
    split = bound_pair()[0 if role is Role.ESME else 1]
    for session in (whole, split):
        if session.room:
            session.request(BODY, 1.0)
        session.data_to_send()
    at_once = whole.receive_data(stream, 1.0)
    in_pieces = [
        event for i in range(len(stream)) for event in split.receive_data(stream[i : i + 1], 1.0)
    ]
    assert in_pieces == at_once
    assert split.data_to_send() == whole.data_to_send()


# ---------------------------------------------------------------------- the end


def test_unbind_ends_both_sides() -> None:
    """Unbind and its response close both sides, each told once."""
    esme, smsc = bound_pair()
    esme.unbind(1.0)
    assert carry(esme, smsc) == [Unbound(), Closed("the peer unbound", [])]
    assert carry(smsc, esme) == [Unbound(), Closed("unbound", [])]


def test_responses_still_come_while_unbinding() -> None:
    """What was sent before the unbind is answered before it."""
    esme, smsc = bound_pair()
    esme.request(BODY, 1.0, "mine")
    esme.unbind(1.0)
    received, unbound = carry(esme, smsc)
    assert isinstance(received, Received)
    assert unbound == Unbound()
    assert smsc.data_to_send() == b""
    smsc.respond(received.message, message_id="7f00a1")
    assert [pdu.command_id for pdu in map(decode, split(smsc))] == [c.SUBMIT_SM_RESP, c.UNBIND_RESP]


def split(session: Session) -> list[bytes]:
    from protocols.smpp import frames

    return frames(session.data_to_send())[0]


def test_peer_that_unbound_sends_no_more_requests() -> None:
    """Behind its unbind a peer's requests are refused, its responses and the end are not."""
    esme, smsc = bound_pair()
    esme.request(BODY, 1.0)
    smsc.request(BODY, 1.0, "theirs")
    smsc.data_to_send()
    esme.unbind(1.0)
    carry(esme, smsc)
    assert smsc.receive_data(encode(pdu_of(c.SUBMIT_SM)) + encode(pdu_of(c.UNBIND)), 1.0) == []
    assert [pdu.status for pdu in sent(smsc)] == [s.ESME_RINVBNDSTS] * 2
    (answered,) = smsc.receive_data(encode(MessageResponse(c.DELIVER_SM_RESP, 0, 1)), 1.0)
    assert isinstance(answered, Answered)
    assert smsc.receive_eof(1.0) == [Closed("the connection was lost", [])]


def test_unbinds_that_cross_end_both_sides() -> None:
    """Both ask at once: each answers, each is told once."""
    esme, smsc = bound_pair()
    esme.unbind(1.0)
    smsc.unbind(1.0)
    to_smsc, to_esme = esme.data_to_send(), smsc.data_to_send()
    for session, data in ((smsc, to_smsc), (esme, to_esme)):
        assert session.receive_data(data, 1.0) == [Unbound(), Closed("the peer unbound", [])]
        assert sent(session)[0].command_id == c.UNBIND_RESP


def test_crossed_unbind_with_debts_is_told_once() -> None:
    """A peer's unbind that waits for our responses and the response to ours make one Unbound."""
    esme, smsc = bound_pair()
    esme.request(BODY, 1.0)
    carry(esme, smsc)
    smsc.unbind(1.0)
    smsc.data_to_send()
    assert smsc.receive_data(encode(pdu_of(c.UNBIND)), 1.0) == [Unbound()]
    ours = encode(Bare(c.UNBIND_RESP, 0, smsc._sequence))
    assert smsc.receive_data(ours, 1.0) == [Closed("unbound", [])]


def test_refused_unbind_closes() -> None:
    """A peer that nacks the unbind is left all the same."""
    esme, _ = bound_pair()
    esme.unbind(1.0)
    events = esme.receive_data(pack_header(0, c.GENERIC_NACK, s.ESME_RSYSERR, 2), 1.0)
    assert events == [
        Closed("the unbind was refused: ESME_RSYSERR: the peer has an internal error", [])
    ]


def test_cut_connection_names_what_was_not_answered() -> None:
    """Closed comes once, with the contexts in the order sent."""
    esme, _ = bound_pair()
    for context in range(5):
        esme.request(BODY, 1.0, context)
    esme.receive_data(answer(3), 1.0)
    assert esme.receive_eof(2.0) == [Closed("the connection was lost", [0, 2, 3, 4])]
    assert esme.receive_eof(2.0) == esme.close("again") == []
    assert esme.data_to_send() == b""
