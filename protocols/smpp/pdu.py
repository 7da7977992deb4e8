"""The PDUs as Python objects (SMPP v3.4 section 4).

Addresses, ids and the like are C-octet strings; they are read and written as latin-1, so that any
octet a peer sends survives. Numbers are not restricted to the values the standard names: vendors
use others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from protocols.errors import RemoteProtocolError
from protocols.smpp.commands import (
    BIND_TRANSCEIVER_RESP,
    ENQUIRE_LINK,
    OUTBIND,
    SUBMIT_SM,
    SUBMIT_SM_RESP,
    BindKind,
)
from protocols.smpp.tlv import Tlv

HEADER_BYTES: Final = 16
MAX_PDU_BYTES: Final = 65_536
"""The longest PDU taken or sent: a message_payload of 64,000 octets and room to spare."""
MAX_TLVS: Final = 64
"""Optional parameters taken in one PDU; the standard names 64 in all."""
MAX_SEQUENCE: Final = 0x7FFFFFFF


class PduError(RemoteProtocolError):
    """A PDU that cannot be read.

    `status_hint` is the command_status to answer. `command_id`, `status` and `sequence` come from
    the header, 0 where it could not be read. With `is_framing_lost` nobody knows where the next PDU
    begins: nack and close. Otherwise answer and go on.
    """

    def __init__(
        self,
        message: str,
        status_hint: int,
        *,
        command_id: int = 0,
        status: int = 0,
        sequence: int = 0,
        is_framing_lost: bool = False,
    ) -> None:
        super().__init__(message, status_hint)
        self.command_id = command_id
        self.status = status
        self.sequence = sequence
        self.is_framing_lost = is_framing_lost


@dataclass(slots=True)
class Message:
    """submit_sm (section 4.4.1), deliver_sm (section 4.6.1) or data_sm (section 4.7.1); which one,
    `command_id` tells.

    `payload` is short_message as it goes over the wire, a user data header included: at most 254
    octets. It is always empty in a data_sm, which has its text in the optional parameter
    message_payload, and lacks protocol_id, priority, times, replace_if_present and default_id.
    """

    command_id: int = SUBMIT_SM
    status: int = 0
    sequence: int = 0
    service_type: str = ""
    source_ton: int = 0
    source_npi: int = 0
    source: str = ""
    dest_ton: int = 0
    dest_npi: int = 0
    dest: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority: int = 0
    schedule: str = ""
    validity: str = ""
    registered_delivery: int = 0
    replace_if_present: int = 0
    data_coding: int = 0
    default_id: int = 0
    payload: bytes = b""
    tlvs: list[Tlv] = field(default_factory=list)


@dataclass(slots=True)
class MessageResponse:
    """submit_sm_resp (section 4.4.2), deliver_sm_resp (section 4.6.2), data_sm_resp (section
    4.7.2), broadcast_sm_resp and query_broadcast_sm_resp (SMPP v5.0)."""

    command_id: int = SUBMIT_SM_RESP
    status: int = 0
    sequence: int = 0
    message_id: str = ""
    tlvs: list[Tlv] = field(default_factory=list)


@dataclass(slots=True)
class Bind:
    """bind_transmitter, bind_receiver or bind_transceiver (sections 4.1.1, 4.1.3, 4.1.5)."""

    command_id: int = BindKind.TRANSCEIVER
    status: int = 0
    sequence: int = 0
    system_id: str = ""
    password: str = field(default="", repr=False)
    system_type: str = ""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    tlvs: list[Tlv] = field(default_factory=list)

    @property
    def kind(self) -> BindKind:
        return BindKind(self.command_id)


@dataclass(slots=True)
class BindResponse:
    """The response to any of the three binds (sections 4.1.2, 4.1.4, 4.1.6)."""

    command_id: int = BIND_TRANSCEIVER_RESP
    status: int = 0
    sequence: int = 0
    system_id: str = ""
    tlvs: list[Tlv] = field(default_factory=list)


@dataclass(slots=True)
class Outbind:
    """outbind (section 4.1.7): an SMSC asks an ESME to bind as receiver."""

    command_id: int = OUTBIND
    status: int = 0
    sequence: int = 0
    system_id: str = ""
    password: str = field(default="", repr=False)


@dataclass(slots=True)
class Bare:
    """A PDU of a header alone: unbind, enquire_link, their responses, generic_nack (sections 4.2,
    4.3, 4.11), and the responses to cancel_sm, replace_sm and cancel_broadcast_sm."""

    command_id: int = ENQUIRE_LINK
    status: int = 0
    sequence: int = 0


@dataclass(slots=True)
class RawPdu:
    """A command this codec does not read; its body as it came."""

    command_id: int
    status: int = 0
    sequence: int = 0
    body: bytes = b""
