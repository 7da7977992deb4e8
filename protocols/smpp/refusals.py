"""What a session answers to requests that it does not take (SMPP v3.4 sections 3.3 and 4.3)."""

from __future__ import annotations

from protocols.smpp import commands as c
from protocols.smpp import status as s
from protocols.smpp.encoding import pack_header
from protocols.smpp.operations import Pdu
from protocols.smpp.pdu import RawPdu
from protocols.smpp.states import State

_BINDS = frozenset(c.BindKind)


def refusal(command_id: int, status: int, sequence: int) -> bytes:
    """The response to a request, with an error and without a body; a deliver_sm_resp has its unused
    message_id all the same (section 4.6.2). outbind has no response: generic_nack."""
    if command_id == c.DELIVER_SM:
        return pack_header(1, c.DELIVER_SM_RESP, status, sequence) + b"\0"
    if command_id == c.OUTBIND:
        return pack_header(0, c.GENERIC_NACK, status, sequence)
    return pack_header(0, command_id | c.RESPONSE, status, sequence)


def out_of_place(request: Pdu, state: State) -> bytes:
    """The answer to a request that has no place in this state, or in no state at all."""
    command_id = request.command_id
    if isinstance(request, RawPdu) or command_id == c.OUTBIND:
        return pack_header(0, c.GENERIC_NACK, s.ESME_RINVCMDID, request.sequence)
    is_bound = state is not State.OPEN
    status = s.ESME_RALYBND if is_bound and command_id in _BINDS else s.ESME_RINVBNDSTS
    return refusal(command_id, status, request.sequence)
