"""Messages and replies as people look at them: the rows of one thing, gathered from wherever they
are.

All of it runs within the caller's transaction (`Database.run`), which becomes one read-only
snapshot: a message that moves while it is looked at is seen in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from gateway.model import Category, Channel, EventKind, Place, State, fold, is_settled
from gateway.store.queries import load

STATEMENT_TIMEOUT_MS = 10_000
EVENTS_MAX = 1_000
"""Events that one timeline shows."""
LOOKED_AT_MAX = 2_000
"""Messages whose state one search works out, at most: it follows from several tables."""
_PORTION = 500

ReplyPlace = tuple[int, int]
"""A place among all replies: transaction and id. Ids alone are given out before the commit."""
FIRST_REPLY: ReplyPlace = (0, 0)
"""The place before all of them."""


@dataclass(frozen=True, slots=True)
class Part:
    """A segment that was answered, or segment 0 for a message that never left."""

    segment: int
    link: str | None
    state: State
    tries: int
    sent_ms: int | None
    done_ms: int | None
    carrier: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message with all that is known of it but its events.

    Times are milliseconds since the epoch.
    """

    id: int
    shop: int
    shop_code: str
    route: str
    born: Place
    channel: Channel
    category: Category
    encoding: int
    segments: int
    due_ms: int | None
    expires_ms: int
    parent: int | None
    sender: str
    target: str
    body: str
    reference: str | None
    source: str | None
    born_reason: str | None
    is_forward: bool
    held_for: str | None
    held_until_ms: int | None
    is_flying: bool
    parts: tuple[Part, ...] = ()
    children: tuple[int, ...] = ()

    def place(self) -> Place:
        """Where the message, or what is left of it, is now; QUEUE stands for `later` as well."""
        states = [part.state for part in self.parts]
        if is_settled(self.segments, states):
            return Place.STATUS
        if self.is_flying:
            return Place.FLIGHT
        return Place.HOLD if self.held_for is not None else Place.QUEUE

    def state(self, now_ms: int) -> State:
        """The message's state.

        What still waits when its validity has passed is expired: it will not be sent.
        """
        place = self.place()
        state = fold(self.segments, [part.state for part in self.parts], _WAITING[place])
        is_waiting = place in (Place.QUEUE, Place.HOLD) and state is _WAITING[place]
        return State.EXPIRED if is_waiting and now_ms >= self.expires_ms else state

    def reason(self, state: State) -> str | None:
        """Why it is in this state, as a policy's word or the peer's."""
        if state is State.HELD:
            return self.held_for
        for part in self.parts:
            if part.state is state and part.error is not None:
                return part.error
        return self.born_reason if state is State.SUPPRESSED else None


_WAITING = {
    Place.STATUS: State.SUBMITTED,
    Place.FLIGHT: State.SUBMITTING,
    Place.HOLD: State.HELD,
    Place.QUEUE: State.QUEUED,
}


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event row. `detail`: what its kind carries."""

    id: int
    kind: EventKind
    segment: int | None
    at_ms: int
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredReply:
    """A customer's text.

    `shop` None: its number belonged to no shop. `missing`: segments that never came.
    """

    id: int
    shop: int | None
    shop_code: str | None
    link: str | None
    number: str
    phone: str
    body: str
    segments: int
    missing: tuple[int, ...]
    place: ReplyPlace
    forward: StoredMessage | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for.

    `shop` None: in all shops, and then by time alone. Bounds: ids from `low` to below `high`.
    `state`: those that are in it at `now_ms`.
    """

    shop: int | None
    phone: str | None
    reference: str | None
    low: int
    high: int
    limit: int
    state: State | None = None
    now_ms: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A page of messages, the newest first. `next`: the id below which the search goes on, perhaps
    to nothing; None at its end. A page of a search by state may have few, or none, before the end.
    """

    messages: list[StoredMessage]
    next: int | None


def _sql(name: str) -> str:
    return load("reading")[name]


async def _look(connection: asyncpg.Connection) -> None:
    """Make the transaction a read-only snapshot, in which no statement runs for long."""
    await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    await connection.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}")


async def read_message(
    connection: asyncpg.Connection, id_: int, shop: int | None
) -> StoredMessage | None:
    """A message, or None where there is none with this id, or `shop` is given and it is
    another's.
    """
    await _look(connection)
    for message in await _messages(connection, [id_], shop):
        return message
    return None


async def read_due(connection: asyncpg.Connection, message: StoredMessage) -> int | None:
    """When a message is due that waits for its time or for a retry; None if it waits for its
    turn.
    """
    if message.place() is not Place.QUEUE:
        return None
    due_ms: int | None = await connection.fetchval(_sql("due"), message.id, message.due_ms)
    return due_ms


async def read_events(connection: asyncpg.Connection, id_: int) -> list[StoredEvent]:
    """The events of a message, in the order of time."""
    return [
        StoredEvent(
            row["id"],
            EventKind(row["kind"]),
            row["segment"],
            row["at_ms"],
            msgspec.json.decode(row["detail"]) if row["detail"] else {},
        )
        for row in await connection.fetch(_sql("events"), id_, EVENTS_MAX)
    ]


async def search(connection: asyncpg.Connection, wanted: Search) -> Found:
    """Messages, the newest first."""
    await _look(connection)
    if wanted.state is not None:
        return await _search_by_state(connection, wanted, wanted.state)
    ids = await _find(connection, wanted, wanted.high, wanted.limit)
    found = await _messages(connection, ids, wanted.shop)
    return Found(found, ids[-1] if len(ids) == wanted.limit else None)


async def _search_by_state(connection: asyncpg.Connection, wanted: Search, state: State) -> Found:
    """Look at one message after the other, until there are enough or so many were looked at."""
    found: list[StoredMessage] = []
    high = wanted.high
    for _ in range(LOOKED_AT_MAX // _PORTION):
        ids = await _find(connection, wanted, high, _PORTION)
        for message in await _messages(connection, ids, wanted.shop):
            if message.state(wanted.now_ms) is state:
                found.append(message)
                if len(found) == wanted.limit:
                    return Found(found, message.id)
        if len(ids) < _PORTION:
            return Found(found, None)
        high = ids[-1]
    return Found(found, high)


async def _find(connection: asyncpg.Connection, wanted: Search, high: int, limit: int) -> list[int]:
    """The ids of messages, whatever their state, the newest first."""
    bounds = (wanted.low, high)
    if wanted.shop is None:
        rows = await connection.fetch(_sql("find_all"), *bounds, limit)
    elif wanted.phone is not None:
        rows = await connection.fetch(
            _sql("find_by_phone"),
            wanted.shop,
            wanted.phone,
            *bounds,
            wanted.reference,
            limit,
        )
    elif wanted.reference is not None:
        rows = await connection.fetch(
            _sql("find_by_reference"), wanted.shop, wanted.reference, *bounds, limit
        )
    else:
        rows = await connection.fetch(_sql("find_by_shop"), wanted.shop, *bounds, limit)
    return [row["id"] for row in rows]


async def _messages(
    connection: asyncpg.Connection, ids: list[int], shop: int | None
) -> list[StoredMessage]:
    """The messages with these ids, the newest first, with their parts and children."""
    if not ids:
        return []
    parts: dict[int, list[Part]] = {}
    for row in await connection.fetch(_sql("parts"), ids):
        id_, segment, link, state, *rest = row
        parts.setdefault(id_, []).append(Part(segment, link, State(state), *rest))
    children: dict[int, list[int]] = {}
    for row in await connection.fetch(_sql("children"), ids):
        children.setdefault(row["parent"], []).append(row["id"])
    rows = await connection.fetch(_sql("messages"), ids, shop)
    found = [
        _message(row, tuple(parts.get(row["id"], ())), tuple(children.get(row["id"], ())))
        for row in rows
    ]
    return sorted(found, key=lambda message: -message.id)


def _message(
    row: asyncpg.Record, parts: tuple[Part, ...], children: tuple[int, ...]
) -> StoredMessage:
    return StoredMessage(
        id=row["id"],
        shop=row["shop"],
        shop_code=row["code"] or "",
        route=row["route"] or "",
        born=Place(row["place"]),
        channel=Channel(row["channel"]),
        category=Category(row["category"]),
        encoding=row["encoding"],
        segments=row["segments"],
        due_ms=row["due_ms"],
        expires_ms=row["expires_ms"],
        parent=row["parent"],
        sender=row["sender"],
        target=row["target"],
        body=row["body"],
        reference=row["reference"],
        source=row["source"],
        born_reason=row["reason"],
        is_forward=row["is_forward"],
        held_for=row["held_for"],
        held_until_ms=row["held_until_ms"],
        is_flying=row["is_flying"],
        parts=parts,
        children=children,
    )


async def read_replies(
    connection: asyncpg.Connection, shop: int | None, after: ReplyPlace, limit: int
) -> list[StoredReply]:
    """Replies behind a place, in the order in which they were stored: of one shop, or of all and
    of none.

    A reply appears here once no transaction older than its own is under way.
    """
    await _look(connection)
    xact, id_ = str(after[0]), after[1]
    if shop is None:
        rows = await connection.fetch(_sql("all_replies"), xact, id_, limit)
    else:
        rows = await connection.fetch(_sql("replies_of_shop"), shop, xact, id_, limit)
    forwards = await _forwards(connection, [row["id"] for row in rows])
    return [
        StoredReply(
            row["id"],
            row["shop"],
            row["code"],
            row["link"],
            row["number"],
            row["phone"],
            row["body"],
            row["segments"],
            tuple(row["missing"]),
            (row["xact"], row["id"]),
            forwards.get(row["id"]),
        )
        for row in rows
    ]


async def _forwards(connection: asyncpg.Connection, replies: list[int]) -> dict[int, StoredMessage]:
    """The last forward of each reply."""
    rows = await connection.fetch(_sql("children"), replies) if replies else []
    found = await _messages(connection, [row["id"] for row in rows], None)
    return {message.parent: message for message in reversed(found) if message.parent is not None}
