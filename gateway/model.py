"""What a message is and the states that it goes through: the vocabulary of the whole gateway, and
its one table of transitions.

A message is immutable once accepted. Where it is now is told by the table that holds it (`Place`),
how far it got by its status rows, one a segment; `fold` makes one state of them. Numbers are
stored, names are shown: the values of the integer enumerations here are in the database and never
change their meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Channel(IntEnum):
    """How a message reaches a person."""

    SMS = 1
    EMAIL = 2
    VOICE = 3


class Category(IntEnum):
    """Why a message is sent: it decides consent, validity, lane and what happens in doubt."""

    TRANSACTIONAL = 1
    MARKETING = 2
    SERVICE = 3


class Lane(IntEnum):
    """Priority classes of a queue: a lane waits while a lower one has a ready message."""

    TRANSACTIONAL = 0
    SERVICE = 1
    MARKETING = 2


LANES: dict[Category, Lane] = {
    Category.TRANSACTIONAL: Lane.TRANSACTIONAL,
    Category.SERVICE: Lane.SERVICE,
    Category.MARKETING: Lane.MARKETING,
}


class Place(IntEnum):
    """The one table that holds a message when it is accepted."""

    QUEUE = 1
    FLIGHT = 2
    LATER = 3
    HOLD = 4
    STATUS = 5


class State(IntEnum):
    """The state of a message, and (from SUBMITTED on) of a segment as its status row has it."""

    ACCEPTED = 0
    QUEUED = 1
    HELD = 2
    SUBMITTING = 3
    SUBMITTED = 4
    DELIVERED = 5
    UNDELIVERED = 6
    FAILED = 7
    EXPIRED = 8
    CANCELED = 9
    SUPPRESSED = 10
    IN_DOUBT = 11

    @property
    def word(self) -> str:
        """The name that users see: `in_doubt`."""
        return self.name.lower()


FINAL = frozenset(
    {
        State.DELIVERED,
        State.UNDELIVERED,
        State.FAILED,
        State.EXPIRED,
        State.CANCELED,
        State.SUPPRESSED,
    }
)
"""States that nothing leaves. IN_DOUBT is not among them: a receipt may still settle it."""


class Event(StrEnum):
    """What can happen to a message, as the table of transitions names it."""

    QUEUE = "queue"
    HOLD = "hold"
    CLAIM = "claim"
    RETURN = "return"
    SUBMIT = "submit"
    REFUSE = "refuse"
    DOUBT = "doubt"
    DELIVER = "deliver"
    MISS = "miss"
    EXPIRE = "expire"
    CANCEL = "cancel"
    SUPPRESS = "suppress"


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.ACCEPTED: {
        Event.QUEUE: State.QUEUED,
        Event.HOLD: State.HELD,
        Event.CLAIM: State.SUBMITTING,
        Event.SUPPRESS: State.SUPPRESSED,
    },
    State.QUEUED: {
        Event.CLAIM: State.SUBMITTING,
        Event.HOLD: State.HELD,
        Event.EXPIRE: State.EXPIRED,
        Event.CANCEL: State.CANCELED,
        Event.SUPPRESS: State.SUPPRESSED,
    },
    State.HELD: {
        Event.QUEUE: State.QUEUED,
        Event.EXPIRE: State.EXPIRED,
        Event.CANCEL: State.CANCELED,
        Event.SUPPRESS: State.SUPPRESSED,
    },
    State.SUBMITTING: {
        Event.RETURN: State.QUEUED,
        Event.HOLD: State.HELD,
        Event.SUBMIT: State.SUBMITTED,
        Event.REFUSE: State.FAILED,
        Event.DOUBT: State.IN_DOUBT,
        Event.EXPIRE: State.EXPIRED,
        Event.SUPPRESS: State.SUPPRESSED,
    },
    State.SUBMITTED: {Event.DELIVER: State.DELIVERED, Event.MISS: State.UNDELIVERED},
    State.IN_DOUBT: {
        Event.RETURN: State.QUEUED,
        Event.SUBMIT: State.SUBMITTED,
        Event.DELIVER: State.DELIVERED,
        Event.MISS: State.UNDELIVERED,
        Event.REFUSE: State.FAILED,
    },
    State.DELIVERED: {},
    State.UNDELIVERED: {},
    State.FAILED: {},
    State.EXPIRED: {},
    State.CANCELED: {},
    State.SUPPRESSED: {},
}
"""Every move a message or a segment may make. What is not here does not happen, and is an error
where it is tried.
"""


def advance(state: State, event: Event) -> State | None:
    """The state after `event`, or None where the table has no such move."""
    return TRANSITIONS[state].get(event)


NEVER_LEFT = frozenset({State.EXPIRED, State.CANCELED, State.SUPPRESSED})
"""States of what was never handed to a peer. One segment speaks for all that did not leave."""

_NEGATIVE = (State.FAILED, State.UNDELIVERED)


def is_settled(segments: int, states: Sequence[State]) -> bool:
    """Whether the status rows say it all: nothing of the message has yet to be sent."""
    return len(states) >= segments or any(s in NEVER_LEFT or s in _NEGATIVE for s in states)


def fold(segments: int, states: Sequence[State], waiting: State) -> State:
    """The message's state, from the states of its status rows.

    `segments` is how many the message has, `states` those of the rows there are, and `waiting` the
    state that the place of the rest tells (QUEUED, HELD or SUBMITTING). Delivered when all
    segments are; failed or undelivered as soon as one finally is.
    """
    if not states:
        return waiting
    for final in (*NEVER_LEFT, *_NEGATIVE):
        if final in states:
            return final
    if len(states) < segments:
        return waiting
    if State.IN_DOUBT in states:
        return State.IN_DOUBT
    return State.DELIVERED if all(s is State.DELIVERED for s in states) else State.SUBMITTED


class EventKind(IntEnum):
    """What an `event` row tells: every final state, and whatever the other rows cannot show.

    A number that is left out is not given again: stored rows may still have it.
    """

    DELIVERED = 1
    UNDELIVERED = 2
    FAILED = 3
    EXPIRED = 4
    CANCELED = 5
    SUPPRESSED = 6
    IN_DOUBT = 7
    HELD = 8
    RELEASED = 9
    THROTTLED = 10
    RETRIED = 11
    RESENT = 13
    RECEIPT = 14
    NO_RECEIPT = 15

    @property
    def word(self) -> str:
        """The name that users see: `no-receipt`."""
        return self.name.lower().replace("_", "-")


FINAL_EVENTS: dict[State, EventKind] = {
    State.DELIVERED: EventKind.DELIVERED,
    State.UNDELIVERED: EventKind.UNDELIVERED,
    State.FAILED: EventKind.FAILED,
    State.EXPIRED: EventKind.EXPIRED,
    State.CANCELED: EventKind.CANCELED,
    State.SUPPRESSED: EventKind.SUPPRESSED,
    State.IN_DOUBT: EventKind.IN_DOUBT,
}


class Cause(StrEnum):
    """Why nobody knows whether a segment arrived."""

    CRASH = "crash"
    CUT = "cut"
    TIMEOUT = "timeout"


class InDoubt(StrEnum):
    """What becomes of a segment in doubt."""

    SEND_AGAIN = "send-again"
    WAIT_FOR_RECEIPT = "wait-for-receipt"


def settle_doubt(category: Category, channel: Channel, cause: Cause) -> InDoubt:
    """What to do with a segment that may have left and was never answered.

    Neither SMPP nor SMTP has an idempotency key, so that it is either sent at least once or at
    most once. A person waits for transactional texts, and forwards carry the same Message-ID
    again: at least once. Marketing and calls: at most once.
    """
    if channel is Channel.VOICE or category is Category.MARKETING:
        return InDoubt.WAIT_FOR_RECEIPT
    return InDoubt.SEND_AGAIN


@dataclass(slots=True)
class Message:
    """One accepted message, as the insert stores it. Times are milliseconds since the epoch."""

    id: int
    shop: int
    route: int
    channel: Channel
    category: Category
    sender: str
    target: str
    body: str
    encoding: int
    segments: int
    expires_ms: int
    reference: str | None = None
    source: str | None = None
    parent: int | None = None
    place: Place = Place.QUEUE
    rank: int = 0
    due_ms: int | None = None
    reason: str | None = None

    @property
    def lane(self) -> Lane:
        """The lane that the message waits in."""
        return LANES[self.category]
