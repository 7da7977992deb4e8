"""A message as the bodies of the submit_sms that carry it (SMPP v3.4 section 4.4.1), written as its
link's carrier wants them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from config.settings import LinkSettings
from gateway.dispatch.flights import Outgoing
from gateway.dispatch.wording import Wording, text_dialect, wording
from protocols.smpp.addresses import AddressRules
from protocols.smpp.template import SubmitTemplate
from protocols.smpp.times import ValidityForm, validity
from protocols.sms import gsm7
from protocols.sms.compose import Piece, Plan, compose
from protocols.sms.dialect import LATIN1, Charset, Long, TextDialect

_FINAL_RECEIPT: Final = 1
_INTERMEDIATE: Final = 0x10
"""registered_delivery (SMPP v3.4 section 5.2.17)."""
_SENDERS_MAX: Final = 10_000

Tlvs = tuple[tuple[int, bytes], ...]


class Submission:
    """What one link's submit_sms look like."""

    def __init__(
        self,
        settings: LinkSettings,
        campaign_of: Callable[[str], str | None] = lambda sender: None,
    ) -> None:
        """`campaign_of`: the 10DLC campaign that a number of a shop is registered for."""
        self._campaign_of = campaign_of
        self._campaign_tag = int(settings.campaign_tlv, 16) if settings.campaign_tlv else 0
        self._validity = ValidityForm(settings.validity)
        self._dialect = text_dialect(settings)
        codings = {Charset.GSM7: self._dialect.gsm, Charset.LATIN1: self._dialect.latin1}
        self._missing = {charset for charset, coding in codings.items() if coding is None}
        self._dialects: dict[Wording, TextDialect] = {}
        self._sources = _rules(settings, (settings.source_ton, settings.source_npi))
        self._dests = _rules(settings, (settings.dest_ton, settings.dest_npi))
        receipts = _INTERMEDIATE | _FINAL_RECEIPT if settings.intermediate_receipts else 1
        self._template = SubmitTemplate(
            service_type=settings.service_type,
            registered_delivery=receipts if settings.registered_delivery else 0,
            tlvs=[_tlv(text) for text in settings.tlvs],
        )
        self._is_usual = not (
            self._dialect.gsm is None
            or self._dialect.is_packed
            or settings.plus_sign
            or settings.national_prefix
            or self._campaign_tag
            or self._validity is not ValidityForm.NONE
        )
        """Whether a short text in the GSM alphabet needs nothing but its sender's head."""
        self._heads: dict[str, bytes] = {}

    def bodies(self, message: Outgoing) -> list[tuple[int, bytes]]:
        """Number and body of each segment that was not answered yet, the last first, to be popped.

        The same message gives the same bytes, but for a relative validity. Raises
        LocalProtocolError for what SMPP cannot carry.
        """
        target = message.target
        if message.encoding or message.segments > 1 or not self._is_usual or target[:1] != "+":
            return self._unusual(message)
        head = self._heads.get(message.sender) or self._head(message.sender)
        payload = gsm7.encode(message.body)
        body = self._template.body(head, target[1:], payload, 0, self._dialect.gsm or 0)
        return [(0, body)]

    def _unusual(self, message: Outgoing) -> list[tuple[int, bytes]]:
        dest = self._dests.write(message.target)
        head = self._template.head(self._sources.write(message.sender), dest.ton, dest.npi)
        until = "" if self._validity is ValidityForm.NONE else self._until(message.expires_ms)
        campaign = self._campaign(message.sender) if self._campaign_tag else ()
        bodies = [
            (
                number,
                self._template.body(
                    head,
                    dest.digits,
                    piece.payload,
                    piece.esm_class,
                    piece.data_coding,
                    until,
                    piece.tlvs + campaign,
                ),
            )
            for number, piece in enumerate(self._pieces(message))
            if number not in message.answered
        ]
        bodies.reverse()
        return bodies

    def _head(self, sender: str) -> bytes:
        """The head of a text from this number to an international one."""
        if len(self._heads) >= _SENDERS_MAX:
            self._heads.clear()
        source = self._sources.write(sender)
        found = self._heads[sender] = self._template.head(source, *self._dests.international)
        return found

    def _pieces(self, message: Outgoing) -> list[Piece]:
        how = wording(message.encoding)
        reference = concatenation_reference(message.id)
        if how.charset in self._missing and not message.answered:
            # Its link has been set anew since: another alphabet, if that makes no other count.
            pieces = compose(message.body, self._dialect, reference)
            if len(pieces) == message.segments:
                return pieces
        dialect = self._dialects.get(how) or self._dialect_for(how)
        way = Plan(how.charset, _coding(dialect, how.charset), how.locking, how.single, 0, 0)
        return compose(message.body, dialect, reference, way)

    def _dialect_for(self, how: Wording) -> TextDialect:
        """The link's dialect, with long texts cut as was chosen for the message."""
        long = self._dialect.long
        if how.is_whole:
            long = Long.PAYLOAD
        elif how.is_wide:
            long = long if long in (Long.UDH16, Long.SAR) else Long.UDH16
        else:
            long = Long.UDH8
        found = self._dialects[how] = replace(self._dialect, long=long)
        return found

    def _until(self, expires_ms: int) -> str:
        until = datetime.fromtimestamp(expires_ms / 1000, UTC)
        now = datetime.now(UTC)
        return validity(self._validity, max(until, now), now)

    def _campaign(self, sender: str) -> Tlvs:
        campaign = self._campaign_of(sender)
        return ((self._campaign_tag, campaign.encode()),) if campaign else ()


def _rules(settings: LinkSettings, international: tuple[int, int]) -> AddressRules:
    return AddressRules(
        international=international,
        national=(settings.national_ton, settings.national_npi),
        short_code=(settings.short_code_ton, settings.short_code_npi),
        is_plus=settings.plus_sign,
        national_prefix=settings.national_prefix,
    )


def _tlv(text: str) -> tuple[int, bytes]:
    """A parameter as the settings write it: `0x1400=abc` or `0x1401=hex:00FF`."""
    tag, _, value = text.partition("=")
    is_hex = value.startswith("hex:")
    return int(tag, 16), bytes.fromhex(value[4:]) if is_hex else value.encode("ascii")


def _coding(dialect: TextDialect, charset: Charset) -> int:
    """The link's data_coding for an alphabet; the standard's where the link has since been set not
    to take it.
    """
    if charset is Charset.UCS2:
        return dialect.ucs2
    if charset is Charset.LATIN1:
        return LATIN1 if dialect.latin1 is None else dialect.latin1
    return dialect.gsm or 0


def concatenation_reference(id_: int) -> int:
    """The bits that mark the segments of one text: from the message id, so that a resend uses the
    same.
    """
    return (id_ ^ id_ >> 16 ^ id_ >> 32 ^ id_ >> 48) & 0xFFFF
