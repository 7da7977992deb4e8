"""A route with two links: one helps where the other cannot, and takes nothing that is not its."""

from __future__ import annotations

from gateway.dispatch.intake import Accepted
from gateway.dispatch.routes import Serving
from gateway.model import EventKind, State
from gateway.store.directory import Number
from gateway.store.embedded import ConnectParameters
from tests.dispatch.stage import ROUTE, Stage, a_shop, stage

LONG = "A long text, in two segments. " * 8


async def pins(node: Stage, id_: int) -> list[int | None]:
    """The pin of a message, wherever it waits."""
    found: list[int | None] = []
    for table in ("queue", "later", "hold"):
        rows = await node.rows(f"SELECT pin FROM {table} WHERE id = $1", id_)  # noqa: S608
        found += [pin for (pin,) in rows]
    return found


async def test_the_other_link_takes_over_within_a_poll(database: ConnectParameters) -> None:
    """A standby link that nobody woke finds what waits for a link that went down; and the first
    one has the route to itself again when it is back.
    """
    async with stage(database, room=0) as node:
        second = node.add_link(2, standby=1, room=10)
        ids = [await node.accept() for _ in range(3)]
        await node.turn()
        assert not second.taken
        node.link.is_up = False
        await node.turn()
        taken = await second.has_taken(3)
        assert [message.id for message in taken] == ids
        for _ in ids:
            second.accept("x")
        await node.settled()
        node.link.is_up = True
        node.link.allow(10)
        await node.queue_is_known_empty_for(node.link)
        last = await node.accept()
        assert [m.id for m in await node.link.has_taken(1)] == [last]
        node.link.accept("y")
        await node.settled()
        rows = await node.rows("SELECT link FROM status ORDER BY id")
        assert rows == [(2,)] * 3 + [(1,)]


async def test_a_full_link_overflows_to_the_next_tier(database: ConnectParameters) -> None:
    """Only when messages have waited for its room longer than the route allows."""
    async with stage(database, room=0) as node:
        second = node.add_link(2, standby=1, room=10)
        id_ = await node.accept()
        await node.turn()
        node.now += 4.0
        await node.turn()
        assert not second.taken
        node.now += 2.0
        await node.turn()
        assert [m.id for m in await second.has_taken(1)] == [id_]
        second.accept("x")
        await node.settled()


async def test_a_standby_link_leaves_what_the_first_one_sends_from_another_node(
    database: ConnectParameters,
) -> None:
    """Though something waits whenever this node looks: the other keeps up, until it does not."""
    async with stage(database) as here, stage(database, node=2, room=100) as other:
        await here.rows("INSERT INTO link_state VALUES (1, 0, 2, 'up', now())")
        here.link.is_up = False
        await here.turn()
        second = here.add_link(2, standby=1, room=10)
        for count in range(1, 5):
            other.link.allow(0)
            await here.accept()
            await here.turn()
            here.now += 2.0
            await here.turn()
            assert not second.taken
            other.link.allow(100)
            await other.turn()
            await other.link.has_taken(count)
            other.link.accept("x")
            await other.settled()
        other.link.allow(0)
        late = await here.accept(text="Late")
        await here.rows("UPDATE queue SET id = id - (10000::int8 << 22)")
        await here.rows("UPDATE message SET id = id - (10000::int8 << 22) WHERE id = $1", late)
        await here.turn()
        here.now += 6.0
        await here.turn()
        assert len(await second.has_taken(1)) == 1
        second.accept("x")
        await here.settled()


async def test_what_a_link_refuses_for_its_own_reasons_goes_to_the_other(
    database: ConnectParameters,
) -> None:
    """Though it is the first one's turn, and has room."""
    async with stage(database, room=10) as node:
        second = node.add_link(2, standby=1, room=10)
        await node.queue_is_known_empty_for(node.link)
        id_ = await node.accept()
        await node.link.has_taken(1)
        node.link.put_off(EventKind.RETRIED, is_its_own=True)
        (message,) = await second.has_taken(1)
        assert (message.id, message.tries) == (id_, 2)
        second.accept("x")
        await node.settled()
        assert len(node.link.taken) == 1


async def test_a_refusal_with_a_wait_is_remembered_until_then(
    database: ConnectParameters,
) -> None:
    """In `later`, and in the queue again."""
    async with stage(database, room=10) as node:
        await node.queue_is_known_empty()
        id_ = await node.accept()
        await node.link.has_taken(1)
        node.link.allow(0)
        node.link.put_off(EventKind.RETRIED, 100.0, is_its_own=True)
        await node.settled()
        assert (await node.place(id_), await pins(node, id_)) == ("later", [-1])
        await node.rows("UPDATE later SET due_ms = 0")
        await node.turn()
        assert (await node.place(id_), await pins(node, id_)) == ("queue", [-1])
        second = node.add_link(2, room=10)
        assert (await second.has_taken(1))[0].id == id_
        second.accept("x")
        await node.settled()


async def test_the_link_that_refused_tries_again_when_no_other_is_usable(
    database: ConnectParameters,
) -> None:
    """At the next poll at the latest: a message is not kept back for nobody."""
    async with stage(database, room=10) as node:
        second = node.add_link(2)
        second.is_up = False
        await node.queue_is_known_empty_for(node.link)
        id_ = await node.accept()
        await node.link.has_taken(1)
        node.link.put_off(EventKind.RETRIED, is_its_own=True)
        assert [m.id for m in await node.link.has_taken(2)] == [id_, id_]
        node.link.accept("x")
        await node.settled()


async def test_the_recipients_fault_never_goes_to_another_link(
    database: ConnectParameters,
) -> None:
    """What is refused for good is over."""
    async with stage(database, room=10) as node:
        second = node.add_link(2, room=10)
        await node.queue_is_known_empty()
        ids = [await node.accept() for _ in range(2)]
        for link in (node.link, second):
            await link.has_taken(1)
            link.refuse()
        await node.settled()
        await node.turn()
        for id_ in ids:
            assert await node.states(id_) == {0: State.FAILED}
        assert len(node.link.taken) + len(second.taken) == 2


async def test_a_message_half_sent_stays_with_its_link(database: ConnectParameters) -> None:
    """The rest of a long text goes by the link that has its beginning, whatever it refuses, when
    it is back.
    """
    async with stage(database, room=10) as node:
        await node.queue_is_known_empty()
        second = node.add_link(2, standby=1, room=10)
        id_ = await node.accept(text=LONG)
        await node.link.has_taken(1)
        node.link.accept("one", segment=0)
        node.link.is_up = False
        node.link.allow(0)
        node.link.put_off(EventKind.RETRIED, is_its_own=True)
        await node.settled()
        assert await pins(node, id_) == [1]
        await node.turn()
        other = await node.accept()
        assert [m.id for m in await second.has_taken(1)] == [other]
        assert await node.place(id_) == "queue"
        node.link.is_up = True
        node.link.allow(10)
        message = (await node.link.has_taken(2))[1]
        assert (message.id, message.answered) == (id_, (0,))
        node.link.accept("two")
        second.accept("x")
        await node.settled()
        assert await node.states(id_) == {0: State.SUBMITTED, 1: State.SUBMITTED}


async def test_the_rest_of_a_text_does_not_wait_for_a_link_that_was_stopped(
    database: ConnectParameters,
) -> None:
    """Within a poll another link of the route takes it."""
    async with stage(database, room=10) as node:
        await node.queue_is_known_empty()
        second = node.add_link(2, standby=1, room=10)
        id_ = await node.accept(text=LONG)
        await node.link.has_taken(1)
        node.link.accept("one", segment=0)
        node.link.is_up = False
        node.link.allow(0)
        node.link.put_off(EventKind.RETRIED)
        await node.settled()
        await node.turn()
        assert await node.place(id_) == "queue"
        node.link.is_stopped = True
        await node.turn()
        (message,) = await second.has_taken(1)
        assert (message.id, message.answered) == (id_, (0,))
        second.accept("two")
        await node.settled()
        assert await node.rows("SELECT segment, link FROM status ORDER BY segment") == [
            (0, 1),
            (1, 2),
        ]


async def test_a_pin_to_a_link_that_no_settings_know_is_void(database: ConnectParameters) -> None:
    """The rest goes by whoever is there."""
    async with stage(database, room=10) as node:
        await node.queue_is_known_empty()
        node.add_link(2)
        third = node.add_link(3)
        id_ = await node.accept(text=LONG)
        await node.link.has_taken(1)
        node.link.accept("one", segment=0)
        assert node.feeder is not None
        node.feeder.stop()
        node.link.put_off(EventKind.RETRIED)
        await node.settled()
        third.allow(10)
        assert [m.id for m in await third.has_taken(1)] == [id_]
        third.accept("two")
        await node.settled()


async def test_a_take_over_keeps_the_link_of_a_message_half_sent(
    database: ConnectParameters,
) -> None:
    """Killed after one answer of two: the rest goes by the same link, from another node."""
    async with stage(database, room=10) as node:
        await node.queue_is_known_empty()
        id_ = await node.accept(text=LONG)
        whole = await node.accept()
        await node.link.has_taken(2)
        node.link.accept("one", segment=0)
        await node.settled()
        async with stage(database, node=2, has_link=False) as other:
            await other.rows("UPDATE node SET until = now() - interval '1 hour' WHERE id = 1")
            await other.recovery.run_once()
            assert await pins(other, id_) == [1]
            assert await pins(other, whole) == [None]


async def test_what_is_held_and_released_keeps_its_pin(database: ConnectParameters) -> None:
    """For want of a link, too."""
    async with stage(database, has_link=False) as node:
        route = node.routes.get(ROUTE)
        route.has_link = True
        id_ = await node.accept()
        await node.rows("UPDATE queue SET pin = 7")
        route.has_link = False
        await node.turn()
        assert (await node.place(id_), await pins(node, id_)) == ("hold", [7])
        route.has_link = True
        await node.turn()
        assert (await node.place(id_), await pins(node, id_)) == ("queue", [7])


async def test_lanes_hold_over_all_routes_of_a_link(database: ConnectParameters) -> None:
    """An alert of one route goes before the blasts of another, which take turns among routes."""
    async with stage(database, room=1) as node:
        both = [node.routes.get(ROUTE), node.routes.get(2, "other")]
        assert node.feeder is not None
        node.feeder.serve([Serving(route) for route in both])

        async def are_known_empty() -> bool:
            return not any(route.members[0].cursors.may_have for route in both)

        await node.until(are_known_empty)
        node.link.allow(0)
        sale = {"category": "marketing"}
        shops = [a_shop(1), a_shop(1, numbers=(Number("+12125550101", 1, 2, "other"),))]
        blasts = [[await node.accept(shop=shop, **sale) for _ in range(3)] for shop in shops]
        alert = await node.accept(shop=shops[1])
        for _ in range(7):
            node.link.allow(1)
            taken = await node.link.has_taken(len(node.link.taken) + 1)
            node.link.allow(0)
            node.link.accept("x")
        order = [message.id for message in taken]
        assert order[0] == alert
        assert sorted(order[1:3]) == sorted(blast[0] for blast in blasts)
        assert sorted(order[5:]) == sorted(blast[2] for blast in blasts)
        await node.settled()


async def test_direct_messages_are_shared_by_weight_in_one_commit(
    database: ConnectParameters,
) -> None:
    """Each link has a flight of its own, and all are in the accounts."""
    async with stage(database, room=100) as node:
        second = node.add_link(2, weight=3, room=100)
        await node.queue_is_known_empty()
        drafts = [node.draft(text=f"number {n}") for n in range(40)]
        outcomes = await node.post(*drafts)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert (len(node.link.taken), len(second.taken)) == (10, 30)
        await node.check()
        assert sorted(await node.rows("SELECT link, cardinality(ids) FROM flight")) == [
            (1, 10),
            (2, 30),
        ]
        for link in (node.link, second):
            while link.unanswered:
                link.accept("x")
        await node.settled()
