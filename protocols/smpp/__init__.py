"""SMPP v3.4 and v5.0: codec and session without IO, both roles, and a connection over asyncio.

This package names what others use;
`connection` is imported by its own name, so that the cores stay free of asyncio.
"""

from __future__ import annotations

from protocols.smpp.commands import BindKind, command_name
from protocols.smpp.decoding import decode, frames
from protocols.smpp.encoding import (
    encode,
    encode_body,
    encode_data_body,
    encode_submit_body,
    pack_header,
)
from protocols.smpp.events import (
    Answered,
    BindRefused,
    BindRequested,
    Bound,
    Closed,
    Event,
    Notified,
    Outbound,
    Received,
    Requested,
    Unbound,
)
from protocols.smpp.fields import MAX_SHORT_MESSAGE_BYTES, encode_tlvs
from protocols.smpp.limits import Limits, Timers
from protocols.smpp.operations import (
    MAX_DESTINATIONS,
    AlertNotification,
    BroadcastSm,
    CancelBroadcastSm,
    CancelSm,
    DestAddress,
    Destination,
    DistributionList,
    Operation,
    Pdu,
    QueryBroadcastSm,
    QuerySm,
    QuerySmResponse,
    ReplaceSm,
    SubmitMulti,
    SubmitMultiResponse,
    Unsuccess,
)
from protocols.smpp.pdu import (
    MAX_PDU_BYTES,
    MAX_TLVS,
    Bare,
    Bind,
    BindResponse,
    Message,
    MessageResponse,
    Outbind,
    PduError,
    RawPdu,
)
from protocols.smpp.session import Session
from protocols.smpp.states import TAKES, VERSION_3_4, VERSION_5, Role, State
from protocols.smpp.status import Disposition, describe, disposition, status_name
from protocols.smpp.tlv import Tag, Tlv, tag_name

__all__ = [
    "MAX_DESTINATIONS",
    "MAX_PDU_BYTES",
    "MAX_SHORT_MESSAGE_BYTES",
    "MAX_TLVS",
    "TAKES",
    "VERSION_3_4",
    "VERSION_5",
    "AlertNotification",
    "Answered",
    "Bare",
    "Bind",
    "BindKind",
    "BindRefused",
    "BindRequested",
    "BindResponse",
    "Bound",
    "BroadcastSm",
    "CancelBroadcastSm",
    "CancelSm",
    "Closed",
    "DestAddress",
    "Destination",
    "Disposition",
    "DistributionList",
    "Event",
    "Limits",
    "Message",
    "MessageResponse",
    "Notified",
    "Operation",
    "Outbind",
    "Outbound",
    "Pdu",
    "PduError",
    "QueryBroadcastSm",
    "QuerySm",
    "QuerySmResponse",
    "RawPdu",
    "Received",
    "ReplaceSm",
    "Requested",
    "Role",
    "Session",
    "State",
    "SubmitMulti",
    "SubmitMultiResponse",
    "Tag",
    "Timers",
    "Tlv",
    "Unbound",
    "Unsuccess",
    "command_name",
    "decode",
    "describe",
    "disposition",
    "encode",
    "encode_body",
    "encode_data_body",
    "encode_submit_body",
    "encode_tlvs",
    "frames",
    "pack_header",
    "status_name",
    "tag_name",
]
