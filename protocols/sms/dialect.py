"""How one link wants its texts: alphabets, data_coding values, and what to do with long ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from protocols.sms.languages import LOCKING, SINGLE, Language

GSM: Final = 0
LATIN1: Final = 3
UCS2: Final = 8
"""The data_coding values of the standard (SMPP v3.4 section 5.2.19)."""


class Charset(Enum):
    """What the octets of a text mean."""

    GSM7 = "GSM"
    LATIN1 = "Latin-1"
    UCS2 = "UCS-2"


class Long(StrEnum):
    """How a text longer than one segment goes out."""

    UDH8 = "udh8"
    """In parts, each with a user data header with an 8-bit reference (TS 23.040
    section 9.2.3.24.1)."""
    UDH16 = "udh16"
    """The same with a 16-bit reference (section 9.2.3.24.8)."""
    SAR = "sar"
    """In parts that the parameters sar_msg_ref_num, sar_total_segments and sar_segment_seqnum tell
    apart (SMPP v3.4 sections 5.3.2.22 to 5.3.2.24)."""
    PAYLOAD = "payload"
    """Whole, in the parameter message_payload (section 5.3.2.32); the carrier cuts it."""


@dataclass(frozen=True, slots=True)
class TextDialect:
    """What a link takes. Numbers are its data_coding values; None: it does not take this alphabet.

    A link whose default alphabet is Latin-1 has `gsm=None, latin1=0`.
    """

    gsm: int | None = GSM
    is_packed: bool = False
    """Whether GSM texts go out, and come in, eight septets in seven octets."""
    latin1: int | None = None
    ucs2: int = UCS2
    locking: tuple[Language, ...] = ()
    """Languages whose locking shift tables the link lets pass."""
    single: tuple[Language, ...] = ()
    """Languages whose single shift tables it lets pass."""
    long: Long = Long.UDH8

    def __post_init__(self) -> None:
        """Raise ValueError for a data_coding that is none, a language without such a table, or
        languages without the alphabet that they extend."""
        for coding in (self.gsm, self.latin1, self.ucs2):
            if coding is not None and not 0 <= coding <= 255:
                raise ValueError(f"data_coding {coding} is not within 0 to 255")
        for language in self.locking:
            if language not in LOCKING:
                raise ValueError(f"{language.name.title()} has no locking shift table")
        for language in self.single:
            if language not in SINGLE:
                raise ValueError(f"{language.name.title()} has no single shift table")
        if self.gsm is None and (self.locking or self.single or self.is_packed):
            raise ValueError("shift tables and packing belong to the GSM alphabet")

    def standard_coding(self, data_coding: int) -> int:
        """The standard's value for one that came in over the link, for `reassembly.read`."""
        if data_coding == self.ucs2:
            return UCS2
        if data_coding == self.latin1:
            return LATIN1
        if data_coding == self.gsm:
            return GSM
        return data_coding


DEFAULT_DIALECT: Final = TextDialect()
