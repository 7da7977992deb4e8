"""From PDUs to bytes (SMPP v3.4 sections 3.2, 4 and 5.2).

A field out of its limits raises `LocalProtocolError` that names it; nothing malformed leaves the
house. To send one text over and over, encode its body once with `encode_submit_body` and put
`pack_header` before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from protocols.errors import LocalProtocolError
from protocols.smpp import commands as c
from protocols.smpp.fields import (
    MAX_SHORT_MESSAGE_BYTES,
    check_text,
    encode_tlvs,
    octet,
    write_body,
    write_string,
)
from protocols.smpp.layouts import LAYOUT_OF
from protocols.smpp.operations import Pdu, SubmitMulti, SubmitMultiResponse
from protocols.smpp.pdu import (
    HEADER_BYTES,
    MAX_PDU_BYTES,
    Bare,
    Bind,
    BindResponse,
    Message,
    MessageResponse,
    RawPdu,
)
from protocols.smpp.tlv import Tag, Tlv

_pack: Final = Struct(">4I").pack
MAX_BODY_BYTES: Final = MAX_PDU_BYTES - HEADER_BYTES


def pack_header(body_bytes: int, command_id: int, status: int, sequence: int) -> bytes:
    """The header (section 3.2) of a PDU whose body has `body_bytes` octets."""
    return _pack(HEADER_BYTES + body_bytes, command_id, status, sequence)


def encode_submit_body(
    source: str,
    dest: str,
    payload: bytes,
    *,
    source_ton: int = 0,
    source_npi: int = 0,
    dest_ton: int = 0,
    dest_npi: int = 0,
    service_type: str = "",
    esm_class: int = 0,
    protocol_id: int = 0,
    priority: int = 0,
    schedule: str = "",
    validity: str = "",
    registered_delivery: int = 0,
    replace_if_present: int = 0,
    data_coding: int = 0,
    default_id: int = 0,
    tlvs: Iterable[Tlv] = (),
) -> bytes:
    """The body of a submit_sm or a deliver_sm (sections 4.4.1 and 4.6.1, which share one layout).

    `payload` has at most 254 octets; longer ones go into the optional parameter message_payload.
    """
    if len(payload) > MAX_SHORT_MESSAGE_BYTES:
        check_text(payload)
    try:
        body = b"%b\0%c%c%b\0%c%c%b\0%c%c%c%b\0%b\0%c%c%c%c%c%b%b" % (
            write_string(service_type, 5, "service_type") if service_type else b"",
            source_ton,
            source_npi,
            write_string(source, 20, "source_addr"),
            dest_ton,
            dest_npi,
            write_string(dest, 20, "destination_addr"),
            esm_class,
            protocol_id,
            priority,
            write_string(schedule, 16, "schedule_delivery_time") if schedule else b"",
            write_string(validity, 16, "validity_period") if validity else b"",
            registered_delivery,
            replace_if_present,
            data_coding,
            default_id,
            len(payload),
            payload,
            encode_tlvs(tlvs) if tlvs else b"",
        )
    except OverflowError:
        octet(source_ton, "source_addr_ton")
        octet(source_npi, "source_addr_npi")
        octet(dest_ton, "dest_addr_ton")
        octet(dest_npi, "dest_addr_npi")
        octet(esm_class, "esm_class")
        octet(protocol_id, "protocol_id")
        octet(priority, "priority_flag")
        octet(registered_delivery, "registered_delivery")
        octet(replace_if_present, "replace_if_present_flag")
        octet(data_coding, "data_coding")
        octet(default_id, "sm_default_msg_id")
        raise
    _check_body(body)
    return body


def _check_body(body: bytes) -> None:
    if len(body) > MAX_BODY_BYTES:
        raise LocalProtocolError(f"the body has {len(body)} octets, the limit is {MAX_BODY_BYTES}")


def _message(m: Message) -> bytes:
    return encode_submit_body(
        m.source,
        m.dest,
        m.payload,
        source_ton=m.source_ton,
        source_npi=m.source_npi,
        dest_ton=m.dest_ton,
        dest_npi=m.dest_npi,
        service_type=m.service_type,
        esm_class=m.esm_class,
        protocol_id=m.protocol_id,
        priority=m.priority,
        schedule=m.schedule,
        validity=m.validity,
        registered_delivery=m.registered_delivery,
        replace_if_present=m.replace_if_present,
        data_coding=m.data_coding,
        default_id=m.default_id,
        tlvs=m.tlvs,
    )


def encode_data_body(
    source: str,
    dest: str,
    payload: bytes,
    *,
    source_ton: int = 0,
    source_npi: int = 0,
    dest_ton: int = 0,
    dest_npi: int = 0,
    service_type: str = "",
    esm_class: int = 0,
    registered_delivery: int = 0,
    data_coding: int = 0,
    tlvs: Iterable[Tlv] = (),
) -> bytes:
    """The body of a data_sm (section 4.7.1). `payload` goes into the optional parameter
    message_payload, so that it may be long; addresses have up to 64 octets."""
    message = Message(
        c.DATA_SM,
        source=source,
        dest=dest,
        source_ton=source_ton,
        source_npi=source_npi,
        dest_ton=dest_ton,
        dest_npi=dest_npi,
        service_type=service_type,
        esm_class=esm_class,
        registered_delivery=registered_delivery,
        data_coding=data_coding,
        tlvs=[(int(Tag.MESSAGE_PAYLOAD), payload), *tlvs],
    )
    body = _data_message(message)
    _check_body(body)
    return body


def _data_message(m: Message) -> bytes:
    if m.payload:
        raise LocalProtocolError("data_sm has no short_message, its text is in message_payload")
    return write_body(m, LAYOUT_OF[Message])


def _bind(b: Bind) -> bytes:
    return b"%b\0%b\0%b\0%c%c%c%b\0%b" % (
        write_string(b.system_id, 15, "system_id"),
        write_string(b.password, 8, "password"),
        write_string(b.system_type, 12, "system_type"),
        octet(b.interface_version, "interface_version"),
        octet(b.addr_ton, "addr_ton"),
        octet(b.addr_npi, "addr_npi"),
        write_string(b.address_range, 40, "address_range"),
        encode_tlvs(b.tlvs),
    )


def encode_body(pdu: Pdu) -> bytes:
    """The octets behind the header."""
    match pdu:
        case SubmitMulti() | SubmitMultiResponse():
            return write_body(pdu, LAYOUT_OF[type(pdu)])
        case Message():
            return _data_message(pdu) if pdu.command_id == c.DATA_SM else _message(pdu)
        case MessageResponse():
            return write_string(pdu.message_id, 64, "message_id") + b"\0" + encode_tlvs(pdu.tlvs)
        case Bind():
            return _bind(pdu)
        case BindResponse():
            return write_string(pdu.system_id, 15, "system_id") + b"\0" + encode_tlvs(pdu.tlvs)
        case RawPdu():
            return pdu.body
        case Bare():
            return b""
        case _:
            return write_body(pdu, LAYOUT_OF[type(pdu)])


def encode(pdu: Pdu) -> bytes:
    """The whole PDU as it goes over the wire."""
    for name, value in (("command_id", pdu.command_id), ("command_status", pdu.status)):
        if not 0 <= value <= 0xFFFFFFFF:
            raise LocalProtocolError(f"{name} is {value}, not within 32 bits")
    if not 0 <= pdu.sequence <= 0xFFFFFFFF:
        raise LocalProtocolError(f"sequence_number is {pdu.sequence}, not within 32 bits")
    body = encode_body(pdu)
    _check_body(body)
    return pack_header(len(body), pdu.command_id, pdu.status, pdu.sequence) + body
