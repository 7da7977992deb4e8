"""Delivery receipts: whose they are, what they change, and when they are acknowledged."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from gateway.dispatch import receipts
from gateway.dispatch.early import RETRIES_S
from gateway.dispatch.recent import RecentIds
from gateway.errors import StoreDown
from gateway.model import Cause, EventKind, State
from gateway.store.embedded import ConnectParameters
from protocols.smpp.status import ESME_RX_T_APPN
from protocols.sms.receipts import ReceiptState
from tests.dispatch.carrier import DELIVERED, PHONE, UNDELIVERABLE, Carrier, submitted
from tests.dispatch.stage import Stage, stage

LONG = "Your gown is ready for pickup. " * 12


@pytest.fixture(autouse=True, params=["memory", "store"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All holds whether segments are found in memory or, as after a restart, in the store."""
    if request.param == "store":
        monkeypatch.setattr(RecentIds, "find", lambda *_: None)


@pytest.mark.parametrize(
    ("told", "written"),
    [
        ("2587", "2587"),
        ("a1b", "2587"),
        ("2587", "0xA1B"),
        ("0000002587", "2587"),
        ("A1B", "0000000a1b"),
        ("5b8f1c3e-2d7a-4c1b-9e0f-112233445566", "5B8F1C3E2D7A4C1B9E0F112233445566"),
    ],
)
async def test_a_receipt_finds_its_segment_in_every_dialect(
    database: ConnectParameters, told: str, written: str
) -> None:
    """The response told one form of the id, the receipt another."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await submitted(node, told)
        await carrier.tell(written)
        assert await node.states(id_) == {0: State.DELIVERED}
        assert await node.events(id_) == [EventKind.DELIVERED]


@pytest.mark.parametrize("phone", ["+12125550123", "2125550123", "012", ""])
async def test_the_destination_may_be_written_in_other_ways(
    database: ConnectParameters, phone: str
) -> None:
    """In national form, or too short to say anything: then the id decides alone."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await submitted(node, "c1")
        await carrier.tell("c1", phone=phone)
        assert await node.states(id_) == {0: State.DELIVERED}


async def test_a_receipt_for_another_destination_is_not_ours(database: ConnectParameters) -> None:
    """It is acknowledged, kept for a while, and given up."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await submitted(node, "c1")
        await carrier.tell("c1", phone="12125550199")
        assert await node.states(id_) == {0: State.SUBMITTED}
        assert len(await node.rows("SELECT id FROM early_receipt")) == 1


async def test_of_two_texts_with_one_id_the_newest_has_the_receipt(
    database: ConnectParameters,
) -> None:
    """Carriers that count round and round repeat their ids."""
    async with stage(database) as node:
        carrier = Carrier(node)
        old = await submitted(node, "17")
        new = await submitted(node, "17")
        await carrier.tell("17")
        assert await node.states(old) == {0: State.SUBMITTED}
        assert await node.states(new) == {0: State.DELIVERED}


async def test_ids_that_count_up_are_not_taken_for_one_another(
    database: ConnectParameters,
) -> None:
    """10 read as hexadecimal is 16, which a later text to the same phone has."""
    async with stage(database) as node:
        carrier = Carrier(node)
        texts = {id_: await submitted(node, id_) for id_ in ("10", "11", "16", "17")}
        for id_ in ("10", "11"):
            await carrier.tell(id_)
        states = [list((await node.states(text)).values())[0] for text in texts.values()]
        assert states == [State.DELIVERED] * 2 + [State.SUBMITTED] * 2


async def test_an_id_that_came_round_many_times_still_finds_the_newest_text(
    database: ConnectParameters,
) -> None:
    """However many older texts of the link have it."""
    async with stage(database) as node:
        carrier = Carrier(node)
        await node.rows(
            "INSERT INTO message SELECT n, 1, 1, 0, 1, 1, 1, 0, 1, NULL, 0, NULL, 's',"
            " '+12125550199', 'b' FROM generate_series(1, 150) n"
        )
        await node.rows(
            "INSERT INTO status SELECT n, 0, 1, 5, 1, 0, 0, 'c1' FROM generate_series(1, 150) n"
        )
        id_ = await submitted(node, "c1")
        await carrier.tell("c1")
        assert await node.states(id_) == {0: State.DELIVERED}


async def test_undelivered_says_why_in_the_carriers_words(database: ConnectParameters) -> None:
    """State, code and word are kept."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await submitted(node, "c1")
        await carrier.tell("c1", UNDELIVERABLE, error="042", word="UNDELIV")
        assert await node.rows("SELECT state, error FROM status WHERE id = $1", id_) == [
            (State.UNDELIVERED, "UNDELIV (error 042)")
        ]
        assert await node.events(id_) == [EventKind.UNDELIVERED]


async def test_a_receipt_that_overtakes_the_response_waits_for_it(
    database: ConnectParameters,
) -> None:
    """It is stored before it is acknowledged, and used as soon as the id is committed."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await node.accept()
        node.link.allow(1)
        await node.link.has_taken(1)
        await carrier.tell("c1")
        assert await node.rows("SELECT carrier FROM early_receipt") == [("c1",)]
        node.link.accept("c1")
        await node.until(lambda: _is_delivered(node, id_))
        assert await node.rows("SELECT id FROM early_receipt") == []


async def _is_delivered(node: Stage, id_: int) -> bool:
    return await node.states(id_) == {0: State.DELIVERED}


async def test_the_same_receipt_twice_changes_nothing(database: ConnectParameters) -> None:
    """Within one batch or later."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await submitted(node, "c1")
        carrier.send("c1")
        carrier.send("c1")
        await carrier.answered(2)
        await carrier.tell("c1")
        assert await node.events(id_) == [EventKind.DELIVERED]


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_first_final_receipt_holds(database: ConnectParameters, at_once: bool) -> None:
    """A later different one is an event."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await submitted(node, "c1")
        carrier.send("c1")
        if not at_once:
            await carrier.answered(1)
        carrier.send("c1", UNDELIVERABLE)
        await carrier.answered(2)
        assert await node.states(id_) == {0: State.DELIVERED}
        assert sorted(await node.events(id_)) == [EventKind.DELIVERED, EventKind.RECEIPT]


async def test_an_intermediate_receipt_is_an_event_and_no_more(
    database: ConnectParameters,
) -> None:
    """The message stays submitted."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await submitted(node, "c1")
        await carrier.tell("c1", ReceiptState.ENROUTE)
        assert await node.states(id_) == {0: State.SUBMITTED}
        assert await node.events(id_) == [EventKind.RECEIPT]


async def test_a_long_text_is_delivered_when_all_its_segments_are(
    database: ConnectParameters,
) -> None:
    """One final event, with the last of them."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await submitted(node, "c1", "c2", "c3", text=LONG)
        await carrier.tell("c1")
        await carrier.tell("c3")
        assert await node.events(id_) == []
        await carrier.tell("c2")
        assert await node.events(id_) == [EventKind.DELIVERED]


async def test_a_long_text_is_undelivered_as_soon_as_one_segment_is(
    database: ConnectParameters,
) -> None:
    """Whatever the others are told, also all at once."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await submitted(node, "c1", "c2", "c3", text=LONG)
        for name in ("c1", "c2", "c3"):
            carrier.send(name, UNDELIVERABLE if name == "c2" else DELIVERED)
        await carrier.answered(3)
        assert await node.events(id_) == [EventKind.UNDELIVERED]


async def test_a_segment_in_doubt_is_settled_by_a_receipt_nobody_else_claims(
    database: ConnectParameters,
) -> None:
    """After its last try a receipt settles the oldest doubt of its link and destination."""
    async with stage(database) as node:
        carrier = Carrier(node)
        ids = []
        for _ in range(2):
            ids.append(await node.accept(category="marketing"))
            node.link.allow(100)
            await node.link.has_taken(len(ids))
        node.link.cut(Cause.TIMEOUT)
        await node.settled()
        carrier.send("c1")
        carrier.send("c2", UNDELIVERABLE)
        await carrier.answered(2)
        for _ in RETRIES_S:
            assert await node.states(ids[0]) == {0: State.IN_DOUBT}
            await carrier.pass_time()
        assert await node.states(ids[0]) == {0: State.DELIVERED}
        assert await node.states(ids[1]) == {0: State.UNDELIVERED}
        assert await node.rows("SELECT id FROM in_doubt") == []
        assert await node.rows("SELECT id FROM early_receipt WHERE carrier LIKE 'c%'") == []


async def test_one_receipt_settles_one_segment_in_doubt(database: ConnectParameters) -> None:
    """Though two nodes with binds of the link have taken it up."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await node.accept(category="marketing", text=LONG)
        node.link.allow(100)
        await node.link.has_taken(1)
        node.link.cut(Cause.TIMEOUT)
        await node.settled()
        await carrier.tell("c1")
        async with stage(database, node=2, has_link=False) as other:
            others = Carrier(other)
            await other.receipts.load(1)
            for _ in RETRIES_S:
                await carrier.pass_time()
                await others.pass_time()
        states = sorted((await node.states(id_)).values())
        assert states == [State.DELIVERED, State.IN_DOUBT, State.IN_DOUBT]


async def test_what_matches_nothing_is_given_up_after_its_last_try(
    database: ConnectParameters,
) -> None:
    """It is counted, and its row is gone."""
    async with stage(database) as node:
        dropped: list[int] = []
        node.receipts._on_dropped = dropped.append
        carrier = Carrier(node)
        await carrier.tell("c1")
        for _ in RETRIES_S:
            await carrier.pass_time()
        assert await node.rows("SELECT id FROM early_receipt WHERE carrier = 'c1'") == []
        assert sum(dropped) >= 1


async def test_early_receipts_are_bounded_in_memory_and_in_the_store(
    database: ConnectParameters,
) -> None:
    """Of each link the oldest goes, also when many come at once."""
    async with stage(database) as node:
        dropped: list[int] = []
        node.receipts._on_dropped = dropped.append
        carrier = Carrier(node)
        for n in range(4):
            await carrier.tell(f"x{n}")
        for n in range(4, 13):
            carrier.send(f"x{n}")
        await carrier.answered(13)
        kept = [f"x{n}" for n in range(8, 13)]
        rows = await node.rows("SELECT carrier FROM early_receipt ORDER BY id")
        assert rows == [(name,) for name in kept]
        assert sum(dropped) == 8
        assert len(node.receipts._early) == 5


async def test_another_process_takes_up_what_was_stored(database: ConnectParameters) -> None:
    """The newest, up to the bound; taking them up twice changes nothing."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await node.accept()
        node.link.allow(1)
        await node.link.has_taken(1)
        await carrier.tell("c1")
        async with stage(database, epoch=2) as heir:
            for n in range(7):
                await heir.rows(
                    "INSERT INTO early_receipt VALUES ($1, 1, 'old', '', 5, '', NULL, 0)", n + 1
                )
            await heir.receipts.load(1)
            await heir.receipts.load(1)
            assert len(heir.receipts._early) == 5
            assert len(await heir.rows("SELECT id FROM early_receipt")) == 5
            heir.start(heir.receipts.run)
            await heir.rows("INSERT INTO status VALUES ($1, 0, 1, 4, 1, 1, NULL, 'c1')", id_)
            taken = (id_, 0, PHONE, 1, 1)
            heir.receipts.carrier_ids([(1, "c1", taken)])
            await heir.until(lambda: _is_delivered(heir, id_))
        await node.rows("DELETE FROM flight")


async def test_acknowledgements_follow_the_commit_and_keep_their_order(
    database: ConnectParameters,
) -> None:
    """Nothing is acknowledged while the store is away."""
    async with stage(database) as node:
        carrier = Carrier(node)
        await submitted(node, "c1")
        transact = node.receipts_connection.transact
        tries = asyncio.Semaphore(0)

        async def fail(_: Any) -> None:
            tries.release()
            raise StoreDown("away")

        node.receipts_connection.transact = fail  # type: ignore[method-assign,assignment]
        for name in ("c1", "x2", "x3"):
            carrier.send(name)
        await tries.acquire()
        assert carrier.answers == []
        node.receipts_connection.transact = transact  # type: ignore[method-assign]
        assert await carrier.answered(3) == [("c1", 0), ("x2", 0), ("x3", 0)]


async def test_what_waits_for_the_store_is_bounded(
    database: ConnectParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The carrier keeps the rest, and may send it again when the store is back."""
    monkeypatch.setattr(receipts, "WAITING_MAX", 3)
    async with stage(database) as node:
        carrier = Carrier(node)
        node.may_write = False
        for n in range(5):
            carrier.send(f"c{n}")
        refused = ESME_RX_T_APPN
        assert await carrier.answered(2) == [("c3", refused), ("c4", refused)]
        node.may_write = True
        assert [name for name, _ in (await carrier.answered(5))[2:]] == ["c0", "c1", "c2"]
        await carrier.tell("c3")


async def test_a_commit_whose_answer_is_lost_is_repeated_without_a_trace(
    database: ConnectParameters,
) -> None:
    """No second event, no second early receipt."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await submitted(node, "c1")
        transact = node.receipts_connection.transact

        async def lose(work: Any) -> None:
            await transact(work)
            node.receipts_connection.transact = transact  # type: ignore[method-assign]
            raise StoreDown("the answer is lost")

        node.receipts_connection.transact = lose  # type: ignore[method-assign,assignment]
        carrier.send("c1", ReceiptState.ENROUTE)
        carrier.send("c1")
        carrier.send("x2")
        await carrier.answered(3)
        assert sorted(await node.events(id_)) == [EventKind.DELIVERED, EventKind.RECEIPT]
        assert len(await node.rows("SELECT id FROM early_receipt")) == 1


async def test_a_receipt_that_cannot_be_stored_is_refused_alone(
    database: ConnectParameters,
) -> None:
    """Its neighbours are stored and acknowledged, and the task lives."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await submitted(node, "c1")
        await node.rows("ALTER TABLE early_receipt ADD CHECK (carrier <> 'poison')")
        for name in ("x1", "poison", "c1"):
            carrier.send(name)
        assert sorted(await carrier.answered(3)) == [("c1", 0), ("poison", 0x66), ("x1", 0)]
        assert await node.states(id_) == {0: State.DELIVERED}
        await carrier.tell("x2")


async def test_an_unexpected_error_of_the_store_is_told_as_temporary(
    database: ConnectParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The carrier keeps the receipt and brings it again."""
    async with stage(database) as node:
        carrier = Carrier(node)
        transact = node.receipts_connection.transact

        async def fail(_: Any) -> None:
            raise asyncpg.UndefinedTableError("no such table")

        node.receipts_connection.transact = fail  # type: ignore[method-assign,assignment]
        carrier.send("x1")
        assert await carrier.answered(1) == [("x1", 0x64)]
        node.receipts_connection.transact = transact  # type: ignore[method-assign]
        await carrier.tell("x1")


async def test_receipts_with_unstorable_words_are_stored(database: ConnectParameters) -> None:
    """U+0000 and halves of surrogate pairs are left out."""
    async with stage(database) as node:
        carrier = Carrier(node)
        id_ = await submitted(node, "c1")
        await carrier.tell("c1", UNDELIVERABLE, error="\0", word="UN\ud800")
        assert await node.rows("SELECT error FROM status WHERE id = $1", id_) == [
            ("UN? (error  )",)
        ]


async def test_a_negative_receipt_keeps_the_rest_of_a_text_from_being_sent(
    database: ConnectParameters,
) -> None:
    """The segments that wait are dropped when they are claimed."""
    async with stage(database) as node:
        carrier = Carrier(node)
        await node.accept(text=LONG)
        node.link.allow(3)
        await node.link.has_taken(1)
        node.link.accept("c1")
        await node.settled()
        node.link.put_off(EventKind.RETRIED, delay_s=3600.0)
        node.link.put_off(EventKind.RETRIED, delay_s=3600.0)
        await node.settled()
        await carrier.tell("c1", UNDELIVERABLE)
        await node.rows("UPDATE later SET due_ms = 1")
        await node.turn()
        assert len(node.link.taken) == 1
        assert await node.rows("SELECT id FROM later") == []
