"""The session's states and who may send what in which (SMPP v3.4 sections 2.2 and 2.3, SMPP v5.0
sections 2.2 to 2.4).

One table serves both roles: a session asks it with its own role for what it may send and with the
peer's role for what may arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from protocols.smpp import commands as c


class Role(Enum):
    """ESME: the side that binds. SMSC: the side that is bound to."""

    ESME = "ESME"
    SMSC = "SMSC"

    @property
    def peer(self) -> Role:
        return Role.SMSC if self is Role.ESME else Role.ESME


class State(Enum):
    """The states of SMPP v5.0 section 2.2, and UNBINDING: an unbind is under way, requests already
    sent may still arrive."""

    OPEN = "open"
    OUTBOUND = "outbound"
    """An SMSC connected and asked by outbind for a bind."""
    BOUND_TX = "bound as transmitter"
    BOUND_RX = "bound as receiver"
    BOUND_TRX = "bound as transceiver"
    UNBINDING = "unbinding"
    CLOSED = "closed"


_SENDING: Final = {State.BOUND_TX, State.BOUND_TRX, State.UNBINDING}
_RECEIVING: Final = {State.BOUND_RX, State.BOUND_TRX, State.UNBINDING}
_BOUND: Final = _SENDING | _RECEIVING
_UNBOUND: Final = {State.OPEN, State.OUTBOUND}
# SMPP v3.4 keeps enquire_link to bound sessions; v5.0 and many peers allow it before the bind too.
_ALIVE: Final = _BOUND | _UNBOUND

_Senders = Mapping[Role, set[State]]


def _esme(states: set[State]) -> _Senders:
    return {Role.ESME: states}


def _smsc(states: set[State]) -> _Senders:
    return {Role.SMSC: states}


def _both(states: set[State]) -> _Senders:
    return {Role.ESME: states, Role.SMSC: states}


_SUBMISSIONS: Final = (
    c.SUBMIT_SM,
    c.SUBMIT_MULTI,
    c.QUERY_SM,
    c.CANCEL_SM,
    c.REPLACE_SM,
    c.BROADCAST_SM,
    c.QUERY_BROADCAST_SM,
    c.CANCEL_BROADCAST_SM,
)

COMMANDS: Final[dict[int, _Senders]] = {
    **{kind: _esme(_UNBOUND) for kind in c.BindKind},
    **{kind | c.RESPONSE: _smsc(_UNBOUND) for kind in c.BindKind},
    c.OUTBIND: _smsc({State.OPEN}),
    **{command: _esme(_SENDING) for command in _SUBMISSIONS},
    **{command | c.RESPONSE: _smsc(_SENDING) for command in _SUBMISSIONS},
    c.DELIVER_SM: _smsc(_RECEIVING),
    c.DELIVER_SM_RESP: _esme(_RECEIVING),
    c.DATA_SM: {Role.ESME: _SENDING, Role.SMSC: _RECEIVING},
    c.DATA_SM_RESP: {Role.ESME: _RECEIVING, Role.SMSC: _SENDING},
    c.ALERT_NOTIFICATION: _smsc(_RECEIVING),
    c.UNBIND: _both(_BOUND),
    c.UNBIND_RESP: _both({State.UNBINDING}),
    c.ENQUIRE_LINK: _both(_ALIVE),
    c.ENQUIRE_LINK_RESP: _both(_ALIVE),
    c.GENERIC_NACK: _both(_ALIVE),
}
"""command_id → the roles that may send it, each with the states it may send it in. replace_sm is
allowed to transceivers too, as SMPP v5.0 does."""

MAY_SEND: Final[dict[tuple[Role, State], frozenset[int]]] = {
    (role, state): frozenset(
        command for command, senders in COMMANDS.items() if state in senders.get(role, ())
    )
    for role in Role
    for state in State
}
"""The same table the other way round."""

MESSAGE_COMMAND: Final = {Role.ESME: c.SUBMIT_SM, Role.SMSC: c.DELIVER_SM}
"""The request that carries a message, by the role that sends it."""

BOUND_STATE: Final = {
    c.BindKind.RECEIVER: State.BOUND_RX,
    c.BindKind.TRANSMITTER: State.BOUND_TX,
    c.BindKind.TRANSCEIVER: State.BOUND_TRX,
}

OPTIONAL: Final = frozenset(
    {*_SUBMISSIONS, c.DELIVER_SM, c.DATA_SM, c.ALERT_NOTIFICATION, c.OUTBIND}
)
"""Requests that a session takes only when its owner said so."""

TAKES: Final[dict[Role, frozenset[int]]] = {
    Role.ESME: frozenset({c.DELIVER_SM, c.DATA_SM}),
    Role.SMSC: frozenset({c.SUBMIT_SM}),
}
"""What an owner that says nothing takes from the peer, by its own role."""

SINCE_5: Final = frozenset({c.BROADCAST_SM, c.QUERY_BROADCAST_SM, c.CANCEL_BROADCAST_SM})
"""Requests that exist only between two sides that both speak SMPP v5.0."""

VERSION_3_4: Final = 0x34
VERSION_5: Final = 0x50


def acceptable(role: Role, state: State, takes: frozenset[int], version: int) -> frozenset[int]:
    """What a session of this role takes from its peer in this state."""
    allowed = MAY_SEND[role.peer, state]
    taken = allowed - (OPTIONAL - takes)
    return taken if version >= VERSION_5 else taken - SINCE_5
