"""Who goes next: strict lanes, fair shares, first come first served, nothing hidden for long."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.dispatch.ranking import Cursors, Ranker, floor, lane_of
from gateway.dispatch.routes import Routes
from gateway.model import Lane
from gateway.store.database import HotConnection
from gateway.store.embedded import ConnectParameters
from gateway.store.queries import load
from tests.store.sample import opened

SQL = load("dispatch")
SHOPS = st.integers(1, 3)
LANES = st.sampled_from(list(Lane))


@dataclass(frozen=True, order=True)
class Row:
    """A row of the queue."""

    rank: int
    id: int
    shop: int = field(compare=False)


class ModelQueue:
    """The queue of one route, as the claim statement reads it."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def insert(self, row: Row) -> None:
        """Another row."""
        insort(self.rows, row)

    def claim(self, positions: list[int], count: int) -> list[Row]:
        """Higher lanes first, each from its position on."""
        found: list[Row] = []
        for lane in Lane:
            top = floor(lane + 1)
            here = [row for row in self.rows if positions[lane] <= row.rank < top]
            found += here[: count - len(found)]
        self.rows = [row for row in self.rows if row not in found]
        return found


class Claims(RuleBasedStateMachine):
    """One link, always free, claims what this node and others put into the queue."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = ModelQueue()
        self.ranker = Ranker()
        self.cursors = Cursors()
        self.ids = 0
        self.untold: list[Row] = []
        """Rows whose insertion this node has not heard of: it is to find them by itself."""
        self.claimed: list[Row] = []

    @initialize(saved=st.integers(0, 100))
    def start(self, saved: int) -> None:
        """The virtual time of an earlier process is given back."""
        self.ranker = Ranker({Lane.TRANSACTIONAL: saved})

    def _new(self, lane: Lane, shop: int) -> Row:
        self.ids += 1
        return Row(self.ranker.rank(lane, shop), self.ids, shop)

    @rule(lane=LANES, shop=SHOPS, count=st.integers(1, 5))
    def insert(self, lane: Lane, shop: int, count: int) -> None:
        """This node stores messages, and tells its cursors after the commit."""
        for _ in range(count):
            row = self._new(lane, shop)
            self.queue.insert(row)
            self.cursors.inserted(row.rank)

    @rule(lane=LANES, shop=SHOPS, behind=st.integers(-50, 50), is_told=st.booleans())
    def come_from_elsewhere(self, lane: Lane, shop: int, behind: int, is_told: bool) -> None:
        """A retry, a promotion, a take-over, another node's message: at any rank. The word of it
        may be lost.
        """
        self.ids += 1
        rank = max(self.ranker.now[lane] + behind, floor(lane))
        row = Row(rank, self.ids, shop)
        self.queue.insert(row)
        if is_told:
            self.cursors.inserted(row.rank)
        else:
            self.untold.append(row)

    @precondition(lambda self: self.cursors.may_have)
    @rule(count=st.integers(1, 7), meanwhile=st.lists(st.tuples(LANES, SHOPS), max_size=3))
    def claim(self, count: int, meanwhile: list[tuple[Lane, int]]) -> None:
        """A batch is claimed; some messages are stored while the claim is under way."""
        before = list(self.queue.rows)
        found = self.queue.claim(self.cursors.begin(), count)
        for lane, shop in meanwhile:
            self.insert(lane, shop, 1)
        self._end(count, found)
        self._judge(before, found)

    @precondition(lambda self: self.cursors.may_have)
    @rule(count=st.integers(1, 7))
    def poll_during_a_claim(self, count: int) -> None:
        """The poll comes while a claim is under way: what it exposes stays exposed."""
        found = self.queue.claim(self.cursors.begin(), count)
        self._poll()
        self._end(count, found)
        self._drain()
        assert not self.queue.rows, "the next claims after a poll find everything"

    @rule()
    def poll_and_drain(self) -> None:
        """Whatever happened before: after a poll, everything that is ready is claimed."""
        self._poll()
        self._drain()
        assert not self.queue.rows

    def _poll(self) -> None:
        self.cursors.reset()
        if self.queue.rows:
            self.cursors.inserted(self.queue.rows[0].rank)
        self.untold.clear()

    def _drain(self) -> None:
        for _ in range(len(self.queue.rows) + 3):
            if not self.cursors.may_have:
                return
            self._end(2, self.queue.claim(self.cursors.begin(), 2))

    def _end(self, count: int, found: list[Row]) -> None:
        self.cursors.end(count, (row.rank for row in found))
        for row in found:
            self.ranker.claimed(row.rank)
        self.claimed += found

    def _judge(self, before: list[Row], found: list[Row]) -> None:
        """What was known of was claimed in order; no lower lane before a higher one."""
        known = [row for row in before if row not in self.untold]
        left = [row for row in known if row not in found]
        heard = [row for row in found if row not in self.untold]
        if left and heard:
            assert max(heard) <= min(left), "a known row was passed over"

    @invariant()
    def nothing_known_is_hidden(self) -> None:
        """A row that this node has heard of lies at or behind its cursor, to be looked for."""
        for row in self.queue.rows:
            if row not in self.untold:
                assert self.cursors.may_have
                assert self.cursors.positions[lane_of(row.rank)] <= row.rank
                assert self.cursors.lane <= lane_of(row.rank)


TestClaims = Claims.TestCase
TestClaims.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_a_poll_during_a_claim_is_not_undone_by_its_end() -> None:
    """Messages that came in silence are found though the link claims without a pause."""
    queue, cursors = ModelQueue(), Cursors()
    queue.insert(Row(floor(Lane.SERVICE) + 100, 1, 1))
    cursors.end(1, [row.rank for row in queue.claim(cursors.begin(), 1)])
    for id_, (lane, start) in enumerate([(Lane.SERVICE, 5), (Lane.TRANSACTIONAL, 5)], 2):
        queue.insert(Row(floor(lane) + start, id_, 1))
    queue.insert(Row(floor(Lane.SERVICE) + 101, 4, 1))
    cursors.positions[Lane.TRANSACTIONAL] = 50
    found = queue.claim(cursors.begin(), 3)
    assert [row.id for row in found] == [4]
    cursors.reset()
    cursors.inserted(queue.rows[0].rank)
    cursors.end(3, [row.rank for row in found])
    assert [row.id for row in queue.claim(cursors.begin(), 3)] == [3, 2]


@given(
    lane=LANES,
    steps=st.lists(st.tuples(SHOPS, st.integers(1, 30), st.integers(1, 9)), max_size=40),
)
@settings(deadline=None)
def test_shops_that_wait_get_equal_shares_and_each_its_own_order(
    lane: Lane, steps: list[tuple[int, int, int]]
) -> None:
    """Over any stretch in which two shops both wait, their claims differ by at most one batch."""
    queue, ranker, cursors = ModelQueue(), Ranker(), Cursors()
    claims: list[tuple[list[Row], set[int]]] = []
    id_, most = 0, 0
    for shop, posts, batch in steps:
        for _ in range(posts):
            id_ += 1
            queue.insert(Row(ranker.rank(lane, shop), id_, shop))
        waiting = {row.shop for row in queue.rows}
        found = queue.claim(cursors.begin(), batch)
        cursors.reset()
        for row in found:
            ranker.claimed(row.rank)
        most = max(most, batch)
        still = waiting & {row.shop for row in queue.rows}
        claims.append((found, still))
    for a, b in ((1, 2), (1, 3), (2, 3)):
        assert _largest_difference(claims, a, b) <= most
    for shop in (1, 2, 3):
        ids = [row.id for found, _ in claims for row in found if row.shop == shop]
        assert ids == sorted(ids), "a shop's messages go in the order in which they came"


def _largest_difference(claims: list[tuple[list[Row], set[int]]], a: int, b: int) -> int:
    """The largest difference between two shops' claims in any stretch in which both wait."""
    largest = 0
    for start in range(len(claims)):
        counts: Counter[int] = Counter()
        for found, still in claims[start:]:
            if not {a, b} <= still:
                break
            counts.update(row.shop for row in found)
            largest = max(largest, abs(counts[a] - counts[b]))
    return largest


def test_a_newcomer_starts_at_the_present() -> None:
    """Neither behind another shop's backlog nor before what went already."""
    ranker = Ranker()
    backlog = [ranker.rank(Lane.MARKETING, 1) for _ in range(1000)]
    for rank in backlog[:500]:
        ranker.claimed(rank)
    assert ranker.rank(Lane.MARKETING, 2) == backlog[500]
    ranker.claimed(backlog[3])
    assert ranker.now[Lane.MARKETING] == backlog[499], "time does not run backwards"


def test_memory_of_shops_that_are_done_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those that still wait are remembered."""
    monkeypatch.setattr(Ranker, "_PRUNE", 10)
    ranker = Ranker()
    waiting = [ranker.rank(Lane.SERVICE, 1) for _ in range(5)][-1]
    for shop in range(2, 200):
        ranker.claimed(ranker.rank(Lane.TRANSACTIONAL, shop))
    assert len(ranker._last) < 30
    assert ranker.rank(Lane.SERVICE, 1) == waiting + 1


def test_routes_save_how_far_they_came() -> None:
    """Once for what was claimed since the last time, and given back at the next start."""
    routes = Routes([(7, Lane.SERVICE, floor(Lane.SERVICE) + 41)])
    route = routes.get(7, "acme")
    rank = route.ranker.rank(Lane.SERVICE, 1)
    assert rank == floor(Lane.SERVICE) + 42
    routes.claimed(route, rank)
    assert routes.take_advanced() == [(7, Lane.SERVICE, rank)]
    assert routes.take_advanced() == []
    assert list(routes) == [route]


async def test_after_a_restart_what_comes_goes_behind_what_waits(
    database: ConnectParameters,
) -> None:
    """By shop and lane, as before; a shop that has nothing waiting starts at the present."""
    before = Ranker()
    waiting = [(before.rank(lane, shop), shop) for lane in Lane for shop in (1, 1, 1, 2)]
    async with opened(database) as store:
        for id_, (rank, shop) in enumerate(waiting):
            await store.fetch("INSERT INTO queue VALUES (7, $1, $2, $3, 0)", rank, id_, shop)
        rows = await store.fetch(load("depths")["last_ranks"])
    after = Ranker()
    for row in rows:
        after.waits(row["rank"], row["shop"])
    assert {row["route"] for row in rows} == {7}
    for lane in Lane:
        for shop in (1, 2, 3):
            assert after.rank(lane, shop) == before.rank(lane, shop)


@given(
    rows=st.lists(st.tuples(LANES, st.integers(0, 3)), max_size=25),
    batch=st.integers(1, 6),
    late=st.lists(st.tuples(LANES, st.integers(0, 3)), max_size=5),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_the_statement_claims_as_the_model_does(
    database: ConnectParameters,
    rows: list[tuple[Lane, int]],
    batch: int,
    late: list[tuple[Lane, int]],
) -> None:
    """With ties, several lanes, and rows that come behind the cursors."""
    async with opened(database) as store:
        hot = HotConnection(store, "claims")
        await hot.fetch("TRUNCATE message, queue, flight")
        queue, cursors = ModelQueue(), Cursors()
        ids = iter(range(1, 1000))
        for portion in (rows, late):
            await _insert(hot, queue, cursors, [(next(ids), *row) for row in portion])
            for _ in range(40):
                if not cursors.may_have:
                    break
                positions = cursors.begin()
                expected = queue.claim(positions, batch)
                found = await hot.fetch(SQL["claim"], 1, *positions, batch, next(ids), 1, 1, 1, [])
                assert sorted(row["id"] for row in found) == sorted(row.id for row in expected)
                cursors.end(batch, (row["rank"] for row in found))
        assert await hot.fetch("SELECT id FROM queue") == []
        await asyncio.sleep(0)


PINS = st.sampled_from([None, None, 1, 2, -1, -2, 9])


@given(
    rows=st.lists(st.tuples(LANES, st.integers(0, 3), PINS), max_size=25),
    batch=st.integers(1, 6),
    passed_over=st.lists(st.sampled_from([1, 2, -1, -2]), max_size=3, unique=True),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_the_statements_respect_pins(
    database: ConnectParameters,
    rows: list[tuple[Lane, int, int | None]],
    batch: int,
    passed_over: list[int],
) -> None:
    """What is passed over stays, in its place; a claim of certain pins takes only those."""
    async with opened(database) as store:
        hot = HotConnection(store, "claims")
        await hot.fetch("TRUNCATE message, queue, flight")
        pins = {n: pin for n, (_, _, pin) in enumerate(rows, 1)}
        cursors, flights = Cursors(), iter(range(1, 1000))
        await _insert(hot, ModelQueue(), cursors, [(n, *r[:2]) for n, r in enumerate(rows, 1)])
        for n, pin in pins.items():
            await hot.fetch("UPDATE queue SET pin = $1 WHERE id = $2", pin, n)
        got: list[int] = []
        while cursors.may_have:
            place, flight = cursors.begin(), next(flights)
            found = await hot.fetch(SQL["claim"], 1, *place, batch, flight, 1, 1, 1, passed_over)
            cursors.end(batch, (row["rank"] for row in found))
            got += [row["id"] for row in found]
            assert all(row["pin"] == pins[row["id"]] for row in found)
        ranks = {n: floor(lane) + start for n, (lane, start, _) in enumerate(rows, 1)}
        assert sorted(got) == [n for n in pins if pins[n] not in passed_over]
        batches = [got[n : n + batch] for n in range(0, len(got), batch)]
        for one, other in zip(batches, batches[1:], strict=False):
            assert max(ranks[n] for n in one) <= min(ranks[n] for n in other)
        left = []
        while found := await hot.fetch(
            SQL["claim_pinned"], 1, batch, next(flights), 1, 1, 1, passed_over
        ):
            assert len(found) <= batch
            left += [row["id"] for row in found]
        assert sorted(left) == [n for n in pins if pins[n] in passed_over]
        assert await hot.fetch("SELECT id FROM queue") == []
        await asyncio.sleep(0)


async def _insert(
    hot: HotConnection, queue: ModelQueue, cursors: Cursors, rows: list[tuple[int, Lane, int]]
) -> None:
    for id_, lane, start in rows:
        row = Row(floor(lane) + start, id_, 1)
        await hot.fetch(
            "INSERT INTO message (id, shop, route, rank, place, channel, category, encoding,"
            " segments, expires_ms, sender, target, body)"
            " VALUES ($1, 1, 1, $2, 1, 1, 1, 0, 1, 0, 's', 't', 'b')",
            id_,
            row.rank,
        )
        await hot.fetch("INSERT INTO queue VALUES (1, $1, $2, 1, 0)", row.rank, id_)
        queue.insert(row)
        cursors.inserted(row.rank)
