"""Delivery receipts, in whatever dialect a carrier speaks.

Sources: SMPP v3.4 §5.2.12 (esm_class), §5.2.28 (message_state), §5.3.2.12
(receipted_message_id), §5.3.2.31 (network_error_code), §5.3.2.35 (message_state as a
parameter) and Appendix B (the text form, which the standard calls vendor specific, and is).

What counts as a receipt:

* esm_class says SMSC delivery receipt (0x04) or intermediate notification (0x20): always,
  whatever the body holds. Nobody's words are lost, for no phone sends those.
* esm_class says delivery or user acknowledgement (0x08, 0x10) or something reserved, which may
  hold a person's words: when the parameter receipted_message_id or the text's id and stat do.
* esm_class says nothing: when the parameter receipted_message_id is there, or when the text has
  the whole shape of Appendix B in its order (id, sub, dlvrd, submit date, done date, stat), for
  some carriers forget the bit. A person's text that merely contains "id:" stays a text.

Nothing here raises. The receipt's own `text:` part, which repeats what was sent, is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from enum import Enum, IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

from protocols.sms import gsm7, udh
from protocols.sms.reassembly import user_data
from protocols.sms.segment import ESM_CLASS_UDHI

TAG_RECEIPTED_MESSAGE_ID: Final = 0x001E
TAG_NETWORK_ERROR_CODE: Final = 0x0423
TAG_MESSAGE_STATE: Final = 0x0427

ESM_CLASS_TYPE_MASK: Final = 0x3C
"""The bits of esm_class that tell the message type (SMPP v3.4 §5.2.12)."""

ESM_CLASS_DELIVERY_RECEIPT: Final = 0x04
ESM_CLASS_INTERMEDIATE_NOTIFICATION: Final = 0x20

_ALWAYS_RECEIPTS: Final = (ESM_CLASS_DELIVERY_RECEIPT, ESM_CLASS_INTERMEDIATE_NOTIFICATION)

MAX_ID_LENGTH: Final = 65
"""message_id has at most 65 octets (SMPP v3.4 §5.2.23)."""

_MAX_TEXT: Final = 1024
_MAX_WORD: Final = 32


class Outcome(Enum):
    """What a receipt means for the segment it speaks of."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    NONE = "none"
    """The receipt changes nothing: the fate of the segment is still open."""


class ReceiptState(IntEnum):
    """Message states (SMPP v3.4 §5.2.28; 0 and 9 were added by SMPP v5.0 §4.7.15)."""

    SCHEDULED = 0
    ENROUTE = 1
    DELIVERED = 2
    EXPIRED = 3
    DELETED = 4
    UNDELIVERABLE = 5
    ACCEPTED = 6
    UNKNOWN = 7
    REJECTED = 8
    SKIPPED = 9

    @property
    def outcome(self) -> Outcome:
        """What the state means for the segment."""
        return _OUTCOMES.get(self, Outcome.NONE)

    @property
    def is_final(self) -> bool:
        """Whether the state settles the segment."""
        return self in _OUTCOMES


_OUTCOMES: Final = {
    ReceiptState.DELIVERED: Outcome.DELIVERED,
    ReceiptState.EXPIRED: Outcome.UNDELIVERED,
    ReceiptState.DELETED: Outcome.UNDELIVERED,
    ReceiptState.UNDELIVERABLE: Outcome.UNDELIVERED,
    ReceiptState.REJECTED: Outcome.UNDELIVERED,
}

_WORDS: Final = {
    word: state
    for state, words in {
        ReceiptState.SCHEDULED: "SCHEDULED SCHEDLD SCHED",
        ReceiptState.ENROUTE: "ENROUTE ENROUT ENROUTD BUFFERED BUFFERD QUEUED PENDING SENT",
        ReceiptState.DELIVERED: "DELIVRD DELIVERED DELIVERD DELIVRED DELIVER DELVRD DLVRD DELIVERY",
        ReceiptState.EXPIRED: "EXPIRED EXPIRD EXPRD EXPIRE",
        ReceiptState.DELETED: "DELETED DELETD CANCELED CANCELLED",
        ReceiptState.UNDELIVERABLE: "UNDELIV UNDELIVERABLE UNDELIVERED UNDELIVRD UNDELIVERD"
        " UNDELVRD UNDLVRD UNDELIVERABL NOTDELIVERED FAILED FAIL FAILD FAILURE",
        ReceiptState.ACCEPTED: "ACCEPTD ACCEPTED ACCEPT ACCPTED ACKED",
        ReceiptState.UNKNOWN: "UNKNOWN UNKNOWD UNKNWN UNKNOW",
        ReceiptState.REJECTED: "REJECTD REJECTED REJECT BLOCKED",
        ReceiptState.SKIPPED: "SKIPPED SKIPPD",
    }.items()
    for word in words.split()
}


class Receipt(NamedTuple):
    """A delivery receipt."""

    message_id: str | None
    """The id as the carrier wrote it; look it up under each of `id_forms`. None: not told."""
    state: ReceiptState
    """UNKNOWN when no state is told, or in a word nobody knows."""
    error: str | None
    """The carrier's error code as it wrote it; None for none and for zero."""
    done: datetime | None
    """When the fate was settled, by the carrier's clock; no time zone is told."""
    word: str
    """The state in the carrier's word, else its name; at most 32 characters."""

    @property
    def is_final(self) -> bool:
        """Whether this settles the segment."""
        return self.state.is_final

    @property
    def outcome(self) -> Outcome:
        """What this means for the segment."""
        return self.state.outcome


# Leftmost wins, and fields need no space between them: "id:1sub:001" is seen in the field.
_FIELD: Final = re.compile(
    r"(submit[ _]?date|done[ _]?date|dlvrd|sub|stat(?:us|e)?|err(?:or)?(?:[ _]?code)?|text|id)"
    r"\s{0,4}[:=]",
    re.ASCII | re.IGNORECASE,
)
_NOT_DIGITS: Final = re.compile("[^0-9]+")
_NOT_CAPITALS: Final = re.compile("[^A-Z]+")
_EDGES: Final = " \t\r\n,;|'\"\x00"
_TOKEN: Final = re.compile(r"[^\s,;|'\"]+")

_WHOLE_SHAPE: Final = re.compile(
    r"\s*id:\s?(?P<id>[^\s:=]{1,65})\s+sub:\s?[0-9]{1,3}\s+dlvrd:\s?[0-9]{1,3}"
    r"\s+submit date:\s?[0-9]{10,14}\s+done date:\s?(?P<done>[0-9]{10,14})"
    r"\s+stat:\s?(?P<stat>[a-z]{4,15})(?:\s+err:\s?(?P<err>[0-9a-z]{0,10}))?"
    r"(?:\s+text:.*)?\s*",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
"""Appendix B as it is printed; most carriers keep to it, so it is also the quick way."""


def parse(
    short_message: bytes, esm_class: int, tlvs: Sequence[tuple[int, bytes]] = ()
) -> Receipt | None:
    """Read a deliver_sm's fields as a receipt; None when it is none. Never raises.

    data_coding is not asked: carriers write receipts in ASCII whatever it says.

    Parameters go before the text where both tell the id or a known state; the text's error code
    goes before network_error_code, since carriers document the former.
    """
    kind = esm_class & ESM_CLASS_TYPE_MASK
    parameters = _parameters(tlvs)
    text = _text(short_message, esm_class, tlvs)
    if whole := _WHOLE_SHAPE.fullmatch(text):
        return _receipt(whole.groupdict(""), parameters)
    is_named = TAG_RECEIPTED_MESSAGE_ID in parameters
    if not kind and not is_named:
        return None
    fields = _fields(text)
    if is_named or kind in _ALWAYS_RECEIPTS or {"id", "stat"} <= fields.keys():
        return _receipt(fields, parameters)
    return None


def _parameters(tlvs: Sequence[tuple[int, bytes]]) -> dict[int, bytes]:
    """The first of each parameter that tells something."""
    found: dict[int, bytes] = {}
    for tag, value in tlvs:
        if value.strip(b"\x00") or tag == TAG_MESSAGE_STATE:
            found.setdefault(tag, value)
    return found


def _text(short_message: bytes, esm_class: int, tlvs: Sequence[tuple[int, bytes]]) -> str:
    """The body as text, bounded.

    Carriers write receipts in ASCII whatever data_coding says: some copy that of the message
    they speak of. So it is not asked, and two octets a character are believed where seen.
    """
    payload = user_data(short_message, tlvs)
    if esm_class & ESM_CLASS_UDHI:
        payload = udh.parse(payload).body
    payload = payload[: 2 * _MAX_TEXT]
    if payload[:1] == b"\x00" and len(payload) > 1 and payload[1]:
        return gsm7.decode_ucs2(payload)[:_MAX_TEXT]
    # In the GSM alphabet, @ $ _ are control characters of ASCII: that much can be told apart.
    return payload.translate(_GSM_IN_ASCII).decode("latin-1")[:_MAX_TEXT]


_GSM_IN_ASCII: Final = bytes.maketrans(b"\x00\x02\x11", b"@$_")


def _fields(text: str) -> dict[str, str]:
    """The fields of Appendix B in any order, up to `text:`; of a repeated one the first."""
    fields: dict[str, str] = {}
    name, start = "", 0
    for match in _FIELD.finditer(text):
        if name:
            fields.setdefault(name, text[start : match.start()].strip(_EDGES))
        name, start = _field_name(match[1]), match.end()
        if name == "text":
            return fields
    if name:
        fields.setdefault(name, text[start:].strip(_EDGES))
    return fields


def _field_name(found: str) -> str:
    lowered = found.lower()
    return next((name for name in ("stat", "err", "done") if lowered.startswith(name)), lowered)


def _receipt(fields: dict[str, str], parameters: dict[int, bytes]) -> Receipt:
    state, word = _state(parameters.get(TAG_MESSAGE_STATE), fields.get("stat", ""))
    return Receipt(
        message_id=_clean_id(parameters.get(TAG_RECEIPTED_MESSAGE_ID), fields.get("id", "")),
        state=state,
        error=_error(fields.get("err", ""), parameters.get(TAG_NETWORK_ERROR_CODE)),
        done=_date(fields.get("done", "")),
        word=word,
    )


def _clean_id(parameter: bytes | None, field: str) -> str | None:
    told = (parameter or b"").split(b"\x00", 1)[0].decode("latin-1")
    for candidate in (told, field):
        token = _TOKEN.search(candidate)
        if token and len(token[0]) <= MAX_ID_LENGTH and token[0].isprintable():
            return token[0]
    return None


def _state(parameter: bytes | None, field: str) -> tuple[ReceiptState, str]:
    token = _TOKEN.search(field)
    word = token[0][:_MAX_WORD] if token and token[0].isprintable() else ""
    from_text = _state_of_word(word)
    number = parameter[-1] if parameter else ReceiptState.UNKNOWN
    if number <= ReceiptState.SKIPPED and number != ReceiptState.UNKNOWN:
        state = ReceiptState(number)
        return state, (word if state is from_text else "") or state.name
    return from_text, word or from_text.name


def _state_of_word(word: str) -> ReceiptState:
    if word in _WORDS:
        return _WORDS[word]
    if len(word) == 1 and "0" <= word <= "9":
        return ReceiptState(int(word))
    return _WORDS.get(_NOT_CAPITALS.sub("", word.upper()), ReceiptState.UNKNOWN)


def _error(field: str, parameter: bytes | None) -> str | None:
    token = _TOKEN.search(field)
    if token and token[0].strip("0") and token[0].isprintable():
        return token[0][:_MAX_WORD]
    # One octet tells the network type, two the code (SMPP v3.4 §5.3.2.31).
    if parameter and len(parameter) == 3 and parameter[1:] != b"\x00\x00":
        return str(int.from_bytes(parameter[1:], "big"))
    return None


@lru_cache(maxsize=256)
def _date(field: str) -> datetime | None:
    """YYMMDDhhmm, YYMMDDhhmmss, YYYYMMDDhhmm or YYYYMMDDhhmmss; separators are overlooked.

    Both readings of twelve digits exclude each other: as a month, the 13 of 2013 is none.
    """
    digits = _NOT_DIGITS.sub("", field)
    if len(digits) in (10, 12):
        return _date_of_14(f"20{digits}00"[:14]) or _date_of_14(f"{digits}00")
    return _date_of_14(digits)


def _date_of_14(digits: str) -> datetime | None:
    if len(digits) != 14:
        return None
    month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(4, 14, 2))
    try:
        return datetime(int(digits[:4]), month, day, hour, minute, second)
    except ValueError:
        return None
