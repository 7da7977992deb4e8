"""A message as the bodies of the submit_sms that carry it (SMPP v3.4 section 4.4.1)."""

from __future__ import annotations

from config.settings import LinkSettings
from gateway.dispatch.acceptance import WIDE_REFERENCE
from gateway.dispatch.flights import Outgoing
from protocols.smpp import encode_submit_body
from protocols.sms.encoding import Encoding
from protocols.sms.segment import segments

_TON_NETWORK = 3
"""Network specific (SMPP v3.4 section 5.2.5): how carriers want their short codes."""
_SHORT_CODE_DIGITS = 6


def submit_bodies(message: Outgoing, settings: LinkSettings) -> list[tuple[int, bytes]]:
    """Number and body of each segment that was not answered yet, the last first, to be popped.

    The same message always gives the same bytes. Raises LocalProtocolError for what SMPP cannot
    carry.
    """
    encoding = message.encoding & ~WIDE_REFERENCE
    parts = segments(
        message.body,
        Encoding(encoding),
        concatenation_reference(message.id),
        16 if message.encoding & WIDE_REFERENCE else 8,
    )
    source_ton, source_npi = settings.source_ton, settings.source_npi
    if len(message.sender) <= _SHORT_CODE_DIGITS:
        source_ton, source_npi = _TON_NETWORK, 0
    bodies = [
        (
            number,
            encode_submit_body(
                message.sender.removeprefix("+"),
                message.target.removeprefix("+"),
                part.payload,
                source_ton=source_ton,
                source_npi=source_npi,
                dest_ton=settings.dest_ton,
                dest_npi=settings.dest_npi,
                esm_class=part.esm_class,
                registered_delivery=int(settings.registered_delivery),
                data_coding=encoding,
            ),
        )
        for number, part in enumerate(parts)
        if number not in message.answered
    ]
    bodies.reverse()
    return bodies


def concatenation_reference(id_: int) -> int:
    """The 16 bits that mark the segments of one text: from the message id, so that a resend uses
    the same.
    """
    return (id_ ^ id_ >> 16 ^ id_ >> 32 ^ id_ >> 48) & 0xFFFF
