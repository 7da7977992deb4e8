"""A sample shop, and the store that the tests keep it in."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from config.settings import SmsSettings
from gateway.store.cluster_files import ClusterFiles
from gateway.store.database import Database
from gateway.store.embedded import ConnectParameters
from tests.postgres import stop_at_once

SMS = SmsSettings()

SAMPLE: dict[str, str | None] = {
    "code": "sample",
    "name": "Sample Bridal",
    "main_phone": "(212) 555-0100",
    "contact_email": "owner@example.com",
    "time_zone": "America/New_York",
}
NUMBER = "+12125550101"

OS_USER = "nobody" if os.geteuid() == 0 else ""
"""Who an embedded server of a test runs as."""


@contextmanager
def data_folder() -> Iterator[Path]:
    """A data folder that the server's user may enter; at the end server and folder are gone."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-test-")).resolve()
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        files = ClusterFiles(folder / "postgres")
        if files.folder.exists():
            stop_at_once(files)
        shutil.rmtree(folder, ignore_errors=True)


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
