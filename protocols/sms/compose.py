"""From a text to what a link's submit_sms carry: the cheapest alphabet the link takes, cut as the
link wants it (3GPP TS 23.038 and TS 23.040 section 9.2.3.24, SMPP v3.4 section 5.3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from protocols.errors import LocalProtocolError
from protocols.sms import gsm7, national, septets, udh
from protocols.sms.dialect import DEFAULT_DIALECT, Charset, Long, TextDialect
from protocols.sms.languages import Language
from protocols.sms.reassembly import (
    TAG_MESSAGE_PAYLOAD,
    TAG_SAR_MSG_REF_NUM,
    TAG_SAR_SEGMENT_SEQNUM,
    TAG_SAR_TOTAL_SEGMENTS,
)
from protocols.sms.segment import (
    ESM_CLASS_UDHI,
    MAX_SEGMENTS,
    SINGLE_SEPTETS,
    septet_parts,
    ucs2_parts,
)

_SEGMENT_BYTES: Final = 140
_MARK_BYTES: Final = {Long.UDH8: 5, Long.UDH16: 6, Long.SAR: 6, Long.PAYLOAD: 5}
"""The concatenation element. With SAR and message_payload the carrier writes it; the parts of the
former leave room for the larger one."""


class Plan(NamedTuple):
    """How a text goes out over a link."""

    charset: Charset
    data_coding: int
    locking: Language | None
    single: Language | None
    pieces: int
    """submit_sms."""
    segments: int
    """Segments on the radio, which carriers bill: more than `pieces` only with message_payload."""


class Piece(NamedTuple):
    """One submit_sm's worth of a text."""

    payload: bytes
    """The short_message: header, if any, and text; empty when the text is in message_payload."""
    esm_class: int
    """The bits that this piece adds to esm_class (SMPP v3.4 section 5.2.12)."""
    data_coding: int
    tlvs: tuple[tuple[int, bytes], ...]


def plan(text: str, dialect: TextDialect = DEFAULT_DIALECT) -> Plan:
    """The way that takes the fewest segments. Of equal ones the first of: GSM alphabet, Latin-1,
    UCS-2, national tables (every phone reads the former). Any number of segments, without a
    limit."""
    return _best(text, dialect)[0]


def _best(text: str, dialect: TextDialect) -> tuple[Plan, list[bytes]]:
    best: tuple[Plan, list[bytes]] | None = None
    for charset, coding, locking, single in _ways(text, dialect):
        cut = _cut(text, charset, locking, single, dialect.long)
        count = len(cut)
        is_national = locking is not None or single is not None
        if is_national and count > 1 and dialect.long in (Long.SAR, Long.PAYLOAD):
            continue  # each part needs a header that only it could carry
        if best is None or count < best[0].segments:
            pieces = 1 if dialect.long is Long.PAYLOAD else count
            best = Plan(charset, coding, locking, single, pieces, count), cut
            if count == 1 or charset is Charset.GSM7:
                break
    if best is None:
        raise AssertionError("UCS-2 carries every text")
    return best


def compose(
    text: str, dialect: TextDialect, reference: int, chosen: Plan | None = None
) -> list[Piece]:
    """Encode and cut `text`; at least one piece, the same ones for the same arguments.

    `reference` marks the pieces of one text; the lower 8 or 16 bits of it are used. `chosen` is a
    plan for this text made before, to spare making it again. Raises LocalProtocolError for more
    than 255 segments.
    """
    gsm = dialect.gsm
    if chosen is not None:
        way = chosen
        cut = _cut(text, way.charset, way.locking, way.single, dialect.long)
    elif gsm is not None and gsm7.is_encodable(text):
        # The usual text, without weighing what else the link takes: nothing is cheaper.
        octets = gsm7.encode(text)
        if len(octets) <= SINGLE_SEPTETS and not dialect.is_packed:
            return [Piece(octets, 0, gsm, ())]
        way = Plan(Charset.GSM7, gsm, None, None, 0, 0)
        cut = _septets(octets, dialect.long)
    else:
        way, cut = _best(text, dialect)
    if len(cut) > MAX_SEGMENTS:
        raise LocalProtocolError(
            f"the text takes {len(cut)} segments; at most {MAX_SEGMENTS} can be"
        )
    tables = national.elements(way.locking, way.single)
    is_packed = dialect.is_packed and way.charset is Charset.GSM7
    if len(cut) == 1:
        return [_piece(tables, cut[0], way.data_coding, is_packed)]
    if dialect.long is Long.PAYLOAD:
        whole = septets.pack(b"".join(cut)) if is_packed else b"".join(cut)
        return [Piece(b"", 0, way.data_coding, ((TAG_MESSAGE_PAYLOAD, whole),))]
    if dialect.long is Long.SAR:
        return [
            _piece(b"", part, way.data_coding, is_packed)._replace(
                tlvs=_sar(reference, len(cut), number)
            )
            for number, part in enumerate(cut, 1)
        ]
    bits = 16 if dialect.long is Long.UDH16 else 8
    return [
        _piece(
            udh.concatenation_header(reference, len(cut), number, bits)[1:] + tables,
            part,
            way.data_coding,
            is_packed,
        )
        for number, part in enumerate(cut, 1)
    ]


def _piece(elements: bytes, part: bytes, data_coding: int, is_packed: bool) -> Piece:
    header = bytes((len(elements),)) + elements if elements else b""
    if is_packed:
        part = septets.pack(part, septets.fill_bits(len(header)))
    return Piece(header + part, ESM_CLASS_UDHI if header else 0, data_coding, ())


def _sar(reference: int, total: int, number: int) -> tuple[tuple[int, bytes], ...]:
    return (
        (TAG_SAR_MSG_REF_NUM, (reference & 0xFFFF).to_bytes(2, "big")),
        (TAG_SAR_TOTAL_SEGMENTS, bytes((total,))),
        (TAG_SAR_SEGMENT_SEQNUM, bytes((number,))),
    )


_Way = tuple[Charset, int, Language | None, Language | None]


def _ways(text: str, dialect: TextDialect) -> Iterator[_Way]:
    """The ways that can carry the text, in the order of preference."""
    if dialect.gsm is not None and gsm7.is_encodable(text):
        yield Charset.GSM7, dialect.gsm, None, None
    if dialect.latin1 is not None and _is_latin1(text):
        yield Charset.LATIN1, dialect.latin1, None, None
    yield Charset.UCS2, dialect.ucs2, None, None
    if dialect.gsm is None:
        return
    for locking in (None, *dialect.locking):
        for single in (None, *dialect.single):
            is_national = locking is not None or single is not None
            if is_national and national.is_encodable(text, locking, single):
                yield Charset.GSM7, dialect.gsm, locking, single


def _is_latin1(text: str) -> bool:
    """Whether Latin-1 holds the text; its control characters beyond CR and LF are none of it."""
    return _latin1_table().keys() >= set(text)


@cache
def _latin1_table() -> dict[str, bytes]:
    codes = (0x0A, 0x0D, *range(0x20, 0x7F), *range(0xA0, 0x100))
    return {chr(code): bytes((code,)) for code in codes}


def _cut(
    text: str, charset: Charset, locking: Language | None, single: Language | None, long: Long
) -> list[bytes]:
    """The text's octets, septets unpacked, in the parts that one segment each takes."""
    tables = len(national.elements(locking, single))
    header = 1 + _MARK_BYTES[long] + tables
    if charset is Charset.UCS2:
        octets = gsm7.encode_ucs2(text)
        if len(octets) <= _SEGMENT_BYTES:
            return [octets]
        return ucs2_parts(octets, (_SEGMENT_BYTES - header) // 2)
    if charset is Charset.LATIN1:
        return national.parts(text, _latin1_table(), _SEGMENT_BYTES, _SEGMENT_BYTES - header)
    if not tables:
        return _septets(gsm7.encode(text), long)
    first, size = septets.capacity(1 + tables), septets.capacity(header)
    return national.parts(text, national.codes(locking, single), first, size)


def _septets(octets: bytes, long: Long) -> list[bytes]:
    """Septets of the default alphabet in the parts that one segment each takes."""
    if len(octets) <= SINGLE_SEPTETS:
        return [octets]
    return septet_parts(octets, septets.capacity(1 + _MARK_BYTES[long]))
