"""The session's states and who may send what in which (SMPP v3.4 sections 2.2 and 2.3).

One table serves both roles: a session asks it with its own role for what it may send and with the
peer's role for what may arrive.
"""

from __future__ import annotations

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
    """The states of section 2.2, and UNBINDING: an unbind is under way, requests already sent may
    still arrive."""

    OPEN = "open"
    BOUND_TX = "bound as transmitter"
    BOUND_RX = "bound as receiver"
    BOUND_TRX = "bound as transceiver"
    UNBINDING = "unbinding"
    CLOSED = "closed"


_ESME: Final = {Role.ESME}
_SMSC: Final = {Role.SMSC}
_BOTH: Final = {Role.ESME, Role.SMSC}

_SENDING: Final = {State.BOUND_TX, State.BOUND_TRX, State.UNBINDING}
_RECEIVING: Final = {State.BOUND_RX, State.BOUND_TRX, State.UNBINDING}
_BOUND: Final = _SENDING | _RECEIVING
# Section 2.3 keeps enquire_link to bound sessions; SMPP v5.0 and many peers allow it before the
# bind too.
_ALIVE: Final = _BOUND | {State.OPEN}

COMMANDS: Final[dict[int, tuple[set[Role], set[State]]]] = {
    c.BIND_RECEIVER: (_ESME, {State.OPEN}),
    c.BIND_TRANSMITTER: (_ESME, {State.OPEN}),
    c.BIND_TRANSCEIVER: (_ESME, {State.OPEN}),
    c.BIND_RECEIVER_RESP: (_SMSC, {State.OPEN}),
    c.BIND_TRANSMITTER_RESP: (_SMSC, {State.OPEN}),
    c.BIND_TRANSCEIVER_RESP: (_SMSC, {State.OPEN}),
    c.SUBMIT_SM: (_ESME, _SENDING),
    c.SUBMIT_SM_RESP: (_SMSC, _SENDING),
    c.DELIVER_SM: (_SMSC, _RECEIVING),
    c.DELIVER_SM_RESP: (_ESME, _RECEIVING),
    c.UNBIND: (_BOTH, _BOUND),
    c.UNBIND_RESP: (_BOTH, {State.UNBINDING}),
    c.ENQUIRE_LINK: (_BOTH, _ALIVE),
    c.ENQUIRE_LINK_RESP: (_BOTH, _ALIVE),
    c.GENERIC_NACK: (_BOTH, _ALIVE),
}
"""command_id → the roles that may send it, the states they may send it in."""

MAY_SEND: Final[dict[tuple[Role, State], frozenset[int]]] = {
    (role, state): frozenset(
        command
        for command, (roles, states) in COMMANDS.items()
        if role in roles and state in states
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
