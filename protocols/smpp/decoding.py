"""From bytes to PDUs (SMPP v3.4 sections 3.2 and 4). Raises `PduError` and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from struct import error as StructError
from typing import Final

from protocols.smpp import commands, status
from protocols.smpp.fields import (
    MAX_MESSAGE_ID_BYTES,
    Fault,
    read_body,
    read_string,
    read_tlvs,
)
from protocols.smpp.layouts import BODILESS_ON_ERROR, LAYOUTS
from protocols.smpp.operations import Pdu
from protocols.smpp.pdu import (
    HEADER_BYTES,
    MAX_PDU_BYTES,
    Bare,
    Bind,
    BindResponse,
    Message,
    MessageResponse,
    PduError,
    RawPdu,
)

_header: Final = Struct(">4I").unpack_from
_length: Final = Struct(">I").unpack_from
_new_message: Final = Message.__new__

_MESSAGE_STRINGS: Final = (
    ("service_type", 5, status.ESME_RINVSERTYP),
    ("source", 20, status.ESME_RINVSRCADR),
    ("dest", 20, status.ESME_RINVDSTADR),
    ("schedule", 16, status.ESME_RINVSCHED),
    ("validity", 16, status.ESME_RINVEXPIRY),
)
_LAST_PAYLOAD_START: Final = HEADER_BYTES + 94
"""Where short_message begins when every field before it has its greatest length."""


def frames(data: bytes, limit: int = MAX_PDU_BYTES) -> tuple[list[bytes], bytes]:
    """Cut a stream into whole PDUs; returns them and the rest, to be put before what comes next.

    A command_length under 16 or over `limit` octets is refused as soon as its four octets are
    there: `PduError` with `is_framing_lost`. PDUs before it are returned first; the error comes
    with the next call.
    """
    found: list[bytes] = []
    start, end_of_data = 0, len(data)
    while end_of_data - start >= 4:
        (length,) = _length(data, start)
        if length < HEADER_BYTES or length > limit:
            if found:
                break
            raise PduError(
                f"command_length {length} is not within {HEADER_BYTES} to {limit}",
                status.ESME_RINVCMDLEN,
                is_framing_lost=True,
            )
        end = start + length
        if end > end_of_data:
            break
        found.append(data[start:end])
        start = end
    return found, data[start:] if start else data


def decode(frame: bytes) -> Pdu:
    """Read one whole PDU as `frames` cuts it.

    Unknown commands become `RawPdu`. Octets behind the fields of a PDU without optional parameters
    are ignored, as section 3.3.1 asks of implementations that meet newer versions.
    """
    if len(frame) < HEADER_BYTES:
        raise PduError("the header is truncated", status.ESME_RINVCMDLEN, is_framing_lost=True)
    length, command_id, command_status, sequence = _header(frame)
    if length != len(frame):
        raise PduError(
            f"command_length is {length}, the frame has {len(frame)} octets",
            status.ESME_RINVCMDLEN,
            command_id=command_id,
            status=command_status,
            sequence=sequence,
            is_framing_lost=True,
        )
    decoder = _DECODERS.get(command_id)
    if decoder is None:
        return RawPdu(command_id, command_status, sequence, frame[HEADER_BYTES:])
    try:
        return decoder(frame, command_id, command_status, sequence)
    except Fault as fault:
        reason, hint = str(fault), fault.status_hint
    except (ValueError, IndexError, StructError):
        reason, hint = "a field is truncated", status.ESME_RINVCMDLEN
    raise PduError(
        f"{commands.command_name(command_id)}: {reason}",
        hint,
        command_id=command_id,
        status=command_status,
        sequence=sequence,
    )


def _message(frame: bytes, command_id: int, command_status: int, sequence: int) -> Message:
    """submit_sm and deliver_sm. The hot path: straight-line, one attribute after the other."""
    m = _new_message(Message)
    m.command_id = command_id
    m.status = command_status
    m.sequence = sequence
    nul = frame.index
    e = nul(0, 16)
    m.service_type = frame[16:e].decode("latin-1")
    m.source_ton = frame[e + 1]
    m.source_npi = frame[e + 2]
    i = e + 3
    e = nul(0, i)
    m.source = frame[i:e].decode("latin-1")
    m.dest_ton = frame[e + 1]
    m.dest_npi = frame[e + 2]
    i = e + 3
    e = nul(0, i)
    m.dest = frame[i:e].decode("latin-1")
    m.esm_class = frame[e + 1]
    m.protocol_id = frame[e + 2]
    m.priority = frame[e + 3]
    i = e + 4
    e = nul(0, i)
    m.schedule = frame[i:e].decode("latin-1")
    i = e + 1
    e = nul(0, i)
    m.validity = frame[i:e].decode("latin-1")
    m.registered_delivery = frame[e + 1]
    m.replace_if_present = frame[e + 2]
    m.data_coding = frame[e + 3]
    m.default_id = frame[e + 4]
    start = e + 6
    end = start + frame[e + 5]
    size = len(frame)
    if end > size:
        raise Fault("sm_length reaches past the end", status.ESME_RINVMSGLEN)
    m.payload = frame[start:end]
    m.tlvs = read_tlvs(frame, end) if end < size else []
    if start > _LAST_PAYLOAD_START:
        _refuse_long_strings(m)
    return m


def _refuse_long_strings(message: Message) -> None:
    """Raise for the field that is too long. Called only when all together are, so that a carrier's
    odd but short excess passes and nothing unbounded does."""
    for name, limit, hint in _MESSAGE_STRINGS:
        size = len(getattr(message, name))
        if size > limit:
            raise Fault(f"{name} has {size} octets, the limit is {limit}", hint)


def _message_response(
    frame: bytes, command_id: int, command_status: int, sequence: int
) -> MessageResponse:
    """A body may be missing: section 4.4.2 leaves it out on errors, some peers always do."""
    size = len(frame)
    if size == HEADER_BYTES:
        return MessageResponse(command_id, command_status, sequence, "", [])
    e = frame.index(0, HEADER_BYTES)
    if e - HEADER_BYTES > MAX_MESSAGE_ID_BYTES:
        raise Fault("message_id is too long", status.ESME_RINVMSGID)
    message_id = frame[HEADER_BYTES:e].decode("latin-1")
    tlvs = read_tlvs(frame, e + 1) if e + 1 < size else []
    return MessageResponse(command_id, command_status, sequence, message_id, tlvs)


def _bind(frame: bytes, command_id: int, command_status: int, sequence: int) -> Bind:
    system_id, i = read_string(frame, 16, 15, "system_id", status.ESME_RINVSYSID)
    password, i = read_string(frame, i, 8, "password", status.ESME_RINVPASWD)
    system_type, i = read_string(frame, i, 12, "system_type", status.ESME_RINVSYSTYP)
    version, ton, npi = frame[i], frame[i + 1], frame[i + 2]
    address_range, i = read_string(frame, i + 3, 40, "address_range", status.ESME_RINVPARLEN)
    return Bind(
        command_id=command_id,
        status=command_status,
        sequence=sequence,
        system_id=system_id,
        password=password,
        system_type=system_type,
        interface_version=version,
        addr_ton=ton,
        addr_npi=npi,
        address_range=address_range,
        tlvs=read_tlvs(frame, i),
    )


def _bind_response(
    frame: bytes, command_id: int, command_status: int, sequence: int
) -> BindResponse:
    if len(frame) == HEADER_BYTES:
        return BindResponse(command_id, command_status, sequence)
    system_id, i = read_string(frame, 16, 15, "system_id", status.ESME_RINVSYSID)
    return BindResponse(command_id, command_status, sequence, system_id, read_tlvs(frame, i))


def _by_layout(frame: bytes, command_id: int, command_status: int, sequence: int) -> Pdu:
    """The rarer PDUs, by their tables."""
    make, layout = LAYOUTS[command_id]
    pdu: Pdu = make()
    pdu.command_id, pdu.status, pdu.sequence = command_id, command_status, sequence
    if len(frame) > HEADER_BYTES or command_id not in BODILESS_ON_ERROR:
        read_body(frame, HEADER_BYTES, pdu, layout)
    return pdu


def _bare(frame: bytes, command_id: int, command_status: int, sequence: int) -> Bare:
    return Bare(command_id, command_status, sequence)


_DECODERS: Final[dict[int, Callable[[bytes, int, int, int], Pdu]]] = {
    commands.SUBMIT_SM_RESP: _message_response,
    commands.DELIVER_SM_RESP: _message_response,
    commands.SUBMIT_SM: _message,
    commands.DELIVER_SM: _message,
    commands.BIND_RECEIVER: _bind,
    commands.BIND_TRANSMITTER: _bind,
    commands.BIND_TRANSCEIVER: _bind,
    commands.BIND_RECEIVER_RESP: _bind_response,
    commands.BIND_TRANSMITTER_RESP: _bind_response,
    commands.BIND_TRANSCEIVER_RESP: _bind_response,
    commands.UNBIND: _bare,
    commands.UNBIND_RESP: _bare,
    commands.ENQUIRE_LINK: _bare,
    commands.ENQUIRE_LINK_RESP: _bare,
    commands.GENERIC_NACK: _bare,
    commands.CANCEL_SM_RESP: _bare,
    commands.REPLACE_SM_RESP: _bare,
    commands.CANCEL_BROADCAST_SM_RESP: _bare,
    commands.DATA_SM_RESP: _message_response,
    commands.BROADCAST_SM_RESP: _message_response,
    commands.QUERY_BROADCAST_SM_RESP: _message_response,
    **dict.fromkeys(LAYOUTS, _by_layout),
}
