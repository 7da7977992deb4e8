"""What a receipt changes: the segment that it belongs to, that segment's state, and its message's.

`Matching` gathers the changes of a batch of receipts of one link, and writes them in one
transaction. Doing so again after a commit whose outcome is unknown changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from gateway.dispatch.early import Early
from gateway.dispatch.outcomes import columns
from gateway.dispatch.recent import Sent
from gateway.ids import IdSource, wall_ms
from gateway.model import FINAL, FINAL_EVENTS, EventKind, State, fold
from gateway.store.database import HotConnection
from gateway.store.queries import load

SQL = load("receipts")
DISPATCH = load("dispatch")

_OPEN = (State.SUBMITTED, State.IN_DOUBT)

Key = tuple[int, int]
"""Message and segment."""


@dataclass(slots=True, eq=False)
class Item:
    """A receipt to match: fresh from a carrier with `respond`, or tried again with `early`.

    `state` is 0 for an intermediate one, `phone` the digits of the destination that it names.
    """

    link: int
    forms: tuple[str, ...]
    phone: str
    state: int
    word: str
    error: str | None
    respond: Callable[[int], None] | None = None
    early: Early | None = None
    written: str = ""
    """The id as the carrier wrote it; empty in one that is tried again."""
    new_id: int = 0
    """The id of the row that it became, once it became one: another attempt uses it again."""


@dataclass(slots=True)
class Matching:
    """The changes that the receipts of a batch make."""

    ids: IdSource
    kept: list[Early] = field(default_factory=list)
    """Receipts that match nothing so far."""
    dropped: list[Early] = field(default_factory=list)
    """Early receipts that are over: matched, or given up."""
    given_up: int = 0
    doubts: list[tuple[int, str, int, int]] = field(default_factory=list)
    """Link, target, message and segment of doubts that end."""
    _settled: dict[tuple[int, str | None], list[Key]] = field(default_factory=dict)
    _states: dict[Key, int] = field(default_factory=dict)
    _owners: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Shop and number of segments by message."""
    _words: dict[Key, str] = field(default_factory=dict)
    _events: list[tuple[Any, ...]] = field(default_factory=list)
    _resolvers: dict[Key, int] = field(default_factory=dict)
    """The early receipts that end doubts, by the segment in doubt."""

    def __bool__(self) -> bool:
        return bool(self._settled or self._events or self.kept or self.dropped)

    # Matching -------------------------------------------------------------------------------------

    def matched(self, item: Item, sent: Sent) -> None:
        """The receipt is for this segment. The first final one holds; a later other is an event."""
        key = (sent.id, sent.segment)
        now_state = self._states.get(key, sent.state)
        if item.early is not None:
            self.dropped.append(item.early)
        if item.state == 0 or (now_state not in _OPEN and item.state != now_state):
            self._ignored(item, key, sent.shop)
        elif now_state in _OPEN:
            self._settle(item, key, sent.shop, sent.segments)

    def doubt_resolved(self, item: Item, early: Early, row: asyncpg.Record) -> None:
        """The receipt, whose id nobody knows, settles this segment in doubt."""
        self.dropped.append(early)
        key = (row["id"], row["segment"])
        self.doubts.append((item.link, row["target"], *key))
        self._resolvers[key] = early.id
        self._settle(item, key, row["shop"], row["segments"])

    def unmatched(self, item: Item) -> None:
        """The receipt is for nothing known: it waits, or is given up after its last try."""
        early = item.early
        if early is None:
            item.new_id = item.new_id or self.ids.next()
            self.kept.append(
                Early(
                    item.new_id,
                    item.link,
                    item.forms,
                    item.phone,
                    item.state,
                    item.word,
                    item.error,
                )
            )
        elif early.is_last_try:
            self.give_up([early])

    def give_up(self, receipts: Sequence[Early]) -> None:
        """These early receipts are kept no longer."""
        self.dropped += receipts
        self.given_up += len(receipts)

    def bound(self, most: int) -> None:
        """Of the new ones, keep the newest `most` at most."""
        over = len(self.kept) - most
        if over > 0:
            self.given_up += over
            self.kept = self.kept[over:]

    def _settle(self, item: Item, key: Key, shop: int, segments: int) -> None:
        error = None if item.state == State.DELIVERED else _reason(item)
        self._states[key] = item.state
        self._settled.setdefault((item.state, error), []).append(key)
        self._owners[key[0]] = (shop, segments)
        self._words[key] = item.word

    def _ignored(self, item: Item, key: Key, shop: int) -> None:
        item.new_id = item.new_id or self.ids.next()
        detail = {"word": item.word, "error": item.error, "is_ignored": item.state != 0}
        self._events.append(
            (key[0], item.new_id, shop, EventKind.RECEIPT, key[1], wall_ms(), json.dumps(detail))
        )

    # Writing --------------------------------------------------------------------------------------

    async def commit(self, connection: HotConnection) -> dict[State, int]:
        """Write it all in one transaction; returns how many segments got which state."""
        if self._is_plain():
            return await self._deliver(connection)
        return await connection.transact(self.write)

    def _is_plain(self) -> bool:
        """Whether all there is to write is that messages of one segment were delivered."""
        return (
            list(self._settled) == [(State.DELIVERED, None)]
            and not (self._events or self.kept or self.dropped)
            and all(segments == 1 for _, segments in self._owners.values())
        )

    async def _deliver(self, connection: HotConnection) -> dict[State, int]:
        rows = [
            (id_, segment, self._owners[id_][0], self.ids.next())
            for id_, segment in self._settled[State.DELIVERED, None]
        ]
        told = await connection.fetch(SQL["deliver"], *columns(rows), wall_ms())
        return {State.DELIVERED: told[0]["count"]}

    async def write(self, connection: asyncpg.Connection) -> dict[State, int]:
        """The same in the caller's transaction."""
        counts: dict[State, int] = {}
        settled: set[Key] = set()
        now_ms = wall_ms()
        void = await self._drop(connection)
        for (state, error), all_keys in self._settled.items():
            keys = [key for key in all_keys if key not in void]
            if not keys:
                continue
            ids, segments = columns(keys)
            rows = await connection.fetch(SQL["settle"], ids, segments, state, error, now_ms)
            settled.update((row["id"], row["segment"]) for row in rows)
            counts[State(state)] = counts.get(State(state), 0) + len(rows)
        events = self._events + await self._final_events(connection, settled, now_ms)
        if events:
            await connection.execute(DISPATCH["add_events"], *columns(events))
        if self.kept:
            rows_ = [_early_row(early, now_ms) for early in self.kept]
            await connection.execute(SQL["keep_early"], *columns(rows_))
        for doubt in self.doubts:
            if doubt[2:] not in void:
                await connection.execute(SQL["end_doubt"], *doubt)
        return counts

    async def _drop(self, connection: asyncpg.Connection) -> set[Key]:
        """Drop the early receipts that are over; returns the doubts that none of them ends, since
        another node that took the receipt up too was quicker.
        """
        if not self.dropped:
            return set()
        ids = [early.id for early in self.dropped]
        mine = {row["id"] for row in await connection.fetch(SQL["drop_early"], ids)}
        return {key for key, receipt in self._resolvers.items() if receipt not in mine}

    async def _final_events(
        self, connection: asyncpg.Connection, settled: set[Key], now_ms: int
    ) -> list[tuple[Any, ...]]:
        """One event for each message that has its final state by this transaction."""
        siblings = await self._siblings(connection, {id_ for id_, _ in settled})
        events = []
        told = set()
        for id_, segment in sorted(settled):
            shop, segments = self._owners[id_]
            word = self._words[id_, segment]
            if segments == 1:
                state = State(self._states[id_, segment])
                events.append(self._final(id_, shop, state, segment, word, now_ms))
                continue
            after = siblings[id_]
            before = {n: State.SUBMITTED if (id_, n) in settled else s for n, s in after.items()}
            state = fold(segments, list(after.values()), State.SUBMITTING)
            was = fold(segments, list(before.values()), State.SUBMITTING)
            if state in FINAL and state is not was and id_ not in told:
                told.add(id_)
                events.append(self._final(id_, shop, state, None, word, now_ms))
        return events

    async def _siblings(
        self, connection: asyncpg.Connection, messages: Iterable[int]
    ) -> dict[int, dict[int, State]]:
        """The states of all segments of those messages that have several."""
        several = sorted(id_ for id_ in messages if self._owners[id_][1] > 1)
        found: dict[int, dict[int, State]] = {}
        if several:
            for row in await connection.fetch(SQL["sibling_states"], several):
                found.setdefault(row["id"], {})[row["segment"]] = State(row["state"])
        return found

    def _final(
        self, id_: int, shop: int, state: State, segment: int | None, word: str, now_ms: int
    ) -> tuple[Any, ...]:
        detail = None if state is State.DELIVERED else json.dumps({"word": word})
        return (id_, self.ids.next(), shop, FINAL_EVENTS[state], segment, now_ms, detail)


def _reason(item: Item) -> str:
    return f"{item.word} (error {item.error})" if item.error else item.word


def _early_row(early: Early, now_ms: int) -> tuple[Any, ...]:
    carrier = early.forms[0] if early.forms else ""
    return (
        early.id,
        early.link,
        carrier,
        early.phone,
        early.state,
        early.word,
        early.error,
        now_ms,
    )
