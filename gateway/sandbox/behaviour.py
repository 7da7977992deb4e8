"""What the simulated SMSC does with a text: the table of magic numbers, and settings for the whole.

The last seven digits of the destination choose the conduct, so +1 212 555 0110 and
+1 646 555 0110 act alike. The numbers 555-0100 to 555-0199 are kept free for examples by the North
American Numbering Plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from protocols.smpp import status as s
from protocols.sms.receipts import ReceiptState

MAGIC_DIGITS: Final = 7
"""How many digits at a destination's end choose its conduct."""

ANSWER: Final = "Thank you, on my way!"
LONG_ANSWER: Final = (
    "Thank you so much, that is wonderful news! I am at work until five today, so my sister will "
    "come by in the afternoon to try on the dress, and I shall pay the rest when I see you on "
    "Saturday morning at ten."
)


class Fault(Enum):
    """What happens to a submit_sm instead of being accepted."""

    NONE = "none"
    STATUS = "status"
    """It is answered with an error."""
    SILENCE = "silence"
    """It is never answered."""
    CUT = "cut"
    """The connection is cut before an answer."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """What becomes of a text to one number."""

    does: str
    """In words, for people."""
    receipts: tuple[ReceiptState, ...] = (ReceiptState.DELIVERED,)
    """The receipts that follow, in order, if asked for."""
    error: str = "000"
    """The `err` field of the last receipt."""
    fault: Fault = Fault.NONE
    status: int | None = None
    """The command_status of the fault; None when there is no answer at all."""
    fault_times: int | None = None
    """How often the fault meets the same text; None: always."""
    answer: str = ""
    """What the person texts back."""
    is_slow: bool = False
    """Whether the submit_sm_resp takes its time."""
    is_receipt_first: bool = False
    """Whether the receipt goes out before the submit_sm_resp."""
    is_hex: bool = False
    """Whether the receipt writes in hexadecimal what the submit_sm_resp wrote in decimal."""


DELIVERED: Final = Conduct("delivered")
"""What happens to every number that is not in the table."""

MAGIC: Final[dict[str, Conduct]] = {
    **{f"55501{n:02}": DELIVERED for n in range(10)},
    "5550110": Conduct("undelivered", receipts=(ReceiptState.UNDELIVERABLE,), error="001"),
    "5550111": Conduct("no receipt comes", receipts=()),
    "5550112": Conduct(
        "throttled twice (ESME_RTHROTTLED), then delivered",
        fault=Fault.STATUS,
        status=s.ESME_RTHROTTLED,
        fault_times=2,
    ),
    "5550113": Conduct(
        "refused for good (ESME_RINVDSTADR)", fault=Fault.STATUS, status=s.ESME_RINVDSTADR
    ),
    "5550114": Conduct("delivered, and the person answers", answer=ANSWER),
    "5550115": Conduct("the receipt comes before the response", is_receipt_first=True),
    "5550116": Conduct("the receipt writes the id in hexadecimal", is_hex=True),
    "5550117": Conduct("the response takes its time, then delivered", is_slow=True),
    "5550118": Conduct(
        "a temporary error first (ESME_RSYSERR), then delivered",
        fault=Fault.STATUS,
        status=s.ESME_RSYSERR,
        fault_times=1,
    ),
    "5550119": Conduct("delivered, and the person answers at length", answer=LONG_ANSWER),
    "5550120": Conduct("expired", receipts=(ReceiptState.EXPIRED,), error="027"),
    "5550121": Conduct(
        "the first time never answered, then delivered", fault=Fault.SILENCE, fault_times=1
    ),
    "5550122": Conduct(
        "the first time the connection is cut without an answer, then delivered",
        fault=Fault.CUT,
        fault_times=1,
    ),
    "5550123": Conduct(
        "a notification on the way (ENROUTE), then delivered",
        receipts=(ReceiptState.ENROUTE, ReceiptState.DELIVERED),
    ),
}
"""What happens, by the last seven digits of the destination."""


def conduct_of(dest: str) -> Conduct:
    """What becomes of a text to `dest`, in whatever form the number is written."""
    return MAGIC.get(dest[-MAGIC_DIGITS:], DELIVERED)


@dataclass(slots=True)
class Behaviour:
    """How the SMSC behaves as a whole; every field may be changed while it runs."""

    receipt_delay_s: float = 0.05
    """From the response to the receipt."""
    response_delay_s: float = 0.0
    """Added to every submit_sm_resp."""
    slow_response_s: float = 3.0
    """Added for the number that answers slowly."""
    answer_delay_s: float = 1.0
    """From the receipt to the person's answer."""
    retry_s: float = 1.0
    """After how long a deliver_sm that was refused for now goes out again."""
    has_receipts: bool = True
    """Whether receipts are sent when asked for."""
    has_receipt_parameters: bool = True
    """Whether receipts carry receipted_message_id and message_state beside their text."""
    submit_status: int = 0
    """Not 0: every submit_sm is answered with this command_status."""
    congestion: int | None = None
    """Not None: every text that is accepted is answered with this congestion_state (SMPP v5.0)."""
    bind_status: int = 0
    """Not 0: every bind is refused with this command_status."""
    is_silent: bool = False
    """Whether no submit_sm is answered."""
    cut_after: int | None = None
    """The connection that brings the submit_sm of this number, from now on, is cut in its place;
    the SMSC keeps that submit_sm, and counts to None."""
