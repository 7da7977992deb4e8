"""The parts of a node on their own."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import asyncpg
import pytest

from config.settings import Settings
from gateway import app
from gateway.app import Gateway


class UnluckyTexts:
    """A sweep that the store refuses some times before it succeeds."""

    def __init__(self, failures: int) -> None:
        self.left = failures
        self.has_swept = asyncio.Event()

    async def sweep(self, now_ms: int) -> None:
        """Fail as long as it must."""
        self.left -= 1
        if self.left >= 0:
            raise asyncpg.DiskFullError("no space left on device")
        self.has_swept.set()


async def test_a_sweep_that_the_store_refuses_is_told_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The node goes on."""
    monkeypatch.setattr(app, "SWEEP_S", 0.0)
    gateway: Any = Gateway(Settings())
    gateway._texts = texts = UnluckyTexts(3)
    with caplog.at_level(logging.ERROR):
        sweeping = asyncio.create_task(gateway._sweep_texts())
        async with asyncio.timeout(20):
            await texts.has_swept.wait()
        sweeping.cancel()
    told = [record.getMessage() for record in caplog.records]
    assert told == ["incomplete texts could not be swept: 53100"]
