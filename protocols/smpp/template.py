"""The bodies of many submit_sm that are alike: what they share is encoded once.

The layout is that of SMPP v3.4 section 4.4.1. A body is a head (all that comes before the
destination's digits), the destination, a tail, the length of the text and the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from protocols.errors import LocalProtocolError
from protocols.smpp.addresses import Address
from protocols.smpp.fields import (
    MAX_SHORT_MESSAGE_BYTES,
    check_text,
    encode_tlvs,
    octet,
    write_string,
)
from protocols.smpp.tlv import Tlv

_DEST_DIGITS: Final = 20


class SubmitTemplate:
    """What one link says the same in all its texts."""

    __slots__ = ("_fixed", "_registered_delivery", "_service_type", "_tails")

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
        self._tails: dict[tuple[int, int], bytes] = {}

    def head(self, source: Address, dest_ton: int, dest_npi: int) -> bytes:
        """All that comes before the destination's digits: to be kept for the texts that share it.

        Raises LocalProtocolError that names the field.
        """
        return b"%b\0%c%c%b\0%c%c" % (
            self._service_type,
            octet(source.ton, "source_addr_ton"),
            octet(source.npi, "source_addr_npi"),
            write_string(source.digits, 20, "source_addr"),
            octet(dest_ton, "dest_addr_ton"),
            octet(dest_npi, "dest_addr_npi"),
        )

    def body(
        self,
        head: bytes,
        dest: str,
        payload: bytes,
        esm_class: int = 0,
        data_coding: int = 0,
        validity: str = "",
        tlvs: Iterable[Tlv] = (),
    ) -> bytes:
        """The body of one submit_sm; the same bytes that `encode_submit_body` makes.

        `dest` has digits alone, or a plus sign before them. `payload`: at most 254 octets. Raises
        LocalProtocolError that names the field.
        """
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
