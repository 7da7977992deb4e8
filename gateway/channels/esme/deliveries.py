"""What goes to ESMEs as deliver_sm: receipts in the form of Appendix B, and texts from phones."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import asyncpg

from gateway.channels.esme.statuses import EVENTS, is_wanted
from gateway.channels.esme.submitting import shown_id
from gateway.ids import created_ms
from protocols.smpp import Tag, Tlv, encode_submit_body
from protocols.sms.encoding import choose
from protocols.sms.receipts import (
    ESM_CLASS_DELIVERY_RECEIPT,
    ESM_CLASS_INTERMEDIATE_NOTIFICATION,
    ReceiptState,
)
from protocols.sms.segment import segments

REPLY: Final = 0
"""The kind of an outbox row that is a text from a phone."""
_ERROR: Final = re.compile(r"\(error ([0-9]{1,5})\)")
_GSM_NETWORK: Final = 3
_LONGEST_SHORT_CODE: Final = 6


def bodies(row: asyncpg.Record) -> list[bytes]:
    """The bodies of the deliver_sm that an outbox row becomes; none where nothing was wanted."""
    return _reply(row) if row["kind"] == REPLY else _receipts(row)


def without_parameters(body: bytes) -> bytes:
    """A deliver_sm's body for a peer older than optional parameters, which must not get any (SMPP
    v3.4 section 3.4)."""
    place = body.index(0) + 3  # service_type, source_addr_ton and _npi
    place = body.index(0, place) + 3  # source_addr, dest_addr_ton and _npi
    place = body.index(0, place) + 4  # destination_addr, esm_class, protocol_id, priority_flag
    place = body.index(0, place) + 1  # schedule_delivery_time
    place = body.index(0, place) + 5  # validity_period, and four octets up to sm_length
    return body[: place + 1 + body[place]]


def _receipts(row: asyncpg.Record) -> list[bytes]:
    told = EVENTS.get(row["kind"])
    if told is None:
        return []
    wanted: list[int] = row["wanted"]
    esm_class = ESM_CLASS_DELIVERY_RECEIPT
    if not told.is_final:
        esm_class = ESM_CLASS_INTERMEDIATE_NOTIFICATION
    error = _ERROR.search(row["error"] or "")
    code = int(error[1]) if error else 0
    submitted = _stamp(created_ms(row["subject"]) // 60_000)
    done = _stamp(row["at_ms"] // 60_000)
    delivered = int(told.state is ReceiptState.DELIVERED)
    found = []
    for number, registered in enumerate(wanted, 1):
        if not is_wanted(registered, told):
            continue
        message_id = shown_id(row["subject"], number if len(wanted) > 1 else 0)
        text = (
            f"id:{message_id} sub:001 dlvrd:{delivered:03} submit date:{submitted} "
            f"done date:{done} stat:{told.word} err:{code % 1000:03} text:"
        )
        found.append(
            encode_submit_body(
                row["dest"],
                row["source"],
                text.encode("ascii"),
                source_ton=row["dest_ton"],
                source_npi=row["dest_npi"],
                dest_ton=row["source_ton"],
                dest_npi=row["source_npi"],
                esm_class=esm_class,
                tlvs=_parameters(message_id, told.state, code),
            )
        )
    return found


def _parameters(message_id: str, state: ReceiptState, code: int) -> list[Tlv]:
    """receipted_message_id, message_state and, if there is one, network_error_code (sections
    5.3.2.12, 5.3.2.35 and 5.3.2.31)."""
    found: list[Tlv] = [
        (Tag.RECEIPTED_MESSAGE_ID, message_id.encode("ascii") + b"\0"),
        (Tag.MESSAGE_STATE, bytes((state,))),
    ]
    if 0 < code <= 0xFFFF:
        found.append((Tag.NETWORK_ERROR_CODE, bytes((_GSM_NETWORK,)) + code.to_bytes(2, "big")))
    return found


def _reply(row: asyncpg.Record) -> list[bytes]:
    """A text from a phone, in as many parts as it takes."""
    text: str | None = row["body"]
    if text is None:
        return []
    encoding = choose(text)
    source, source_ton, source_npi = _address(row["phone"])
    dest, dest_ton, dest_npi = _address(row["number"])
    # The reference derives from the reply, so that a redelivery is the same.
    reference = (row["id"] >> 22 ^ row["id"]) & 0xFF
    return [
        encode_submit_body(
            source,
            dest,
            segment.payload,
            source_ton=source_ton,
            source_npi=source_npi,
            dest_ton=dest_ton,
            dest_npi=dest_npi,
            esm_class=segment.esm_class,
            data_coding=encoding,
        )
        for segment in segments(text, encoding, reference)
    ]


def _address(number: str) -> tuple[str, int, int]:
    """A number, its type and its plan (sections 5.2.5 and 5.2.6)."""
    if number.startswith("+"):
        return number[1:], 1, 1
    if number.isdigit():
        return number, 3 if len(number) <= _LONGEST_SHORT_CODE else 0, 0
    return number[:20], 5, 0


@lru_cache(maxsize=64)
def _stamp(minutes: int) -> str:
    """YYMMDDhhmm in UTC, as Appendix B writes times."""
    return f"{datetime.fromtimestamp(minutes * 60, UTC):%y%m%d%H%M}"
