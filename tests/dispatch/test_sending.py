"""From the queue to the carrier's answer: claims, the gate, and what becomes of each message."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.dispatch import feeder
from gateway.errors import StoreDown
from gateway.ids import wall_ms
from gateway.model import Category, Cause, EventKind, State, fold
from gateway.store.embedded import ConnectParameters
from tests.dispatch.stage import MemoryDirectory, Stage, a_shop, ended, stage

LONG = "Your gown is ready for pickup. " * 12
"""Three segments."""


async def _waiting(node: Stage, **fields: Any) -> int:
    """A message in the queue, of a link that has no room yet."""
    id_ = await node.accept(**fields)
    assert await node.place(id_) == "queue"
    return id_


async def test_claimed_messages_go_in_order_of_rank_and_are_in_a_flight(
    database: ConnectParameters,
) -> None:
    """Transactional before marketing, shops in turn, first come first served within a shop."""
    async with stage(database) as node:
        one, two = node.shops
        blast = [await _waiting(node, category="marketing") for _ in range(2)]
        alerts = [await _waiting(node, shop=one) for _ in range(3)]
        late = await _waiting(node, shop=two)
        node.link.allow(10)
        taken = await node.link.has_taken(6)
        order = [alerts[0], late, alerts[1], alerts[2], *blast]
        assert [message.id for message in taken] == order
        flights = await node.rows("SELECT ids FROM flight")
        assert sorted(i for (ids,) in flights for i in ids) == sorted(order)


async def test_a_link_gets_no_more_than_it_has_room_for(database: ConnectParameters) -> None:
    """The rest stays in the queue until an answer makes room."""
    async with stage(database) as node:
        ids = [await _waiting(node) for _ in range(3)]
        node.link.allow(2)
        await node.link.has_taken(2)
        assert await node.place(ids[2]) == "queue"
        node.link.accept("c1")
        node.link.allow(2)
        await node.link.has_taken(3)


async def test_an_accepted_segment_is_submitted_with_the_carriers_id(
    database: ConnectParameters,
) -> None:
    """And the flight is over when each of its messages is answered for."""
    async with stage(database) as node:
        first, second = [await _waiting(node) for _ in range(2)]
        node.link.allow(2)
        await node.link.has_taken(2)
        node.link.accept("c1")
        await node.settled()
        assert await node.rows("SELECT id, link, state, tries, carrier FROM status") == [
            (first, 1, State.SUBMITTED, 1, "c1")
        ]
        assert await node.place(second) == "flight"
        node.link.accept("c2")
        await node.settled()
        assert await node.rows("SELECT id FROM flight") == []
        assert await node.rows("SELECT route, lane FROM virtual_time") == [(1, 0)]


async def test_a_refused_message_fails_once_with_the_carriers_words(
    database: ConnectParameters,
) -> None:
    """It is final, and never tried again."""
    async with stage(database) as node:
        id_ = await _waiting(node)
        node.link.allow(1)
        await node.link.has_taken(1)
        node.link.refuse("ESME_RINVDSTADR: the destination\0 is wrong \ud800")
        await node.settled()
        ((state, error),) = await node.rows("SELECT state, error FROM status WHERE id = $1", id_)
        assert (state, error) == (State.FAILED, "ESME_RINVDSTADR: the destination  is wrong ?")
        assert await node.events(id_) == [EventKind.FAILED]
        await node.turn()
        assert len(node.link.taken) == 1


async def test_a_throttled_message_returns_to_the_queue_at_its_rank(
    database: ConnectParameters,
) -> None:
    """It is the first to go when the link has room again."""
    async with stage(database) as node:
        ids = [await _waiting(node) for _ in range(2)]
        ((rank,),) = await node.rows("SELECT rank FROM queue WHERE id = $1", ids[0])
        node.link.allow(1)
        await node.link.has_taken(1)
        node.link.most = 0
        node.link.put_off(EventKind.THROTTLED)
        await node.settled()
        assert await node.rows("SELECT rank, tries FROM queue WHERE id = $1", ids[0]) == [
            (rank, 1)
        ]
        node.link.allow(1)
        assert (await node.link.has_taken(2))[1].id == ids[0]
        assert await node.events(ids[0]) == [EventKind.THROTTLED]


async def test_a_retried_message_waits_but_not_past_its_validity(
    database: ConnectParameters,
) -> None:
    """It keeps its rank while it waits for its time."""
    async with stage(database) as node:
        id_ = await _waiting(node)
        node.link.allow(1)
        (message,) = await node.link.has_taken(1)
        node.link.put_off(EventKind.RETRIED, delay_s=10 * 86_400)
        await node.settled()
        assert await node.rows("SELECT due_ms, id, rank, tries FROM later") == [
            (message.expires_ms, id_, message.rank, 1)
        ]
        assert await node.events(id_) == [EventKind.RETRIED]


async def test_a_transactional_text_in_doubt_is_sent_again(database: ConnectParameters) -> None:
    """At least once, and the timeline says so."""
    async with stage(database) as node:
        id_ = await _waiting(node)
        node.link.allow(1)
        await node.link.has_taken(1)
        node.link.cut()
        taken = await node.link.has_taken(2)
        assert taken[1].id == id_
        node.link.accept("c1")
        await node.settled()
        assert await node.states(id_) == {0: State.SUBMITTED}
        assert await node.events(id_) == [EventKind.RESENT]


async def test_a_marketing_text_in_doubt_is_never_sent_again(database: ConnectParameters) -> None:
    """At most once: it waits for a receipt."""
    async with stage(database) as node:
        id_ = await _waiting(node, category="marketing")
        node.link.allow(1)
        await node.link.has_taken(1)
        node.link.cut(Cause.TIMEOUT)
        await node.settled()
        await node.turn()
        assert len(node.link.taken) == 1
        assert await node.states(id_) == {0: State.IN_DOUBT}
        assert await node.rows("SELECT link, target, id, segment FROM in_doubt") == [
            (1, "+12125550123", id_, 0)
        ]
        assert await node.events(id_) == [EventKind.IN_DOUBT]


async def test_only_segments_without_an_answer_are_sent_again(database: ConnectParameters) -> None:
    """The answered one keeps its row."""
    async with stage(database) as node:
        id_ = await _waiting(node, text=LONG)
        node.link.allow(3)
        await node.link.has_taken(1)
        node.link.accept("c1", segment=1)
        node.link.cut()
        await node.link.has_taken(2)
        assert node.link.sent[3:] == [(id_, 0), (id_, 2)]
        node.link.accept("c0")
        node.link.accept("c2")
        await node.settled()
        assert await node.states(id_) == dict.fromkeys(range(3), State.SUBMITTED)


# The gate at the claim --------------------------------------------------------------------------


async def test_a_message_that_expired_while_it_waited_is_not_sent(
    database: ConnectParameters,
) -> None:
    """It ends as expired."""
    async with stage(database) as node:
        id_ = await _waiting(node)
        await node.rows("UPDATE message SET expires_ms = $1", wall_ms())
        node.link.allow(1)
        await _ends(node, id_)
        assert await node.states(id_) == {0: State.EXPIRED}
        assert await node.events(id_) == [EventKind.EXPIRED]
        assert node.link.taken == []


async def test_a_no_sms_said_after_acceptance_suppresses_what_waits(
    database: ConnectParameters,
) -> None:
    """The contact's last word counts."""
    async with stage(database) as node:
        id_ = await _waiting(node)
        await node.accept(contact={"sms_alerts": "No SMS"})
        node.link.allow(1)
        await _ends(node, id_)
        assert await node.states(id_) == {0: State.SUPPRESSED}


async def test_a_number_that_its_shop_gave_up_sends_nothing_more(
    database: ConnectParameters,
) -> None:
    """What waits fails and says why; by now the number may be another shop's."""
    async with stage(database) as node:
        id_ = await _waiting(node)
        node.directory.shops[1] = a_shop(1, numbers=())
        node.link.allow(1)
        await _ends(node, id_)
        assert await node.rows("SELECT state, error FROM status") == [
            (State.FAILED, "its number was released")
        ]
        assert await node.events(id_) == [EventKind.FAILED]
        assert node.link.taken == []


async def test_a_number_that_only_the_store_knows_of_yet_may_send(
    database: ConnectParameters,
) -> None:
    """It was assigned a moment ago, and another node accepted the text."""
    async with stage(database) as node:
        await node.rows(
            "INSERT INTO shop (code, name, main_phone, contact_email, time_zone)"
            " VALUES ('sample', '', '', '', 'UTC')"
        )
        sender = node.shops[0].numbers[0].number
        await node.rows(
            "INSERT INTO number_assignment (number, shop, route) VALUES ($1, 1, 1)", sender
        )
        await _waiting(node)
        node.directory.shops[1] = a_shop(1, numbers=())
        node.link.allow(1)
        await node.link.has_taken(1)


@pytest.mark.parametrize("condition", ["held", "ended"])
async def test_what_waits_for_a_shop_is_held_and_released(
    database: ConnectParameters, condition: str
) -> None:
    """Held while the shop is, or has no agreement; sent when it may again."""
    async with stage(database) as node:
        shop = node.shops[0]
        stopped = a_shop(1, is_held=True) if condition == "held" else ended(shop)
        reason = "shop-held" if condition == "held" else "support-ended"
        id_ = await _waiting(node)
        node.directory.shops[1] = stopped
        node.link.allow(1)
        await _reaches(node, id_, "hold")
        assert await node.rows("SELECT shop, reason, tries FROM hold") == [(1, reason, 0)]
        node.directory.shops[1] = shop
        node.upkeep.shop_changed(stopped, shop)
        await node.turn()
        await node.link.has_taken(1)
        assert await node.events(id_) == [EventKind.HELD, EventKind.RELEASED]


async def test_a_shop_that_the_directory_does_not_know_yet_is_sent_for(
    database: ConnectParameters,
) -> None:
    """Its message was judged when it was accepted."""
    async with stage(database) as node:
        await _waiting(node)
        assert node.feeder is not None
        node.feeder._directory = MemoryDirectory()  # type: ignore[assignment]
        node.link.allow(1)
        await node.link.has_taken(1)


async def test_a_canceled_row_in_the_queue_is_dropped(database: ConnectParameters) -> None:
    """Whoever claims it finds it settled, and ends its flight."""
    async with stage(database) as node:
        id_ = await _waiting(node)
        await node.rows("INSERT INTO status (id, segment, state, tries) VALUES ($1, 0, 9, 0)", id_)
        node.link.allow(1)
        await _leaves(node, "queue")
        await node.settled()
        assert node.link.taken == []
        assert await node.rows("SELECT id FROM flight") == []


# Outages ----------------------------------------------------------------------------------------


async def test_a_claim_whose_answer_is_lost_goes_back_and_is_sent_once(
    database: ConnectParameters,
) -> None:
    """The link never saw it: its flight is an orphan of this process."""
    async with stage(database) as node:
        id_ = await _waiting(node, category="marketing")
        transact = node.claims_connection.transact

        async def lose(work: Any) -> None:
            await transact(work)
            node.claims_connection.transact = transact  # type: ignore[method-assign]
            raise StoreDown("the answer is lost")

        node.claims_connection.transact = lose  # type: ignore[method-assign,assignment]
        node.link.allow(1)
        await _reaches(node, id_, "flight")
        assert node.link.taken == []
        await node.turn()
        await node.link.has_taken(1)
        await node.turn()
        assert node.link.sent == [(id_, 0)]


async def test_what_is_claimed_is_told_by_shop(database: ConnectParameters) -> None:
    """So that the limit of a shop's waiting messages knows."""
    async with stage(database) as node:
        for shop in (0, 1, 0):
            await _waiting(node, shop=node.shops[shop])
        node.link.allow(5)
        await node.link.has_taken(3)
        assert sorted(node.claimed) == [(1, 2), (2, 1)]


async def test_an_outage_fills_no_log(
    database: ConnectParameters,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first failure to claim is told, then one a minute, and the next outage anew."""
    monkeypatch.setattr(feeder, "_RETRY_S", 0.001)
    async with stage(database) as node:
        for outage in (1, 2):
            tries = 0

            def may_write() -> bool:
                nonlocal tries
                tries += 1
                return tries > 5

            await _waiting(node)
            assert node.feeder is not None
            node.feeder._may_write = may_write
            node.link.allow(outage)
            await node.link.has_taken(outage)
            assert caplog.text.count("nothing can be claimed") == outage


async def test_a_claim_that_comes_after_the_lease_is_not_sent(database: ConnectParameters) -> None:
    """Another node may have taken the flight over."""
    async with stage(database) as node:
        id_ = await _waiting(node)
        transact = node.claims_connection.transact

        async def slow(work: Any) -> Any:
            rows = await transact(work)
            node.may_write = False
            return rows

        node.claims_connection.transact = slow  # type: ignore[method-assign]
        node.link.allow(1)
        await _reaches(node, id_, "flight")
        assert node.link.taken == []
        assert node.unknown == 1


@pytest.mark.parametrize("took_effect", [True, False])
async def test_outcomes_are_written_once_though_a_commits_answer_is_lost(
    database: ConnectParameters, took_effect: bool
) -> None:
    """Whether or not the lost commit took effect, and though what it moved was claimed again."""
    async with stage(database) as node:
        ids = [await _waiting(node, category=c) for c in ("transactional", "marketing")]
        node.link.allow(2)
        await node.link.has_taken(2)
        transact = node.settler_connection.transact
        is_back = asyncio.Event()

        async def lose(work: Any) -> None:
            if took_effect:
                await transact(work)
                await node.rows("DELETE FROM queue WHERE id = $1", ids[0])
                flight = "INSERT INTO flight VALUES (77, 9, 1, 1, 1, ARRAY[$1::int8])"
                await node.rows(flight, ids[0])
            node.settler_connection.transact = transact  # type: ignore[method-assign]
            is_back.set()
            raise StoreDown("the answer is lost")

        node.settler_connection.transact = lose  # type: ignore[method-assign,assignment]
        node.link.most = 0
        node.link.cut()
        await is_back.wait()
        await node.settled()
        assert await node.place(ids[0]) == ("flight" if took_effect else "queue")
        assert len(await node.rows("SELECT id FROM queue")) == (0 if took_effect else 1)
        assert await node.events(ids[0]) == [EventKind.RESENT]
        assert await node.events(ids[1]) == [EventKind.IN_DOUBT]
        assert len(node.flights) == 0


async def test_a_long_outage_does_not_end_the_settler(
    database: ConnectParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outcomes wait, however often writing them fails."""

    async def no_sleep(_: float) -> None:
        await pause(0)

    pause = asyncio.sleep
    async with stage(database) as node:
        id_ = await _waiting(node)
        node.link.allow(1)
        await node.link.has_taken(1)
        fetch = node.settler_connection.fetch
        failures = 0

        async def fail(query: str, *args: Any) -> list[asyncpg.Record]:
            nonlocal failures
            failures += 1
            if failures > 1100:
                return await fetch(query, *args)
            raise StoreDown("away")

        node.settler_connection.fetch = fail  # type: ignore[method-assign]
        monkeypatch.setattr(asyncio, "sleep", no_sleep)
        node.link.accept("c1")
        await node.settled()
        assert await node.states(id_) == {0: State.SUBMITTED}


async def test_a_fenced_node_writes_no_outcome(database: ConnectParameters) -> None:
    """It waits until its lease is renewed."""
    async with stage(database) as node:
        id_ = await _waiting(node)
        node.link.allow(1)
        await node.link.has_taken(1)
        node.may_write = False
        node.link.accept("c1")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await node.settler.drained()
        assert await node.states(id_) == {}
        node.may_write = True
        await node.settled()
        assert await node.states(id_) == {0: State.SUBMITTED}


# Any interleaving -------------------------------------------------------------------------------

ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(["accept", "throttle", "cut", "refuse", "again", "lost answer"]),
        st.integers(0, 5),
    ),
    max_size=25,
)


@given(
    categories=st.lists(st.sampled_from(["transactional", "marketing"]), min_size=1, max_size=4),
    answers=ANSWERS,
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_no_segment_is_sent_after_its_answer_whatever_happens(
    database: ConnectParameters, categories: list[str], answers: list[tuple[str, int]]
) -> None:
    """Long texts, answered, refused, put off and cut in any order: the accounts hold at any moment,
    marketing is sent at most once, and in the end everything is settled.
    """
    async with stage(database, room=100) as node:
        await _clear(node)
        ids = [await node.accept(text=LONG, category=c) for c in categories]
        await node.link.has_taken(len(ids))
        answered: set[tuple[int, int]] = set()
        for what, which in answers:
            await _answer(node, what, which, answered)
            await node.settled()
            await node.check()
        while not await _all_settled(node, ids):
            while node.link.unanswered:
                await _answer(node, "accept", 0, answered)
            await node.settled()
            await node.turn()
        ends = (State.SUBMITTED, State.FAILED, State.IN_DOUBT)
        for id_ in ids:
            states = await node.states(id_)
            assert fold(3, list(states.values()), State.QUEUED) in ends


async def _answer(node: Stage, what: str, which: int, answered: set[tuple[int, int]]) -> None:
    """The carrier does something, and what is sent after it is checked."""
    link = node.link
    for pair in link.sent[node.seen :]:
        assert pair not in answered, f"{pair} was sent again after its answer"
    node.seen = len(link.sent)
    if not link.unanswered:
        return
    message, segment = link.unanswered[which % len(link.unanswered)]
    link.unanswered.insert(0, link.unanswered.pop(which % len(link.unanswered)))
    if what == "accept":
        link.accept(f"{message.id}-{segment}")
        answered.add((message.id, segment))
    elif what == "refuse":
        link.refuse()
        answered.add((message.id, segment))
    elif what == "cut":
        for one, number in link.unanswered:
            if one.category is Category.MARKETING:
                answered.add((one.id, number))
        link.cut()
    elif what == "lost answer":
        node.settler_connection.drop()
    else:
        link.put_off(EventKind.THROTTLED)


async def _all_settled(node: Stage, ids: list[int]) -> bool:
    for table in ("queue", "later", "hold", "flight"):
        if await node.rows(f"SELECT id FROM {table}"):  # noqa: S608
            return False
    return not node.link.unanswered


# Aids -------------------------------------------------------------------------------------------


async def _clear(node: Stage) -> None:
    tables = "message, queue, later, hold, flight, status, event, in_doubt, contact, virtual_time"
    await node.rows(f"TRUNCATE {tables}")


async def _reaches(node: Stage, id_: int, place: str) -> None:
    async def reached() -> bool:
        return await node.place(id_) == place

    await node.until(reached)


async def _leaves(node: Stage, table: str) -> None:
    async def left() -> bool:
        return not await node.rows(f"SELECT id FROM {table}")  # noqa: S608

    await node.until(left)


async def _ends(node: Stage, id_: int) -> None:
    async def ended() -> bool:
        return bool(await node.states(id_))

    await node.until(ended)
    await node.settled()
