"""SMPP v3.4: codec and session without IO, both roles, and a connection over asyncio.

Of SMPP v5.0 the tags and status codes are known by name. This package names what others use;
`connection` is imported by its own name, so that the cores stay free of asyncio.
"""

from __future__ import annotations

from protocols.smpp.commands import BindKind, command_name
from protocols.smpp.decoding import decode, frames
from protocols.smpp.encoding import (
    MAX_SHORT_MESSAGE_BYTES,
    encode,
    encode_body,
    encode_submit_body,
    encode_tlvs,
    pack_header,
)
from protocols.smpp.events import (
    Answered,
    BindRefused,
    BindRequested,
    Bound,
    Closed,
    Event,
    Received,
    Unbound,
)
from protocols.smpp.limits import Limits, Timers
from protocols.smpp.pdu import (
    MAX_PDU_BYTES,
    MAX_TLVS,
    Bare,
    Bind,
    BindResponse,
    Message,
    MessageResponse,
    Outbind,
    Pdu,
    PduError,
    RawPdu,
)
from protocols.smpp.session import Session
from protocols.smpp.states import Role, State
from protocols.smpp.status import Disposition, describe, disposition, status_name
from protocols.smpp.tlv import Tag, Tlv, tag_name

__all__ = [
    "MAX_PDU_BYTES",
    "MAX_SHORT_MESSAGE_BYTES",
    "MAX_TLVS",
    "Answered",
    "Bare",
    "Bind",
    "BindKind",
    "BindRefused",
    "BindRequested",
    "BindResponse",
    "Bound",
    "Closed",
    "Disposition",
    "Event",
    "Limits",
    "Message",
    "MessageResponse",
    "Outbind",
    "Pdu",
    "PduError",
    "RawPdu",
    "Received",
    "Role",
    "Session",
    "State",
    "Tag",
    "Timers",
    "Tlv",
    "Unbound",
    "command_name",
    "decode",
    "describe",
    "disposition",
    "encode",
    "encode_body",
    "encode_submit_body",
    "encode_tlvs",
    "frames",
    "pack_header",
    "status_name",
    "tag_name",
]
