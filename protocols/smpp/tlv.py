"""Optional parameters: their tags (SMPP v3.4 sections 5.3.1 and 5.3.2, SMPP v5.0 section 4.8.4) and
how to read them.

A PDU keeps its optional parameters as a list of (tag, value) in the order they came, repeats and
vendor's own included; nothing is interpreted before somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final, TypeAlias

Tlv: TypeAlias = tuple[int, bytes]

VENDOR_TAGS: Final = range(0x1400, 0x4000)
"""Tags left to vendors (section 5.3.1)."""


class Tag(IntEnum):
    """Every tag the standards name; equal to the bare number."""

    DEST_ADDR_SUBUNIT = 0x0005
    DEST_NETWORK_TYPE = 0x0006
    DEST_BEARER_TYPE = 0x0007
    DEST_TELEMATICS_ID = 0x0008
    SOURCE_ADDR_SUBUNIT = 0x000D
    SOURCE_NETWORK_TYPE = 0x000E
    SOURCE_BEARER_TYPE = 0x000F
    SOURCE_TELEMATICS_ID = 0x0010
    QOS_TIME_TO_LIVE = 0x0017
    PAYLOAD_TYPE = 0x0019
    ADDITIONAL_STATUS_INFO_TEXT = 0x001D
    RECEIPTED_MESSAGE_ID = 0x001E
    MS_MSG_WAIT_FACILITIES = 0x0030
    PRIVACY_INDICATOR = 0x0201
    SOURCE_SUBADDRESS = 0x0202
    DEST_SUBADDRESS = 0x0203
    USER_MESSAGE_REFERENCE = 0x0204
    USER_RESPONSE_CODE = 0x0205
    SOURCE_PORT = 0x020A
    DESTINATION_PORT = 0x020B
    SAR_MSG_REF_NUM = 0x020C
    LANGUAGE_INDICATOR = 0x020D
    SAR_TOTAL_SEGMENTS = 0x020E
    SAR_SEGMENT_SEQNUM = 0x020F
    SC_INTERFACE_VERSION = 0x0210
    CALLBACK_NUM_PRES_IND = 0x0302
    CALLBACK_NUM_ATAG = 0x0303
    NUMBER_OF_MESSAGES = 0x0304
    CALLBACK_NUM = 0x0381
    DPF_RESULT = 0x0420
    SET_DPF = 0x0421
    MS_AVAILABILITY_STATUS = 0x0422
    NETWORK_ERROR_CODE = 0x0423
    MESSAGE_PAYLOAD = 0x0424
    DELIVERY_FAILURE_REASON = 0x0425
    MORE_MESSAGES_TO_SEND = 0x0426
    MESSAGE_STATE = 0x0427
    CONGESTION_STATE = 0x0428
    USSD_SERVICE_OP = 0x0501
    BROADCAST_CHANNEL_INDICATOR = 0x0600
    BROADCAST_CONTENT_TYPE = 0x0601
    BROADCAST_CONTENT_TYPE_INFO = 0x0602
    BROADCAST_MESSAGE_CLASS = 0x0603
    BROADCAST_REP_NUM = 0x0604
    BROADCAST_FREQUENCY_INTERVAL = 0x0605
    BROADCAST_AREA_IDENTIFIER = 0x0606
    BROADCAST_ERROR_STATUS = 0x0607
    BROADCAST_AREA_SUCCESS = 0x0608
    BROADCAST_END_TIME = 0x0609
    BROADCAST_SERVICE_GROUP = 0x060A
    BILLING_IDENTIFICATION = 0x060B
    SOURCE_NETWORK_ID = 0x060D
    DEST_NETWORK_ID = 0x060E
    SOURCE_NODE_ID = 0x060F
    DEST_NODE_ID = 0x0610
    DEST_ADDR_NP_RESOLUTION = 0x0611
    DEST_ADDR_NP_INFORMATION = 0x0612
    DEST_ADDR_NP_COUNTRY = 0x0613
    DISPLAY_TIME = 0x1201
    SMS_SIGNAL = 0x1203
    MS_VALIDITY = 0x1204
    ALERT_ON_MESSAGE_DELIVERY = 0x130C
    ITS_REPLY_TYPE = 0x1380
    ITS_SESSION_INFO = 0x1383


_NAMES: Final = {int(tag): tag.name.lower() for tag in Tag}


def tag_name(tag: int) -> str:
    """The standard's name of a tag, `vendor tag 0x…` or `tag 0x…` for others."""
    kind = "vendor tag" if tag in VENDOR_TAGS else "tag"
    return _NAMES.get(tag) or f"{kind} 0x{tag:04X}"


def first(tlvs: Iterable[Tlv], tag: int) -> bytes | None:
    """The value of the first parameter with this tag; None when there is none."""
    for found, value in tlvs:
        if found == tag:
            return value
    return None


def every(tlvs: Iterable[Tlv], tag: int) -> list[bytes]:
    """The values of all parameters with this tag, in the order they came."""
    return [value for found, value in tlvs if found == tag]


def integer(tlvs: Iterable[Tlv], tag: int) -> int | None:
    """The first such value as an unsigned number, most significant octet first; None if absent or
    empty."""
    value = first(tlvs, tag)
    return int.from_bytes(value, "big") if value else None


def text(tlvs: Iterable[Tlv], tag: int) -> str | None:
    """The first such value as a C-octet string up to its NUL, which some peers leave out; None if
    absent."""
    value = first(tlvs, tag)
    return None if value is None else value.partition(b"\0")[0].decode("latin-1")


_CONGESTION: Final = (
    (0, "idle"),
    (29, "low load"),
    (49, "medium load"),
    (69, "high load"),
    (79, "optimum load"),
    (89, "nearly congested"),
    (99, "congested"),
)


def congestion(tlvs: Iterable[Tlv]) -> int | None:
    """How busy the peer says it is, 0 to 99 (SMPP v5.0 section 4.8.4.18); from 80 on send less.
    None when it does not say, or not in these terms."""
    value = integer(tlvs, Tag.CONGESTION_STATE)
    return value if value is not None and value <= _CONGESTION[-1][0] else None


def congestion_words(value: int) -> str:
    """The standard's word for a congestion state of 0 to 99."""
    return next((words for limit, words in _CONGESTION if value <= limit), "unknown load")
