"""Nodes: numbers, epochs, leases, and the binds that only one of them holds."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import GatewayError, StoreDown
from gateway.ids import lowest_at
from gateway.store import nodes
from gateway.store.database import Database
from gateway.store.embedded import ConnectParameters
from gateway.store.nodes import Node, lock_name, machine_id, register
from tests.store.sample import opened

LEASE_S = 30.0
HERE, THERE = "a1" * 16, "b2" * 16


async def a_node(store: Database, name: str, lease_s: float = LEASE_S) -> Node:
    """A registered node."""
    return Node(store, await register(store, name, HERE, lease_s), lease_s)


async def lapse(store: Database, node: Node) -> None:
    """The node's lease, and those of its binds, run out."""
    for table, column in (("node", "id"), ("bind", "node")):
        await store.fetch(
            f"UPDATE {table} SET until = now() - interval '1 second' WHERE {column} = $1",  # noqa: S608
            node.id,
        )


async def test_a_name_keeps_its_number_and_gets_a_higher_epoch(
    database: ConnectParameters,
) -> None:
    """Others get numbers of their own."""
    async with opened(database) as store:
        first = await register(store, "one", HERE, LEASE_S)
        again = await register(store, "one", HERE, LEASE_S)
        other = await register(store, "two", HERE, LEASE_S)
        assert (first.id, first.epoch, again.id, again.epoch) == (0, 1, 0, 2)
        assert other.id == 1


async def test_a_number_that_was_left_for_a_day_is_used_again_with_a_higher_epoch(
    database: ConnectParameters,
) -> None:
    """But not while flights of its last owner are there."""
    async with opened(database) as store:
        await register(store, "old", HERE, LEASE_S)
        await store.fetch("UPDATE node SET until = now() - interval '2 days', epoch = 7")
        await store.fetch("INSERT INTO flight VALUES (1, 0, 7, 1, 1, '{}')")
        assert (await register(store, "new", HERE, LEASE_S)).id == 1
        await store.fetch("DELETE FROM flight")
        newer = await register(store, "newer", HERE, LEASE_S)
        assert (newer.id, newer.epoch) == (0, 8)


async def test_two_machines_of_one_name_are_two_nodes(database: ConnectParameters) -> None:
    """The second has its own name as long as the first lives, also when it is started again."""
    async with opened(database) as store:
        first = await register(store, "host", HERE, LEASE_S)
        second = await register(store, "host", THERE, LEASE_S)
        assert (first.name, second.name) == ("host", "host-b2b2b2")
        assert first.id != second.id
        assert (await register(store, "host", HERE, LEASE_S)).id == first.id
        again = await register(store, "host", THERE, LEASE_S)
        assert (again.id, again.epoch) == (second.id, 2)
        await store.fetch("UPDATE node SET until = now() - interval '1 second'")
        moved = await register(store, "host", THERE, LEASE_S)
        assert (moved.name, moved.id, moved.epoch) == ("host", first.id, 3)


def test_a_data_folder_keeps_its_id(tmp_path: Path) -> None:
    """Each has another."""
    one, two = machine_id(tmp_path / "a"), machine_id(tmp_path / "b")
    assert machine_id(tmp_path / "a") == one != two
    assert len(one) == 32
    (tmp_path / "a" / "nodes" / "machine").write_text("cut of")
    assert len(machine_id(tmp_path / "a")) == 32


async def test_when_all_numbers_are_taken_it_says_so(database: ConnectParameters) -> None:
    """There are 1,024."""
    async with opened(database) as store:
        await store.fetch(
            "INSERT INTO node SELECT n, 'node-' || n, 1, now() + interval '1 hour'"
            " FROM generate_series(0, 1023) n"
        )
        with pytest.raises(GatewayError, match="1,024 node numbers"):
            await register(store, "one more", HERE, LEASE_S)


async def test_many_register_at_once(database: ConnectParameters) -> None:
    """Each has a number of its own."""
    async with opened(database) as store:
        found = await asyncio.gather(*(register(store, f"n{n}", HERE, LEASE_S) for n in range(8)))
        assert sorted(identity.id for identity in found) == list(range(8))


async def test_a_node_knows_the_highest_id_so_far(database: ConnectParameters) -> None:
    """So that its own are higher, whatever its clock says."""
    async with opened(database) as store:
        high = lowest_at(3_000_000_000_000)
        await store.fetch(
            "INSERT INTO early_receipt VALUES ($1, 1, 'c', '', 5, '', NULL, 0)", high
        )
        assert (await register(store, "one", HERE, LEASE_S)).floor == high


async def test_a_node_writes_only_in_the_first_half_of_its_lease(
    database: ConnectParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes over before all of it has passed, be it in a machine's sleep."""
    async with opened(database) as store:
        node = await a_node(store, "one")
        assert node.may_write()
        now = nodes.uptime()
        monkeypatch.setattr(nodes, "uptime", lambda: now + LEASE_S / 2)
        assert not node.may_write()
        assert not await node.bind_lease(1, 0).acquire()


async def test_renewing_keeps_the_lease_and_the_binds(database: ConnectParameters) -> None:
    """By the database's clock."""
    async with opened(database) as store:
        node = await a_node(store, "one", 0.4)
        await _link(store)
        lease = node.bind_lease(1, 0)
        assert await lease.acquire()
        (before,) = await _untils(store)
        task = asyncio.ensure_future(node.run())
        async with asyncio.timeout(20):
            while (await _untils(store))[0] <= before:  # noqa: ASYNC110 - only the store shows it
                await asyncio.sleep(0.01)
        assert lease.is_held()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_bind_whose_release_was_not_heard_ends_by_itself(
    database: ConnectParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node lives on, and has other binds to renew, but another may soon have it."""
    async with opened(database) as store:
        await _link(store)
        one, two = await a_node(store, "one", 0.8), await a_node(store, "two")
        kept, given = one.bind_lease(1, 0, 2), one.bind_lease(1, 1, 2)
        assert await kept.acquire() and await given.acquire()
        task = asyncio.ensure_future(one.run())
        async with asyncio.timeout(20):
            with monkeypatch.context() as patched:
                patched.setattr(store, "fetch", _fail)
                await given.release()
            while not await two.bind_lease(1, 1, 2).acquire():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        assert kept.is_held()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _fail(*_: Any) -> Any:
    raise StoreDown("the test says so")


async def test_all_who_wait_for_a_bind_hear_that_it_is_free(database: ConnectParameters) -> None:
    """The halves of a pair wait each for itself, and one of them may lose patience."""
    async with opened(database) as store:
        await _link(store)
        one, two = await a_node(store, "one"), await a_node(store, "two", 0.4)
        mine, yours = one.bind_lease(1, 0), two.bind_lease(1, 0)
        assert await mine.acquire()
        impatient, patient = (asyncio.ensure_future(yours.freed()) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        task = asyncio.ensure_future(two.run())
        await mine.release()
        async with asyncio.timeout(5):
            await patient
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_process_whose_number_was_taken_ends(database: ConnectParameters) -> None:
    """It writes no more, and its binds are lost to it."""
    async with opened(database) as store:
        node = await a_node(store, "one", 0.4)
        await _link(store)
        lease = node.bind_lease(1, 0)
        assert await lease.acquire()
        lost = asyncio.Event()
        lease.on_lost = lost.set
        await register(store, "one", HERE, 60.0)
        async with asyncio.timeout(20):
            await node.run()
        assert node.is_lost
        assert not node.may_write()
        assert lost.is_set()


async def test_a_bind_is_held_by_one_node_until_it_lets_go(database: ConnectParameters) -> None:
    """Or until its lease has run out."""
    async with opened(database) as store:
        await _link(store)
        one, two = await a_node(store, "one"), await a_node(store, "two")
        mine, yours = one.bind_lease(1, 0), two.bind_lease(1, 0)
        assert await mine.acquire()
        assert await mine.acquire(), "again by its holder"
        assert not await yours.acquire()
        other = two.bind_lease(1, 1)
        assert await other.acquire(), "another bind of the link"
        await other.release()
        await mine.release()
        assert not mine.is_held()
        assert await yours.acquire()
        assert not await mine.acquire()
        await lapse(store, two)
        assert await mine.acquire()


async def test_the_binds_of_a_link_are_spread_over_its_nodes(database: ConnectParameters) -> None:
    """Who was there first offers what is more than its share, and takes no more than that."""
    async with opened(database) as store:
        await _link(store)
        one, two = await a_node(store, "one", 2.0), await a_node(store, "two", 60.0)
        first = [one.bind_lease(1, index, 4) for index in range(4)]
        assert [await lease.acquire() for lease in first] == [True] * 4, "alone it has all"
        offered: asyncio.Queue[int] = asyncio.Queue()
        for index, lease in enumerate(first):
            lease.on_surplus = partial(offered.put_nowait, index)
        second = [two.bind_lease(1, index, 4) for index in range(4)]
        assert not await second[3].acquire(), "still the first's"
        task = asyncio.ensure_future(one.run())
        async with asyncio.timeout(20):
            for expected in (3, 2):
                while (index := await offered.get()) != expected:
                    pass
                await first[index].release()
                assert not await first[index].acquire(), "it is not to have it back"
                assert await second[index].acquire()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert [lease.is_held() for lease in first] == [True, True, False, False]
        await first[0].release()
        assert not await second[0].acquire(), "two is the share of two nodes"


async def test_who_leaves_lets_others_begin_at_once(database: ConnectParameters) -> None:
    """Its lease and its binds end with it."""
    async with opened(database) as store:
        await _link(store)
        one, two = await a_node(store, "one"), await a_node(store, "two")
        assert await one.bind_lease(1, 0).acquire()
        await one.leave()
        assert await two.bind_lease(1, 0).acquire()
        rows = await store.fetch("SELECT id FROM node WHERE until > now()")
        assert [row["id"] for row in rows] == [two.id]


def test_leases_count_the_time_that_a_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its system tells it; others must do with the time awake."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        asleep_s = {time.CLOCK_BOOTTIME: 7.0}
        monkeypatch.setattr(time, "clock_gettime", asleep_s.__getitem__)
        assert nodes.uptime() == 7.0
    monkeypatch.setattr(nodes, "_CLOCK", None)
    assert nodes.uptime() <= time.monotonic()


def test_two_processes_of_one_name_get_two_names(tmp_path: Path) -> None:
    """The second is numbered; a name is free again when its process is gone."""
    first, name = lock_name(tmp_path, "host")
    second, numbered = lock_name(tmp_path, "host")
    assert (name, numbered) == ("host", "host.2")
    os.close(first)
    third, again = lock_name(tmp_path, "host")
    assert again == "host"
    for descriptor in (second, third):
        os.close(descriptor)


def test_too_many_of_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to set."""
    monkeypatch.setattr(nodes, "_SAME_NAME_MAX", 1)
    descriptor, _ = lock_name(tmp_path, "host")
    with pytest.raises(GatewayError, match=r"set \[node\] name"):
        lock_name(tmp_path, "host")
    os.close(descriptor)


async def _link(store: Database) -> None:
    await store.fetch("INSERT INTO link (name, kind) VALUES ('acme', 'smpp')")


async def _untils(store: Database) -> list[Any]:
    return [row["until"] for row in await store.fetch("SELECT until FROM node")]
