"""Group commit: what is durable, where it goes, what is answered, and what an outage does."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from gateway.dispatch import intake as intake_module
from gateway.dispatch.intake import Accepted, Idempotency
from gateway.errors import Refusal, StoreDown
from gateway.ids import wall_ms
from gateway.model import EventKind, State
from gateway.store.directory import Number
from gateway.store.embedded import ConnectParameters
from protocols.sms.dialect import Long, TextDialect
from tests.dispatch.stage import Stage, a_shop, at, message_id, stage

KEY = Idempotency("key-1", b"fingerprint")


async def test_an_accepted_message_is_committed_and_waits_in_the_queue(
    database: ConnectParameters,
) -> None:
    """Without a link to take it, a message is in the queue when its post is answered."""
    async with stage(database, has_link=False) as node:
        node.routes.get(1).has_link = True
        id_ = await node.accept()
        assert await node.place(id_) == "queue"
        assert node.accepted == [(1, 1)]


async def test_what_gathers_during_a_commit_is_one_commit(database: ConnectParameters) -> None:
    """Posts that come together are stored by one transaction."""
    async with stage(database, has_link=False) as node:
        drafts = [node.draft(text=f"Text {n}.") for n in range(50)]
        await asyncio.gather(*(node.post(draft) for draft in drafts))
        assert len(await node.rows("SELECT DISTINCT xmin::text FROM message")) <= 2


async def test_with_an_empty_queue_and_room_messages_go_straight_to_the_link(
    database: ConnectParameters,
) -> None:
    """A message and its flight are committed together; it never enters the queue."""
    async with stage(database, room=10) as node:
        await node.queue_is_known_empty()
        id_ = await node.accept()
        assert [message.id for message in node.link.taken] == [id_]
        assert await node.rows("SELECT node, epoch, route, link, ids FROM flight") == [
            (1, 1, 1, 1, [id_])
        ]
        assert node.accepted == []
        node.link.accept("c1")
        await node.settled()
        assert await node.rows("SELECT id FROM flight") == []


async def test_what_the_link_has_no_room_for_waits_in_the_queue(
    database: ConnectParameters,
) -> None:
    """Only as many skip the queue as the link would take, those of the lowest rank."""
    async with stage(database, room=2) as node:
        await node.queue_is_known_empty()
        drafts = [node.draft(text=f"Text {n}.") for n in range(4)]
        outcomes = await node.post(*drafts)
        ids = [message_id(outcome) for outcome in outcomes]
        assert [await node.place(id_) for id_ in ids] == ["flight", "flight", "queue", "queue"]


async def test_a_scheduled_message_waits_until_it_is_due(database: ConnectParameters) -> None:
    """It is stored with its time, and ranked only then."""
    async with stage(database) as node:
        due = wall_ms() + 3_600_000
        id_ = await node.accept(send_at=at(due))
        assert await node.rows("SELECT due_ms, id, rank FROM later") == [(due, id_, 0)]


async def test_a_scheduled_message_of_a_held_shop_keeps_its_time(
    database: ConnectParameters,
) -> None:
    """A hold that ends before the message is due does not send it early."""
    shop = a_shop(1, is_held=True)
    async with stage(database, shops=(shop,)) as node:
        id_ = await node.accept(send_at=at(wall_ms() + 3_600_000))
        assert await node.place(id_) == "later"


@pytest.mark.parametrize(
    ("shop", "has_link", "reason"),
    [(a_shop(1, is_held=True), True, "shop-held"), (a_shop(1), False, "no-link")],
)
async def test_what_may_not_go_now_is_held_with_the_reason(
    database: ConnectParameters, shop: Any, has_link: bool, reason: str
) -> None:
    """The message is accepted, held, and its timeline says why."""
    async with stage(database, shops=(shop,), has_link=has_link) as node:
        (outcome,) = await node.post(node.draft())
        id_ = message_id(outcome)
        assert isinstance(outcome, Accepted)
        assert f'"reason":"{reason}"' in outcome.answer.decode()
        assert await node.rows("SELECT id, reason FROM hold") == [(id_, reason)]
        assert await node.events(id_) == [EventKind.HELD]


async def test_no_sms_known_from_an_earlier_request_suppresses_a_bare_number(
    database: ConnectParameters,
) -> None:
    """What a shop once said of a contact holds for requests that name only the phone."""
    async with stage(database) as node:
        await node.accept(contact={"sms_alerts": " no  SMS "})
        (outcome,) = await node.post(node.draft())
        id_ = message_id(outcome)
        assert await node.states(id_) == {0: State.SUPPRESSED}
        assert await node.events(id_) == [EventKind.SUPPRESSED]
        assert node.accepted == [], "what is suppressed does not wait"


async def test_no_sms_holds_at_once_within_a_group(database: ConnectParameters) -> None:
    """A later item of the same post knows what an earlier one said."""
    async with stage(database) as node:
        drafts = (node.draft(contact={"sms_alerts": "No SMS"}), node.draft())
        for outcome in await node.post(*drafts):
            assert await node.states(message_id(outcome)) == {0: State.SUPPRESSED}


async def test_another_shop_does_not_know_the_contact(database: ConnectParameters) -> None:
    """Contacts belong to their shop."""
    async with stage(database) as node:
        await node.accept(contact={"sms_alerts": "No SMS"})
        id_ = await node.accept(shop=node.shops[1])
        assert await node.place(id_) in ("queue", "flight")


async def test_contacts_are_kept_and_changed_by_what_requests_say(
    database: ConnectParameters,
) -> None:
    """The last description counts; a field that is left out stays."""
    async with stage(database) as node:
        zone = "America/Chicago"
        await node.accept(contact={"name": "Sample", "sms_alerts": "Verizon", "time_zone": zone})
        await node.accept(contact={"name": "Sample Customer", "kind": "member", "id": "C1"})
        rows = await node.rows(
            "SELECT shop, phone, kind, contact, name, zone, sms_alerts FROM contact"
        )
        assert rows == [
            (1, "+12125550123", "member", "C1", "Sample Customer", zone, "verizon"),
        ]


async def test_the_sender_is_the_number_that_last_talked_with_the_phone(
    database: ConnectParameters,
) -> None:
    """Of several numbers, and with the route that belongs to it."""
    numbers = (Number("+12125550101", 1, 1, "acme"), Number("+12125550102", 1, 2, "other"))
    async with stage(database, shops=(a_shop(1, numbers=numbers),)) as node:
        node.routes.get(2, "other").has_link = True
        await node.rows(
            "INSERT INTO contact (shop, phone, number) VALUES (1, '+12125550123', '+12125550102')"
        )
        id_ = await node.accept()
        assert await node.rows("SELECT id, sender, route FROM message") == [
            (id_, "+12125550102", 2)
        ]


# Idempotency -----------------------------------------------------------------------------------


async def test_the_same_key_and_request_get_the_first_answer(database: ConnectParameters) -> None:
    """A replay stores nothing."""
    async with stage(database) as node:
        (first,) = await node.post(node.draft(), keys=(KEY,))
        (second,) = await node.post(node.draft(), keys=(KEY,))
        assert isinstance(first, Accepted)
        assert second == Accepted(first.answer, is_replay=True)
        assert await node.intake.replay(1, KEY) == second
        assert await node.intake.replay(2, KEY) is None
        assert len(await node.rows("SELECT id FROM message")) == 1


async def test_many_keys_are_looked_up_together(
    database: ConnectParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the question, each for its own shop, however many statements it takes."""
    monkeypatch.setattr(intake_module, "KEYS_MAX", 2)
    async with stage(database) as node:
        keys = [Idempotency(f"key-{n}", b"same") for n in range(4)]
        (first,) = await node.post(node.draft(), keys=(keys[2],))
        other = Idempotency("key-2", b"other")
        asked = [*((1, key) for key in keys), (2, keys[2]), (1, other)]
        found = await node.intake.replays(asked)
        assert isinstance(first, Accepted)
        replayed = Accepted(first.answer, is_replay=True)
        assert found[:5] == [None, None, replayed, None, None]
        assert isinstance(found[5], Refusal)
        assert found[5].type == "key-reused"


async def test_the_same_key_for_another_request_is_refused(database: ConnectParameters) -> None:
    """And names the field."""
    async with stage(database) as node:
        await node.post(node.draft(), keys=(KEY,))
        (other,) = await node.post(node.draft(), keys=(Idempotency("key-1", b"other"),))
        assert isinstance(other, Refusal)
        assert (other.type, other.faults[0].field) == ("key-reused", "Idempotency-Key")
        assert len(await node.rows("SELECT id FROM message")) == 1


async def test_the_same_key_twice_at_once_is_one_message(database: ConnectParameters) -> None:
    """Also within one group."""
    async with stage(database) as node:
        outcomes = await node.post(*(node.draft() for _ in range(3)), keys=(KEY, KEY, KEY))
        assert [o.is_replay for o in outcomes if isinstance(o, Accepted)] == [False, True, True]
        assert len({message_id(outcome) for outcome in outcomes}) == 1


async def test_two_writers_race_for_a_key(database: ConnectParameters) -> None:
    """One stores the message, the other gives its answer; neighbours of both are stored."""
    async with stage(database) as one, stage(database, node=2) as two:
        posts = [
            node.post(
                *(node.draft(text=f"Text {n}") for n in range(5)),
                keys=tuple(Idempotency(f"key-{n}", b"same") for n in order),
            )
            for node, order in ((one, range(5)), (two, (9, 3, 2, 1, 0)))
        ]
        first, second = await asyncio.gather(*posts)
        assert len({message_id(outcome) for outcome in (*first, *second)}) == 6
        assert len(await one.rows("SELECT id FROM message")) == 6


async def test_a_text_too_long_for_the_number_that_talked_last_is_refused_alone(
    database: ConnectParameters,
) -> None:
    """The number is only known when the store has been asked; its neighbours are stored."""
    numbers = (Number("+12125550101", 1, 1, "acme"), Number("+12125550102", 1, 2, "wide"))
    async with stage(database) as node:
        await node.rows(
            "INSERT INTO contact (shop, phone, number) VALUES (1, '+12125550123', $1)"
            " RETURNING shop",
            "+12125550102",
        )
        shop = a_shop(1, numbers=numbers)
        drafts = [node.draft(shop=shop, text=text) for text in ("short", "x" * 1_530, "short too")]
        for draft in drafts:
            draft.dialects = {2: TextDialect(long=Long.UDH16)}
        outcomes = await node.post(*drafts)
        assert [isinstance(outcome, Refusal) for outcome in outcomes] == [False, True, False]
        assert isinstance(outcomes[1], Refusal)
        assert [fault.field for fault in outcomes[1].faults] == ["text"]


# Bad rows and outages --------------------------------------------------------------------------


async def test_a_row_that_cannot_be_stored_fails_alone(database: ConnectParameters) -> None:
    """The group is halved until the bad row stands alone; all others are accepted."""
    async with stage(database) as node:
        drafts = [node.draft(text=f"Text {n}.") for n in range(9)]
        drafts[4].message.source = "a\0b"
        drafts[7].message.parent = 1 << 70
        outcomes = await node.post(*drafts)
        refused = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Refusal)]
        assert refused == [4, 7]
        assert len(await node.rows("SELECT id FROM message")) == 7
        assert not node.unknown


async def test_without_a_store_posts_are_refused_and_all_recovers_by_itself(
    database: ConnectParameters,
) -> None:
    """`unavailable` while it is away; accepted when it is back."""
    async with stage(database) as node:
        await node.accept()
        async with _unreachable(node):
            (outcome,) = await node.post(node.draft())
            assert isinstance(outcome, Refusal)
            assert outcome.type == "unavailable"
            assert isinstance(await node.intake.replay(1, KEY), Refusal)
        await node.accept()


async def test_a_store_that_hangs_keeps_nobody_waiting(database: ConnectParameters) -> None:
    """All who wait are told within the deadline, newcomers at once, and nothing is lost."""
    async with stage(database, has_link=False) as node:
        node.routes.get(1).has_link = True
        blocker = await asyncpg.connect(**database)
        await blocker.execute("BEGIN; LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
        first = asyncio.ensure_future(node.post(node.draft()))
        (outcome,) = await first
        assert isinstance(outcome, Refusal)
        with pytest.raises(Refusal, match="cannot store"):
            await node.post(node.draft())
        await blocker.close()
        await _accepts_again(node)


async def test_what_the_callers_gave_up_is_not_stored(database: ConnectParameters) -> None:
    """A caller who left before its turn came is not sent anything."""
    async with stage(database) as node:
        caller = asyncio.ensure_future(node.intake.accept([node.draft()]))
        await asyncio.sleep(0)
        caller.cancel()
        await node.accept()
        assert len(await node.rows("SELECT id FROM message")) == 1


async def test_a_commit_whose_answer_is_lost_is_swept_back_exactly_once(
    database: ConnectParameters,
) -> None:
    """Its flight is an orphan of this very process: the messages return to the queue, undamaged."""
    async with stage(database, room=10) as node:
        await node.queue_is_known_empty()
        node.link.allow(10)
        with _losing_answers(node.intake_connection):
            (outcome,) = await node.post(node.draft())
        assert isinstance(outcome, Refusal)
        assert node.unknown == 1
        assert node.link.taken == []
        await node.turn()
        taken = await node.link.has_taken(1)
        assert [message.tries for message in taken] == [2]
        await node.turn()
        assert len(node.link.taken) == 1


async def test_a_node_without_its_lease_stores_nothing(database: ConnectParameters) -> None:
    """It refuses instead of writing."""
    async with stage(database) as node:
        node.may_write = False
        (outcome,) = await node.post(node.draft())
        assert isinstance(outcome, Refusal)
        assert await node.rows("SELECT id FROM message") == []


async def test_a_lease_lost_during_the_commit_keeps_messages_from_the_link(
    database: ConnectParameters,
) -> None:
    """Another node may have taken the flight by then: it is left to whoever resolves orphans."""
    async with stage(database, room=10) as node:
        await node.queue_is_known_empty()
        fetch = node.intake_connection.fetch

        async def slow(query: str, *args: Any) -> list[asyncpg.Record]:
            rows = await fetch(query, *args)
            node.may_write = False
            return rows

        node.intake_connection.fetch = slow  # type: ignore[method-assign]
        await node.accept(contact={"sms_alerts": "SMS OK"})
        assert node.link.taken == []
        node.may_write = True
        await node.turn()
        await node.link.has_taken(1)


async def test_the_waiting_room_is_bounded(
    database: ConnectParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than it holds is refused at once, with a time to come again."""
    async with stage(database) as node:
        drafts = [node.draft()] * 10_001
        with pytest.raises(Refusal) as told:
            await node.intake.accept(drafts)
        assert (told.value.type, told.value.retry_after_s) == ("unavailable", 1)


async def test_groups_are_bounded(
    database: ConnectParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A post that is larger than a group is stored in several, and answered in order."""
    monkeypatch.setattr(intake_module, "GROUP_MAX", 3)
    async with stage(database, has_link=False) as node:
        drafts = [node.draft(text=f"Text {n}.") for n in range(10)]
        outcomes = await node.post(*drafts)
        assert [message_id(o) for o in outcomes] == [d.message.id for d in drafts]
        assert len(await node.rows("SELECT DISTINCT xmin::text FROM message")) == 4


# Aids ------------------------------------------------------------------------------------------


async def _accepts_again(node: Stage) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                (outcome,) = await node.post(node.draft())
            except Refusal:
                await asyncio.sleep(0.01)
                continue
            if isinstance(outcome, Accepted):
                return


class _unreachable:
    """No connection can be made, and those there are break."""

    def __init__(self, node: Stage) -> None:
        self._node = node

    async def __aenter__(self) -> None:
        database = self._node.database
        self._source = database._source

        async def refuse() -> dict[str, Any]:
            raise OSError("connection refused")

        database._source, database._arguments = refuse, None
        for connection in database.hot:
            connection.drop()

    async def __aexit__(self, *_: object) -> None:
        self._node.database._source = self._source


class _losing_answers:
    """Statements take effect, but their answers are lost."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        fetch = self._connection.fetch

        async def lose(query: str, *args: Any) -> list[asyncpg.Record]:
            rows: list[asyncpg.Record] = await fetch(query, *args)
            if not query.startswith("WITH m AS"):
                return rows
            raise StoreDown("the answer is lost")

        self._connection.fetch = lose

    def __exit__(self, *_: object) -> None:
        del self._connection.fetch
