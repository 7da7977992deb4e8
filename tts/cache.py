"""What has been rendered once is not rendered again while it is young.

Entries are files of a private folder, named by what they were made from; they hold what shops say
to people, so they go after a time even when there is room. The folder may be shared with other
processes: an entry appears whole, by a rename, and may vanish at any time; what others made is
counted, and goes in its time, whether they still run or not. A file is played only if its length,
its digest and its own name agree.

Nothing here is worth an fsync: what a crash loses is rendered again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from tts import cache_files
from tts.cache_files import HEADER_BYTES, KEY_CHARS
from tts.engine import EngineError
from tts.turns import Bell

log = logging.getLogger(__name__)

FALLBACK_BYTES: Final = 32 << 20
"""What is kept in memory when the folder cannot be used, or has no room."""

_SHUT_DOWN: Final = "speech is shut down"
_AT_A_TIME: Final = 256
_SWEEP_S: Final = 600.0
_LOG_EVERY_S: Final = 60.0
_END_S: Final = 2.0
"""How long a disk that does not answer is waited for at the end."""

Render = Callable[[], Awaitable[bytes]]
_T = TypeVar("_T")


@dataclass(slots=True)
class _Entry:
    size: int
    expires: float
    content: bytes | None
    """Only where there is no file of it."""

    @property
    def held(self) -> int:
        """What it takes of the memory."""
        return 0 if self.content is None else self.size


class _Flight(NamedTuple):
    """A look for something, and the making of it if need be, for all who ask meanwhile."""

    task: asyncio.Task[tuple[bytes, bool]]
    landed: Bell


class Cache:
    """At most `max_bytes`, the least recently used going first, and nothing older than `ttl_s`.

    `folder` None: in memory only. `clock` tells calendar time, since files outlive the process.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        max_bytes: int = 1 << 30,
        ttl_s: float = 86_400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._held = 0
        self._flights: dict[str, _Flight] = {}
        self._threads = ThreadPoolExecutor(2, "speech-cache")
        self._sweeper: asyncio.Task[None] | None = None
        self._logged = float("-inf")
        self._is_closed = False

    @property
    def used_bytes(self) -> int:
        """What the entries take."""
        return self._bytes

    async def start(self) -> None:
        """Find what an earlier process left. A folder that cannot be used, or cannot be kept
        private, is told to the log; a little is then kept in memory."""
        folder = self._folder
        if folder is not None and not await self._off_loop(cache_files.make_private, folder):
            self._folder = None
            self._max_bytes = min(self._max_bytes, FALLBACK_BYTES)
        await self.sweep()
        self._sweeper = asyncio.create_task(self._sweep_for_ever())

    async def close(self) -> None:
        """Stop rendering; what is stored stays. Who still waits has EngineError."""
        self._is_closed = True
        tasks: list[asyncio.Task[Any]] = [flight.task for flight in self._flights.values()]
        tasks += [self._sweeper] if self._sweeper else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        ending = asyncio.create_task(asyncio.to_thread(self._threads.shutdown))
        await asyncio.wait([ending], timeout=_END_S)

    async def clear(self) -> None:
        """Forget everything."""
        await self._forget(list(self._entries))

    async def find(self, key: str) -> bytes | None:
        """What is stored under a key, 64 small hexadecimal digits."""
        if len(key) != KEY_CHARS or not set(key) <= set("0123456789abcdef"):
            raise ValueError("a key is 64 hexadecimal digits")
        entry = self._entries.get(key)
        if entry is not None and entry.expires <= self._clock():
            await self._forget([key])
            return None
        if entry is not None:
            self._entries.move_to_end(key)
            if entry.content is not None:
                return entry.content
        if self._folder is None:
            return None
        found = await self._off_loop(cache_files.read, self._path(key), bytes.fromhex(key))
        if found is None:  # it may well be there: the disk, or the system, refuses just now
            return None
        content, made = found
        if content is None or made + self._ttl_s <= self._clock():
            await self._forget([key] if entry else [])
            return None
        if entry is None:  # another process made it
            self._remember(key, len(content) + HEADER_BYTES, made + self._ttl_s, None)
        return content

    async def fetch(self, key: str, render: Render) -> tuple[bytes, bool]:
        """What is stored, or what `render` makes, and whether it was stored.

        However many ask for a key at a time, one looks and renders, and all have its result or its
        error. Rendering goes on when those who asked went away.
        """
        if self._is_closed:
            raise EngineError(_SHUT_DOWN)
        if (flight := self._flights.get(key)) is None:
            flight = _Flight(asyncio.create_task(self._fly(key, render)), Bell())
            self._flights[key] = flight
            flight.task.add_done_callback(lambda _: self._landed(key))
        await flight.landed.wait()
        if flight.task.cancelled():
            raise EngineError(_SHUT_DOWN)  # not who waits was cancelled
        return flight.task.result()

    async def _fly(self, key: str, render: Render) -> tuple[bytes, bool]:
        if (content := await self.find(key)) is not None:
            return content, True
        content = bytes(await render())
        await self._store(key, content)
        return content, False

    def _landed(self, key: str) -> None:
        flight = self._flights.pop(key)
        if not flight.task.cancelled():
            flight.task.exception()  # nobody may be left to look at it
        flight.landed.ring()

    async def _store(self, key: str, content: bytes) -> None:
        size = len(content) + HEADER_BYTES
        if size > self._max_bytes:
            return
        is_written = None
        if self._folder is not None:
            names = self._path(key), self._path(secrets.token_hex(8), cache_files.UNFINISHED)
            made_from = bytes.fromhex(key)
            is_written = await self._off_loop(cache_files.write, *names, made_from, content)
        in_memory = None if is_written else content
        self._remember(key, size, self._clock() + self._ttl_s, in_memory)
        await self._make_room()

    def _remember(self, key: str, size: int, expires: float, content: bytes | None) -> None:
        self._drop(key)
        entry = self._entries[key] = _Entry(size, expires, content)
        self._bytes += size
        self._held += entry.held

    async def _make_room(self) -> None:
        """Drop what was not used for longest until the rest fits."""
        excess = self._bytes - self._max_bytes
        held = 0 if self._folder is None else self._held - FALLBACK_BYTES
        dropped = []
        for key, entry in self._entries.items():
            if excess <= 0 and held <= 0:
                break
            if excess > 0 or (held > 0 and entry.held):
                dropped.append(key)
                excess -= entry.size
                held -= entry.held
        await self._forget(dropped)

    async def sweep(self) -> None:
        """Count what others made and deleted, and drop what is too old or too much. Done every ten
        minutes at least."""
        if self._folder is not None:
            await self._look_around(self._folder)
        now = self._clock()
        # What goes later than that was made before a clock was set back: who knows how old it is?
        latest = now + self._ttl_s + _SWEEP_S
        too_old = (key for key, each in self._entries.items() if not now < each.expires <= latest)
        await self._forget(list(too_old))
        await self._make_room()

    async def _look_around(self, folder: Path) -> None:
        """Bring what is known in line with what is in the folder, oldest first."""
        known = {key for key, entry in self._entries.items() if not entry.held}
        found = await self._off_loop(cache_files.listed, str(folder), self._clock())
        if found is None:
            return
        for number, (key, size, made) in enumerate(found):
            if key not in self._entries:
                self._remember(key, size, made + self._ttl_s, None)
            known.discard(key)
            if number % _AT_A_TIME == _AT_A_TIME - 1:
                await asyncio.sleep(0)
        for key in known:
            self._drop(key)

    def _drop(self, key: str) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._bytes -= entry.size
            self._held -= entry.held

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(min(_SWEEP_S, max(self._ttl_s / 4, 1.0)))
            await self.sweep()

    async def _forget(self, keys: list[str]) -> None:
        """Drop entries and their files, a few in one step of the event loop."""
        for start in range(0, len(keys), _AT_A_TIME):
            some = keys[start : start + _AT_A_TIME]
            for key in some:
                self._drop(key)
            if self._folder is not None:
                await self._off_loop(cache_files.delete, [self._path(key) for key in some])
            else:
                await asyncio.sleep(0)

    def _path(self, name: str, suffix: str = cache_files.SUFFIX) -> str:
        return f"{self._folder}/{name}{suffix}"

    async def _off_loop(self, function: Callable[..., _T], *arguments: object) -> _T | None:
        """Run what touches the disk in a thread; None if the disk refuses, or after the end."""
        if self._is_closed:
            return None
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, function, *arguments)
        except OSError as error:
            if self._clock() - self._logged > _LOG_EVERY_S:
                self._logged = self._clock()
                log.warning("the speech cache cannot be used: %s", error.strerror)
            return None
