"""What a session answers to requests that it does not take (SMPP v3.4 sections 3.3 and 4.3)."""

from __future__ import annotations

from protocols.smpp import commands as c
from protocols.smpp import status as s
from protocols.smpp.encoding import pack_header
from protocols.smpp.operations import Pdu
from protocols.smpp.pdu import RawPdu
from protocols.smpp.states import MAY_SEND, OPTIONAL, SINCE_5, VERSION_5, Role, State

_BINDS = frozenset(c.BindKind)
_UNBOUND = (State.OPEN, State.OUTBOUND)
_WITH_MESSAGE_ID = (c.DELIVER_SM, c.DATA_SM)


def refusal(command_id: int, status: int, sequence: int) -> bytes:
    """The response to a request, with an error and without a body; deliver_sm_resp and data_sm_resp
    have their message_id all the same (sections 4.6.2 and 4.7.2). outbind has no response:
    generic_nack. alert_notification has none at all: nothing."""
    if command_id in _WITH_MESSAGE_ID:
        return pack_header(1, command_id | c.RESPONSE, status, sequence) + b"\0"
    if command_id == c.OUTBIND:
        return pack_header(0, c.GENERIC_NACK, status, sequence)
    if command_id == c.ALERT_NOTIFICATION:
        return b""
    return pack_header(0, command_id | c.RESPONSE, status, sequence)


def out_of_place(
    request: Pdu, role: Role, state: State, takes: frozenset[int], version: int
) -> bytes:
    """The answer of a session of this role and state to a request that it does not take.

    What nobody knows, or knows only in a later version, gets generic_nack. What has no place in
    this state gets ESME_RINVBNDSTS (a second bind ESME_RALYBND), what the owner of the session does
    not do ESME_RINVCMDID, both by the request's own response.
    """
    command_id = request.command_id
    is_unknown = isinstance(request, RawPdu) or command_id == c.OUTBIND
    if is_unknown or (version < VERSION_5 and command_id in SINCE_5):
        return pack_header(0, c.GENERIC_NACK, s.ESME_RINVCMDID, request.sequence)
    if command_id in _BINDS and state not in _UNBOUND:
        status = s.ESME_RALYBND
    elif command_id in MAY_SEND[role.peer, state] and command_id in OPTIONAL - takes:
        status = s.ESME_RINVCMDID
    else:
        status = s.ESME_RINVBNDSTS
    return refusal(command_id, status, request.sequence)


def too_many(command_id: int, role: Role, sequence: int) -> bytes:
    """The answer to a request beyond the bound: an ESME that submits is throttled, an SMSC that
    delivers is told that the queue is full."""
    status = s.ESME_RTHROTTLED if role is Role.SMSC else s.ESME_RMSGQFUL
    return refusal(command_id, status, sequence)
