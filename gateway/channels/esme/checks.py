"""Passwords are checked in two threads at most, strangers' ones at a bounded pace.

A check costs ten milliseconds of a processor, so whoever may ask for many could stop the gateway.
An address that has bound before, or that an account names as its own, is served first; strangers
wait in a small room, and are told to come again when that is full. A password that was right is
remembered by a keyed hash, and then costs nothing.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from gateway.channels.esme.guard import group_of, is_within
from gateway.store.esmes import Esme
from gateway.store.passwords import check_password, hash_password

WORKERS: Final = 2
REMEMBERED: Final = 10_000
_NICENESS: Final = 10

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True, eq=False)
class _Wish:
    password: str
    stored: str
    verdict: asyncio.Future[bool]


class PasswordChecks:
    """The waiting room and its two workers."""

    def __init__(self, *, per_s: float, waiting_max: int) -> None:
        """`per_s` and `waiting_max` hold for strangers; the others are bounded by ten times as
        many."""
        self._per_s = per_s
        self._waiting_max = waiting_max
        self._known: deque[_Wish] = deque()
        self._strangers: deque[_Wish] = deque()
        self._tokens = per_s
        self._refilled = 0.0
        self._secret = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._proven: OrderedDict[tuple[int, str], None] = OrderedDict()
        self._decoy = hash_password(secrets.token_hex(4))
        self._wake = asyncio.Event()
        self._threads = ThreadPoolExecutor(
            WORKERS, thread_name_prefix="password", initializer=_be_nice
        )
        self.turned_away = 0
        """Checks refused because too many waited."""

    async def check(self, esme: Esme | None, password: str, address: str) -> bool | None:
        """Whether the password is right and the address allowed; None: too many wait, come again.

        An unknown account (None), a wrong address and a wrong password cost the same and give the
        same answer.
        """
        is_allowed = esme is not None and is_within(address, esme.options.allowed)
        if esme is not None and is_allowed and self._mark(esme, password) in self._right:
            return True
        stored = esme.password if esme is not None and is_allowed else self._decoy
        room, most = self._strangers, self._waiting_max
        if esme is not None and is_allowed and self._is_known(esme, address):
            room, most = self._known, self._waiting_max * 10
        if len(room) >= most:
            self.turned_away += 1
            return None
        wish = _Wish(password, stored, asyncio.get_running_loop().create_future())
        room.append(wish)
        self._wake.set()
        is_right = await wish.verdict and stored is not self._decoy
        if is_right and esme is not None:
            _keep(self._right, self._mark(esme, password))
            _keep(self._proven, (esme.id, group_of(address)))
        return is_right

    async def run(self) -> None:
        """Check what waits, for ever."""
        await asyncio.gather(*(self._work() for _ in range(WORKERS)))

    def close(self) -> None:
        """Start no more checks."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _is_known(self, esme: Esme, address: str) -> bool:
        return bool(esme.options.allowed) or (esme.id, group_of(address)) in self._proven

    def _mark(self, esme: Esme, password: str) -> bytes:
        """What a right password is remembered by. It is void as soon as another is stored."""
        said = f"{esme.id}\0{esme.password}\0{password}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, said, "sha256")

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            wish = self._next(loop.time())
            if wish is None:
                self._wake.clear()
                pause_s = 1.0 / self._per_s if self._strangers else None
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._wake.wait()
                continue
            is_right = await loop.run_in_executor(
                self._threads, check_password, wish.password, wish.stored
            )
            if not wish.verdict.done():
                wish.verdict.set_result(is_right)

    def _next(self, now: float) -> _Wish | None:
        """Who is next: those known first, strangers as the pace allows, nobody who has left."""
        self._tokens = min(self._per_s, self._tokens + (now - self._refilled) * self._per_s)
        self._tokens = max(self._tokens, 0.0)
        self._refilled = now
        for room in (self._known, self._strangers):
            while room:
                if room is self._strangers and self._tokens < min(1.0, self._per_s):
                    return None
                wish = room.popleft()
                if not wish.verdict.done():
                    if room is self._strangers:
                        self._tokens -= 1.0
                    return wish
        return None


def _keep(table: OrderedDict[K, None], key: K) -> None:
    table[key] = None
    table.move_to_end(key)
    if len(table) > REMEMBERED:
        table.popitem(last=False)


def _be_nice() -> None:
    """Let the event loop go first: on Linux a thread has a priority of its own."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
