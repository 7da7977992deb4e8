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
from protocols.smpp.pdu import (
    HEADER_BYTES,
    MAX_PDU_BYTES,
    Bare,
    Bind,
    BindResponse,
    Message,
    MessageResponse,
    Outbind,
    Pdu,
    RawPdu,
)
from protocols.smpp.tlv import Tlv, tag_name

_pack: Final = Struct(">4I").pack
_pack_tlv: Final = Struct(">HH").pack

MAX_SHORT_MESSAGE_BYTES: Final = 254
MAX_BODY_BYTES: Final = MAX_PDU_BYTES - HEADER_BYTES


def pack_header(body_bytes: int, command_id: int, status: int, sequence: int) -> bytes:
    """The header (section 3.2) of a PDU whose body has `body_bytes` octets."""
    return _pack(HEADER_BYTES + body_bytes, command_id, status, sequence)


def _string(value: str, limit: int, name: str) -> bytes:
    """A C-octet string without its NUL; `limit` counts octets without the NUL too."""
    try:
        octets = value.encode("latin-1")
    except UnicodeEncodeError:
        raise LocalProtocolError(f"{name} has characters outside latin-1") from None
    if len(octets) > limit:
        raise LocalProtocolError(f"{name} has {len(octets)} octets, the limit is {limit}")
    if 0 in octets:
        raise LocalProtocolError(f"{name} contains a NUL")
    return octets


def _octet(value: int, name: str) -> int:
    if not 0 <= value <= 255:
        raise LocalProtocolError(f"{name} is {value}, not within 0 to 255")
    return value


def encode_tlvs(tlvs: Iterable[Tlv]) -> bytes:
    """Optional parameters one after the other (section 3.2.4.1)."""
    parts: list[bytes] = []
    for tag, value in tlvs:
        if not 0 <= tag <= 0xFFFF:
            raise LocalProtocolError(f"tag {tag} is not within 0 to 65535")
        if len(value) > 0xFFFF:
            raise LocalProtocolError(f"{tag_name(tag)} has {len(value)} octets, the limit is 65535")
        parts += (_pack_tlv(tag, len(value)), value)
    return b"".join(parts)


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
        raise LocalProtocolError(
            f"short_message has {len(payload)} octets, the limit is {MAX_SHORT_MESSAGE_BYTES}"
        )
    try:
        body = b"%b\0%c%c%b\0%c%c%b\0%c%c%c%b\0%b\0%c%c%c%c%c%b%b" % (
            _string(service_type, 5, "service_type") if service_type else b"",
            source_ton,
            source_npi,
            _string(source, 20, "source_addr"),
            dest_ton,
            dest_npi,
            _string(dest, 20, "destination_addr"),
            esm_class,
            protocol_id,
            priority,
            _string(schedule, 16, "schedule_delivery_time") if schedule else b"",
            _string(validity, 16, "validity_period") if validity else b"",
            registered_delivery,
            replace_if_present,
            data_coding,
            default_id,
            len(payload),
            payload,
            encode_tlvs(tlvs) if tlvs else b"",
        )
    except OverflowError:
        _octet(source_ton, "source_addr_ton")
        _octet(source_npi, "source_addr_npi")
        _octet(dest_ton, "dest_addr_ton")
        _octet(dest_npi, "dest_addr_npi")
        _octet(esm_class, "esm_class")
        _octet(protocol_id, "protocol_id")
        _octet(priority, "priority_flag")
        _octet(registered_delivery, "registered_delivery")
        _octet(replace_if_present, "replace_if_present_flag")
        _octet(data_coding, "data_coding")
        _octet(default_id, "sm_default_msg_id")
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


def _bind(b: Bind) -> bytes:
    return b"%b\0%b\0%b\0%c%c%c%b\0%b" % (
        _string(b.system_id, 15, "system_id"),
        _string(b.password, 8, "password"),
        _string(b.system_type, 12, "system_type"),
        _octet(b.interface_version, "interface_version"),
        _octet(b.addr_ton, "addr_ton"),
        _octet(b.addr_npi, "addr_npi"),
        _string(b.address_range, 40, "address_range"),
        encode_tlvs(b.tlvs),
    )


def encode_body(pdu: Pdu) -> bytes:
    """The octets behind the header."""
    match pdu:
        case Message():
            return _message(pdu)
        case MessageResponse():
            return _string(pdu.message_id, 64, "message_id") + b"\0" + encode_tlvs(pdu.tlvs)
        case Bind():
            return _bind(pdu)
        case BindResponse():
            return _string(pdu.system_id, 15, "system_id") + b"\0" + encode_tlvs(pdu.tlvs)
        case Outbind():
            system_id = _string(pdu.system_id, 15, "system_id")
            return b"%b\0%b\0" % (system_id, _string(pdu.password, 8, "password"))
        case RawPdu():
            return pdu.body
        case Bare():
            return b""


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
