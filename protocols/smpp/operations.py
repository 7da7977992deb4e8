"""The rarer PDUs as Python objects: several recipients, queries, changes, alerts, broadcasts (SMPP
v3.4 sections 4.5 and 4.7 to 4.12, SMPP v5.0 section 4.4).

The field names are those of `Message`; every class has its own command_id as the default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from protocols.smpp import commands as c
from protocols.smpp.pdu import (
    Bare,
    Bind,
    BindResponse,
    Message,
    MessageResponse,
    Outbind,
    RawPdu,
)
from protocols.smpp.tlv import Tlv

MAX_DESTINATIONS: Final = 254
"""Recipients of one submit_multi (section 4.5.1)."""


class DestAddress(NamedTuple):
    """A recipient by number (dest_flag 1)."""

    ton: int
    npi: int
    address: str


class DistributionList(NamedTuple):
    """Recipients by the name of a list that the SMSC keeps (dest_flag 2); at most 20 octets."""

    name: str


Destination: TypeAlias = DestAddress | DistributionList


class Unsuccess(NamedTuple):
    """A recipient of a submit_multi that the SMSC refused, and its error (section 4.5.2.1)."""

    ton: int
    npi: int
    address: str
    status: int


@dataclass(slots=True)
class SubmitMulti(Message):
    """submit_multi (section 4.5.1): a message to `dests`, 1 to 254 of them; `dest` and its TON and
    NPI are unused."""

    command_id: int = c.SUBMIT_MULTI
    dests: list[Destination] = field(default_factory=list)


@dataclass(slots=True)
class SubmitMultiResponse(MessageResponse):
    """submit_multi_resp (section 4.5.2); an empty `unsuccess` means that all were taken."""

    command_id: int = c.SUBMIT_MULTI_RESP
    unsuccess: list[Unsuccess] = field(default_factory=list)


@dataclass(slots=True)
class QuerySm:
    """query_sm (section 4.8.1): what became of a message? `source` must be that of its
    submission."""

    command_id: int = c.QUERY_SM
    status: int = 0
    sequence: int = 0
    message_id: str = ""
    source_ton: int = 0
    source_npi: int = 0
    source: str = ""


@dataclass(slots=True)
class QuerySmResponse:
    """query_sm_resp (section 4.8.2). `final_date` is an absolute time, empty while the fate is
    open; `message_state` is one of section 5.2.28."""

    command_id: int = c.QUERY_SM_RESP
    status: int = 0
    sequence: int = 0
    message_id: str = ""
    final_date: str = ""
    message_state: int = 0
    error_code: int = 0


@dataclass(slots=True)
class CancelSm:
    """cancel_sm (section 4.9.1): one message by its id, or with an empty id all messages of this
    source, destination and service_type. Its response is `Bare`."""

    command_id: int = c.CANCEL_SM
    status: int = 0
    sequence: int = 0
    service_type: str = ""
    message_id: str = ""
    source_ton: int = 0
    source_npi: int = 0
    source: str = ""
    dest_ton: int = 0
    dest_npi: int = 0
    dest: str = ""


@dataclass(slots=True)
class ReplaceSm:
    """replace_sm (section 4.10.1): a new text and new times for a message that waits. Its response
    is `Bare`. Optional parameters exist in SMPP v5.0 alone."""

    command_id: int = c.REPLACE_SM
    status: int = 0
    sequence: int = 0
    message_id: str = ""
    source_ton: int = 0
    source_npi: int = 0
    source: str = ""
    schedule: str = ""
    validity: str = ""
    registered_delivery: int = 0
    default_id: int = 0
    payload: bytes = b""
    tlvs: list[Tlv] = field(default_factory=list)


@dataclass(slots=True)
class AlertNotification:
    """alert_notification (section 4.12.1): `source` can be reached again. It has no response."""

    command_id: int = c.ALERT_NOTIFICATION
    status: int = 0
    sequence: int = 0
    source_ton: int = 0
    source_npi: int = 0
    source: str = ""
    esme_ton: int = 0
    esme_npi: int = 0
    esme: str = ""
    tlvs: list[Tlv] = field(default_factory=list)


@dataclass(slots=True)
class BroadcastSm:
    """broadcast_sm (SMPP v5.0 section 4.4.1.1). Area, content type, repetitions and interval are
    optional parameters by form and mandatory by the standard. Its response is a
    `MessageResponse`."""

    command_id: int = c.BROADCAST_SM
    status: int = 0
    sequence: int = 0
    service_type: str = ""
    source_ton: int = 0
    source_npi: int = 0
    source: str = ""
    message_id: str = ""
    priority: int = 0
    schedule: str = ""
    validity: str = ""
    replace_if_present: int = 0
    data_coding: int = 0
    default_id: int = 0
    tlvs: list[Tlv] = field(default_factory=list)


@dataclass(slots=True)
class QueryBroadcastSm:
    """query_broadcast_sm (SMPP v5.0 section 4.6.1.1). Its response is a `MessageResponse` whose
    optional parameters tell state and areas."""

    command_id: int = c.QUERY_BROADCAST_SM
    status: int = 0
    sequence: int = 0
    message_id: str = ""
    source_ton: int = 0
    source_npi: int = 0
    source: str = ""
    tlvs: list[Tlv] = field(default_factory=list)


@dataclass(slots=True)
class CancelBroadcastSm:
    """cancel_broadcast_sm (SMPP v5.0 section 4.6.2.1). Its response is `Bare`."""

    command_id: int = c.CANCEL_BROADCAST_SM
    status: int = 0
    sequence: int = 0
    service_type: str = ""
    message_id: str = ""
    source_ton: int = 0
    source_npi: int = 0
    source: str = ""
    tlvs: list[Tlv] = field(default_factory=list)


Operation: TypeAlias = (
    QuerySm | CancelSm | ReplaceSm | BroadcastSm | QueryBroadcastSm | CancelBroadcastSm
)
"""A request about messages that is none itself."""

Pdu: TypeAlias = (
    Message
    | MessageResponse
    | Bind
    | BindResponse
    | Outbind
    | Bare
    | RawPdu
    | QuerySmResponse
    | AlertNotification
    | Operation
)
"""Everything that goes over the wire; `SubmitMulti` is a `Message`, its response a
`MessageResponse`."""
