"""What the user agent tells the application. Each call ends with exactly one `Rejected` or
`Ended`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from protocols.sip.fields import Body, NameAddr, Reason

if TYPE_CHECKING:
    from protocols.sip.call import Call
    from protocols.sip.registration import Registration
    from protocols.sip.uri import Uri


class EndCause(Enum):
    """Why a call or a request came to its end."""

    RESPONSE = "the peer refused"
    TIMEOUT = "the peer did not answer the request"
    TRANSPORT = "the request could not be sent"
    NO_ANSWER = "nobody answered in time"
    CANCELED = "whoever called gave up"
    LOCAL = "we hung up"
    REMOTE = "the peer hung up"
    REFUSED = "we refused"
    NO_ACK = "the peer never acknowledged the answer"
    SESSION_EXPIRED = "the session was not refreshed"
    LOST = "the peer knows nothing of the call any more"


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A new call; `ring`, `answer`, `reject` or `redirect` it. Without a body the peer wants our
    offer in the answer."""

    call: Call
    body: Body | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisional response of an outgoing call. `fork` names the branch that it came from: a
    call may ring in several places. With `is_offer` the body waits for `accept_offer`."""

    call: Call
    code: int
    phrase: str
    body: Body | None
    fork: str
    is_offer: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """An outgoing call was answered. With `is_offer` the body waits for `accept_offer`, and the
    peer for the ACK that will carry it."""

    call: Call
    body: Body | None
    is_offer: bool = False


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The ACK of an incoming call came; `body` answers the offer of our 2xx, if that was one."""

    call: Call
    body: Body | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """An outgoing call came to nothing."""

    call: Call
    cause: EndCause
    code: int
    phrase: str = ""
    contacts: tuple[NameAddr, ...] = ()
    """Where else to try (3xx); never followed by the core."""
    retry_after_s: float | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """A call is over: an incoming one in any way, an outgoing one after its answer."""

    call: Call
    cause: EndCause
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Offered:
    """The peer offers something new: `accept_offer` or `refuse_offer`. `method` is what it came
    in."""

    call: Call
    body: Body
    method: str


@dataclass(frozen=True, slots=True)
class OfferWanted:
    """A re-INVITE without a body: `accept_offer` takes our offer."""

    call: Call


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """The answer to an offer of ours; None when the peer accepted without one."""

    call: Call
    body: Body | None


@dataclass(frozen=True, slots=True)
class OfferRefused:
    """An offer of ours was refused, the session stays as it was."""

    call: Call
    code: int
    phrase: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class ReferReceived:
    """The peer wants us to call somebody (only with `accepts_refer`): `accept_refer` or
    `refuse_refer`."""

    call: Call
    target: Uri
    referred_by: str


@dataclass(frozen=True, slots=True)
class ReferProgress:
    """How a transfer that we asked for goes. `code` 0 with `is_final`: the peer stopped telling."""

    call: Call
    code: int
    phrase: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class ReferRefused:
    """The peer does not transfer."""

    call: Call
    code: int
    phrase: str = ""


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration stands for `expires_s`."""

    registration: Registration
    expires_s: float
    public: tuple[str, int] | None
    """The address that the registrar saw us at, if it says so."""
    flow_timer_s: float | None
    """How often the registrar wants keep-alives (RFC 5626 Flow-Timer)."""


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """No registration stands; tried again after `retry_in_s`, never for None."""

    registration: Registration
    code: int
    phrase: str
    retry_in_s: float | None


@dataclass(frozen=True, slots=True)
class Unregistered:
    registration: Registration


@dataclass(frozen=True, slots=True)
class Replied:
    """What came of `options`: any code shows that the peer lives, but 408 (no answer) and 503 with
    cause TRANSPORT."""

    context: object
    code: int
    phrase: str
    cause: EndCause


Event = (
    IncomingCall
    | Progress
    | Answered
    | Confirmed
    | Rejected
    | Ended
    | Offered
    | OfferWanted
    | OfferAnswered
    | OfferRefused
    | ReferReceived
    | ReferProgress
    | ReferRefused
    | Registered
    | RegistrationFailed
    | Unregistered
    | Replied
)
