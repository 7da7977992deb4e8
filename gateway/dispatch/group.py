"""A group of messages that is committed together: who waits for each, and where each goes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.dispatch.acceptance import Draft
from gateway.dispatch.flights import Flight, Outgoing
from gateway.dispatch.outcomes import columns
from gateway.dispatch.routes import Route, Way
from gateway.errors import Refusal
from gateway.ids import wall_ms
from gateway.model import Message


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's key, and the SHA-256 of the request that it belongs to."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message is durable. `answer` is the body of the 202; `is_replay`: an earlier request with
    this key was answered so.
    """

    answer: bytes
    is_replay: bool = False


Outcome = Accepted | Refusal


class Waiter(Protocol):
    """Who waits for the outcomes of what was submitted under an index."""

    def settle(self, index: int, outcome: Outcome) -> None:
        """The outcome is known. The first one counts."""

    def is_waiting(self, index: int) -> bool:
        """Whether anybody still wants to know."""


@dataclass(slots=True)
class Post:
    """What one caller of `Intake.accept` waits for."""

    outcomes: list[Outcome | None]
    left: int
    done: asyncio.Future[None]

    def settle(self, index: int, outcome: Outcome) -> None:
        """One of its messages has its outcome. The first one counts."""
        if self.outcomes[index] is not None:
            return
        self.outcomes[index] = outcome
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)

    def is_waiting(self, index: int) -> bool:
        """Whether the caller is still there."""
        return not self.done.done()


@dataclass(slots=True)
class Item:
    """One message of a group, and what its caller is told once it is durable."""

    draft: Draft
    key: Idempotency | None
    post: Waiter
    index: int
    answer: bytes = b""

    @property
    def message(self) -> Message:
        """The message that is to be stored."""
        return self.draft.message

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody waits for it any more."""
        return not self.post.is_waiting(self.index)

    def settle(self, outcome: Outcome) -> None:
        """Tell the caller."""
        self.post.settle(self.index, outcome)


@dataclass(slots=True)
class Direct:
    """Messages that skip the queue: a flight of their own on a route, for one of its links. They
    follow one another by rank.
    """

    route: Route
    way: Way
    flight: int
    items: list[Item]

    def outgoing(self) -> list[Outgoing]:
        """The messages as the link takes them."""
        flight = Flight(self.flight, len(self.items))
        return [_outgoing(item.message, flight) for item in self.items]


@dataclass(slots=True)
class Plan:
    """Where the messages of a group go."""

    direct: list[Direct] = field(default_factory=list)
    queued: list[tuple[Route, int]] = field(default_factory=list)


def arguments(group: Sequence[Item], plan: Plan, node: int, epoch: int) -> list[object]:
    """What the statement that commits a group is given."""
    return [
        [_row(item.message) for item in group],
        wall_ms(),
        node,
        epoch,
        [direct.flight for direct in plan.direct],
        [direct.route.id for direct in plan.direct],
        [direct.way.link.id for direct in plan.direct],
        _contacts(group),
        *_keys(group),
        *_spans(plan.direct),
    ]


def _spans(flights: Sequence[Direct]) -> list[list[int]]:
    """Rank and id of the first and of the last message of each flight."""
    ends = [(flight.items[0].message, flight.items[-1].message) for flight in flights]
    return columns([(a.rank, a.id, b.rank, b.id) for a, b in ends], 4)


def _row(m: Message) -> tuple[object, ...]:
    """A row of `message`, its columns in the order of the table."""
    return (
        m.id,
        m.shop,
        m.route,
        m.rank,
        m.place,
        m.channel,
        m.category,
        m.encoding,
        m.segments,
        m.due_ms,
        m.expires_ms,
        m.parent,
        m.sender,
        m.target,
        m.body,
        m.reference,
        m.source,
        m.reason,
    )


def _contacts(group: Sequence[Item]) -> list[tuple[object, ...]]:
    """The contacts that requests described, as rows of `contact`, one a phone: the last word
    counts. The number is not theirs to say.
    """
    rows: dict[tuple[int, str], tuple[object, ...]] = {}
    for item in group:
        contact = item.draft.contact
        if contact is not None:
            shop, phone = item.message.shop, item.message.target
            rows[shop, phone] = (
                shop,
                phone,
                contact.kind,
                contact.id,
                contact.name,
                contact.time_zone,
                item.draft.alerts,
                None,
            )
    # In one order on every node: two writers then never wait for each other's rows.
    return [rows[key] for key in sorted(rows)]


def _keys(group: Sequence[Item]) -> list[list[object]]:
    """The idempotency keys, in one order for the same reason."""
    rows = [
        (item.message.shop, item.key.key, item.key.fingerprint, item.answer.decode())
        for item in group
        if item.key is not None
    ]
    return columns(sorted(rows), 4)


def _outgoing(message: Message, flight: Flight) -> Outgoing:
    return Outgoing(
        id=message.id,
        shop=message.shop,
        route=message.route,
        channel=message.channel,
        category=message.category,
        rank=message.rank,
        tries=1,
        sender=message.sender,
        target=message.target,
        body=message.body,
        encoding=message.encoding,
        segments=message.segments,
        expires_ms=message.expires_ms,
        parent=message.parent,
        flight=flight,
    )
