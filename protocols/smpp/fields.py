"""Single fields of a body, read and written: strings, recipients, optional parameters (SMPP v3.4
sections 3.1, 3.2.4.1, 4.5.1.1 and 4.5.2.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any, Final

from protocols.errors import LocalProtocolError
from protocols.smpp import status
from protocols.smpp.layouts import Field, Kind
from protocols.smpp.operations import (
    MAX_DESTINATIONS,
    DestAddress,
    Destination,
    DistributionList,
    Unsuccess,
)
from protocols.smpp.pdu import MAX_TLVS
from protocols.smpp.tlv import Tlv, tag_name

_tlv: Final = Struct(">HH").unpack_from
_word: Final = Struct(">I").unpack_from
_pack_tlv: Final = Struct(">HH").pack

MAX_SHORT_MESSAGE_BYTES: Final = 254
MAX_MESSAGE_ID_BYTES: Final = 255
"""The standard allows 64 octets; more are taken from carriers that do not care, within reason."""

_FLAG_ADDRESS: Final = 1
_FLAG_LIST: Final = 2


class Fault(Exception):
    """What is wrong with a body, before the header's fields are added."""

    def __init__(self, message: str, status_hint: int) -> None:
        super().__init__(message)
        self.status_hint = status_hint


# ---------------------------------------------------------------------- reading


def read_string(frame: bytes, start: int, limit: int, name: str, hint: int) -> tuple[str, int]:
    """A C-octet string and where the next field begins; ValueError without a NUL."""
    end = frame.index(0, start)
    if end - start > limit:
        raise Fault(f"{name} has {end - start} octets, the limit is {limit}", hint)
    return frame[start:end].decode("latin-1"), end + 1


def read_tlvs(frame: bytes, start: int) -> list[Tlv]:
    """Optional parameters from `start` to the end of the frame."""
    found: list[Tlv] = []
    end_of_frame = len(frame)
    while start < end_of_frame:
        if end_of_frame - start < 4:
            raise Fault("an optional parameter is truncated", status.ESME_RINVOPTPARSTREAM)
        if len(found) == MAX_TLVS:
            raise Fault(f"more than {MAX_TLVS} optional parameters", status.ESME_RINVOPTPARSTREAM)
        tag, length = _tlv(frame, start)
        start += 4
        end = start + length
        if end > end_of_frame:
            raise Fault("an optional parameter reaches past the end", status.ESME_RINVPARLEN)
        found.append((tag, frame[start:end]))
        start = end
    return found


def read_body(frame: bytes, start: int, pdu: Any, layout: Sequence[Field]) -> None:
    """Set the attributes of `pdu` by its layout. Octets behind the last field are ignored."""
    for kind, attribute, name, limit, hint in layout:
        value: object
        match kind:
            case Kind.STRING:
                if hint == status.ESME_RINVMSGID:
                    limit = MAX_MESSAGE_ID_BYTES
                value, start = read_string(frame, start, limit, name, hint)
            case Kind.OCTET:
                value, start = frame[start], start + 1
            case Kind.TEXT:
                value, start = _read_text(frame, start)
            case Kind.DESTINATIONS:
                value, start = _read_destinations(frame, start)
            case Kind.UNSUCCESS:
                value, start = _read_unsuccess(frame, start)
            case Kind.TLVS:
                value = read_tlvs(frame, start)
        setattr(pdu, attribute, value)


def _read_text(frame: bytes, start: int) -> tuple[bytes, int]:
    end = start + 1 + frame[start]
    if end > len(frame):
        raise Fault("sm_length reaches past the end", status.ESME_RINVMSGLEN)
    return frame[start + 1 : end], end


def _read_destinations(frame: bytes, start: int) -> tuple[list[Destination], int]:
    number = frame[start]
    if not 1 <= number <= MAX_DESTINATIONS:
        raise Fault(f"number_of_dests is {number}", status.ESME_RINVNUMDESTS)
    start += 1
    found: list[Destination] = []
    for _ in range(number):
        flag = frame[start]
        if flag == _FLAG_ADDRESS:
            ton, npi = frame[start + 1], frame[start + 2]
            address, start = read_string(
                frame, start + 3, 20, "destination_addr", status.ESME_RINVDSTADR
            )
            found.append(DestAddress(ton, npi, address))
        elif flag == _FLAG_LIST:
            name, start = read_string(frame, start + 1, 20, "dl_name", status.ESME_RINVDLNAME)
            found.append(DistributionList(name))
        else:
            raise Fault(f"dest_flag is {flag}", status.ESME_RINVDESTFLAG)
    return found, start


def _read_unsuccess(frame: bytes, start: int) -> tuple[list[Unsuccess], int]:
    number = frame[start]
    start += 1
    found = []
    for _ in range(number):
        ton, npi = frame[start], frame[start + 1]
        address, start = read_string(
            frame, start + 2, 20, "destination_addr", status.ESME_RINVDSTADR
        )
        (error,) = _word(frame, start)
        start += 4
        found.append(Unsuccess(ton, npi, address, error))
    return found, start


# ---------------------------------------------------------------------- writing


def write_string(value: str, limit: int, name: str) -> bytes:
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


def octet(value: int, name: str) -> int:
    """`value` if it fits an octet."""
    if not 0 <= value <= 255:
        raise LocalProtocolError(f"{name} is {value}, not within 0 to 255")
    return value


def check_text(payload: bytes) -> None:
    """Raise LocalProtocolError for a short_message that is too long."""
    if len(payload) > MAX_SHORT_MESSAGE_BYTES:
        raise LocalProtocolError(
            f"short_message has {len(payload)} octets, the limit is {MAX_SHORT_MESSAGE_BYTES}"
        )


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


def write_body(pdu: Any, layout: Sequence[Field]) -> bytes:
    """The body of `pdu` by its layout."""
    parts: list[bytes] = []
    for kind, attribute, name, limit, _ in layout:
        value = getattr(pdu, attribute)
        match kind:
            case Kind.STRING:
                parts += (write_string(value, limit, name), b"\0")
            case Kind.OCTET:
                parts.append(bytes((octet(value, name),)))
            case Kind.TEXT:
                check_text(value)
                parts += (bytes((len(value),)), value)
            case Kind.DESTINATIONS:
                parts.append(_write_destinations(value))
            case Kind.UNSUCCESS:
                parts.append(_write_unsuccess(value))
            case Kind.TLVS:
                parts.append(encode_tlvs(value))
    return b"".join(parts)


def _write_destinations(dests: Sequence[Destination]) -> bytes:
    if not 1 <= len(dests) <= MAX_DESTINATIONS:
        raise LocalProtocolError(
            f"number_of_dests is {len(dests)}, not within 1 to {MAX_DESTINATIONS}"
        )
    parts = [bytes((len(dests),))]
    for dest in dests:
        if isinstance(dest, DistributionList):
            parts.append(b"\x02%b\0" % write_string(dest.name, 20, "dl_name"))
            continue
        ton, npi = octet(dest.ton, "dest_addr_ton"), octet(dest.npi, "dest_addr_npi")
        address = write_string(dest.address, 20, "destination_addr")
        parts.append(b"\x01%c%c%b\0" % (ton, npi, address))
    return b"".join(parts)


def _write_unsuccess(refused: Sequence[Unsuccess]) -> bytes:
    if len(refused) > 255:
        raise LocalProtocolError(f"no_unsuccess is {len(refused)}, the limit is 255")
    parts = [bytes((len(refused),))]
    for ton, npi, address, error in refused:
        if not 0 <= error <= 0xFFFFFFFF:
            raise LocalProtocolError(f"error_status_code is {error}, not within 32 bits")
        parts.append(
            b"%c%c%b\0%b"
            % (
                octet(ton, "dest_addr_ton"),
                octet(npi, "dest_addr_npi"),
                write_string(address, 20, "destination_addr"),
                error.to_bytes(4, "big"),
            )
        )
    return b"".join(parts)
