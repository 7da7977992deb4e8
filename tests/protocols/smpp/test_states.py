"""Which command may come in which state (SMPP v3.4 section 2.3): all states by all commands."""

from __future__ import annotations

import pytest

from protocols.errors import LocalProtocolError
from protocols.smpp import BindKind, Message, Pdu, RawPdu, Role, Session, State, encode
from protocols.smpp import commands as c
from protocols.smpp import status as s
from tests.protocols.smpp.sessions import BODY, KINDS, in_state, pdu_of, sent

REQUESTS = [
    c.BIND_RECEIVER,
    c.BIND_TRANSMITTER,
    c.BIND_TRANSCEIVER,
    c.SUBMIT_SM,
    c.DELIVER_SM,
    c.UNBIND,
    c.ENQUIRE_LINK,
]
LIVE = [state for state in State if state is not State.CLOSED]

# What each side takes from its peer; everything else is refused.
TAKEN = {
    Role.SMSC: {
        State.OPEN: {*BindKind, c.ENQUIRE_LINK},
        State.OUTBOUND: {*BindKind, c.ENQUIRE_LINK},
        State.BOUND_TX: {c.SUBMIT_SM, c.UNBIND, c.ENQUIRE_LINK},
        State.BOUND_RX: {c.UNBIND, c.ENQUIRE_LINK},
        State.BOUND_TRX: {c.SUBMIT_SM, c.UNBIND, c.ENQUIRE_LINK},
        State.UNBINDING: {c.SUBMIT_SM, c.UNBIND, c.ENQUIRE_LINK},
    },
    Role.ESME: {
        State.OPEN: {c.ENQUIRE_LINK},
        State.OUTBOUND: {c.ENQUIRE_LINK},
        State.BOUND_TX: {c.UNBIND, c.ENQUIRE_LINK},
        State.BOUND_RX: {c.DELIVER_SM, c.UNBIND, c.ENQUIRE_LINK},
        State.BOUND_TRX: {c.DELIVER_SM, c.UNBIND, c.ENQUIRE_LINK},
        State.UNBINDING: {c.DELIVER_SM, c.UNBIND, c.ENQUIRE_LINK},
    },
}


def refusal(session: Session) -> tuple[int, int] | None:
    """Command and status of the error that the session answered, if it did."""
    errors = [(pdu.command_id, pdu.status) for pdu in sent(session) if pdu.status]
    return errors[0] if errors else None


@pytest.mark.parametrize("command", REQUESTS, ids=c.command_name)
@pytest.mark.parametrize("state", LIVE)
@pytest.mark.parametrize("role", Role)
def test_request_is_taken_or_refused_by_the_table(role: Role, state: State, command: int) -> None:
    """A request out of place is answered by its own response with ESME_RINVBNDSTS, a second bind
    with ESME_RALYBND; the session goes on as it was."""
    session = in_state(role, state)
    session.receive_data(encode(pdu_of(command)), 1.0)
    if command in TAKEN[role][state]:
        assert refusal(session) is None
        assert session.refused == 0
        return
    is_second_bind = command in tuple(BindKind) and state not in (State.OPEN, State.OUTBOUND)
    status = s.ESME_RALYBND if is_second_bind else s.ESME_RINVBNDSTS
    assert refusal(session) == (command | c.RESPONSE, status)
    assert session.state is state
    assert session.refused == 1


@pytest.mark.parametrize("command", [*REQUESTS, 0], ids=c.command_name)
@pytest.mark.parametrize("state", LIVE)
@pytest.mark.parametrize("role", Role)
def test_response_to_nothing_is_ignored(role: Role, state: State, command: int) -> None:
    """A response that answers nothing is counted and never answered, in any state."""
    session = in_state(role, state)
    assert session.receive_data(encode(pdu_of(command | c.RESPONSE, 0x7000)), 1.0) == []
    assert session.data_to_send() == b""
    assert session.state is state
    assert session.stray_responses == 1


SUBMISSIONS = {
    c.SUBMIT_SM,
    c.SUBMIT_MULTI,
    c.DATA_SM,
    c.QUERY_SM,
    c.CANCEL_SM,
    c.REPLACE_SM,
    c.BROADCAST_SM,
    c.QUERY_BROADCAST_SM,
    c.CANCEL_BROADCAST_SM,
}
DELIVERIES = {c.DELIVER_SM, c.DATA_SM, c.ALERT_NOTIFICATION}
EVERY_OPTION = frozenset(SUBMISSIONS | DELIVERIES)
PLACES = {
    Role.SMSC: (SUBMISSIONS, {State.BOUND_TX, State.BOUND_TRX, State.UNBINDING}),
    Role.ESME: (DELIVERIES, {State.BOUND_RX, State.BOUND_TRX, State.UNBINDING}),
}


@pytest.mark.parametrize("command", sorted(EVERY_OPTION), ids=c.command_name)
@pytest.mark.parametrize("state", LIVE)
@pytest.mark.parametrize("role", Role)
def test_every_request_has_its_place(role: Role, state: State, command: int) -> None:
    """With an owner that takes everything, over SMPP v5.0: what has its place becomes one event,
    what has none is refused with ESME_RINVBNDSTS."""
    session = in_state(role, state, takes=EVERY_OPTION, version=0x50)
    events = session.receive_data(encode(pdu_of(command)), 1.0)
    commands, states = PLACES[role]
    if command in commands and state in states:
        assert len(events) == 1
        assert sent(session) == []
    elif command == c.ALERT_NOTIFICATION:
        assert (events, sent(session)) == ([], [])
    else:
        assert events == []
        assert refusal(session) == (command | c.RESPONSE, s.ESME_RINVBNDSTS)


@pytest.mark.parametrize("command", sorted(EVERY_OPTION), ids=c.command_name)
@pytest.mark.parametrize("role", Role)
def test_request_that_the_owner_does_not_take_is_an_invalid_command(
    role: Role, command: int
) -> None:
    """A request in its place that nobody takes is refused by its own response; the broadcasts of
    SMPP v5.0 are unknown to a session of v3.4."""
    if command not in PLACES[role][0]:
        return
    for version in (0x34, 0x50):
        session = in_state(role, State.BOUND_TRX, takes=frozenset(), version=version)
        assert session.receive_data(encode(pdu_of(command)), 1.0) == []
        if command == c.ALERT_NOTIFICATION:
            assert sent(session) == []
        elif version == 0x34 and 0x111 <= command <= 0x113:
            assert refusal(session) == (c.GENERIC_NACK, s.ESME_RINVCMDID)
        else:
            assert refusal(session) == (command | c.RESPONSE, s.ESME_RINVCMDID)


@pytest.mark.parametrize("state", LIVE)
@pytest.mark.parametrize("role", Role)
def test_unknown_command_is_nacked(role: Role, state: State) -> None:
    """A command nobody knows gets generic_nack with ESME_RINVCMDID and its own sequence number."""
    session = in_state(role, state)
    pdus: list[Pdu] = [
        RawPdu(0x00010200, 0, 41, b"vendor's own"),
        RawPdu(c.OUTBIND, 0, 42, b"a\0b\0"),
    ]
    for pdu in pdus:
        assert session.receive_data(encode(pdu), 1.0) == []
    assert [(p.command_id, p.status, p.sequence) for p in sent(session)] == [
        (c.GENERIC_NACK, s.ESME_RINVCMDID, 41),
        (c.GENERIC_NACK, s.ESME_RINVCMDID, 42),
    ]
    assert session.state is state


@pytest.mark.parametrize("command", [*REQUESTS, c.GENERIC_NACK], ids=c.command_name)
@pytest.mark.parametrize("role", Role)
def test_closed_session_takes_nothing(role: Role, command: int) -> None:
    """After the end nothing is answered and nothing happens."""
    session = in_state(role, State.CLOSED)
    assert session.receive_data(encode(pdu_of(command)), 1.0) == []
    assert session.receive_eof(1.0) == []
    assert session.handle_timer(1e9) == []
    assert session.data_to_send() == b""
    assert session.next_timer() is None


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("role", Role)
def test_messages_are_sent_only_where_the_table_allows(role: Role, state: State) -> None:
    """We keep to the table too: a message out of place is our error and sends nothing."""
    session = in_state(role, state)
    mine = (
        {State.BOUND_TX, State.BOUND_TRX}
        if role is Role.ESME
        else {State.BOUND_RX, State.BOUND_TRX}
    )
    if state in mine:
        assert session.room == 100
        session.request(BODY, 1.0)
        assert session.pending == 1
        return
    assert session.room == 0
    with pytest.raises(LocalProtocolError, match=state.value):
        session.request(BODY, 1.0)
    assert (session.pending, session.data_to_send()) == (0, b"")


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("role", Role)
def test_bind_and_unbind_only_where_the_table_allows(role: Role, state: State) -> None:
    """An ESME binds while open; either side unbinds while bound."""
    session = in_state(role, state)
    if role is not Role.ESME or state not in (State.OPEN, State.OUTBOUND):
        with pytest.raises(LocalProtocolError, match="cannot send bind_receiver"):
            session.bind(BindKind.RECEIVER, "lab", "lab", 1.0)
    if state not in KINDS:
        with pytest.raises(LocalProtocolError, match="cannot unbind"):
            session.unbind(1.0)
    if role is not Role.SMSC or state is not State.OPEN:
        with pytest.raises(LocalProtocolError, match="cannot send outbind"):
            session.outbind("smsc", "lab", 1.0)
    assert session.data_to_send() == b""


def test_message_of_the_other_side_is_not_sent() -> None:
    """An ESME sends no deliver_sm, an SMSC no submit_sm."""
    with pytest.raises(LocalProtocolError, match="an ESME does not send deliver_sm"):
        in_state(Role.ESME, State.BOUND_TRX).request(Message(c.DELIVER_SM), 1.0)
    with pytest.raises(LocalProtocolError, match="an SMSC does not send submit_sm"):
        in_state(Role.SMSC, State.BOUND_TRX).request(Message(c.SUBMIT_SM), 1.0)
