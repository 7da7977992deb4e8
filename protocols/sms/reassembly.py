"""Putting together what arrives in parts.

A deliver_sm carries one part of a text, or all of it. What says which part is either a User
Data Header (3GPP TS 23.040 §9.2.3.24), or the SAR parameters of SMPP (v3.4 §5.3.2.22 to
§5.3.2.24); a long text may also come whole in message_payload (§5.3.2.32). This core reads
that and decides; who stores the parts until the last one comes is somebody else's business.
Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from typing import Final

from protocols.sms import gsm7, national, septets, udh
from protocols.sms.segment import ESM_CLASS_UDHI

TAG_SAR_MSG_REF_NUM: Final = 0x020C
TAG_SAR_TOTAL_SEGMENTS: Final = 0x020E
TAG_SAR_SEGMENT_SEQNUM: Final = 0x020F
TAG_MESSAGE_PAYLOAD: Final = 0x0424

_IA5: Final = 0x01
_UCS2: Final = 0x08

GAP: Final = "[…]"
"""What stands in a joined text where parts are missing."""


class Scheme(IntEnum):
    """How a part was marked; equal references under different schemes are different texts."""

    SINGLE = 0
    UDH_8_BIT = 1
    UDH_16_BIT = 2
    SAR = 3


@dataclass(frozen=True, slots=True)
class Part:
    """What one deliver_sm brought of a text."""

    scheme: Scheme
    reference: int | None
    """The sender's mark for the parts of one text, 0 to 65535; None for a text in one piece."""
    total: int
    """1 to 255."""
    number: int
    """1 to `total`."""
    text_bytes: bytes
    """The text's octets without header, still encoded: a character may be cut at the end."""
    data_coding: int

    @property
    def group(self) -> int | None:
        """Scheme and reference in one number below 2**18; None for a text in one piece.

        Parts of one text share source address, destination address, group and total
        (TS 23.040 §9.2.3.24.1).
        """
        return None if self.reference is None else self.scheme << 16 | self.reference


@dataclass(frozen=True, slots=True)
class Joined:
    """A text put together."""

    text: str
    """All that came, in order, with `GAP` for each stretch that did not."""
    missing: list[int]
    """The numbers of the parts that did not come; empty for a whole text."""


def user_data(short_message: bytes, tlvs: Sequence[tuple[int, bytes]]) -> bytes:
    """The octets of the message: short_message, or message_payload where that is empty."""
    return short_message or _tlv(tlvs, TAG_MESSAGE_PAYLOAD) or b""


def read(
    short_message: bytes,
    esm_class: int,
    data_coding: int,
    tlvs: Sequence[tuple[int, bytes]] = (),
    *,
    is_packed: bool = False,
) -> Part:
    """Read one deliver_sm's fields as a part of a text; never raises.

    A header goes before the SAR parameters. Marks that make no sense (total 0, number 0 or
    beyond total) are ignored: then the part is a text of its own. With `is_packed` septets come
    packed into octets. Septets of national language tables (TS 23.038 section 6.2.1.2) become
    UCS-2 here, since only this part's own header tells the language; also those that call
    themselves IA5, which has no such tables.
    """
    text_bytes = user_data(short_message, tlvs)
    header = udh.parse(text_bytes) if esm_class & ESM_CLASS_UDHI else None
    header_bytes = 0
    if header is not None:
        header_bytes = len(text_bytes) - len(header.body)
        text_bytes = header.body
    is_septets = gsm7.is_septets(data_coding)
    if is_septets and is_packed:
        text_bytes = septets.unpack(text_bytes, septets.fill_bits(header_bytes))
    if header is not None and (is_septets or data_coding == _IA5):
        locking, single = national.announced(header.elements)
        if locking is not None or single is not None:
            text = national.decode(text_bytes, locking, single)
            text_bytes, data_coding = text.encode("utf-16-be"), _UCS2
    if header is not None and (mark := header.concatenation):
        scheme = Scheme.UDH_16_BIT if mark.reference_bits == 16 else Scheme.UDH_8_BIT
        return _part(scheme, mark.reference, mark.total, mark.number, text_bytes, data_coding)
    reference, total, number = (
        _small_integer(_tlv(tlvs, tag))
        for tag in (TAG_SAR_MSG_REF_NUM, TAG_SAR_TOTAL_SEGMENTS, TAG_SAR_SEGMENT_SEQNUM)
    )
    if reference is None or total is None or number is None or not 1 <= number <= total <= 255:
        return Part(Scheme.SINGLE, None, 1, 1, text_bytes, data_coding)
    return _part(Scheme.SAR, reference, total, number, text_bytes, data_coding)


def is_complete(numbers: Collection[int], total: int) -> bool:
    """Whether the parts with these numbers (repeats allowed) make up a text of `total` parts."""
    return len(numbers) >= total and set(numbers) >= set(range(1, total + 1))


def join(parts: Iterable[Part]) -> Joined:
    """Put parts of one text together, in whatever order they come; never raises.

    Octets are joined before they are decoded, so that a character which the sender cut in two
    survives. Of a part that came twice the first copy counts; `total` is the first part's.
    """
    by_number: dict[int, Part] = {}
    for part in parts:
        by_number.setdefault(part.number, part)
    if not by_number:
        return Joined("", [])
    total = next(iter(by_number.values())).total
    runs = groupby(range(1, total + 1), key=lambda number: _coding(by_number.get(number)))
    text = "".join(
        GAP
        if coding is None
        else gsm7.decode(b"".join(by_number[number].text_bytes for number in numbers), coding)
        for coding, numbers in runs
    )
    return Joined(text, [number for number in range(1, total + 1) if number not in by_number])


def _coding(part: Part | None) -> int | None:
    return None if part is None else part.data_coding


def _part(
    scheme: Scheme, reference: int, total: int, number: int, text_bytes: bytes, data_coding: int
) -> Part:
    if total == 1:
        return Part(Scheme.SINGLE, None, 1, 1, text_bytes, data_coding)
    return Part(scheme, reference, total, number, text_bytes, data_coding)


def _tlv(tlvs: Sequence[tuple[int, bytes]], tag: int) -> bytes | None:
    return next((value for found, value in tlvs if found == tag), None)


def _small_integer(value: bytes | None) -> int | None:
    """One or two octets as a number: senders disagree about the width of these parameters."""
    return int.from_bytes(value, "big") if value is not None and 1 <= len(value) <= 2 else None
