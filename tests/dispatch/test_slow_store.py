"""A store that is slow to take what became of messages: how much may be in doubt meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.channels.bound import BoundLink
from gateway.dispatch import settle
from gateway.dispatch.outcomes import Outcomes
from gateway.store.database import HotConnection
from protocols.smpp.status import ESME_ROK, ESME_RSYSERR
from tests.dispatch.test_two_carriers import DEADLINE_S, installation
from tests.postgres import ConnectParameters

TEXTS = 300
MOST = 150
"""What may be answered but not written down: the link's window, and 20 ms of what it sends."""


@pytest.mark.parametrize("answer", [ESME_ROK, ESME_RSYSERR], ids=["taken", "refused"])
async def test_no_more_is_sent_than_may_be_in_doubt(
    database: ConnectParameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    """What the carrier has answered counts until it is written down; then the rest follows."""
    is_quick = asyncio.Event()
    write = settle.write

    async def wait_and_write(connection: HotConnection, outcomes: Outcomes) -> None:
        await is_quick.wait()
        await write(connection, outcomes)

    monkeypatch.setattr(settle, "write", wait_and_write)
    async with installation(database, tmp_path) as one, asyncio.timeout(3 * DEADLINE_S):
        link = one.gateway._links.get("first")
        assert isinstance(link, BoundLink)
        (bind,) = link.binds
        one.first.on_submit = lambda _: answer or None
        texts = [{"to": f"+1212555{1000 + n}", "text": "Hello"} for n in range(TEXTS)]
        await one.call("POST", "/v1/messages/batch", {"messages": texts})
        await one.first.wait_until(lambda: one.first.submits > 0)

        def is_at_rest() -> bool:
            return link.trusted() <= 0 and bind.session is not None and not bind.session.pending

        while not is_at_rest():  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.01)
        assert one.first.submits <= MOST
        is_quick.set()
        await one.first.wait_until(lambda: one.first.submits >= TEXTS, DEADLINE_S)
