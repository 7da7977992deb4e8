"""Delivery receipts: matched to their segments, committed, and only then acknowledged, in order.

A task of its own without delay: carriers send no more receipts than their small window until the last ones are acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from gateway.dispatch.early import RETRIES_S, Early, EarlyReceipts
from gateway.errors import Fenced, StoreDown
from gateway.ids import IdSource, wall_ms
from gateway.model import FINAL, FINAL_EVENTS, EventKind, State, fold
from gateway.store.database import HotConnection
from gateway.store.queries import load
from protocols.sms.message_ids import id_forms
from protocols.sms.receipts import Outcome, Receipt

log = logging.getLogger(__name__)

SQL = load("receipts")
DISPATCH = load("dispatch")

BATCH_MAX = 500
_SHORTEST_NUMBER = 7
_STATES = {
    Outcome.DELIVERED: int(State.DELIVERED),
    Outcome.UNDELIVERED: int(State.UNDELIVERED),
    Outcome.NONE: 0,
}
_OPEN = (State.SUBMITTED, State.IN_DOUBT)


@dataclass(slots=True)
class _Item:
    """A receipt to match: fresh from a carrier with `respond`, or tried again with `early`."""

    link: int
    forms: tuple[str, ...]
    phone: str
    state: int
    word: str
    error: str | None
    respond: Callable[[int], None] | None = None
    early: Early | None = None


@dataclass(slots=True)
class _Changes:
    """What one transaction writes."""

    settled: dict[tuple[int, str | None], list[tuple[int, int]]] = field(default_factory=dict)
    owners: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Shop and number of segments by message."""
    words: dict[tuple[int, int], str] = field(default_factory=dict)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    kept: list[Early] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    doubts: list[tuple[int, str, int, int]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.settled or self.events or self.kept or self.dropped)


class Receipts:
    """Takes the receipts of all links of the process."""

    def __init__(
        self,
        connection: HotConnection,
        ids: IdSource,
        *,
        early_per_link: int = 10_000,
        may_write: Callable[[], bool] = lambda: True,
        on_final: Callable[[str, int], None] = lambda state, count: None,
        on_dropped: Callable[[int], None] = lambda count: None,
    ) -> None:
        """`on_final` counts segments by final state, `on_dropped` receipts given up for want of a message."""
        self._connection = connection
        self._ids = ids
        self._early = EarlyReceipts(early_per_link)
        self._may_write = may_write
        self._on_final = on_final
        self._on_dropped = on_dropped
        self._waiting: list[_Item] = []
        self._wake = asyncio.Event()

    def receipt(
        self, link: int, receipt: Receipt, phone: str, respond: Callable[[int], None]
    ) -> None:
        """A receipt has come on a link, for a text to `phone`."""
        state = _STATES[receipt.outcome]
        forms = id_forms(receipt.message_id) if receipt.message_id else ()
        self._put(_Item(link, forms, _digits(phone), state, receipt.word, receipt.error, respond))

    def carrier_ids(self, pairs: Iterable[tuple[int, str]]) -> None:
        """These ids (link, id) were just committed: receipts may have waited for them."""
        if len(self._early):
            for link, carrier in pairs:
                for early in self._early.waiting_for(link, carrier):
                    self._put(_again(early))

    async def load(self, link: int) -> None:
        """Take up the early receipts of a link that an earlier process stored. Raises StoreDown."""
        now = asyncio.get_running_loop().time()
        for row in await self._connection.fetch(SQL["load_early"], link, 100_000):
            forms = id_forms(row["carrier"]) if row["carrier"] else ()
            early = Early(
                row["id"], link, forms, row["phone"], row["state"], row["word"], row["error"]
            )
            self._early.add(early, now)

    def _put(self, item: _Item) -> None:
        self._waiting.append(item)
        self._wake.set()

    async def run(self) -> None:
        """Match, commit and acknowledge, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(1.0 if len(self._early) else None):
                    await self._wake.wait()
            except TimeoutError:
                self._waiting += [_again(early) for early in self._early.due(loop.time())]
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            if not self._waiting:
                self._wake.clear()
            for link in {item.link for item in batch}:
                await self._persist(link, [item for item in batch if item.link == link])

    async def _persist(self, link: int, batch: list[_Item]) -> None:
        """Handle a batch of one link, however long the store takes."""
        failures = 0
        while True:
            try:
                if not self._may_write():
                    raise Fenced("the node's lease was not renewed")
                await self._handle(link, batch)
                break
            except (StoreDown, Fenced) as error:
                failures += 1
                if failures == 1:
                    log.warning("%d receipts wait for the store: %s", len(batch), error)
                await asyncio.sleep(min(0.05 * 2**failures, 2.0))
        for item in batch:
            if item.respond is not None:
                item.respond(0)

    # Matching ----------------------------------------------------------------------------------------------------------

    async def _handle(self, link: int, batch: list[_Item]) -> None:
        matches = await self._find(link, batch)
        changes = _Changes()
        states: dict[tuple[int, int], int] = {}
        for item, rows in zip(batch, matches, strict=True):
            row = _newest(rows, item.phone)
            if row is not None:
                self._match(item, row, states, changes)
            elif not await self._resolve_doubt(item, changes):
                self._keep(item, changes)
        if changes:
            finals = await self._connection.transact(lambda c: self._commit(c, changes))
            for state, count in finals.items():
                self._on_final(state, count)
        self._remember(changes, batch)

    async def _find(self, link: int, batch: list[_Item]) -> list[list[asyncpg.Record]]:
        """The segments that each receipt may be for."""
        known = [(n, item.forms) for n, item in enumerate(batch) if item.forms]
        found: list[list[asyncpg.Record]] = [[] for _ in batch]
        if known:
            columns = [[f[i] if i < len(f) else f[0] for _, f in known] for i in range(3)]
            rows = await self._connection.fetch(
                SQL["find_sent"], link, [n for n, _ in known], *columns
            )
            for row in rows:
                found[row["n"]].append(row)
        return found

    def _match(
        self,
        item: _Item,
        row: asyncpg.Record,
        states: dict[tuple[int, int], int],
        changes: _Changes,
    ) -> None:
        key = (row["id"], row["segment"])
        now_state = states.get(key, row["state"])
        if item.early is not None:
            changes.dropped.append(item.early.id)
        if item.state == 0 or (now_state not in _OPEN and item.state != now_state):
            detail = {"word": item.word, "error": item.error, "is_ignored": item.state != 0}
            self._event(changes, row["id"], row["shop"], EventKind.RECEIPT, row["segment"], detail)
        elif now_state in _OPEN:
            states[key] = item.state
            self._settle(item, key, row["shop"], row["segments"], changes)

    def _settle(
        self, item: _Item, key: tuple[int, int], shop: int, segments: int, changes: _Changes
    ) -> None:
        error = None if item.state == State.DELIVERED else _reason(item)
        changes.settled.setdefault((item.state, error), []).append(key)
        changes.owners[key[0]] = (shop, segments)
        changes.words[key] = item.word

    async def _resolve_doubt(self, item: _Item, changes: _Changes) -> bool:
        """A receipt whose id nobody knows settles the oldest segment in doubt of its link and destination, once all tries are over."""
        early = item.early
        if early is None or early.tries < len(RETRIES_S) or item.state == 0:
            return False
        rows = await self._connection.fetch(
            SQL["find_doubt"], item.link, [item.phone, f"+{item.phone}"]
        )
        if not rows:
            return False
        row = rows[0]
        changes.dropped.append(early.id)
        changes.doubts.append((item.link, row["target"], row["id"], row["segment"]))
        self._settle(item, (row["id"], row["segment"]), row["shop"], row["segments"], changes)
        return True

    def _keep(self, item: _Item, changes: _Changes) -> None:
        early = item.early
        if early is None:
            early = Early(
                self._ids.next(),
                item.link,
                item.forms,
                item.phone,
                item.state,
                item.word,
                item.error,
            )
            changes.kept.append(early)
        elif early.tries >= len(RETRIES_S):
            changes.dropped.append(early.id)
            self._on_dropped(1)

    # Writing -----------------------------------------------------------------------------------------------------------

    async def _commit(self, connection: asyncpg.Connection, changes: _Changes) -> dict[str, int]:
        counts: dict[str, int] = {}
        settled: set[tuple[int, int]] = set()
        now = wall_ms()
        for (state, error), keys in changes.settled.items():
            ids, segments = [id_ for id_, _ in keys], [segment for _, segment in keys]
            rows = await connection.fetch(SQL["settle"], ids, segments, state, error, now)
            settled.update((row["id"], row["segment"]) for row in rows)
            counts[State(state).word] = counts.get(State(state).word, 0) + len(rows)
        events = changes.events + await self._final_events(connection, changes, settled, now)
        if events:
            await connection.execute(DISPATCH["add_events"], *map(list, zip(*events, strict=True)))
        if changes.kept:
            rows_ = [
                (
                    e.id,
                    e.link,
                    e.forms[0] if e.forms else "",
                    e.phone,
                    e.state,
                    e.word,
                    e.error,
                    now,
                )
                for e in changes.kept
            ]
            await connection.execute(SQL["keep_early"], *map(list, zip(*rows_, strict=True)))
        if changes.dropped:
            await connection.execute(SQL["drop_early"], changes.dropped)
        for doubt in changes.doubts:
            await connection.execute(SQL["end_doubt"], *doubt)
        return counts

    async def _final_events(
        self,
        connection: asyncpg.Connection,
        changes: _Changes,
        settled: set[tuple[int, int]],
        now: int,
    ) -> list[tuple[Any, ...]]:
        """One event for each message that has its final state by this transaction."""
        states = {key: State(state) for (state, _), keys in changes.settled.items() for key in keys}
        several = [id_ for id_, (_, segments) in changes.owners.items() if segments > 1]
        siblings: dict[int, dict[int, State]] = {}
        if several:
            for row in await connection.fetch(SQL["sibling_states"], sorted(several)):
                siblings.setdefault(row["id"], {})[row["segment"]] = State(row["state"])
        events = []
        told = set()
        for key in settled:
            id_, segment = key
            shop, segments = changes.owners[id_]
            if segments == 1:
                events.append(self._final(id_, shop, states[key], segment, changes.words[key], now))
            elif id_ not in told:
                told.add(id_)
                after = siblings.get(id_, {})
                before = {
                    s: State.SUBMITTED if (id_, s) in settled else state
                    for s, state in after.items()
                }
                state = fold(segments, list(after.values()), State.SUBMITTING)
                was = fold(segments, list(before.values()), State.SUBMITTING)
                if state in FINAL and state is not was:
                    events.append(self._final(id_, shop, state, None, changes.words[key], now))
        return events

    def _final(
        self, id_: int, shop: int, state: State, segment: int | None, word: str, now: int
    ) -> tuple[Any, ...]:
        detail = json.dumps({"word": word}) if state is not State.DELIVERED else None
        return (id_, self._ids.next(), shop, FINAL_EVENTS[state], segment, now, detail)

    def _event(
        self,
        changes: _Changes,
        id_: int,
        shop: int,
        kind: EventKind,
        segment: int,
        detail: dict[str, Any],
    ) -> None:
        changes.events.append(
            (id_, self._ids.next(), shop, kind, segment, wall_ms(), json.dumps(detail))
        )

    def _remember(self, changes: _Changes, batch: list[_Item]) -> None:
        """Bring the memory of early receipts in line with what was committed."""
        dropped = set(changes.dropped)
        for item in batch:
            if item.early is not None and item.early.id in dropped:
                self._early.remove(item.early)
        now = asyncio.get_running_loop().time()
        for early in changes.kept:
            oldest = self._early.add(early, now)
            if oldest is not None:
                self._on_dropped(1)


def _again(early: Early) -> _Item:
    return _Item(
        early.link, early.forms, early.phone, early.state, early.word, early.error, early=early
    )


def _digits(phone: str) -> str:
    return "".join(c for c in phone if c.isdigit())


def _newest(rows: list[asyncpg.Record], phone: str) -> asyncpg.Record | None:
    """The newest segment of those that were sent to this phone. A receipt without a usable number matches by its id alone."""
    fitting = [row for row in rows if _is_same_phone(row["target"], phone)]
    return max(fitting, key=lambda row: (row["id"], row["segment"]), default=None)


def _is_same_phone(target: str, phone: str) -> bool:
    if len(phone) < _SHORTEST_NUMBER:
        return True
    digits = target.removeprefix("+")
    return digits.endswith(phone) or phone.endswith(digits)


def _reason(item: _Item) -> str:
    return f"{item.word} (error {item.error})" if item.error else item.word
