"""How many messages wait, and how operators and shops are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest

from gateway.dispatch.depths import (
    Depth,
    Depths,
    LinkState,
    RouteLink,
    RouteName,
    Snapshot,
    pause_s,
)
from gateway.dispatch.queue_report import describe, report, span
from gateway.errors import StoreDown
from gateway.ids import lowest_at
from gateway.model import Lane
from gateway.observe.metrics import Metrics
from gateway.store.database import Database
from tests.postgres import ConnectParameters
from tests.store.sample import store_of

NOW = 1_795_000_000_000
ROUTES = {1: RouteName("acme", "smpp"), 2: RouteName("mail", "mail")}


def at(ms: int) -> datetime:
    """A moment."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def link(state: str = "up", *, rate: float = 0.0, **options: object) -> LinkState:
    """What the link last said, a second ago."""
    error, next_ms = options.get("error"), options.get("next_ms")
    return LinkState(
        "acme",
        0,
        state,
        at(NOW - 60_000),
        str(error) if error else None,
        at(NOW + next_ms) if isinstance(next_ms, int) else None,
        rate,
        at(NOW - int(str(options.get("silent_ms", 1_000)))),
    )


def ready(shop: int, count: int, age_ms: int = 0, lane: Lane = Lane.TRANSACTIONAL) -> Depth:
    """Messages of a shop that are ready."""
    return Depth(1, shop, "queue", count, NOW - age_ms, lane=lane)


def snapshot(*depths: Depth, links: tuple[LinkState, ...] = ()) -> Snapshot:
    """A sample with these depths."""
    shops = {1: "sample", 2: "other"}
    served = (RouteLink(1, "acme", 0),)
    return Snapshot(NOW, {1: ROUTES[1]}, tuple(depths), {}, links, shops, route_links=served)


@pytest.fixture
async def store(database: ConnectParameters) -> AsyncIterator[Database]:
    """An empty store."""
    opened = store_of(database)
    yield opened
    await opened.close()


async def put(database: Database, *statements: str) -> None:
    """Run some statements."""

    async def work(connection: asyncpg.Connection) -> None:
        for statement in statements:
            await connection.execute(statement)

    await database.run(work)


async def test_everything_that_waits_is_counted_once(store: Database) -> None:
    """Queue, later, hold and flights are counted by route, lane, shop and reason."""
    id_ = lowest_at(NOW)
    await put(
        store,
        "INSERT INTO route (name, kind) VALUES ('acme', 'smpp')",
        "INSERT INTO queue SELECT 1, 1, g, 1, 0 FROM generate_series(1, 3) g",
        "INSERT INTO queue VALUES (1, (2::int8 << 60) + 1, 9, 2, 0)",
        f"INSERT INTO later VALUES ({NOW}, {id_}, 1, 0, 1, 0)",  # noqa: S608
        f"INSERT INTO hold VALUES ({id_}, 1, 1, '+12125550123', 'no-link', NULL, 0)",  # noqa: S608
        f"INSERT INTO flight VALUES (1, 1, 1, 1, 1, ARRAY[{id_}, {id_ + 1}])",  # noqa: S608
    )
    depths = Depths(store)
    found = await depths.sample()
    counted = {(d.place, d.shop, d.lane, d.reason): d.count for d in found.depths}
    assert counted == {
        ("queue", 1, Lane.TRANSACTIONAL, None): 3,
        ("queue", 2, Lane.MARKETING, None): 1,
        ("later", 1, None, None): 1,
        ("hold", 1, None, "no-link"): 1,
    }
    assert found.flying == {1: 2}
    assert depths.waiting(1) == 5
    assert depths.waiting(2) == 1
    assert depths.waiting(3) == 0


async def test_what_was_accepted_since_counts_at_once(store: Database) -> None:
    """Between samples a shop's count rises with what this node stores, and a sample replaces it."""
    depths = Depths(store)
    depths.accepted(1, 40)
    depths.accepted(1, 2)
    assert depths.waiting(1) == 42
    await depths.sample()
    assert depths.waiting(1) == 0


async def test_what_was_claimed_since_waits_no_more(store: Database) -> None:
    """A queue that this node has emptied refuses nobody until the next sample."""
    await put(store, "INSERT INTO queue SELECT 1, g, g, 1, 0 FROM generate_series(1, 3) g")
    depths = Depths(store)
    await depths.sample()
    depths.accepted(1, 40)
    depths.claimed(1, 41)
    assert depths.waiting(1) == 2
    depths.claimed(1, 5)
    assert depths.waiting(1) == 0


@pytest.mark.parametrize(
    ("took_s", "wanted_s"), [(0.0, 2.0), (0.06, 3.0), (0.3, 5.0), (1.0, 5.0), (3.0, 12.0)]
)
def test_counting_takes_little_of_the_databases_time(took_s: float, wanted_s: float) -> None:
    """Every 2 to 5 seconds; seldomer only where one count takes more than a second."""
    assert pause_s(took_s) == wanted_s


async def test_a_failed_sample_forgets_nothing() -> None:
    """With the store down, the last sample and what was accepted since stay."""

    async def nowhere() -> dict[str, object]:
        raise StoreDown("away")

    depths = Depths(Database(nowhere))
    depths.accepted(1, 7)
    with pytest.raises(StoreDown):
        await depths.sample()
    assert depths.waiting(1) == 7


async def test_gauges_follow_the_sample(store: Database) -> None:
    """Depths and links are published by route, and fall back to nothing."""
    await put(
        store,
        "INSERT INTO route (name, kind) VALUES ('acme', 'smpp')",
        "INSERT INTO link (name, kind) VALUES ('acme', 'smpp')",
        "INSERT INTO link_state (link, bind, node, state, since) VALUES (1, 0, 1, 'up', now())",
        "INSERT INTO route_link VALUES (1, 1, 1, 0)",
        "INSERT INTO queue VALUES (1, 1, 1, 1, 0)",
    )
    metrics = Metrics()
    depths = Depths(store, metrics)
    await depths.sample()
    assert 'gateway_queue_depth{place="queue",route="acme"} 1.0' in metrics.render().decode()
    assert 'gateway_link_up{link="acme"} 1.0' in metrics.render().decode()
    await put(store, "DELETE FROM queue")
    await depths.sample()
    assert 'gateway_queue_depth{place="queue",route="acme"} 0.0' in metrics.render().decode()


def test_one_sentence_tells_a_route() -> None:
    """How many wait, how long, and what the link does."""
    down = link("down", error="ESME_RINVPASWD", next_ms=20_000)
    (told,) = describe(snapshot(ready(1, 1_204, 38_000), links=(down,)))
    since = at(NOW - 60_000).astimezone()
    assert told == (
        f"acme: 1,204 waiting, oldest 38 s, link down since {since:%H:%M} (ESME_RINVPASWD), "
        "next try in 20 s"
    )


def test_an_idle_route_is_told_too() -> None:
    """Nothing waiting is worth a sentence, with the state of the link."""
    (told,) = describe(snapshot(links=(link(),)))
    assert told.startswith("acme: nothing waiting, link up since ")
    (told,) = describe(snapshot())
    assert told == "acme: nothing waiting, no link has served it yet"


def test_a_silent_node_is_not_believed() -> None:
    """A link that was up when its node was last heard of is not called up."""
    (told,) = describe(snapshot(ready(1, 1), links=(link(rate=9.0, silent_ms=60_000),)))
    assert "not heard of since" in told
    assert report(snapshot(links=(link(silent_ms=60_000),))).routes[0].links[0].state == "unknown"


def test_held_messages_say_why() -> None:
    """Each reason is counted and put into words."""
    held = Depth(1, 1, "hold", 3, NOW, reason="shop-held")
    (route,) = report(snapshot(held)).routes
    assert [(h.reason, h.count) for h in route.held] == [("shop-held", 3)]
    assert "3 held (the shop's messages are held by the operator)" in route.summary


def test_time_to_drain_follows_rate_and_shares() -> None:
    """A small shop behind a big one waits for its fair share, not for the big one's end."""
    sample = snapshot(ready(1, 1_000), ready(2, 10), links=(link(rate=10.0),))
    (route,) = report(sample).routes
    assert route.drain_s == 101.0
    assert {shop.shop: shop.drain_s for shop in route.shops} == {"sample": 101.0, "other": 2.0}


def test_a_shop_sees_its_own_alone() -> None:
    """Neither counts nor names of other shops, nor the operator's concerns, are in a shop's
    report.
    """
    sample = snapshot(
        ready(1, 1_000), ready(2, 10), links=(link("down", rate=10.0, error="ESME_RINVPASWD"),)
    )
    told = report(sample, 2)
    (route,) = told.routes
    assert (route.waiting, [shop.shop for shop in route.shops]) == (10, ["other"])
    assert "1,000" not in route.summary
    assert route.rate is route.sending is None
    assert route.links[0].error is None
    assert "RINVPASWD" not in route.summary
    assert told.unrouted_replies is None
    assert report(sample, 3).routes == []


def test_a_shop_sees_that_its_link_is_up() -> None:
    """Also when nothing of its own waits; what others have there stays hidden."""
    sample = snapshot(ready(1, 1_000), links=(link(rate=10.0),))
    (route,) = report(sample, 2, {1}).routes
    assert (route.route, route.waiting, route.shops, route.lanes) == ("acme", 0, [], [])
    assert [each.state for each in route.links] == ["up"]
    assert route.rate is route.sending is route.drain_s is route.oldest_s is None
    assert route.summary == "acme: nothing waiting"


def test_several_links_of_a_route_are_told_apart() -> None:
    """By name and tier, those with several binds in a few words; only the route's own links."""
    names = ("acme", "beta", "beta", "gamma", "other")
    states = (link(rate=5.0), link(rate=2.0), link("down", error="ESME_RALYBND"), link(), link())
    named = enumerate(zip(names, states, strict=True))
    links = [replace(state, link=name, bind=n) for n, (name, state) in named]
    served = [RouteLink(1, name, n // 2) for n, name in enumerate(("acme", "beta", "gamma", "new"))]
    sample = replace(snapshot(ready(1, 70), links=tuple(links)), route_links=tuple(served))
    (route,) = report(sample).routes
    assert [(each.link, each.standby) for each in route.links] == [
        ("acme", 0),
        ("beta", 0),
        ("beta", 0),
        ("gamma", 1),
    ]
    assert (route.rate, route.drain_s) == (7.0, 10.0)
    told = route.summary.split(", ")
    assert told[3].startswith("link acme up since ")
    assert told[4] == "link beta 1 of 2 binds up (ESME_RALYBND)"
    assert told[5].startswith("standby link gamma up since ")
    assert told[6] == "standby link new has not run yet"


def test_spans_are_told_in_their_most_telling_unit() -> None:
    """Seconds up to two minutes, then minutes, hours, days."""
    assert [span(s) for s in (0.4, 38, 119, 720, 10_800, 200_000)] == [
        "0 s",
        "38 s",
        "119 s",
        "12 min",
        "3 h",
        "2 d",
    ]
