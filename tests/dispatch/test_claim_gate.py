"""The gate judges again what is claimed."""

from __future__ import annotations

import pytest

from gateway.ids import wall_ms
from gateway.model import EventKind, State
from gateway.store.embedded import ConnectParameters
from tests.dispatch.stage import MemoryDirectory, a_shop, ended, stage
from tests.dispatch.waits import ends, leaves, reaches, waiting


async def test_a_message_that_expired_while_it_waited_is_not_sent(
    database: ConnectParameters,
) -> None:
    """It ends as expired."""
    async with stage(database) as node:
        id_ = await waiting(node)
        await node.rows("UPDATE message SET expires_ms = $1", wall_ms())
        node.link.allow(1)
        await ends(node, id_)
        assert await node.states(id_) == {0: State.EXPIRED}
        assert await node.events(id_) == [EventKind.EXPIRED]
        assert node.link.taken == []


async def test_a_no_sms_said_after_acceptance_suppresses_what_waits(
    database: ConnectParameters,
) -> None:
    """The contact's last word counts."""
    async with stage(database) as node:
        id_ = await waiting(node)
        await node.accept(contact={"sms_alerts": "No SMS"})
        node.link.allow(1)
        await ends(node, id_)
        assert await node.states(id_) == {0: State.SUPPRESSED}


async def test_a_number_that_its_shop_gave_up_sends_nothing_more(
    database: ConnectParameters,
) -> None:
    """What waits fails and says why; by now the number may be another shop's."""
    async with stage(database) as node:
        id_ = await waiting(node)
        node.directory.shops[1] = a_shop(1, numbers=())
        node.link.allow(1)
        await ends(node, id_)
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
        await waiting(node)
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
        id_ = await waiting(node)
        node.directory.shops[1] = stopped
        node.link.allow(1)
        await reaches(node, id_, "hold")
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
        await waiting(node)
        assert node.feeder is not None
        node.feeder._directory = MemoryDirectory()  # type: ignore[assignment]
        node.link.allow(1)
        await node.link.has_taken(1)


async def test_a_canceled_row_in_the_queue_is_dropped(database: ConnectParameters) -> None:
    """Whoever claims it finds it settled, and ends its flight."""
    async with stage(database) as node:
        id_ = await waiting(node)
        await node.rows("INSERT INTO status (id, segment, state, tries) VALUES ($1, 0, 9, 0)", id_)
        node.link.allow(1)
        await leaves(node, "queue")
        await node.settled()
        assert node.link.taken == []
        assert await node.rows("SELECT id FROM flight") == []
