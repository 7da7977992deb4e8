"""Fixtures for the simulated SMSC."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.sandbox.behaviour import Behaviour
from gateway.sandbox.smsc import SandboxSmsc
from tests.sandbox.esme import Esme, bound_esme


@pytest.fixture
async def smsc() -> AsyncIterator[SandboxSmsc]:
    """An SMSC that does everything at once."""
    behaviour = Behaviour(
        receipt_delay_s=0.0, slow_response_s=0.01, answer_delay_s=0.0, retry_s=0.01
    )
    smsc = SandboxSmsc(behaviour=behaviour)
    await smsc.start()
    yield smsc
    await smsc.stop()


@pytest.fixture
async def esme(smsc: SandboxSmsc) -> AsyncIterator[Esme]:
    """An ESME bound as transceiver."""
    async with await bound_esme(smsc.port) as esme:
        yield esme
