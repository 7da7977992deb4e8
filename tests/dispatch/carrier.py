"""A carrier that sends receipts, for tests of what becomes of them."""

from __future__ import annotations

import asyncio
from typing import Any

from protocols.sms.message_ids import normal_form
from protocols.sms.receipts import Receipt, ReceiptState
from tests.dispatch.stage import Stage

PHONE = "12125550123"
DELIVERED, UNDELIVERABLE = ReceiptState.DELIVERED, ReceiptState.UNDELIVERABLE


class Carrier:
    """Sends receipts on link 1, and keeps what it is answered."""

    def __init__(self, node: Stage) -> None:
        self.node = node
        self.answers: list[tuple[str, int]] = []
        self._changed = asyncio.Event()
        node.start(node.receipts.run)

    def send(
        self,
        message_id: str | None,
        state: ReceiptState = DELIVERED,
        *,
        phone: str = PHONE,
        error: str | None = None,
        word: str | None = None,
    ) -> None:
        """A receipt arrives."""
        self.bring(Receipt(message_id, state, error, None, word or state.name), phone)

    def bring(self, receipt: Receipt, phone: str) -> None:
        """A receipt arrives that was read from a PDU."""

        def respond(status: int) -> None:
            self.answers.append((receipt.message_id or "", status))
            self._changed.set()

        self.node.receipts.receipt(1, receipt, phone, respond)

    async def answered(self, count: int) -> list[tuple[str, int]]:
        """Wait for so many answers in all."""
        async with asyncio.timeout(20):
            while len(self.answers) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.answers

    async def tell(self, message_id: str | None, *args: Any, **fields: Any) -> None:
        """Send a receipt and wait for its answer."""
        count = len(self.answers) + 1
        self.send(message_id, *args, **fields)
        assert (await self.answered(count))[-1] == (message_id or "", 0)

    async def pass_time(self) -> None:
        """Let the longest wait of an early receipt pass, and its try be over."""
        early = self.node.receipts._early
        for kept in early._by_id.values():
            for receipt in kept.values():
                receipt.due = 0.0
        self.node.receipts._polled = 0.0
        self.node.receipts._wake.set()
        await asyncio.sleep(0)
        await self.tell("nobody-knows", ReceiptState.ENROUTE)


async def submitted(node: Stage, *carriers: str, **fields: Any) -> int:
    """A message that the carrier took under these ids, one a segment."""
    count = len(node.link.taken) + 1
    id_ = await node.accept(**fields)
    node.link.allow(100)
    await node.link.has_taken(count)
    for carrier in carriers:
        node.link.accept(normal_form(carrier))
    await node.settled()
    return id_
