"""Reports on links: written when they change, by a node that outlives whatever the store says."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import pytest

from gateway.channels.link import LinkState
from gateway.channels.states import LinkStates, Report
from gateway.store.embedded import ConnectParameters
from tests.store.sample import opened


@dataclass
class Standing:
    """A link that is up."""

    id: int
    name: str
    state: LinkState

    def reports(self) -> list[Report]:
        """Of its one bind."""
        return [Report(0, self.state, {})]


async def test_a_link_that_cannot_be_written_is_told_once(
    database: ConnectParameters, caplog: pytest.LogCaptureFixture
) -> None:
    """What the store refuses of one link ends nothing, and keeps no other from being written."""
    up = LinkState("up", 1_893_456_000.0)
    async with opened(database) as store:
        await store.fetch("INSERT INTO link (name, kind) VALUES ('acme', 'smpp')")
        links = [Standing(9, "gone", up), Standing(1, "acme", up)]
        states = LinkStates(store, links, 1)
        query = "SELECT link, error FROM link_state"
        with caplog.at_level(logging.ERROR):
            await states.write()
            up = replace(up, error="of late")
            links[1].state = up
            await states.write()
        assert [tuple(row) for row in await store.fetch(query)] == [(1, "of late")]
    told = [record.getMessage() for record in caplog.records]
    assert told == ["the state of link gone is not written: 23503"]


async def test_a_rate_that_has_faded_away_is_written(database: ConnectParameters) -> None:
    """However little is left of it after a quiet night."""
    async with opened(database) as store:
        await store.fetch("INSERT INTO link (name, kind) VALUES ('acme', 'smpp')")
        link = Standing(1, "acme", LinkState("up", 1_893_456_000.0, rate=1e-60))
        await LinkStates(store, [link], 1).write()
        assert [tuple(row) for row in await store.fetch("SELECT rate FROM link_state")] == [(0.0,)]


async def test_a_node_that_lacks_a_bind_leaves_it_to_the_one_that_has_it(
    database: ConnectParameters,
) -> None:
    """Carriers bind to one of several nodes: what the others lack is no news while it stands."""
    up, down = LinkState("up", 1_893_456_000.0), LinkState("down", 1_893_456_000.0, "no bind")
    async with opened(database) as store:
        await store.fetch("INSERT INTO link (name, kind) VALUES ('acme', 'smpp-server')")
        await store.fetch(
            "INSERT INTO node (id, name, epoch, until)"
            " SELECT n, n::text, 1, now() FROM generate_series(1, 2) n"
        )
        here, there = Standing(1, "acme", down), Standing(1, "acme", down)
        nodes = [LinkStates(store, [link], n) for n, link in ((1, here), (2, there))]
        query = "SELECT node, state FROM link_state"
        for states in nodes:
            await states.write()
        here.state = up
        await nodes[0].write()
        there.state = replace(down, error="no bind yet")
        await nodes[1].write()
        assert [tuple(row) for row in await store.fetch(query)] == [(1, "up")]
        here.state = down
        await nodes[0].write()
        there.state = up
        await nodes[1].write()
        assert [tuple(row) for row in await store.fetch(query)] == [(2, "up")]
