"""The deliver_sm that carries a receipt (SMPP v3.4 section 4.6.1 and Appendix B)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from protocols.smpp import Message, Tag, Tlv, encode_submit_body
from protocols.sms.receipts import (
    ESM_CLASS_DELIVERY_RECEIPT,
    ESM_CLASS_INTERMEDIATE_NOTIFICATION,
    ReceiptState,
)
from protocols.sms.segment import ESM_CLASS_UDHI

_WORDS: Final = {
    ReceiptState.ENROUTE: "ENROUTE",
    ReceiptState.DELIVERED: "DELIVRD",
    ReceiptState.EXPIRED: "EXPIRED",
    ReceiptState.DELETED: "DELETED",
    ReceiptState.UNDELIVERABLE: "UNDELIV",
    ReceiptState.ACCEPTED: "ACCEPTD",
    ReceiptState.UNKNOWN: "UNKNOWN",
    ReceiptState.REJECTED: "REJECTD",
}
_COPIED_OCTETS: Final = 20
"""How much of the text a receipt repeats (Appendix B)."""
_NETWORK_TYPE_GSM: Final = 3


def date_stamp(now: datetime) -> str:
    """The form of Appendix B, YYMMDDhhmm."""
    return now.strftime("%y%m%d%H%M")


def is_wanted(registered_delivery: int, state: ReceiptState) -> bool:
    """Whether the submit_sm asked for a receipt with this state (section 5.2.17)."""
    match registered_delivery & 0x03:
        case 1:
            return True
        case 2:
            return state.is_final and state is not ReceiptState.DELIVERED
        case _:
            return False


def receipt_body(
    message: Message,
    message_id: str,
    state: ReceiptState,
    *,
    submitted: str,
    done: str,
    error: str = "000",
    has_text: bool = True,
    has_parameters: bool = True,
    esm_class: int | None = None,
) -> bytes:
    """The body of the receipt for `message`, with its addresses exchanged.

    `submitted` and `done` are date stamps; `message_id` is written as it is given. `esm_class` None
    tells an intermediate notification for ENROUTE, a receipt otherwise.
    """
    if esm_class is None:
        is_on_the_way = state is ReceiptState.ENROUTE
        esm_class = (
            ESM_CLASS_INTERMEDIATE_NOTIFICATION if is_on_the_way else ESM_CLASS_DELIVERY_RECEIPT
        )
    text = ""
    if has_text:
        text = (
            f"id:{message_id} sub:001 dlvrd:{state is ReceiptState.DELIVERED:03} submit date:"
            f"{submitted} done date:{done} stat:{_WORDS.get(state, state.name)} err:{error} text:"
        )
    return encode_submit_body(
        message.dest,
        message.source,
        text.encode("ascii") + _beginning(message) if has_text else b"",
        source_ton=message.dest_ton,
        source_npi=message.dest_npi,
        dest_ton=message.source_ton,
        dest_npi=message.source_npi,
        esm_class=esm_class,
        tlvs=_parameters(message_id, state, error) if has_parameters else (),
    )


def _beginning(message: Message) -> bytes:
    """The first octets of a text in the default alphabet; of any other nothing, for a receipt has
    one alphabet."""
    if message.data_coding or message.esm_class & ESM_CLASS_UDHI:
        return b""
    return message.payload[:_COPIED_OCTETS]


def _parameters(message_id: str, state: ReceiptState, error: str) -> list[Tlv]:
    parameters: list[Tlv] = [
        (Tag.RECEIPTED_MESSAGE_ID, message_id.encode("latin-1") + b"\0"),
        (Tag.MESSAGE_STATE, bytes((state,))),
    ]
    if error.isdigit() and int(error):
        code = bytes((_NETWORK_TYPE_GSM,)) + int(error).to_bytes(2, "big")
        parameters.append((Tag.NETWORK_ERROR_CODE, code))
    return parameters
