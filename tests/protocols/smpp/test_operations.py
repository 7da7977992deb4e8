"""Sessions beyond submit_sm and deliver_sm: queries, data_sm, many recipients, outbind, bounds."""

from __future__ import annotations

import pytest

from protocols.errors import LocalProtocolError
from protocols.smpp import (
    TAKES,
    AlertNotification,
    Answered,
    Bare,
    BindKind,
    BindRequested,
    BroadcastSm,
    CancelSm,
    Closed,
    DestAddress,
    DistributionList,
    Limits,
    Message,
    MessageResponse,
    Notified,
    Operation,
    Outbound,
    Pdu,
    QueryBroadcastSm,
    QuerySm,
    QuerySmResponse,
    Received,
    ReplaceSm,
    Requested,
    Role,
    Session,
    State,
    SubmitMulti,
    SubmitMultiResponse,
    Tag,
    Timers,
    Unsuccess,
    encode,
    encode_data_body,
    pack_header,
)
from protocols.smpp import commands as c
from protocols.smpp import status as s
from protocols.smpp.states import OPTIONAL
from tests.protocols.smpp.sessions import BODY, bound_pair, carry, in_state, pdu_of, sent

EVERYTHING = OPTIONAL - {c.OUTBIND}


def pair(version: int = 0x50) -> tuple[Session, Session]:
    """An ESME and an SMSC, bound, whose owners take everything."""
    esme = Session(Role.ESME, takes=EVERYTHING, version=version)
    smsc = Session(Role.SMSC, takes=EVERYTHING, version=version)
    esme.bind(BindKind.TRANSCEIVER, "lab", "lab", 0.0)
    (asked,) = carry(esme, smsc)
    assert isinstance(asked, BindRequested)
    smsc.accept_bind(asked.request, "smsc")
    carry(smsc, esme)
    return esme, smsc


def test_query_brings_state_and_date() -> None:
    """query_sm is an event of its own; its response comes back whole."""
    esme, smsc = pair()
    esme.request(QuerySm(message_id="7f00a1", source="12125550100"), 1.0, "mine")
    (asked,) = carry(esme, smsc)
    assert isinstance(asked, Requested)
    assert asked.request == QuerySm(sequence=2, message_id="7f00a1", source="12125550100")
    with pytest.raises(LocalProtocolError, match="needs a response with a state"):
        smsc.answer(asked.request)
    smsc.answer(asked.request, 0, QuerySmResponse(message_id="7f00a1", message_state=2))
    smsc.answer(asked.request, s.ESME_RQUERYFAIL)
    pdu = QuerySmResponse(sequence=2, message_id="7f00a1", message_state=2)
    assert carry(smsc, esme) == [Answered("mine", 0, "7f00a1", pdu)]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (CancelSm(message_id="7f00a1"), Bare(c.CANCEL_SM_RESP, 0, 2)),
        (ReplaceSm(message_id="7f00a1", payload=b"x"), Bare(c.REPLACE_SM_RESP, 0, 2)),
        (BroadcastSm(message_id="b1"), MessageResponse(c.BROADCAST_SM_RESP, 0, 2, "b1")),
        (QueryBroadcastSm(message_id="b1"), MessageResponse(c.QUERY_BROADCAST_SM_RESP, 0, 2, "b1")),
    ],
)
def test_orders_are_answered_by_their_own_response(request_: Operation, answer: Pdu) -> None:
    """cancel_sm, replace_sm and the broadcasts reach the owner and return to theirs."""
    esme, smsc = pair()
    esme.request(request_, 1.0, "mine")
    (asked,) = carry(esme, smsc)
    assert isinstance(asked, Requested)
    smsc.answer(asked.request)
    (answered,) = carry(smsc, esme)
    assert isinstance(answered, Answered)
    assert (answered.context, answered.status, answered.pdu) == ("mine", 0, answer)


def test_refused_order_has_no_body() -> None:
    """An error needs no body, and is read without one."""
    esme, smsc = pair()
    for request in (QuerySm(), CancelSm(), BroadcastSm()):
        sequence = esme.request(request, 1.0)
        (asked,) = carry(esme, smsc)
        assert isinstance(asked, Requested)
        smsc.answer(asked.request, s.ESME_RINVMSGID)
        octets = smsc.data_to_send()
        command = request.command_id | c.RESPONSE
        assert octets == pack_header(0, command, s.ESME_RINVMSGID, sequence)
        (answered,) = esme.receive_data(octets, 1.0)
        assert isinstance(answered, Answered)
        assert answered.status == s.ESME_RINVMSGID


def test_submit_multi_names_who_was_refused() -> None:
    """Recipients and lists arrive in order; the response tells each that was refused."""
    esme, smsc = pair()
    dests = [DestAddress(1, 1, "12125550123"), DistributionList("brides")]
    esme.request(SubmitMulti(source="12125550100", dests=dests, payload=b"Hello"), 1.0, "mine")
    (got,) = carry(esme, smsc)
    assert isinstance(got, Received)
    assert isinstance(got.message, SubmitMulti)
    assert got.message.dests == dests
    refused = [Unsuccess(1, 1, "12125550123", s.ESME_RINVDSTADR)]
    smsc.respond(got.message, message_id="7f00a1", unsuccess=refused)
    (answered,) = carry(smsc, esme)
    assert isinstance(answered, Answered)
    assert isinstance(answered.pdu, SubmitMultiResponse)
    assert (answered.message_id, answered.pdu.unsuccess) == ("7f00a1", refused)


@pytest.mark.parametrize("is_from_esme", [True, False])
def test_data_sm_goes_both_ways(is_from_esme: bool) -> None:
    """data_sm is a message without short_message; its text is in message_payload."""
    sender, receiver = pair() if is_from_esme else pair()[::-1]
    body = encode_data_body("12125550100", "12125550123", b"x" * 1000, registered_delivery=1)
    sender.request(body, 1.0, "mine", command=c.DATA_SM)
    (got,) = carry(sender, receiver)
    assert isinstance(got, Received)
    assert (got.message.command_id, got.message.payload) == (c.DATA_SM, b"")
    assert got.message.tlvs == [(Tag.MESSAGE_PAYLOAD, b"x" * 1000)]
    receiver.respond(got.message, message_id="d1")
    (answered,) = carry(receiver, sender)
    assert isinstance(answered, Answered)
    assert answered.message_id == "d1"


def test_alert_is_told_and_not_answered() -> None:
    """alert_notification is an event; nothing goes back."""
    esme, smsc = pair()
    smsc.notify(AlertNotification(source="12125550123", esme="12125550100"))
    (told,) = carry(smsc, esme)
    assert isinstance(told, Notified)
    assert told.notification.source == "12125550123"
    assert esme.data_to_send() == b""
    with pytest.raises(LocalProtocolError, match="an ESME cannot send alert_notification"):
        esme.notify(AlertNotification())


def test_response_of_another_kind_is_no_answer() -> None:
    """A submit_sm_resp does not answer a query_sm of the same sequence number."""
    esme, _ = pair()
    sequence = esme.request(QuerySm(), 1.0)
    esme.data_to_send()
    assert esme.receive_data(encode(MessageResponse(sequence=sequence)), 1.0) == []
    assert (esme.pending, esme.stray_responses) == (1, 1)


@pytest.mark.parametrize(
    ("version", "seen"), [((0x34, 0x34), 0x34), ((0x50, 0x34), 0x34), ((0x50, 0x50), 0x50)]
)
def test_both_sides_speak_the_lower_version(version: tuple[int, int], seen: int) -> None:
    """interface_version and sc_interface_version decide; broadcasts need v5.0 on both sides."""
    esme = Session(Role.ESME, version=version[0])
    smsc = Session(Role.SMSC, version=version[1])
    esme.bind(BindKind.TRANSCEIVER, "lab", "lab", 0.0)
    (asked,) = carry(esme, smsc)
    assert isinstance(asked, BindRequested)
    smsc.accept_bind(asked.request, "smsc")
    carry(smsc, esme)
    assert (esme.version, smsc.version) == (seen, seen)
    if seen == 0x34:
        with pytest.raises(LocalProtocolError, match="broadcast_sm needs SMPP v5.0"):
            esme.request(BroadcastSm(), 1.0)


def test_old_esme_gets_no_optional_parameter() -> None:
    """A bind of v3.3 is answered without sc_interface_version."""
    smsc = Session(Role.SMSC)
    esme = Session(Role.ESME)
    esme.bind(BindKind.RECEIVER, "lab", "lab", 0.0, interface_version=0x33)
    (asked,) = carry(esme, smsc)
    assert isinstance(asked, BindRequested)
    smsc.accept_bind(asked.request, "smsc")
    assert smsc.data_to_send()[16:] == b"smsc\0"


# ---------------------------------------------------------------------- outbind


def outbound_pair() -> tuple[Session, Session, Outbound]:
    """A listening ESME and an SMSC that dialled it and sent outbind at 0 s."""
    esme = Session(Role.ESME, takes=TAKES[Role.ESME] | {c.OUTBIND})
    smsc = Session(Role.SMSC)
    esme.connected(0.0)
    smsc.connected(0.0)
    smsc.outbind("smsc", "secret", 0.0)
    (asked,) = carry(smsc, esme)
    assert isinstance(asked, Outbound)
    return esme, smsc, asked


def test_outbind_leads_to_a_bind() -> None:
    """The SMSC dials and asks, the ESME checks and binds, messages flow."""
    esme, smsc, asked = outbound_pair()
    assert (asked.request.system_id, asked.request.password) == ("smsc", "secret")
    assert esme.state is smsc.state is State.OUTBOUND
    esme.bind(BindKind.RECEIVER, "lab", "lab", 1.0)
    (bind,) = carry(esme, smsc, 1.0)
    assert isinstance(bind, BindRequested)
    smsc.accept_bind(bind.request, "smsc")
    carry(smsc, esme, 1.0)
    assert esme.state is smsc.state is State.BOUND_RX
    smsc.request(BODY, 2.0)
    assert isinstance(carry(smsc, esme, 2.0)[0], Received)


def test_outbind_without_a_bind_ends() -> None:
    """Neither side waits for the bind longer than the session-init timer."""
    esme, smsc, _ = outbound_pair()
    for session in (esme, smsc):
        assert session.next_timer() == 5.0
        assert session.handle_timer(5.0) == [Closed("no bind within 5 s of the outbind", [])]


def test_listening_esme_waits_for_the_outbind_only_so_long() -> None:
    """A caller that says nothing is left."""
    esme = Session(Role.ESME, takes=TAKES[Role.ESME] | {c.OUTBIND})
    esme.connected(0.0)
    assert esme.handle_timer(5.0) == [Closed("no outbind within 5 s", [])]


def test_second_outbind_is_refused() -> None:
    """One outbind is enough; a bound session takes none."""
    esme, _, _ = outbound_pair()
    esme.receive_data(encode(pdu_of(c.OUTBIND, 9)), 1.0)
    assert sent(esme) == [Bare(c.GENERIC_NACK, s.ESME_RINVCMDID, 9)]


# ---------------------------------------------------------------------- bounds and timers


def test_reading_pauses_and_goes_on_at_half() -> None:
    """`is_full` at the mark, `is_drained` when half of it is answered."""
    esme, smsc = bound_pair(limits=Limits(pause_at=4))
    for _ in range(4):
        assert not smsc.is_full
        esme.request(BODY, 1.0)
        (got,) = carry(esme, smsc)
        assert isinstance(got, Received)
        kept = got.message
    assert smsc.is_full
    assert not smsc.is_drained
    smsc.respond(kept)
    assert not smsc.is_drained
    for message in list(smsc._owed.values())[:1]:
        assert isinstance(message, Message)
        smsc.respond(message)
    assert smsc.is_drained


def test_paused_session_blames_nobody_for_silence() -> None:
    """While we do not read, no response is overdue and nobody is asked for a sign of life; after it
    what waits gets time to arrive."""
    esme, _ = bound_pair(timers=Timers(response_s=20, control_response_s=10))
    esme.request(BODY, 0.0)
    esme.data_to_send()
    esme.pause_reading()
    assert esme.next_timer() is None
    assert esme.handle_timer(500.0) == []
    assert esme.data_to_send() == b""
    esme.resume_reading(500.0)
    assert esme.next_timer() == 510.0
    assert esme.handle_timer(509.0) == []
    assert esme.handle_timer(510.0) == [Closed("no response to a message within 20 s", [None])]


def test_requests_beyond_the_bound_are_throttled_of_every_kind() -> None:
    """Queries and data_sm count like messages."""
    _, smsc = pair()
    smsc.limits = Limits(unanswered=1)
    assert len(smsc.receive_data(encode(QuerySm(sequence=5)), 1.0)) == 1
    for request in (c.QUERY_SM, c.DATA_SM, c.SUBMIT_MULTI, c.SUBMIT_SM):
        assert smsc.receive_data(encode(pdu_of(request, 6)), 1.0) == []
        (refused,) = sent(smsc)
        assert (refused.command_id, refused.status) == (request | c.RESPONSE, s.ESME_RTHROTTLED)
    esme, _ = pair()
    esme.limits = Limits(unanswered=0)
    esme.receive_data(encode(pdu_of(c.DATA_SM)), 1.0)
    assert sent(esme)[0].status == s.ESME_RMSGQFUL


def test_idle_session_is_unbound() -> None:
    """Without a message for inactivity_s we unbind, although enquire_link is answered."""
    esme, smsc = bound_pair(timers=Timers(enquire_s=30, inactivity_s=100))
    smsc.receive_data(encode(pdu_of(c.SUBMIT_SM)), 50.0)
    smsc.receive_data(encode(pdu_of(c.ENQUIRE_LINK)), 140.0)
    assert smsc.next_timer() == 150.0
    smsc.data_to_send()
    assert smsc.handle_timer(150.0) == []
    assert [pdu.command_id for pdu in sent(smsc)] == [c.UNBIND]
    assert smsc.state is State.UNBINDING
    answer = pack_header(0, c.UNBIND_RESP, 0, smsc._sequence)
    assert smsc.receive_data(answer, 151.0)[-1] == Closed("no message within 100 s", [])


def test_owner_may_decide_late_and_change_its_mind_about_limits() -> None:
    """Window, limits and what is taken can be set per account when the bind is known."""
    esme, smsc = Session(Role.ESME), Session(Role.SMSC)
    smsc.connected(0.0)
    esme.bind(BindKind.TRANSCEIVER, "lab", "lab", 0.0)
    (asked,) = carry(esme, smsc)
    assert isinstance(asked, BindRequested)
    smsc.window, smsc.limits, smsc.takes = 3, Limits(unanswered=5), frozenset({c.QUERY_SM})
    smsc.accept_bind(asked.request, "smsc")
    assert smsc.room == 3
    smsc.data_to_send()
    assert isinstance(smsc.receive_data(encode(QuerySm(sequence=4)), 1.0)[0], Requested)
    smsc.receive_data(encode(pdu_of(c.SUBMIT_SM)), 1.0)
    assert sent(smsc)[0].status == s.ESME_RINVCMDID


def test_late_decision_on_a_closed_session_does_nothing() -> None:
    """The password check may end after the caller has gone."""
    smsc = Session(Role.SMSC)
    smsc.connected(0.0)
    (asked,) = smsc.receive_data(encode(pdu_of(c.BIND_TRANSCEIVER)), 0.5)
    assert isinstance(asked, BindRequested)
    smsc.receive_eof(1.0)
    smsc.accept_bind(asked.request, "smsc")
    smsc.refuse_bind(asked.request, s.ESME_RINVPASWD)
    assert (smsc.state, smsc.data_to_send()) == (State.CLOSED, b"")


@pytest.mark.parametrize("command", [c.ENQUIRE_LINK, c.UNBIND, c.OUTBIND, c.BIND_RECEIVER])
def test_control_commands_are_not_requests(command: int) -> None:
    """`request` sends what an owner asks, never what the session does by itself."""
    with pytest.raises(LocalProtocolError, match="does not send"):
        in_state(Role.ESME, State.BOUND_TRX).request(b"", 1.0, command=command)
