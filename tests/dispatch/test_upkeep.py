"""The recurring jobs: due times, releases, validity, routes without links, what is forgotten."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.dispatch import sweeps, upkeep
from gateway.dispatch.routes import Way
from gateway.dispatch.sweeps import SQL, Once
from gateway.errors import StoreDown
from gateway.ids import lowest_at, wall_ms
from gateway.model import EventKind, State
from gateway.store.embedded import ConnectParameters
from tests.dispatch.stage import PlayedLink, Stage, a_shop, at, ended, stage
from tests.postgres import connected

DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything takes several portions."""
    for module in (sweeps, upkeep):
        monkeypatch.setattr(module, "PORTION", 3)


async def test_due_messages_are_ranked_and_queued(database: ConnectParameters) -> None:
    """Those that are due and no others, in order, and whoever claims is told."""
    async with stage(database, has_link=False) as node:
        node.routes.get(1).has_link = True
        due = wall_ms() + 3_600_000
        ids = [await node.accept(send_at=at(due + n)) for n in range(8)]
        await node.rows("UPDATE later SET due_ms = due_ms - 4000000 WHERE id <> $1", ids[7])
        route = node.routes.get(1)
        link = PlayedLink(None)  # type: ignore[arg-type]
        cursors = route.add_link(Way(link, lambda: None)).cursors
        cursors.may_have = False
        await node.turn()
        assert await node.rows("SELECT id FROM queue ORDER BY rank") == [(i,) for i in ids[:7]]
        assert await node.place(ids[7]) == "later"
        assert cursors.may_have


async def test_a_retry_keeps_its_rank(database: ConnectParameters) -> None:
    """What waited for its second try is not behind what came meanwhile."""
    async with stage(database) as node:
        first, second = [await node.accept() for _ in range(2)]
        node.link.allow(1)
        (message,) = await node.link.has_taken(1)
        node.link.most = 0
        node.link.put_off(EventKind.RETRIED, delay_s=0.001)
        await node.settled()

        async def is_back() -> bool:
            await node.turn()
            return await node.place(first) == "queue"

        await node.until(is_back)
        assert await node.rows("SELECT id, rank FROM queue ORDER BY rank, id LIMIT 1") == [
            (first, message.rank)
        ]
        assert second


async def test_canceled_retries_are_dropped_when_they_are_due(database: ConnectParameters) -> None:
    """They are settled: nobody sends them."""
    async with stage(database) as node:
        id_ = await node.accept(send_at=at(wall_ms() + 3_600_000))
        await node.rows("UPDATE later SET due_ms = 1")
        await node.rows("INSERT INTO status (id, segment, state, tries) VALUES ($1, 0, 9, 0)", id_)
        await node.turn()
        assert await node.place(id_) is None


async def test_a_shop_set_free_has_its_messages_back(database: ConnectParameters) -> None:
    """All of them, however many portions, each with an event, and the oldest first."""
    held = a_shop(1, is_held=True)
    async with stage(database, shops=(held, a_shop(2, is_held=True))) as node:
        ids = [await node.accept() for _ in range(8)]
        other = await node.accept(shop=node.shops[1])
        await node.turn()
        assert await node.place(ids[0]) == "hold"
        node.directory.shops[1] = a_shop(1)
        node.upkeep.shop_changed(held, a_shop(1))
        await node.turn()
        assert await node.rows("SELECT id FROM queue ORDER BY rank") == [(i,) for i in ids]
        assert await node.events(ids[7]) == [EventKind.HELD, EventKind.RELEASED]
        assert await node.place(other) == "hold"


async def test_what_changed_while_nobody_watched_is_found(database: ConnectParameters) -> None:
    """A shop released, or renewed, while the process was down."""
    async with stage(database, shops=(a_shop(1, is_held=True), a_shop(2))) as node:
        held = await node.accept()
        lapsed = await node.accept(shop=node.shops[1])
        await node.rows("DELETE FROM queue")
        await node.rows(
            "INSERT INTO hold VALUES ($1, 2, 1, '+12125550123', 'support-ended', NULL, 0)", lapsed
        )
        await node.rows(
            "INSERT INTO shop OVERRIDING SYSTEM VALUE SELECT n, 's' || n, '', '', '', 'UTC'"
            " FROM generate_series(1, 2) n"
        )
        node.directory.shops = {1: a_shop(1), 2: ended(a_shop(2))}
        await node.turn()
        assert await node.place(held) == "queue"
        assert await node.place(lapsed) == "hold"
        node.directory.shops[2] = a_shop(2)
        await node.turn()
        assert await node.place(lapsed) == "queue"


async def test_a_route_that_lost_its_link_is_held_until_it_has_one_again(
    database: ConnectParameters,
) -> None:
    """Its queue is moved aside, shown as `no-link`, and comes back."""
    async with stage(database, has_link=False) as node:
        route = node.routes.get(1)
        route.has_link = True
        ids = [await node.accept() for _ in range(5)]
        route.has_link = False
        await node.turn()
        await node.turn()
        assert await node.rows("SELECT DISTINCT reason FROM hold") == [("no-link",)]
        assert len(await node.rows("SELECT id FROM hold")) == 5
        route.has_link = True
        await node.turn()
        assert len(await node.rows("SELECT id FROM queue")) == 5
        assert await node.events(ids[0]) == [EventKind.HELD, EventKind.RELEASED]


@pytest.mark.parametrize("sign", ["its state", "its bind"])
async def test_a_link_of_another_node_keeps_messages_in_the_queue(
    database: ConnectParameters, sign: str
) -> None:
    """A node whose settings do not name it neither holds what waits for it nor what comes; it does
    when nobody has run the link for a while.
    """
    async with stage(database, has_link=False) as node:
        if sign == "its state":
            await node.rows("INSERT INTO link_state VALUES (1, 0, 2, 'down', now())")
        else:
            await node.rows("INSERT INTO bind VALUES (1, 0, 2, 1, now() + interval '1 minute')")
        stranded = await node.accept()
        assert await node.place(stranded) == "hold", "nobody has looked yet"
        await node.turn()
        assert await node.place(stranded) == "queue"
        new = await node.accept()
        await node.turn()
        assert await node.place(new) == "queue"
        await node.rows("UPDATE link_state SET updated = now() - interval '31 seconds'")
        await node.rows("UPDATE bind SET until = now() - interval '1 second'")
        await node.turn()
        assert await node.place(new) == await node.place(stranded) == "hold"


async def test_what_waits_past_its_validity_expires(database: ConnectParameters) -> None:
    """In the queue of a link that is down, and in hold, with an event each; the rest stays."""
    async with stage(database, shops=(a_shop(1), a_shop(2, is_held=True))) as node:
        queued = [await node.accept() for _ in range(5)]
        held = [await node.accept(shop=node.shops[1]) for _ in range(5)]
        late = {*queued[1:], *held[1:]}
        await node.rows("UPDATE message SET expires_ms = 1 WHERE id = ANY ($1)", list(late))
        for _ in range(3):
            await node.turn()
        for id_ in (*queued, *held):
            assert await node.states(id_) == ({0: State.EXPIRED} if id_ in late else {})
        assert await node.events(queued[1]) == [EventKind.EXPIRED]
        assert await node.events(held[1]) == [EventKind.HELD, EventKind.EXPIRED]
        ids = await node.rows("SELECT count(DISTINCT id), count(*) FROM event")
        assert ids[0][0] == ids[0][1], "every event has an id of its own"


@pytest.mark.parametrize(
    ("states", "why"),
    [
        ((), "no link of its route told what it does"),
        (("down",), "link acme down since 2030-01-02 03:04 UTC"),
        (("stopped", "stopped"), "link acme stopped since 2030-01-02 03:04 UTC"),
        (("down", "up"), None),
    ],
)
async def test_what_expires_tells_what_it_waited_for(
    database: ConnectParameters, states: tuple[str, ...], why: str | None
) -> None:
    """In its reason and its timeline: the links that were not there, or the turn that never came;
    and for what is held why it was.
    """
    held = a_shop(2, is_held=True)
    async with stage(database, shops=(a_shop(1), held), has_link=False) as node:
        await node.rows("INSERT INTO bind VALUES (1, 0, 2, 1, now() + interval '1 minute')")
        for bind, state in enumerate(states):
            await node.rows(
                "INSERT INTO link_state (link, bind, node, state, since)"
                " VALUES (1, $1, 1, $2, '2030-01-02 03:04Z')",
                bind,
                state,
            )
        waited, kept = await node.accept(), await node.accept(shop=held)
        await node.rows("UPDATE message SET expires_ms = 1")
        for _ in range(3):
            await node.turn()
        told = dict(
            await node.rows("SELECT message, detail ->> 'reason' FROM event WHERE kind = $1",
                            EventKind.EXPIRED)
        )  # fmt: skip
        passed = "its validity passed while it"
        wanted = f"{passed} waited: {why}" if why else f"{passed} waited for its turn"
        assert told[waited] == wanted
        assert told[kept] == f"{passed} was held: the shop's messages are held by the operator"
        assert dict(await node.rows("SELECT id, error FROM status"))[waited] == wanted


async def test_the_first_segment_without_an_answer_expires(database: ConnectParameters) -> None:
    """What was answered keeps its row; a message that is answered whole does not expire."""
    async with stage(database) as node:
        part = await node.accept(text="Your gown is ready for pickup. " * 12)
        whole = await node.accept()
        await node.rows(
            "INSERT INTO status (id, segment, state, tries) VALUES ($1, 1, 4, 1), ($2, 0, 4, 1)",
            part,
            whole,
        )
        await node.rows("UPDATE message SET expires_ms = 1")
        await node.turn()
        assert await node.states(part) == {0: State.EXPIRED, 1: State.SUBMITTED}
        assert await node.states(whole) == {0: State.SUBMITTED}


async def test_a_receipt_that_never_came_is_noted_once(database: ConnectParameters) -> None:
    """Per segment, after 72 hours; the message stays submitted."""
    async with stage(database) as node:
        old = lowest_at(wall_ms() - 4 * DAY_MS)
        for n in range(7):
            await node.rows(
                "INSERT INTO message SELECT $1, shop, route, rank, place, channel, category,"
                " encoding, 2, NULL, 0, NULL, sender, target, body FROM (SELECT 1 AS shop,"
                " 1 AS route, 0 AS rank, 1 AS place, 1 AS channel, 1 AS category, 0 AS encoding,"
                " 's' AS sender, 't' AS target, 'b' AS body) x",
                old + n,
            )
            await node.rows(
                "INSERT INTO status (id, segment, state, tries, sent_ms)"
                " VALUES ($1, 0, $2, 1, 0), ($1, 1, 5, 1, 0)",
                old + n,
                State.DELIVERED if n == 3 else State.SUBMITTED,
            )
        await node.turn()
        await node.turn()
        for n in range(7):
            expected = [] if n == 3 else [EventKind.NO_RECEIPT]
            assert await node.events(old + n) == expected
        assert await node.states(old) == {0: State.SUBMITTED, 1: State.DELIVERED}


async def put_sent(node: Stage, id_: int, *sent_ms: int, channel: int = 1, link: int = 1) -> None:
    """A message whose segments were submitted at these times; 0: not yet."""
    await node.rows(
        "INSERT INTO message SELECT $1, 1, 1, 0, 1, $2::int2, 1, 0, $3::int2, NULL,"
        " 9000000000000, NULL, 's', 't', 'b'",
        id_,
        channel,
        len(sent_ms),
    )
    for segment, ms in enumerate(sent_ms):
        if ms:
            await node.rows(
                "INSERT INTO status (id, segment, state, tries, sent_ms, link)"
                " VALUES ($1, $2, 4, 1, $3, $4)",
                id_,
                segment,
                ms,
                link,
            )
    if 0 in sent_ms:
        await node.rows("INSERT INTO queue VALUES (1, 1, $1, 1, 0)", id_)


async def test_receipts_are_overdue_72_hours_after_the_sending_not_the_acceptance(
    database: ConnectParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However late a segment was sent: each has its own time, and one event."""
    async with stage(database) as node:
        now = wall_ms()
        accepted = now - 3 * DAY_MS - 3_600_000
        late, parts, young = (lowest_at(accepted + n) for n in range(3))
        await put_sent(node, late, accepted + 2 * 3_600_000)
        await put_sent(node, parts, accepted, accepted + 2 * 3_600_000, 0)
        await put_sent(node, young, accepted)
        await node.turn()
        assert await node.events(late) == []
        assert await node.events(parts) == [EventKind.NO_RECEIPT]
        assert await node.events(young) == [EventKind.NO_RECEIPT]
        monkeypatch.setattr(sweeps, "wall_ms", lambda: now + 2 * 3_600_000)
        await node.turn()
        assert await node.events(late) == [EventKind.NO_RECEIPT]
        assert await node.events(parts) == [EventKind.NO_RECEIPT] * 2
        await node.rows("DELETE FROM queue")
        await node.rows(
            "INSERT INTO status (id, segment, state, tries, sent_ms, link)"
            " VALUES ($1, 2, 4, 1, $2, 1)",
            parts,
            now + DAY_MS,
        )
        for later_ms, count in ((3 * DAY_MS + 3 * 3_600_000, 2), (5 * DAY_MS, 3)):
            monkeypatch.setattr(sweeps, "wall_ms", lambda ms=later_ms: now + ms)
            await node.turn()
            assert await node.events(parts) == [EventKind.NO_RECEIPT] * count
        assert await node.rows("SELECT id FROM awaited_receipt") == []
        assert len(await node.events(late)) == 1


async def test_where_no_receipt_was_asked_for_none_is_missed(database: ConnectParameters) -> None:
    """Mails have none, and links may be set to ask for none."""
    async with stage(database) as node:
        old = wall_ms() - 4 * DAY_MS
        await node.rows("UPDATE link SET has_receipts = false WHERE name = 'other'")
        ((other,),) = await node.rows("SELECT id FROM link WHERE name = 'other'")
        mail, silent = lowest_at(old), lowest_at(old + 1)
        await put_sent(node, mail, old, channel=2)
        await put_sent(node, silent, old, link=other)
        await node.turn()
        assert await node.events(mail) == await node.events(silent) == []


async def test_old_keys_receipts_and_doubts_are_forgotten(database: ConnectParameters) -> None:
    """Keys after seven days, the others when no receipt is expected any more."""
    async with stage(database) as node:
        now = wall_ms()
        for age in (1, 8):
            await node.rows(
                "INSERT INTO idempotency VALUES (1, $1, '', '', $2)", str(age), now - age * DAY_MS
            )
            await node.rows(
                "INSERT INTO early_receipt VALUES ($1, 1, 'c', '', 5, '', NULL, 0)",
                lowest_at(now - age * DAY_MS),
            )
            await node.rows(
                "INSERT INTO in_doubt VALUES (1, 't', $1, 0, $2)", age, now - age * DAY_MS
            )
        await node.turn()
        assert await node.rows("SELECT key FROM idempotency") == [("1",)]
        assert len(await node.rows("SELECT id FROM early_receipt")) == 1
        assert await node.rows("SELECT id FROM in_doubt") == [(1,)]


async def test_one_node_at_a_time_does_a_job(database: ConnectParameters) -> None:
    """While another holds the job's lock, it is left to it."""
    async with stage(database) as node, connected(database) as other:
        id_ = await node.accept(send_at=at(wall_ms() + 3_600_000))
        await node.rows("UPDATE later SET due_ms = 1")
        async with other.transaction():
            assert await other.fetchval(SQL["once"], Once.PROMOTE)
            await node.turn()
            assert await node.place(id_) == "later"
        await node.turn()
        assert await node.place(id_) == "queue"


async def test_a_job_that_fails_does_not_keep_others_from_their_work(
    database: ConnectParameters, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again at its next turn; what went wrong is in the log."""
    async with stage(database) as node:
        id_ = await node.accept(send_at=at(wall_ms() + 3_600_000))
        await node.rows("UPDATE later SET due_ms = 1")

        async def fail() -> int:
            raise RuntimeError("a mistake")

        node.recovery.run_once = fail  # type: ignore[method-assign]
        with caplog.at_level(logging.ERROR):
            await node.turn()
        assert "recover failed" in caplog.text
        assert await node.place(id_) == "queue"


async def test_orphans_are_looked_for_again_after_an_outage(database: ConnectParameters) -> None:
    """A look that failed for want of a store does not count."""
    async with stage(database) as node:
        await node.turn()
        looks = 0

        async def look() -> int:
            nonlocal looks
            looks += 1
            raise StoreDown("away")

        node.recovery.run_once = look  # type: ignore[method-assign]
        node.upkeep.look_for_orphans()
        for _ in range(2):
            await node.upkeep.turn(asyncio.get_running_loop().time())
        assert looks == 2


async def test_the_poll_finds_what_no_wake_up_told_of(database: ConnectParameters) -> None:
    """A message that another node queued without a word is claimed by the next poll."""
    async with stage(database, room=5) as node, stage(database, node=2, has_link=False) as other:
        other.routes.get(1).has_link = True
        await other.accept()
        await node.turn()
        await node.link.has_taken(1)


async def test_a_node_without_links_ranks_by_what_others_claimed(
    database: ConnectParameters,
) -> None:
    """Its messages do not overtake those that waited for their turn, nor does one shop lag behind
    because it sent here before.
    """
    async with stage(database, has_link=False) as node:
        node.routes.get(1).has_link = True
        await node.rows("INSERT INTO virtual_time VALUES (1, 0, 5000)")
        await node.turn()
        for shop in node.shops:
            id_ = await node.accept(shop=shop)
            assert await node.rows("SELECT rank FROM queue WHERE id = $1", id_) == [(5001,)]


async def test_an_idle_node_asks_little(database: ConnectParameters) -> None:
    """At rest a turn costs three queries and no transaction."""
    async with stage(database, has_link=False) as node:
        await node.turn()
        asked: list[str] = []
        connection = node.upkeep._connection
        fetch = connection.fetch

        async def count(query: str, *args: object) -> list[object]:
            asked.append(query)
            return list(await fetch(query, *args))

        connection.fetch = count  # type: ignore[method-assign,assignment]
        now = asyncio.get_running_loop().time()
        for name in node.upkeep._done_at:
            node.upkeep._done_at[name] = now
        await node.upkeep.turn(now + 1.0)
        assert len(asked) <= 3
