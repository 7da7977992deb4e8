"""Every receipt of the corpus settles the message that it speaks of."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from gateway.dispatch.recent import RecentIds
from gateway.model import State
from gateway.store.embedded import ConnectParameters
from protocols.smpp import commands
from protocols.sms.message_ids import normal_form
from protocols.sms.receipts import Receipt
from tests.dispatch.carrier import Carrier
from tests.dispatch.stage import Stage, stage
from tests.protocols.sms.receipt_corpus import CORPUS, read

_OUTCOMES = {
    "delivered": State.DELIVERED,
    "undelivered": State.UNDELIVERED,
    "none": State.SUBMITTED,
}
_WITH_ID = [entry for entry in CORPUS if "id" in entry]


@pytest.mark.parametrize("is_remembered", [True, False], ids=["memory", "store"])
@pytest.mark.parametrize("order", ["after", "before", "twice"])
async def test_every_receipt_of_the_corpus_finds_its_message(
    database: ConnectParameters,
    monkeypatch: pytest.MonkeyPatch,
    order: str,
    is_remembered: bool,
) -> None:
    """Whether it follows the response, precedes it or comes twice, and also after a restart; most
    of them bear the same id, and only the phones tell them apart.
    """
    if not is_remembered:
        monkeypatch.setattr(RecentIds, "find", lambda *_: None)
    assert len(_WITH_ID) >= 30
    async with stage(database) as node:
        node.link.allow(1)
        carrier, phones, found = Carrier(node), count(12125550100), {}
        for entry in _WITH_ID:
            found[entry["name"]] = await _receipt_after(node, carrier, entry, next(phones), order)
        wanted = {entry["name"]: _OUTCOMES[entry.get("outcome", "delivered")] for entry in _WITH_ID}
        for name, id_ in found.items():
            assert await node.states(id_) == {0: wanted[name]}, name
        assert await node.rows("SELECT carrier FROM early_receipt") == []


async def _receipt_after(
    node: Stage, carrier: Carrier, entry: dict[str, Any], phone: int, order: str
) -> int:
    """Send a text, and let response and receipt come in this order; the text's id."""
    receipt = read(entry, commands.DELIVER_SM)
    assert receipt is not None
    taken = len(node.link.taken) + 1
    id_ = await node.accept(to=f"+{phone}")
    await node.link.has_taken(taken)
    if order == "before":
        await _bring(carrier, receipt, phone)
    node.link.accept(normal_form(entry["id"]))
    await node.settled()
    if order != "before":
        await _bring(carrier, receipt, phone)
    if order == "twice":
        await _bring(carrier, receipt, phone)

    async def is_matched() -> bool:
        return not await node.rows("SELECT id FROM early_receipt")

    await node.until(is_matched)
    return id_


async def _bring(carrier: Carrier, receipt: Receipt, phone: int) -> None:
    number = len(carrier.answers) + 1
    carrier.bring(receipt, str(phone))
    assert (await carrier.answered(number))[-1][1] == 0
