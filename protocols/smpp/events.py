"""What a session tells its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from protocols.smpp.commands import BindKind
from protocols.smpp.operations import AlertNotification, Operation, QuerySmResponse
from protocols.smpp.pdu import Bare, Bind, Message, MessageResponse, Outbind
from protocols.smpp.tlv import Tlv


@dataclass(slots=True)
class Bound:
    """ESME role: the SMSC accepted our bind."""

    kind: BindKind
    system_id: str
    tlvs: list[Tlv]


@dataclass(slots=True)
class BindRefused:
    """ESME role: the SMSC refused our bind with this command_status; `Closed` follows at once."""

    status: int


@dataclass(slots=True)
class BindRequested:
    """SMSC role: answer with `accept_bind` or `refuse_bind` before the session-init timer runs out;
    at once or later, whenever the decision is there."""

    request: Bind


@dataclass(slots=True)
class Outbound:
    """ESME role that listens: an SMSC connected and asks for a bind. If it is who it says, `bind`,
    else `close`."""

    request: Outbind


@dataclass(slots=True)
class Received:
    """A submit_sm, deliver_sm, data_sm or submit_multi that `respond` must answer, once what it
    says is safe with us."""

    message: Message


@dataclass(slots=True)
class Requested:
    """A question about messages or an order to change one, which `answer` must answer."""

    request: Operation


@dataclass(slots=True)
class Notified:
    """ESME role: a phone can be reached again. There is nothing to answer."""

    notification: AlertNotification


@dataclass(slots=True)
class Answered:
    """The response to one of our requests.

    `context` is what `request` was given. `pdu` is the response: `Bare` when a generic_nack with
    the request's sequence number came, or when the response could not be read (its status holds,
    its message_id is lost).
    """

    context: object
    status: int
    message_id: str
    pdu: MessageResponse | QuerySmResponse | Bare


@dataclass(slots=True)
class Unbound:
    """An unbind was agreed, whoever asked for it; `Closed` follows, at once or when we have
    answered what we owe."""


@dataclass(slots=True)
class Closed:
    """The session is over. Comes exactly once.

    `unanswered` has the contexts of all requests whose response never came, in the order sent:
    whether the peer took them nobody knows.
    """

    reason: str
    unanswered: list[object]


Event: TypeAlias = (
    Bound
    | BindRefused
    | BindRequested
    | Outbound
    | Received
    | Requested
    | Notified
    | Answered
    | Unbound
    | Closed
)
