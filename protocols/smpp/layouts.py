"""The bodies of the rarer PDUs as tables: which field follows which, how long it may be, and what
to answer when it is not (SMPP v3.4 section 4, SMPP v5.0 sections 4.4 to 4.6)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NamedTuple

from protocols.smpp import commands as c
from protocols.smpp import status as s
from protocols.smpp.operations import (
    AlertNotification,
    BroadcastSm,
    CancelBroadcastSm,
    CancelSm,
    QueryBroadcastSm,
    QuerySm,
    QuerySmResponse,
    ReplaceSm,
    SubmitMulti,
    SubmitMultiResponse,
)
from protocols.smpp.pdu import Message, Outbind


class Kind(Enum):
    """How a field is written."""

    STRING = "C-octet string"
    OCTET = "one octet"
    TEXT = "sm_length and as many octets"
    DESTINATIONS = "number_of_dests and the dest_addresses"
    UNSUCCESS = "no_unsuccess and the unsuccess_smes"
    TLVS = "optional parameters"


class Field(NamedTuple):
    """One field of a body."""

    kind: Kind
    attribute: str
    """Of the Python object."""
    name: str
    """Of the standard."""
    limit: int = 0
    """Greatest length of a string, without its NUL."""
    hint: int = s.ESME_RINVPARLEN
    """The command_status for a string longer than that."""


def _string(attribute: str, name: str, limit: int, hint: int) -> Field:
    return Field(Kind.STRING, attribute, name, limit, hint)


def _octet(attribute: str, name: str) -> Field:
    return Field(Kind.OCTET, attribute, name)


def _source(limit: int = 20) -> tuple[Field, ...]:
    return (
        _octet("source_ton", "source_addr_ton"),
        _octet("source_npi", "source_addr_npi"),
        _string("source", "source_addr", limit, s.ESME_RINVSRCADR),
    )


def _dest(limit: int = 20) -> tuple[Field, ...]:
    return (
        _octet("dest_ton", "dest_addr_ton"),
        _octet("dest_npi", "dest_addr_npi"),
        _string("dest", "destination_addr", limit, s.ESME_RINVDSTADR),
    )


_SERVICE_TYPE: Final = _string("service_type", "service_type", 5, s.ESME_RINVSERTYP)
MESSAGE_ID: Final = _string("message_id", "message_id", 64, s.ESME_RINVMSGID)
_ESM_CLASS: Final = _octet("esm_class", "esm_class")
_PRIORITY: Final = _octet("priority", "priority_flag")
_TIMES: Final = (
    _string("schedule", "schedule_delivery_time", 16, s.ESME_RINVSCHED),
    _string("validity", "validity_period", 16, s.ESME_RINVEXPIRY),
)
_REGISTERED: Final = _octet("registered_delivery", "registered_delivery")
_REPLACE: Final = _octet("replace_if_present", "replace_if_present_flag")
_DATA_CODING: Final = _octet("data_coding", "data_coding")
_DEFAULT_ID: Final = _octet("default_id", "sm_default_msg_id")
_TEXT: Final = Field(Kind.TEXT, "payload", "short_message")
_TLVS: Final = Field(Kind.TLVS, "tlvs", "optional parameters")

LAYOUTS: Final[dict[int, tuple[Callable[[], Any], tuple[Field, ...]]]] = {
    c.OUTBIND: (
        Outbind,
        (
            _string("system_id", "system_id", 15, s.ESME_RINVSYSID),
            _string("password", "password", 8, s.ESME_RINVPASWD),
        ),
    ),
    c.SUBMIT_MULTI: (
        SubmitMulti,
        (
            _SERVICE_TYPE,
            *_source(),
            Field(Kind.DESTINATIONS, "dests", "dest_address"),
            _ESM_CLASS,
            _octet("protocol_id", "protocol_id"),
            _PRIORITY,
            *_TIMES,
            _REGISTERED,
            _REPLACE,
            _DATA_CODING,
            _DEFAULT_ID,
            _TEXT,
            _TLVS,
        ),
    ),
    c.SUBMIT_MULTI_RESP: (
        SubmitMultiResponse,
        (MESSAGE_ID, Field(Kind.UNSUCCESS, "unsuccess", "unsuccess_sme"), _TLVS),
    ),
    c.DATA_SM: (
        Message,
        (
            _SERVICE_TYPE,
            *_source(64),
            *_dest(64),
            _ESM_CLASS,
            _REGISTERED,
            _DATA_CODING,
            _TLVS,
        ),
    ),
    c.QUERY_SM: (QuerySm, (MESSAGE_ID, *_source())),
    c.QUERY_SM_RESP: (
        QuerySmResponse,
        (
            MESSAGE_ID,
            _string("final_date", "final_date", 16, s.ESME_RINVEXPIRY),
            _octet("message_state", "message_state"),
            _octet("error_code", "error_code"),
        ),
    ),
    c.CANCEL_SM: (CancelSm, (_SERVICE_TYPE, MESSAGE_ID, *_source(), *_dest())),
    c.REPLACE_SM: (
        ReplaceSm,
        (MESSAGE_ID, *_source(), *_TIMES, _REGISTERED, _DEFAULT_ID, _TEXT, _TLVS),
    ),
    c.ALERT_NOTIFICATION: (
        AlertNotification,
        (
            *_source(64),
            _octet("esme_ton", "esme_addr_ton"),
            _octet("esme_npi", "esme_addr_npi"),
            _string("esme", "esme_addr", 64, s.ESME_RINVDSTADR),
            _TLVS,
        ),
    ),
    c.BROADCAST_SM: (
        BroadcastSm,
        (
            _SERVICE_TYPE,
            *_source(),
            MESSAGE_ID,
            _PRIORITY,
            *_TIMES,
            _REPLACE,
            _DATA_CODING,
            _DEFAULT_ID,
            _TLVS,
        ),
    ),
    c.QUERY_BROADCAST_SM: (QueryBroadcastSm, (MESSAGE_ID, *_source(), _TLVS)),
    c.CANCEL_BROADCAST_SM: (
        CancelBroadcastSm,
        (_SERVICE_TYPE, MESSAGE_ID, *_source(), _TLVS),
    ),
}
"""command_id → what makes the object, its fields in their order on the wire."""

LAYOUT_OF: Final[dict[type[Any], tuple[Field, ...]]] = {
    make: fields for make, fields in LAYOUTS.values() if isinstance(make, type)
}
"""The same by the object's class; of `Message` it is that of data_sm."""

BODILESS_ON_ERROR: Final = frozenset({c.SUBMIT_MULTI_RESP, c.QUERY_SM_RESP})
"""Responses that peers send without a body when the status is an error (section 4.4.2)."""
