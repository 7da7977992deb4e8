"""Sessions brought into a state, and pairs of them that talk to each other."""

from __future__ import annotations

from protocols.smpp import (
    Bare,
    Bind,
    BindKind,
    BindRequested,
    BindResponse,
    Bound,
    Event,
    Limits,
    Message,
    MessageResponse,
    Pdu,
    Role,
    Session,
    State,
    Timers,
    decode,
    encode,
    encode_submit_body,
    frames,
)
from protocols.smpp import commands as c

BODY = encode_submit_body("12125550100", "12125550123", b"Your gown is ready")
ENQUIRE = encode(Bare(c.ENQUIRE_LINK, 0, 99))

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


def in_state(role: Role, state: State) -> Session:
    """A session of this role in this state, with nothing left to send."""
    if state in KINDS:
        pair = bound_pair(KINDS[state])
    elif state is State.UNBINDING:
        pair = bound_pair()
        for session in pair:
            session.unbind(0.0)
    else:
        pair = Session(Role.ESME), Session(Role.SMSC)
        for session in pair:
            session.connected(0.0)
            if state is State.CLOSED:
                session.close("over")
    session = pair[0] if role is Role.ESME else pair[1]
    session.data_to_send()
    assert session.state is state
    return session


def pdu_of(command_id: int, sequence: int = 7) -> Pdu:
    """A sound PDU of this command."""
    request = command_id & ~c.RESPONSE
    is_response = bool(command_id & c.RESPONSE)
    if request in (c.SUBMIT_SM, c.DELIVER_SM):
        if is_response:
            return MessageResponse(command_id, 0, sequence, "7f00a1")
        return Message(command_id, 0, sequence, source="12125550123", dest="12125550100")
    if request in tuple(BindKind):
        if is_response:
            return BindResponse(command_id, 0, sequence, "smsc")
        return Bind(command_id, 0, sequence, "lab", "lab")
    return Bare(command_id, 0, sequence)
