"""The four transaction machines of RFC 3261 section 17, with the Accepted state of RFC 6026, as
tables: (state, input) → (next state, what to do). An input that the table does not name for a state
changes nothing."""

from __future__ import annotations

from enum import Enum
from typing import Final

from protocols.sip.limits import Timers


class Kind(Enum):
    INVITE_CLIENT = "INVITE client"
    CLIENT = "non-INVITE client"
    INVITE_SERVER = "INVITE server"
    SERVER = "non-INVITE server"


class State(Enum):
    CALLING = "Calling"
    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    ACCEPTED = "Accepted"
    COMPLETED = "Completed"
    CONFIRMED = "Confirmed"
    TERMINATED = "Terminated"


class Input(Enum):
    """What can happen to a transaction. Responses come from the peer in a client transaction, from
    the user in a server transaction."""

    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "3xx-6xx"
    REQUEST = "the request again"
    ACK = "ACK"
    TRANSPORT_ERROR = "transport error"
    TIMER_A = "A"  # INVITE request again
    TIMER_B = "B"  # INVITE without answer
    TIMER_C = "C"  # INVITE that its user gave up, without final response
    TIMER_D = "D"  # wait for copies of a final response
    TIMER_E = "E"  # non-INVITE request again
    TIMER_F = "F"  # non-INVITE without final response
    TIMER_G = "G"  # INVITE response again
    TIMER_H = "H"  # no ACK
    TIMER_I = "I"  # wait for copies of the ACK
    TIMER_J = "J"  # wait for copies of the request
    TIMER_K = "K"  # wait for copies of the response
    TIMER_L = "L"  # wait for copies of an accepted INVITE
    TIMER_M = "M"  # wait for 2xx of other branches


class Do(Enum):
    SEND = "send the response, and keep it"
    REPEAT = "send again what was sent last"
    ACK = "acknowledge the final response"
    PASS = "pass it to the user"  # noqa: S105 - no password
    TIMEOUT = "tell the user that no answer came"
    ERROR = "tell the user that the transport failed"


I = Input  # noqa: E741 - the tables read better with one letter
S = State
_Row = tuple[State, tuple[Do | Input, ...]]

INVITE_CLIENT: Final[dict[tuple[State, Input], _Row]] = {
    (S.CALLING, I.TIMER_A): (S.CALLING, (Do.REPEAT, I.TIMER_A)),
    (S.CALLING, I.TIMER_B): (S.TERMINATED, (Do.TIMEOUT,)),
    (S.CALLING, I.TRANSPORT_ERROR): (S.TERMINATED, (Do.ERROR,)),
    (S.CALLING, I.PROVISIONAL): (S.PROCEEDING, (Do.PASS,)),
    (S.CALLING, I.SUCCESS): (S.ACCEPTED, (I.TIMER_M, Do.PASS)),
    (S.CALLING, I.FAILURE): (S.COMPLETED, (Do.ACK, I.TIMER_D, Do.PASS)),
    (S.PROCEEDING, I.PROVISIONAL): (S.PROCEEDING, (Do.PASS,)),
    (S.PROCEEDING, I.SUCCESS): (S.ACCEPTED, (I.TIMER_M, Do.PASS)),
    (S.PROCEEDING, I.FAILURE): (S.COMPLETED, (Do.ACK, I.TIMER_D, Do.PASS)),
    (S.PROCEEDING, I.TIMER_C): (S.TERMINATED, ()),
    (S.ACCEPTED, I.SUCCESS): (S.ACCEPTED, (Do.PASS,)),
    (S.ACCEPTED, I.TIMER_M): (S.TERMINATED, ()),
    (S.COMPLETED, I.FAILURE): (S.COMPLETED, (Do.ACK,)),
    (S.COMPLETED, I.TIMER_D): (S.TERMINATED, ()),
    # The ACK could not be sent; the response was passed on before.
    (S.COMPLETED, I.TRANSPORT_ERROR): (S.TERMINATED, ()),
}
"""RFC 3261 figure 5, RFC 6026 figure 1. Proceeding has no timer there; an INVITE that was given up
(section 9.1) has one here, or a peer that never sends a final response would fill our memory."""

CLIENT: Final[dict[tuple[State, Input], _Row]] = {
    (S.TRYING, I.TIMER_E): (S.TRYING, (Do.REPEAT, I.TIMER_E)),
    (S.TRYING, I.TIMER_F): (S.TERMINATED, (Do.TIMEOUT,)),
    (S.TRYING, I.TRANSPORT_ERROR): (S.TERMINATED, (Do.ERROR,)),
    (S.TRYING, I.PROVISIONAL): (S.PROCEEDING, (Do.PASS,)),
    (S.TRYING, I.SUCCESS): (S.COMPLETED, (I.TIMER_K, Do.PASS)),
    (S.TRYING, I.FAILURE): (S.COMPLETED, (I.TIMER_K, Do.PASS)),
    (S.PROCEEDING, I.TIMER_E): (S.PROCEEDING, (Do.REPEAT, I.TIMER_E)),
    (S.PROCEEDING, I.TIMER_F): (S.TERMINATED, (Do.TIMEOUT,)),
    (S.PROCEEDING, I.TRANSPORT_ERROR): (S.TERMINATED, (Do.ERROR,)),
    (S.PROCEEDING, I.PROVISIONAL): (S.PROCEEDING, (Do.PASS,)),
    (S.PROCEEDING, I.SUCCESS): (S.COMPLETED, (I.TIMER_K, Do.PASS)),
    (S.PROCEEDING, I.FAILURE): (S.COMPLETED, (I.TIMER_K, Do.PASS)),
    (S.COMPLETED, I.TIMER_K): (S.TERMINATED, ()),
}
"""RFC 3261 figure 6."""

INVITE_SERVER: Final[dict[tuple[State, Input], _Row]] = {
    (S.PROCEEDING, I.REQUEST): (S.PROCEEDING, (Do.REPEAT,)),
    (S.PROCEEDING, I.PROVISIONAL): (S.PROCEEDING, (Do.SEND,)),
    (S.PROCEEDING, I.SUCCESS): (S.ACCEPTED, (Do.SEND, I.TIMER_L)),
    (S.PROCEEDING, I.FAILURE): (S.COMPLETED, (Do.SEND, I.TIMER_G, I.TIMER_H)),
    (S.ACCEPTED, I.SUCCESS): (S.ACCEPTED, (Do.SEND,)),
    (S.ACCEPTED, I.ACK): (S.ACCEPTED, (Do.PASS,)),
    (S.ACCEPTED, I.TIMER_L): (S.TERMINATED, ()),
    (S.COMPLETED, I.REQUEST): (S.COMPLETED, (Do.REPEAT,)),
    (S.COMPLETED, I.TIMER_G): (S.COMPLETED, (Do.REPEAT, I.TIMER_G)),
    (S.COMPLETED, I.TIMER_H): (S.TERMINATED, (Do.TIMEOUT,)),
    (S.COMPLETED, I.ACK): (S.CONFIRMED, (I.TIMER_I,)),
    (S.CONFIRMED, I.TIMER_I): (S.TERMINATED, ()),
}
"""RFC 3261 figure 7, RFC 6026 figure 2. A transport error ends nothing: the peer's copies of the
request may yet come another way."""

SERVER: Final[dict[tuple[State, Input], _Row]] = {
    (S.TRYING, I.PROVISIONAL): (S.PROCEEDING, (Do.SEND,)),
    (S.TRYING, I.SUCCESS): (S.COMPLETED, (Do.SEND, I.TIMER_J)),
    (S.TRYING, I.FAILURE): (S.COMPLETED, (Do.SEND, I.TIMER_J)),
    (S.PROCEEDING, I.REQUEST): (S.PROCEEDING, (Do.REPEAT,)),
    (S.PROCEEDING, I.PROVISIONAL): (S.PROCEEDING, (Do.SEND,)),
    (S.PROCEEDING, I.SUCCESS): (S.COMPLETED, (Do.SEND, I.TIMER_J)),
    (S.PROCEEDING, I.FAILURE): (S.COMPLETED, (Do.SEND, I.TIMER_J)),
    (S.COMPLETED, I.REQUEST): (S.COMPLETED, (Do.REPEAT,)),
    (S.COMPLETED, I.TIMER_J): (S.TERMINATED, ()),
}
"""RFC 3261 figure 8."""

TABLES: Final = {
    Kind.INVITE_CLIENT: INVITE_CLIENT,
    Kind.CLIENT: CLIENT,
    Kind.INVITE_SERVER: INVITE_SERVER,
    Kind.SERVER: SERVER,
}

FIRST: Final[dict[Kind, _Row]] = {
    Kind.INVITE_CLIENT: (S.CALLING, (I.TIMER_A, I.TIMER_B)),
    Kind.CLIENT: (S.TRYING, (I.TIMER_E, I.TIMER_F)),
    Kind.INVITE_SERVER: (S.PROCEEDING, ()),
    Kind.SERVER: (S.TRYING, ()),
}
"""The first state of each machine and the timers it starts."""

LIVING: Final[dict[State, frozenset[Input]]] = {
    S.CALLING: frozenset({I.TIMER_A, I.TIMER_B, I.TIMER_C}),
    S.TRYING: frozenset({I.TIMER_E, I.TIMER_F}),
    S.PROCEEDING: frozenset({I.TIMER_C, I.TIMER_E, I.TIMER_F}),
    S.ACCEPTED: frozenset({I.TIMER_L, I.TIMER_M}),
    S.COMPLETED: frozenset({I.TIMER_D, I.TIMER_G, I.TIMER_H, I.TIMER_J, I.TIMER_K}),
    S.CONFIRMED: frozenset({I.TIMER_I}),
    S.TERMINATED: frozenset(),
}
"""The timers that run on when a state is entered; others are stopped."""

REPEATING: Final = frozenset({I.TIMER_A, I.TIMER_E, I.TIMER_G})
"""Timers that only unreliable transports need; each time twice as long."""

GIVEN_UP_S: Final = 180.0
"""How long a late 2xx of an INVITE that was given up still finds its transaction, and gets its ACK
and BYE: as long as proxies on the way keep theirs (timer C, section 16.6)."""


def duration(timer: Input, timers: Timers, *, is_reliable: bool) -> float:
    """How long a timer that does not repeat runs (RFC 3261 table 4)."""
    if timer in (I.TIMER_B, I.TIMER_F, I.TIMER_H, I.TIMER_L, I.TIMER_M):
        return timers.timeout_s
    if timer is I.TIMER_C:
        return GIVEN_UP_S
    if is_reliable:
        return 0.0
    if timer is I.TIMER_D:
        return max(timers.d_s, timers.timeout_s)
    return timers.timeout_s if timer is I.TIMER_J else timers.t4_s


def next_interval(timer: Input, last: float, timers: Timers, state: State) -> float:
    """How long until a repeating timer is due: T1 at first, then twice the last; A without bound
    but B, E and G up to T2; E always T2 once a provisional response came."""
    if timer is I.TIMER_E and state is S.PROCEEDING:
        return timers.t2_s
    interval = last * 2 if last else timers.t1_s
    return interval if timer is I.TIMER_A else min(interval, timers.t2_s)
