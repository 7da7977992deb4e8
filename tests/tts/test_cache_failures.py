"""The cache on a disk, or in a system, that refuses; and its end."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from tts import cache_files
from tts.cache import Cache
from tts.engine import EngineError

KEY = hashlib.sha256(b"gown").hexdigest()
CONTENT = b"a" * 1_000


async def render() -> bytes:
    return CONTENT


async def never() -> bytes:
    await asyncio.Event().wait()
    return b""


async def opened(folder: Path | None) -> Cache:
    cache = Cache(folder)
    await cache.start()
    return cache


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
async def test_what_cannot_be_read_just_now_is_kept(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that has no descriptor left for a moment does not lose what it has spoken."""
    cache = await opened(tmp_path)
    await cache.fetch(KEY, render)

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(cache_files, "read", refuse)
        assert await cache.find(KEY) is None
    assert await cache.find(KEY) == CONTENT
    await cache.close()


async def test_what_cannot_be_tidied_hides_nothing(tmp_path: Path) -> None:
    """A folder named as what was never finished does not keep others from being counted."""
    first = await opened(tmp_path)
    await first.fetch(KEY, render)
    await first.close()
    (tmp_path / "0123456789abcdef.new").mkdir()
    os.utime(tmp_path / "0123456789abcdef.new", (0, 0))
    second = await opened(tmp_path)
    assert second.used_bytes == len(CONTENT) + cache_files.HEADER_BYTES
    await second.close()


async def test_a_clock_that_is_set_back_keeps_nothing_for_longer(tmp_path: Path) -> None:
    """What seems to be made next year goes at once, as nobody knows how old it is."""
    first = await opened(tmp_path)
    await first.fetch(KEY, render)
    await first.close()
    next_year_s = time.time() + 365 * 86_400
    os.utime(tmp_path / f"{KEY}{cache_files.SUFFIX}", (next_year_s, next_year_s))
    second = await opened(tmp_path)
    assert os.listdir(tmp_path) == []
    await second.close()


async def test_the_folder_is_deleted_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As anybody may: what was in it takes no room, and it is made once more, and private."""
    cache = await opened(tmp_path / "speech")
    await cache.fetch(KEY, render)
    shutil.rmtree(tmp_path / "speech")
    await cache.sweep()
    assert cache.used_bytes == 0
    assert caplog.messages == []
    assert (await cache.fetch(KEY, render))[1] is False
    assert await cache.find(KEY) == CONTENT
    assert (tmp_path / "speech").stat().st_mode & 0o777 == 0o700
    await cache.close()


async def test_the_loop_goes_on_while_a_disk_is_waited_for_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts that are under way when a server stops are not held up by a disk that hangs."""
    cache = await opened(tmp_path)
    begun, went_on = asyncio.Event(), threading.Event()
    loop, outcome = asyncio.get_running_loop(), []

    def hang(*_: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        outcome.append(went_on.wait(10))

    monkeypatch.setattr(cache_files, "read", hang)
    finding = asyncio.create_task(cache.find(KEY))
    await begun.wait()

    async def go_on() -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        went_on.set()

    await asyncio.gather(go_on(), cache.close(), finding)
    assert outcome == [True]


async def test_a_disk_that_hangs_does_not_keep_a_server_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for a little, and then left."""
    monkeypatch.setattr("tts.cache._END_S", 0.0)
    cache = await opened(tmp_path)
    begun, released = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hang(*_: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        released.wait(10)

    monkeypatch.setattr(cache_files, "read", hang)
    finding = asyncio.create_task(cache.find(KEY))
    await begun.wait()
    await cache.close()
    assert not finding.done()
    released.set()
    await finding


async def test_who_waits_at_the_end_is_told(tmp_path: Path) -> None:
    """With an error that passes, and not as if it had gone away itself."""
    cache = await opened(tmp_path)
    waiting = [asyncio.create_task(cache.fetch(KEY, never)) for _ in range(20)]
    for _ in range(3):
        await asyncio.sleep(0)
    waiting[1].cancel()
    await cache.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in outcomes].count(EngineError) == 19
    assert isinstance(outcomes[1], asyncio.CancelledError)


async def test_after_the_end_nothing_is_found_or_made(tmp_path: Path) -> None:
    """And that is said in the same words."""
    cache = await opened(tmp_path)
    await cache.fetch(KEY, render)
    await cache.close()
    assert await cache.find(KEY) is None
    with pytest.raises(EngineError, match="speech is shut down") as caught:
        await cache.fetch(KEY, render)
    assert caught.value.is_temporary
