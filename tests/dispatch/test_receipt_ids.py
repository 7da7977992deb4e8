"""How a carrier's receipts write the ids of its responses: learned, kept, or set."""

from __future__ import annotations

import pytest

from gateway.dispatch.recent import RecentIds
from gateway.model import State
from gateway.store.embedded import ConnectParameters
from protocols.sms.id_learning import IdForm
from tests.dispatch.carrier import Carrier, submitted
from tests.dispatch.stage import stage


@pytest.fixture(autouse=True, params=["memory", "store"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All holds whether segments are found in memory or, as after a restart, in the store."""
    if request.param == "store":
        monkeypatch.setattr(RecentIds, "find", lambda *_: None)


async def test_a_carriers_way_with_ids_is_learned_and_kept(database: ConnectParameters) -> None:
    """After some receipts in decimal for ids in hexadecimal, a decimal id means nothing else."""
    async with stage(database) as node:
        carrier = Carrier(node)
        for n in range(5):
            await submitted(node, format(2600 + n, "x"))
            await carrier.tell(str(2600 + n))
        meant = await submitted(node, "a1b")
        other = await submitted(node, "2587")
        await carrier.tell("2587")
        assert await node.states(meant) == {0: State.DELIVERED}
        assert await node.states(other) == {0: State.SUBMITTED}
        assert await node.rows("SELECT id_form FROM link WHERE id = 1") == [("hex",)]


async def test_what_another_process_learned_is_taken_up(database: ConnectParameters) -> None:
    """With the first bind, as the early receipts are."""
    async with stage(database) as node:
        await node.rows("UPDATE link SET id_form = 'hex' WHERE id = 1 RETURNING id")
        await node.receipts.load(1)
        carrier = Carrier(node)
        meant = await submitted(node, "a1b")
        await submitted(node, "2587")
        await carrier.tell("2587")
        assert await node.states(meant) == {0: State.DELIVERED}


async def test_settings_come_before_what_is_seen(database: ConnectParameters) -> None:
    """With a fixed form an id is read in that one way, and matches nothing else."""
    async with stage(database) as node:
        node.receipts._id_forms = {1: IdForm.SAME}
        carrier = Carrier(node)
        id_ = await submitted(node, "a1b")
        await carrier.tell("2587")
        assert await node.states(id_) == {0: State.SUBMITTED}
        assert len(await node.rows("SELECT id FROM early_receipt")) == 1
