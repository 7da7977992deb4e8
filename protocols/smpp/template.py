"""The bodies of many submit_sm that are alike: what they share is encoded once.

The layout is that of SMPP v3.4 section 4.4.1. A body is a head (all that comes before the
destination's digits), the destination, a tail, the length of the text and the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocols.errors import LocalProtocolError
from protocols.smpp.fields import (
    MAX_SHORT_MESSAGE_BYTES,
    check_text,
    encode_tlvs,
    octet,
    write_string,
)
from protocols.smpp.tlv import Tlv

_HEADS_MAX: Final = 10_000
_DEST_DIGITS: Final = 20


class SubmitTemplate:
    """What one link says the same in all its texts."""

    __slots__ = ("_fixed", "_heads", "_registered_delivery", "_service_type", "_tails")

    def __init__(
        self,
        *,
        service_type: str = "",
        registered_delivery: int = 0,
        tlvs: Iterable[Tlv] = (),
    ) -> None:
        """Raises LocalProtocolError for what does not fit its field."""
        self._service_type = write_string(service_type, 5, "service_type")
        self._registered_delivery = octet(registered_delivery, "registered_delivery")
        self._fixed = encode_tlvs(tlvs)
        self._heads: dict[tuple[str, int, int, int, int], bytes] = {}
        self._tails: dict[tuple[int, int], bytes] = {}

    def body(
        self,
        source: str,
        dest: str,
        payload: bytes,
        *,
        source_ton: int = 0,
        source_npi: int = 0,
        dest_ton: int = 0,
        dest_npi: int = 0,
        esm_class: int = 0,
        data_coding: int = 0,
        validity: str = "",
        tlvs: Iterable[Tlv] = (),
    ) -> bytes:
        """The body of one submit_sm; the same bytes that `encode_submit_body` makes.

        `dest` has digits alone, or a plus sign before them. `payload`: at most 254 octets. Raises
        LocalProtocolError that names the field.
        """
        key = (source, source_ton, source_npi, dest_ton, dest_npi)
        head = self._heads.get(key)
        if head is None:
            head = self._head(*key)
        if len(dest) > _DEST_DIGITS or not dest.isascii() or not dest.removeprefix("+").isdigit():
            raise LocalProtocolError("destination_addr is no number of at most 20 digits")
        tail = self._tails.get((esm_class, data_coding)) if not validity else None
        if tail is None:
            tail = self._tail(esm_class, data_coding, validity)
        size = len(payload)
        if size > MAX_SHORT_MESSAGE_BYTES:
            check_text(payload)
        body = b"%b%b%b%c%b%b" % (head, dest.encode(), tail, size, payload, self._fixed)
        return body + encode_tlvs(tlvs) if tlvs else body

    def _head(
        self, source: str, source_ton: int, source_npi: int, dest_ton: int, dest_npi: int
    ) -> bytes:
        head = b"%b\0%c%c%b\0%c%c" % (
            self._service_type,
            octet(source_ton, "source_addr_ton"),
            octet(source_npi, "source_addr_npi"),
            write_string(source, 20, "source_addr"),
            octet(dest_ton, "dest_addr_ton"),
            octet(dest_npi, "dest_addr_npi"),
        )
        if len(self._heads) >= _HEADS_MAX:
            self._heads.clear()
        self._heads[source, source_ton, source_npi, dest_ton, dest_npi] = head
        return head

    def _tail(self, esm_class: int, data_coding: int, validity: str) -> bytes:
        tail = b"\0%c\0\0\0%b\0%c\0%c\0" % (
            octet(esm_class, "esm_class"),
            write_string(validity, 16, "validity_period"),
            self._registered_delivery,
            octet(data_coding, "data_coding"),
        )
        if not validity:
            self._tails[esm_class, data_coding] = tail
        return tail
