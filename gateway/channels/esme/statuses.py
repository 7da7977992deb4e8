"""The gateway's words and SMPP's, both ways: why a submission is refused, what became of a text."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.errors import Refusal
from gateway.model import EventKind, State
from protocols.smpp import status as s
from protocols.sms.receipts import ReceiptState

REFUSALS: Final[dict[str, int]] = {
    "invalid-request": s.ESME_RSUBMITFAIL,
    "not-available": s.ESME_RSUBMITFAIL,
    "key-reused": s.ESME_RSUBMITFAIL,
    "too-large": s.ESME_RINVMSGLEN,
    "no-primary-phone": s.ESME_RINVDSTADR,
    "number-not-allowed": s.ESME_RINVSRCADR,
    "no-service": s.ESME_RPROHIBITED,
    "support-ended": s.ESME_RPROHIBITED,
    "gateway-retired": s.ESME_RPROHIBITED,
    "over-limit": s.ESME_RMSGQFUL,
    "unavailable": s.ESME_RSYSERR,
}
"""command_status by problem type. What is not listed is ESME_RSUBMITFAIL."""

FIELDS: Final[dict[str, int]] = {
    "to": s.ESME_RINVDSTADR,
    "from": s.ESME_RINVSRCADR,
    "text": s.ESME_RINVMSGLEN,
    "send_at": s.ESME_RINVSCHED,
    "expires_at": s.ESME_RINVEXPIRY,
}
"""command_status by the faulty field of an `invalid-request`; the first fault speaks."""


def status_of(refusal: Refusal) -> int:
    """The command_status that tells a refusal."""
    if refusal.type == "invalid-request":
        for fault in refusal.faults:
            if fault.field in FIELDS:
                return FIELDS[fault.field]
    return REFUSALS.get(refusal.type, s.ESME_RSUBMITFAIL)


class Told(NamedTuple):
    """What a receipt says."""

    state: ReceiptState
    word: str
    is_final: bool = True


EVENTS: Final[dict[int, Told]] = {
    EventKind.DELIVERED: Told(ReceiptState.DELIVERED, "DELIVRD"),
    EventKind.UNDELIVERED: Told(ReceiptState.UNDELIVERABLE, "UNDELIV"),
    EventKind.FAILED: Told(ReceiptState.UNDELIVERABLE, "UNDELIV"),
    EventKind.EXPIRED: Told(ReceiptState.EXPIRED, "EXPIRED"),
    EventKind.CANCELED: Told(ReceiptState.DELETED, "DELETED"),
    EventKind.SUPPRESSED: Told(ReceiptState.REJECTED, "REJECTD"),
    EventKind.NO_RECEIPT: Told(ReceiptState.UNKNOWN, "UNKNOWN"),
    EventKind.RECEIPT: Told(ReceiptState.ENROUTE, "ENROUTE", is_final=False),
}
"""What a receipt says of each kind of event (SMPP v3.4 section 5.2.28 and Appendix B)."""

STATES: Final[dict[State, ReceiptState]] = {
    State.DELIVERED: ReceiptState.DELIVERED,
    State.UNDELIVERED: ReceiptState.UNDELIVERABLE,
    State.FAILED: ReceiptState.UNDELIVERABLE,
    State.EXPIRED: ReceiptState.EXPIRED,
    State.CANCELED: ReceiptState.DELETED,
    State.SUPPRESSED: ReceiptState.REJECTED,
}
"""What query_sm tells of a message; one that waits or is on its way is ENROUTE."""


def is_wanted(registered_delivery: int, told: Told) -> bool:
    """Whether a PDU's registered_delivery asks for this receipt (section 5.2.17; 3 is of v5.0)."""
    if not told.is_final:
        return bool(registered_delivery & 0x10)
    match registered_delivery & 0x03:
        case 1:
            return True
        case 2:
            return told.state is not ReceiptState.DELIVERED
        case 3:
            return told.state is ReceiptState.DELIVERED
        case _:
            return False


def wants_any(registered_delivery: int) -> bool:
    """Whether it asks for any receipt at all."""
    return bool(registered_delivery & 0x13)
