"""Fixtures of the SMPP server's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store.embedded import ConnectParameters
from tests.channels.esme.stage import EsmeStage, esme_stage


@pytest.fixture
async def stage(database: ConnectParameters, tmp_path: Path) -> AsyncIterator[EsmeStage]:
    """A running gateway with the account `pos` of shop `sample`."""
    async with esme_stage(database, tmp_path) as made:
        await made.account()
        yield made
