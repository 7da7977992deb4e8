"""Fixtures: a store with the sample shop, and a running node."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.store.database import Database
from gateway.store.embedded import ConnectParameters
from tests.inbound.parts import SETTINGS, Node, prepare, running
from tests.store.sample import opened


@pytest.fixture
async def store(database: ConnectParameters) -> AsyncIterator[Database]:
    """A migrated store without rows."""
    async with opened(database) as store:
        yield store


@pytest.fixture
async def node(store: Database) -> AsyncIterator[Node]:
    """A running node of a store that knows the sample shop."""
    node = Node(store, 1, SETTINGS, await prepare(store))
    async with running(node):
        yield node
