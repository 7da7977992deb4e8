"""RTCP packets (RFC 3550 section 6): reports, CNAME and BYE; others are skipped."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

from protocols.errors import LocalProtocolError
from protocols.rtp.packet import MAX_PACKET_BYTES, RtpError

SR: Final = 200
RR: Final = 201
SDES: Final = 202
BYE: Final = 203
CNAME: Final = 1
MAX_REPORTS: Final = 31

_HEAD: Final = struct.Struct("!BBH")
_SENDER: Final = struct.Struct("!IQIII")
_BLOCK: Final = struct.Struct("!IIIIII")
_WORD: Final = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class ReceptionReport:
    """How one side hears a stream. `fraction_lost` in 256ths; `jitter` in timestamp units;
    `last_sr` the middle 32 bits of the NTP time of the last SR; `delay` since it, in 1/65536 s."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_sr: int
    delay: int


@dataclass(frozen=True, slots=True)
class SenderReport:
    """`ntp` is the 64-bit time of the report, `timestamp` the same in units of the stream."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    reports: tuple[ReceptionReport, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    ssrc: int
    reports: tuple[ReceptionReport, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """The CNAME of a source; other items are not read."""

    ssrc: int
    cname: str


@dataclass(frozen=True, slots=True)
class Bye:
    ssrcs: tuple[int, ...]


Rtcp: TypeAlias = SenderReport | ReceiverReport | SourceDescription | Bye


def parse(data: bytes) -> list[Rtcp]:
    """Read a compound packet as appendix A.2 validates it: the first is SR or RR, versions and
    lengths fit exactly, only the last is padded. Raises RtpError."""
    if len(data) < 8 or len(data) % 4 or len(data) > MAX_PACKET_BYTES:
        raise RtpError(f"{len(data)} octets are no compound packet")
    if data[0] & 0xE0 != 0x80 or data[1] not in (SR, RR):
        raise RtpError("a compound packet begins with a report")
    found: list[Rtcp] = []
    start = 0
    while start < len(data):
        first, kind, words = _HEAD.unpack_from(data, start)
        end = start + 4 + 4 * words
        if first >> 6 != 2 or end > len(data):
            raise RtpError("a packet in the compound is malformed")
        body = data[start + 4 : end]
        if first & 0x20:
            body = _unpadded(body, is_last=end == len(data))
        reader = _READERS.get(kind)
        if reader is not None:
            found.extend(reader(first & 0x1F, body))
        start = end
    return found


def _unpadded(body: bytes, *, is_last: bool) -> bytes:
    padding = body[-1] if body else 0
    if not is_last or not padding or padding % 4 or padding > len(body):
        raise RtpError("the padding of a compound is malformed")
    return body[:-padding]


def _read_sender(count: int, body: bytes) -> list[Rtcp]:
    if len(body) < _SENDER.size:
        raise RtpError("the sender report is cut short")
    ssrc, ntp, timestamp, packets, octets = _SENDER.unpack_from(body)
    blocks = _blocks(count, body, _SENDER.size)
    return [SenderReport(ssrc, ntp, timestamp, packets, octets, blocks)]


def _read_receiver(count: int, body: bytes) -> list[Rtcp]:
    if len(body) < 4:
        raise RtpError("the receiver report is cut short")
    return [ReceiverReport(_WORD.unpack_from(body)[0], _blocks(count, body, 4))]


def _blocks(count: int, body: bytes, start: int) -> tuple[ReceptionReport, ...]:
    if start + count * _BLOCK.size > len(body):
        raise RtpError("the report blocks are cut short")
    return tuple(_block(body, start + n * _BLOCK.size) for n in range(count))


def _block(body: bytes, start: int) -> ReceptionReport:
    ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(body, start)
    lost = loss & 0xFFFFFF
    if lost & 0x800000:
        lost -= 1 << 24
    return ReceptionReport(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay)


def _read_description(count: int, body: bytes) -> list[Rtcp]:
    found: list[Rtcp] = []
    start = 0
    for _ in range(count):
        if start + 4 > len(body):
            raise RtpError("the source description is cut short")
        ssrc = _WORD.unpack_from(body, start)[0]
        start += 4
        while start < len(body) and (kind := body[start]):
            if start + 2 > len(body) or start + 2 + body[start + 1] > len(body):
                raise RtpError("the source description is cut short")
            value = body[start + 2 : start + 2 + body[start + 1]]
            if kind == CNAME:
                found.append(SourceDescription(ssrc, value.decode("utf-8", "replace")))
            start += 2 + len(value)
        start = start // 4 * 4 + 4
    return found


def _read_bye(count: int, body: bytes) -> list[Rtcp]:
    if 4 * count > len(body):
        raise RtpError("the BYE is cut short")
    return [Bye(struct.unpack_from(f"!{count}I", body))]


_READERS: Final = {
    SR: _read_sender,
    RR: _read_receiver,
    SDES: _read_description,
    BYE: _read_bye,
}


def build(*packets: Rtcp) -> bytes:
    """Write a compound packet; the order is the caller's. Raises LocalProtocolError for fields out
    of range."""
    try:
        return b"".join(map(_write, packets))
    except struct.error as error:
        raise LocalProtocolError(f"a field is out of range: {error}") from None


def _write(packet: Rtcp) -> bytes:
    match packet:
        case SenderReport(ssrc, ntp, timestamp, sent, octets, reports):
            body = _SENDER.pack(ssrc, ntp, timestamp, sent, octets) + _write_blocks(reports)
            return _framed(SR, len(reports), body)
        case ReceiverReport(ssrc, reports):
            return _framed(RR, len(reports), _WORD.pack(ssrc) + _write_blocks(reports))
        case SourceDescription(ssrc, cname):
            name = cname.encode()[:255]
            item = bytes((CNAME, len(name))) + name
            return _framed(SDES, 1, _WORD.pack(ssrc) + item + bytes(4 - len(item) % 4))
        case Bye(ssrcs):
            return _framed(BYE, len(ssrcs), struct.pack(f"!{len(ssrcs)}I", *ssrcs))


def _framed(kind: int, count: int, body: bytes) -> bytes:
    if count > MAX_REPORTS:
        raise LocalProtocolError(f"{count} blocks do not fit into one packet")
    return _HEAD.pack(0x80 | count, kind, len(body) // 4) + body


def _write_blocks(reports: tuple[ReceptionReport, ...]) -> bytes:
    return b"".join(
        _BLOCK.pack(
            each.ssrc,
            each.fraction_lost << 24 | max(-0x800000, min(each.lost, 0x7FFFFF)) & 0xFFFFFF,
            each.highest & 0xFFFFFFFF,
            each.jitter,
            each.last_sr,
            each.delay,
        )
        for each in reports
    )
