"""Sessions brought into a state, and pairs of them that talk to each other."""

from __future__ import annotations

from protocols.smpp import (
    TAKES,
    Bare,
    Bind,
    BindKind,
    BindRequested,
    BindResponse,
    Bound,
    DestAddress,
    Event,
    Limits,
    Message,
    MessageResponse,
    Pdu,
    Role,
    Session,
    State,
    SubmitMulti,
    Timers,
    decode,
    encode,
    encode_submit_body,
    frames,
)
from protocols.smpp import commands as c
from protocols.smpp.layouts import LAYOUTS

BODY = encode_submit_body("12125550100", "12125550123", b"Your gown is ready")
ENQUIRE = encode(Bare(c.ENQUIRE_LINK, 0, 99))

_DECODED_AS_MESSAGE_RESPONSES = (
    c.SUBMIT_SM_RESP,
    c.DELIVER_SM_RESP,
    c.DATA_SM_RESP,
    c.BROADCAST_SM_RESP,
    c.QUERY_BROADCAST_SM_RESP,
)

KINDS = {
    State.BOUND_TX: BindKind.TRANSMITTER,
    State.BOUND_RX: BindKind.RECEIVER,
    State.BOUND_TRX: BindKind.TRANSCEIVER,
}


def carry(sender: Session, receiver: Session, now: float = 0.0) -> list[Event]:
    """Bring what one session has to send to the other."""
    return receiver.receive_data(sender.data_to_send(), now)


def sent(session: Session) -> list[Pdu]:
    """Everything the session has to send, read."""
    found, rest = frames(session.data_to_send())
    assert rest == b""
    return [decode(frame) for frame in found]


def bound_pair(
    kind: BindKind = BindKind.TRANSCEIVER,
    *,
    window: int = 100,
    limits: Limits = Limits(),  # noqa: B008
    timers: Timers = Timers(),  # noqa: B008
) -> tuple[Session, Session]:
    """An ESME and an SMSC, bound at 0 s."""
    esme = Session(Role.ESME, window=window, limits=limits, timers=timers)
    smsc = Session(Role.SMSC, window=window, limits=limits, timers=timers)
    esme.connected(0.0)
    smsc.connected(0.0)
    esme.bind(kind, "lab", "lab", 0.0)
    (asked,) = carry(esme, smsc)
    assert isinstance(asked, BindRequested)
    smsc.accept_bind(asked.request, "smsc")
    (bound,) = carry(smsc, esme)
    assert isinstance(bound, Bound)
    return esme, smsc


def in_state(
    role: Role, state: State, *, takes: frozenset[int] | None = None, version: int = 0x34
) -> Session:
    """A session of this role in this state, with nothing left to send."""
    esme_takes = takes
    if state is State.OUTBOUND:
        esme_takes = (TAKES[Role.ESME] if takes is None else takes) | {c.OUTBIND}
    esme = Session(Role.ESME, takes=esme_takes, version=version)
    smsc = Session(Role.SMSC, takes=takes, version=version)
    for session in (esme, smsc):
        session.connected(0.0)
        if state is State.CLOSED:
            session.close("over")
    if state is State.OUTBOUND:
        smsc.outbind("smsc", "lab", 0.0)
        carry(smsc, esme)
    elif state not in (State.OPEN, State.CLOSED):
        esme.bind(KINDS.get(state, BindKind.TRANSCEIVER), "lab", "lab", 0.0)
        (asked,) = carry(esme, smsc)
        assert isinstance(asked, BindRequested)
        smsc.accept_bind(asked.request, "smsc")
        carry(smsc, esme)
    if state is State.UNBINDING:
        esme.unbind(0.0)
        smsc.unbind(0.0)
    esme.data_to_send()
    smsc.data_to_send()
    session = esme if role is Role.ESME else smsc
    assert session.state is state
    return session


def pdu_of(command_id: int, sequence: int = 7) -> Pdu:
    """A sound PDU of this command."""
    request = command_id & ~c.RESPONSE
    is_response = bool(command_id & c.RESPONSE)
    if command_id in LAYOUTS:
        pdu: Pdu = LAYOUTS[command_id][0]()
        if isinstance(pdu, SubmitMulti):
            pdu.dests = [DestAddress(1, 1, "12125550123")]
        pdu.command_id, pdu.sequence = command_id, sequence
        return pdu
    if is_response and command_id in _DECODED_AS_MESSAGE_RESPONSES:
        return MessageResponse(command_id, 0, sequence, "7f00a1")
    if request in (c.SUBMIT_SM, c.DELIVER_SM):
        return Message(command_id, 0, sequence, source="12125550123", dest="12125550100")
    if request in tuple(BindKind):
        if is_response:
            return BindResponse(command_id, 0, sequence, "smsc")
        return Bind(command_id, 0, sequence, "lab", "lab")
    return Bare(command_id, 0, sequence)
