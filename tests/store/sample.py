"""A sample shop, and the store that the tests keep it in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from config.settings import SmsSettings
from gateway.store.database import Database
from gateway.store.embedded import ConnectParameters

SMS = SmsSettings()

SAMPLE: dict[str, str | None] = {
    "code": "sample",
    "name": "Sample Bridal",
    "main_phone": "(212) 555-0100",
    "contact_email": "owner@example.com",
    "time_zone": "America/New_York",
}
NUMBER = "+12125550101"


def store_of(parameters: ConnectParameters) -> Database:
    """The database that a fixture made. Close it at the end."""

    async def source() -> dict[str, Any]:
        return {**parameters}

    return Database(source)


@asynccontextmanager
async def opened(parameters: ConnectParameters) -> AsyncIterator[Database]:
    """The database for the length of a block."""
    database = store_of(parameters)
    try:
        yield database
    finally:
        await database.close()
