"""The cache: renders once, forgets in time, never plays what it did not write."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import stat
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.turning import loop_turns
from tts import cache as module
from tts import cache_files
from tts.cache import Cache
from tts.turns import WOKEN_AT_A_TIME

Open = Callable[..., Awaitable[Cache]]

TTL_S = 100.0
SIZE = 1_000
STORED = SIZE + cache_files._HEADER.size


class Clock:
    """Calendar time that goes on when told."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return module.time.time() + self.ahead_s


class Renderer:
    """Makes content and counts how often."""

    def __init__(self, content: bytes = b"a" * SIZE) -> None:
        self.content = content
        self.times = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> bytes:
        self.times += 1
        await self.gate.wait()
        return self.content


def key(name: str | int) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def content_of(name: str | int) -> bytes:
    return key(name).encode() * 16


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def opened(clock: Clock) -> AsyncIterator[Open]:
    caches: list[Cache] = []

    async def make(folder: Path | None, max_bytes: int = 1 << 20) -> Cache:
        cache = Cache(folder, max_bytes=max_bytes, ttl_s=TTL_S, clock=clock)
        caches.append(cache)
        await cache.start()
        return cache

    yield make
    for cache in caches:
        await cache.close()


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "cache" if request.param == "disk" else None


async def test_renders_once(opened: Open, folder: Path) -> None:
    """What was rendered is found the next time."""
    cache, render = await opened(folder), Renderer()
    assert await cache.fetch(key(1), render) == (render.content, False)
    assert await cache.fetch(key(1), render) == (render.content, True)
    assert render.times == 1


async def test_a_blast_renders_once(opened: Open, folder: Path) -> None:
    """A thousand who want the same at a time share one rendering."""
    cache, render = await opened(folder), Renderer()
    answers = await asyncio.gather(*(cache.fetch(key(1), render) for _ in range(1_000)))
    assert {content for content, _ in answers} == {render.content}
    assert render.times == 1


async def test_a_blast_ends_in_many_turns_of_the_loop(opened: Open, folder: Path) -> None:
    """Those who waited for one rendering go on a few at a time: a call's sound comes between."""
    cache = await opened(folder)
    together: Counter[int] = Counter()
    with loop_turns() as turns:

        async def ask() -> None:
            await cache.fetch(key(1), Renderer())
            together[turns()] += 1

        await asyncio.gather(*(ask() for _ in range(500)))
    assert together.total() == 500
    assert max(together.values()) <= 2 * WOKEN_AT_A_TIME


async def test_keys_are_apart(opened: Open, folder: Path) -> None:
    """Each key has its own content."""
    cache = await opened(folder)
    for name in range(20):
        await cache.fetch(key(name), Renderer(content_of(name)))
    for name in range(20):
        assert await cache.find(key(name)) == content_of(name)


async def test_errors_are_shared_and_forgotten(opened: Open, folder: Path) -> None:
    """A rendering that fails fails for all who wait, and is tried again by the next."""

    async def fail() -> bytes:
        raise LookupError("no voice")

    cache = await opened(folder)
    waiting = (cache.fetch(key(1), fail) for _ in range(3))
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LookupError] * 3
    assert (await cache.fetch(key(1), Renderer()))[1] is False


async def test_who_leaves_stops_nobody_else(opened: Open, folder: Path) -> None:
    """Rendering goes on for the others when the first who asked went away."""
    cache, render = await opened(folder), Renderer()
    render.gate.clear()
    first = asyncio.create_task(cache.fetch(key(1), render))
    second = asyncio.create_task(cache.fetch(key(1), render))
    await asyncio.sleep(0)
    first.cancel()
    render.gate.set()
    assert (await second)[0] == render.content
    assert render.times == 1


async def test_age(opened: Open, folder: Path, clock: Clock) -> None:
    """What is too old is not played, however often it was."""
    cache, render = await opened(folder), Renderer()
    await cache.fetch(key(1), render)
    clock.ahead_s += TTL_S - 1
    assert await cache.find(key(1)) is not None
    clock.ahead_s += 2
    assert await cache.find(key(1)) is None
    assert cache.used_bytes == 0


async def test_least_recently_used_goes_first(opened: Open, folder: Path) -> None:
    """When there is no room, what was not asked for longest goes."""
    cache = await opened(folder, 3 * STORED)
    for name in "abc":
        await cache.fetch(key(name), Renderer())
    await cache.find(key("a"))
    await cache.fetch(key("d"), Renderer())
    found = [name for name in "abcd" if await cache.find(key(name))]
    assert found == ["a", "c", "d"]
    assert cache.used_bytes == 3 * STORED


async def test_too_large_to_keep(opened: Open, folder: Path) -> None:
    """What alone would fill the cache is answered and not kept."""
    cache = await opened(folder, STORED - 1)
    assert (await cache.fetch(key(1), Renderer()))[0] == b"a" * SIZE
    assert await cache.find(key(1)) is None


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 65])
async def test_keys_are_no_paths(opened: Open, name: str, folder: Path) -> None:
    """A key that is none is refused before any file is looked for."""
    cache = await opened(folder)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        await cache.find(name)


# ---------------------------------------------------------------------- on disk


async def test_survives_a_restart(opened: Open, tmp_path: Path) -> None:
    """A new process finds what the old one rendered, and counts its bytes."""
    first = await opened(tmp_path / "cache")
    await first.fetch(key(1), Renderer())
    await first.close()
    second = await opened(tmp_path / "cache")
    assert second.used_bytes == STORED
    assert await second.fetch(key(1), Renderer(b"other")) == (b"a" * SIZE, True)


async def test_old_files_go_at_the_start(opened: Open, tmp_path: Path, clock: Clock) -> None:
    """What grew too old while nothing ran is deleted, and so is what was never finished."""
    await (await opened(tmp_path)).fetch(key(1), Renderer())
    (tmp_path / "0123456789abcdef.new").write_bytes(b"half")
    clock.ahead_s += 2 * 3600
    await opened(tmp_path)
    assert files(tmp_path) == []


async def test_room_is_made_at_the_start(opened: Open, tmp_path: Path) -> None:
    """A smaller bound holds from the start."""
    cache = await opened(tmp_path)
    for name in range(10):
        await cache.fetch(key(name), Renderer())
    smaller = await opened(tmp_path, 4 * STORED)
    assert smaller.used_bytes == 4 * STORED
    assert len(files(tmp_path)) == 4


async def test_two_processes_share_a_folder(opened: Open, tmp_path: Path) -> None:
    """One finds what the other rendered meanwhile, and is not troubled when it vanishes."""
    one, other = await opened(tmp_path), await opened(tmp_path)
    await one.fetch(key(1), Renderer())
    assert await other.find(key(1)) is not None
    await other.clear()
    assert (await one.fetch(key(1), Renderer(b"again")))[0] == b"again"


async def test_private(opened: Open, tmp_path: Path) -> None:
    """Nobody else may read the folder or its files, even if it was there before."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o755)
    await (await opened(folder)).fetch(key(1), Renderer())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]


def _rename(file: Path, data: bytes) -> None:
    file.write_bytes(cache_files._HEADER.pack(b"SVGspk1\n", b"k" * 32, b"d" * 32, 3) + b"abc")


def _link(file: Path, data: bytes) -> None:
    file.unlink()
    other = file.with_name("other")
    other.write_bytes(data)
    file.symlink_to(other)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file, data: file.write_bytes(data[:-1]),
        lambda file, data: file.write_bytes(data + b"x"),
        lambda file, data: file.write_bytes(data[:20]),
        lambda file, data: file.write_bytes(b""),
        lambda file, data: file.write_bytes(data[:-1] + b"b"),
        lambda file, data: file.write_bytes(b"RIFF" + data[4:]),
        _rename,
        _link,
        lambda file, data: (file.unlink(), file.mkdir()),
    ],
    ids=["cut", "longer", "header", "empty", "bit", "foreign", "another key", "link", "folder"],
)
@pytest.mark.parametrize("is_restarted", [False, True])
async def test_spoilt_files_are_not_played(
    opened: Open,
    tmp_path: Path,
    spoil: Callable[[Path, bytes], object],
    is_restarted: bool,
) -> None:
    """A file that is not what was written is as good as none."""
    cache = await opened(tmp_path)
    await cache.fetch(key(1), Renderer())
    file = files(tmp_path)[0]
    spoil(file, file.read_bytes())
    cache = await opened(tmp_path) if is_restarted else cache
    assert await cache.fetch(key(1), Renderer(b"new" * 100)) == (b"new" * 100, False)


async def test_file_of_another_key(opened: Open, tmp_path: Path) -> None:
    """A whole file under a wrong name is not played."""
    cache = await opened(tmp_path)
    await cache.fetch(key(1), Renderer())
    files(tmp_path)[0].rename(tmp_path / f"{key(2)}.spoken")
    assert await cache.find(key(2)) is None


async def test_full_disk(
    opened: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What finds no room on the disk is kept in memory, a little of it, and the log says so once:
    who was given a link to it hears it."""
    cache = await opened(tmp_path)

    monkeypatch.setattr(cache_files, "write", _full)
    monkeypatch.setattr(module, "FALLBACK_BYTES", 3 * STORED)
    with caplog.at_level(logging.WARNING):
        for name in range(5):
            assert await cache.fetch(key(name), Renderer()) == (b"a" * SIZE, False)
    await cache.sweep()
    found = [name for name in range(5) if await cache.find(key(name))]
    assert found == [2, 3, 4]
    assert cache.used_bytes == 3 * STORED
    assert caplog.messages == ["the speech cache cannot be used: No space left on device"]


async def test_the_disk_is_used_again_once_it_has_room(
    opened: Open, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept in memory goes in its time, and what comes is written."""
    cache = await opened(tmp_path)
    plain = cache_files.write
    monkeypatch.setattr(cache_files, "write", _full)
    await cache.fetch(key(1), Renderer())
    monkeypatch.setattr(cache_files, "write", plain)
    await cache.fetch(key(2), Renderer())
    assert len(files(tmp_path)) == 1
    clock.ahead_s += TTL_S + 1
    await cache.sweep()
    assert (cache.used_bytes, files(tmp_path)) == (0, [])


def _full(*_: object) -> bool:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_nothing_is_left_of_a_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that fails leaves no half a file."""

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="broken"):
        cache_files.write(f"{tmp_path}/x.spoken", f"{tmp_path}/x.new", b"k" * 32, b"abc")
    assert files(tmp_path) == []


async def test_folder_cannot_be_used(opened: Open, tmp_path: Path) -> None:
    """Where a folder cannot be, a little is kept in memory."""
    (tmp_path / "file").write_text("in the way")
    cache = await opened(tmp_path / "file" / "cache")
    await cache.fetch(key(1), Renderer())
    assert await cache.find(key(1)) is not None


@pytest.mark.parametrize("in_folder", [True, False])
async def test_thousands_of_entries_leave_the_loop_its_turns(
    tmp_path: Path, in_folder: bool
) -> None:
    """Those that a restart finds, and those that grow old at once."""
    folder = tmp_path / "speech" if in_folder else None
    clock = Clock()
    cache = Cache(folder, ttl_s=TTL_S, clock=clock)
    await cache.start()
    many = 4 * module._AT_A_TIME
    if folder is not None:
        for number in range(many):
            (folder / f"{key(number)}{cache_files.SUFFIX}").write_bytes(b"")
    for number in range(many):
        cache._remember(key(number), 1, clock() + TTL_S, None if in_folder else b"a")
    with loop_turns() as turns:
        await cache.clear()
        passed = turns()
    assert passed >= 4
    assert cache.used_bytes == 0
    assert folder is None or files(folder) == []
    await cache.close()


# ------------------------------------------------------- a folder that others write to


async def test_what_another_process_left_goes_in_time(
    opened: Open, tmp_path: Path, clock: Clock
) -> None:
    """Speech of a process that is gone is no older than any other, and takes from the same room."""
    one, other = await opened(tmp_path, 3 * STORED), await opened(tmp_path)
    await other.fetch(key(1), Renderer())
    await other.close()
    await one.sweep()
    assert one.used_bytes == STORED
    (tmp_path / f"{'0' * 16}.new").write_bytes(b"half")
    clock.ahead_s += max(TTL_S, 3600.0) + 1
    await one.sweep()
    assert (one.used_bytes, files(tmp_path)) == (0, [])


async def test_what_others_deleted_takes_no_room(opened: Open, tmp_path: Path) -> None:
    """The folder may be emptied at any time; the room is there again."""
    cache = await opened(tmp_path)
    for name in range(3):
        await cache.fetch(key(name), Renderer())
    files(tmp_path)[0].unlink()
    await cache.sweep()
    assert cache.used_bytes == 2 * STORED


async def test_a_file_that_vanishes_while_the_folder_is_read(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is not there; the folder is used all the same."""
    for name in range(3):
        await (await opened(tmp_path)).fetch(key(name), Renderer())
    plain = os.scandir

    @contextmanager
    def scandir(path: Path) -> Iterator[list[os.DirEntry[str]]]:
        with plain(path) as found:
            entries = list(found)
        Path(entries[0].path).unlink()
        yield entries

    monkeypatch.setattr(os, "scandir", scandir)
    cache = await opened(tmp_path)
    assert cache.used_bytes == 2 * STORED
    await cache.fetch(key("new"), Renderer())
    assert len(files(tmp_path)) == 3


async def test_what_cannot_be_deleted_saves_nothing_else(
    opened: Open, tmp_path: Path, clock: Clock
) -> None:
    """A folder under the name of speech does not keep what grew old with it."""
    (tmp_path / f"{key('folder')}.spoken" / "inside").mkdir(parents=True)
    cache = await opened(tmp_path)
    for name in range(3):
        await cache.fetch(key(name), Renderer())
    clock.ahead_s += TTL_S + 1
    await cache.sweep()
    assert [file.is_dir() for file in files(tmp_path)] == [True]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
async def test_what_is_no_file_is_not_waited_for(
    opened: Open, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """Nor is a file left open for it."""
    cache = await opened(tmp_path)
    make(tmp_path / f"{key(1)}.spoken")
    before = len(os.listdir("/dev/fd"))
    async with asyncio.timeout(10):
        assert await cache.find(key(1)) is None
    assert len(os.listdir("/dev/fd")) == before


async def test_a_file_larger_than_it_says_is_not_read(opened: Open, tmp_path: Path) -> None:
    """Its length is looked at before its content: a terabyte is not taken into memory."""
    cache = await opened(tmp_path)
    await cache.fetch(key(1), Renderer())
    os.truncate(files(tmp_path)[0], 1 << 40)
    assert await cache.fetch(key(1), Renderer(b"new")) == (b"new", False)
