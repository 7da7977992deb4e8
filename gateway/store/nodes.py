"""This process among the others: its number, its epoch, its lease, and the binds that it may open.

A node's lease says who may write. It is renewed often; a node that could not renew it for half its
length stops writing, and nobody takes its messages over before all of it has passed. Between the
two lies the time for whatever was under way.

A node has a name. A lock file of that name in the data folder tells whether a process of this name
lives on this machine: the kernel drops the lock of a killed one, so that a restart takes its own
messages over at once instead of waiting for the lease. Two machines may have the same name, so each
data folder has a random id: who comes second, while the first lives, adds it to the name.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import asyncpg

from gateway.errors import GatewayError, StoreDown
from gateway.store.database import Database, HotConnection
from gateway.store.queries import load

log = logging.getLogger(__name__)

SQL = load("nodes")

_SAME_NAME_MAX = 32
_MACHINE_DIGITS = 32
_REGISTER_LOCK = 0x6E6F6465
_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def uptime() -> float:
    """Seconds that pass also while the machine is suspended, as leases do, where the system has
    such a clock.
    """
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


def lock_name(data_dir: Path, name: str) -> tuple[int, str]:
    """Take a node name on this machine: `name`, or `name.2` and so on if a living process has it.

    Returns the descriptor that holds the lock, and the name taken. Raises GatewayError when too
    many processes share the name.
    """
    folder = data_dir / "nodes"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for count in range(1, _SAME_NAME_MAX + 1):
        candidate = name if count == 1 else f"{name}.{count}"
        descriptor = os.open(
            folder / f"{candidate}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return descriptor, candidate
    raise GatewayError(f"{_SAME_NAME_MAX} processes named {name} run here already: set [node] name")


def machine_id(data_dir: Path) -> str:
    """The random id of this data folder: 32 hexadecimal digits, made with its first node."""
    folder = data_dir / "nodes"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "machine", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        known = file.read().strip()
        if len(known) == _MACHINE_DIGITS:
            return known
        file.seek(0)
        file.truncate()
        made = secrets.token_hex(_MACHINE_DIGITS // 2)
        file.write(f"{made}\n")
        return made


def default_name(roles: tuple[str, ...]) -> str:
    """The name of a node that was given none: its machine and its roles."""
    return f"{socket.gethostname()}-{'-'.join(sorted(roles))}"[:64]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this process is in the store. `floor`: the highest id that anybody has made so far."""

    id: int
    epoch: int
    name: str
    floor: int


class Node:
    """The lease of this process."""

    def __init__(self, database: Database, identity: Identity, lease_s: float) -> None:
        self.id = identity.id
        self.epoch = identity.epoch
        self.name = identity.name
        self._database = database
        self._connection = HotConnection(database, "lease")
        self._lease_s = lease_s
        self._renewed = self._steady_since = uptime()
        self._is_lost = False
        self._binds: dict[tuple[int, int], BindLease] = {}
        self._awaited: dict[tuple[int, int], set[asyncio.Event]] = {}
        """Binds of other nodes that this one would have, each with what is set when it is free: the
        halves of a pair wait each for itself.
        """

    @property
    def is_lost(self) -> bool:
        """Whether another process has taken the number, so that this one writes no more."""
        return self._is_lost

    def may_write(self) -> bool:
        """Whether the lease was renewed within the first half of its length."""
        return not self._is_lost and uptime() - self._renewed < self._lease_s / 2

    def may_judge(self) -> bool:
        """Whether leases that have run out tell of dead nodes.

        They do not when the database was away for all: every node first gets the time to renew.
        """
        return self.may_write() and uptime() - self._steady_since >= self._lease_s

    async def run(self) -> None:
        """Renew the node's lease and those of its binds, for ever.

        Returns if another process has taken the number.
        """
        while True:
            await asyncio.sleep(self._lease_s / 8)
            asked = uptime()
            held = dict(self._binds)
            try:
                async with asyncio.timeout(self._lease_s / 4):
                    rows = await self._connection.fetch(
                        SQL["renew_node"], self.id, self.epoch, self._lease_s
                    )
                    # Only those that are known to be held: one whose release was not heard ends.
                    binds = await self._connection.fetch(
                        SQL["renew_binds"],
                        self.id,
                        self.epoch,
                        self._lease_s,
                        [link for link, _ in held],
                        [index for _, index in held],
                    )
            except (StoreDown, TimeoutError) as error:
                self._connection.drop()
                log.warning("the node's lease could not be renewed: %s", error or "no answer")
                continue
            if not rows:
                self._is_lost = True
                log.error("another process took node number %d: this one stops writing", self.id)
                self._lose(held)
                return
            renewed = {(row["link"], row["index"]) for row in binds}
            self._lose({key: lease for key, lease in held.items() if key not in renewed})
            if not self.may_write():
                self._steady_since = asked
            self._renewed = asked
            await self._share()
            await self._look_for_free()

    async def _look_for_free(self) -> None:
        """Tell who waits for a bind that nobody has any more: one question for all of them."""
        if not self._awaited:
            return
        links = list({link for link, _ in self._awaited})
        try:
            rows = await self._connection.fetch(SQL["held_binds"], links)
        except StoreDown as error:
            log.debug("free binds are looked for later: %s", error)
            return
        held = {(row["link"], row["index"]) for row in rows}
        for key, waiting in self._awaited.items():
            if key not in held:
                for free in waiting:
                    free.set()

    async def _share(self) -> None:
        """Offer the binds that are more than this node's share of their links, one a link."""
        if all(lease.of < 2 for lease in self._binds.values()):
            return
        try:
            rows = await self._connection.fetch(SQL["shares"], self.id)
        except StoreDown as error:
            log.debug("binds are shared out later: %s", error)
            return
        for row in rows:
            held = [key for key in self._binds if key[0] == row["link"] and key[1] >= 0]
            last = self._binds[max(held)] if held else None
            if last is not None and len(held) > ceil(last.of / row["nodes"]):
                last.on_surplus()

    def _lose(self, leases: dict[tuple[int, int], BindLease]) -> None:
        """Another node has these binds: this one slept for longer than its lease."""
        for key, lease in leases.items():
            if self._binds.get(key) is lease:
                del self._binds[key]
                lease.on_lost()

    async def leave(self) -> None:
        """End the lease now, so that others need not wait."""
        try:
            await self._connection.fetch(SQL["leave_binds"], self.id, self.epoch)
            await self._connection.fetch(SQL["leave_node"], self.id, self.epoch)
        except StoreDown as error:
            log.warning("the node's lease ends by itself: %s", error)
        self._connection.drop()

    def bind_lease(self, link: int, index: int, of: int = 1) -> BindLease:
        """The lease of one bind of a link that has so many."""
        return BindLease(self, self._database, link, index, self._lease_s, of)


class BindLease:
    """The right to open one bind of a link. The node's `run` renews it with its own lease."""

    def __init__(
        self, node: Node, database: Database, link: int, index: int, lease_s: float, of: int = 1
    ) -> None:
        self.of = of
        self._node = node
        self._database = database
        self._link = link
        self._index = index
        self._lease_s = lease_s
        self.on_lost: Callable[[], None] = _ignore
        """Called when another node has taken the bind."""
        self.on_surplus: Callable[[], None] = _ignore
        """Called when the node has more than its share of the link's binds: this one is to be
        released in good order.
        """

    def is_held(self) -> bool:
        """Whether the bind is this node's for certain. While it is not, nothing may be sent."""
        return (self._link, self._index) in self._node._binds and self._node.may_write()

    async def acquire(self) -> bool:
        """Take the bind; False if another node has it or should, or if the store cannot say."""
        if not self._node.may_write():
            return False
        presence = -1 - self._node.id
        if self._index >= 0 and (self._link, presence) not in self._node._binds:
            # Others see by it that this node runs the link too, and what its share is.
            await self._node.bind_lease(self._link, presence).acquire()
        try:
            rows = await self._database.fetch(
                SQL["acquire_bind"],
                self._link,
                self._index,
                self._node.id,
                self._node.epoch,
                self._lease_s,
                self.of,
            )
        except StoreDown:
            return False
        if rows:
            self._node._binds[self._link, self._index] = self
        return bool(rows)

    async def freed(self) -> None:
        """Wait until nobody seems to have it."""
        key = (self._link, self._index)
        free = asyncio.Event()
        waiting = self._node._awaited.setdefault(key, set())
        waiting.add(free)
        try:
            await free.wait()
        finally:
            waiting.discard(free)
            if not waiting and self._node._awaited.get(key) is waiting:
                del self._node._awaited[key]

    async def leave(self) -> None:
        """Say that this node runs the link no more. Its binds are released each by itself."""
        await self._node.bind_lease(self._link, -1 - self._node.id).release()

    async def release(self) -> None:
        """Give the bind back at once."""
        self._node._binds.pop((self._link, self._index), None)
        try:
            await self._database.fetch(
                SQL["release_bind"], self._link, self._index, self._node.id, self._node.epoch
            )
        except StoreDown as error:
            log.warning("a bind's lease ends by itself: %s", error)


def _ignore() -> None:
    """Nobody wants to know."""


async def register(database: Database, name: str, machine: str, lease_s: float) -> Identity:
    """Enter this process into the store under a name that it holds locked on its machine.

    It gets the number that the name had before, or a free one, and a higher epoch. Where a living
    process of another machine has the name, the first digits of `machine` are added to it. Raises
    GatewayError when there is no free number, and StoreDown.
    """

    async def enter(connection: asyncpg.Connection) -> Identity:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _REGISTER_LOCK)
        own = name
        known = await connection.fetchrow(SQL["find_node"], own)
        if known is not None and known["is_alive"] and known["machine"] != machine:
            own = f"{name}-{machine[:6]}"
            known = await connection.fetchrow(SQL["find_node"], own)
        if known is not None:
            number, epoch = known["id"], known["epoch"] + 1
        else:
            number, epoch = await connection.fetchval(SQL["free_node"]), 1
            if number is None:
                raise GatewayError("all 1,024 node numbers are taken: end some processes")
            taken = await connection.fetchval("SELECT epoch FROM node WHERE id = $1", number)
            epoch = (taken or 0) + 1
        await connection.execute(SQL["register_node"], number, own, epoch, machine, lease_s)
        floor = await connection.fetchval(SQL["highest_ids"])
        return Identity(number, epoch, own, floor or 0)

    return await database.run(enter)
