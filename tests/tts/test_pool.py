"""Worker processes: whatever happens to them or to who asks, nothing of them is left over."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tts import pool, wire
from tts.engine import EngineError
from tts.pico import PicoEngine

pytest.importorskip("py_nanotts")

VOICE = PicoEngine.voices[0]

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs on each event loop that the gateway may have."""
    make = asyncio.new_event_loop
    if request.param == "uvloop":
        make = pytest.importorskip("uvloop").new_event_loop

    def run(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(main)

    return run


def only(engine: PicoEngine) -> pool._Worker:
    (worker,) = engine._pool._all
    return worker


def is_known(pid: int) -> bool:
    """Whether a process runs, or has ended and nobody looked after it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def open_pipes() -> int:
    """How many ends of pipes this process has."""
    count = 0
    for number in map(int, os.listdir("/dev/fd")):
        with contextlib.suppress(OSError):
            count += stat.S_ISFIFO(os.fstat(number).st_mode)
    return count


async def spoken(engine: PicoEngine) -> bytes:
    return await engine.telephone("Hi.", VOICE, "ulaw")


async def stuck(engine: PicoEngine) -> asyncio.Task[bytes]:
    """A text that a worker has, and does nothing about."""
    await spoken(engine)
    os.kill(only(engine).pid, signal.SIGSTOP)
    asking = asyncio.create_task(spoken(engine))
    await asyncio.sleep(0)
    return asking


def test_workers_leave_nothing_behind(run: Run) -> None:
    """However one ends, neither its pipes nor the process stay; on each event loop."""

    async def main() -> None:
        engine = PicoEngine(workers=1, timeout_s=60.0)
        before = open_pipes()
        seen = []
        asking = await stuck(engine)
        seen.append(only(engine).pid)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await spoken(engine)
        seen.append(only(engine).pid)
        os.kill(seen[-1], signal.SIGKILL)
        await spoken(engine)
        seen.append(only(engine).pid)
        await engine.close()
        assert not any(map(is_known, seen))
        await asyncio.sleep(0)
        assert open_pipes() == before

    run(main())


def test_a_descriptor_is_closed_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a pipe that is closed may be another thread's file a moment later."""
    reused: list[int] = []

    class Watched(io.FileIO):
        """Has its number reused where something else has closed it before."""

        def close(self) -> None:
            if not self.closed:
                try:
                    os.fstat(self.fileno())
                except OSError:
                    reused.append(os.open(os.devnull, os.O_RDONLY))
            super().close()

    class Watching(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            for name in ("stdin", "stdout"):
                with getattr(self, name) as file:
                    setattr(self, name, Watched(os.dup(file.fileno())))

    monkeypatch.setattr(subprocess, "Popen", Watching)

    async def main() -> None:
        engine = PicoEngine(workers=1, timeout_s=60.0)
        await spoken(engine)
        await engine.close()
        await asyncio.sleep(0)

    run(main())
    for descriptor in reused:
        os.close(descriptor)
    assert reused == []


def test_who_goes_away_twice_leaves_no_worker(run: Run) -> None:
    """One that has closed its pipe is let end by itself, but not for ever."""

    async def main() -> None:
        engine = PicoEngine(workers=1, timeout_s=60.0)
        await spoken(engine)
        worker = only(engine)
        worker._answers.feed_eof()
        asking = asyncio.create_task(spoken(engine))
        for _ in range(3):
            await asyncio.sleep(0)
        for _ in range(2):
            asking.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await asking
        await engine.close()
        assert not is_known(worker.pid)

    run(main())


def test_who_goes_away_while_a_worker_starts(run: Run) -> None:
    """At whichever moment, no process is left."""

    async def main() -> None:
        for moment in range(8):
            engine = PicoEngine(workers=1, timeout_s=60.0)
            asking = asyncio.create_task(spoken(engine))
            for _ in range(moment):
                await asyncio.sleep(0)
            seen = engine._pool.pids
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert engine._pool.pids == []
            assert not any(map(is_known, seen))
            await engine.close()

    run(main())


def test_a_worker_that_reads_nothing(run: Run) -> None:
    """More than a pipe takes is not waited for longer than an answer, nor kept."""

    async def main() -> None:
        engine = PicoEngine(workers=1, timeout_s=60.0)
        await spoken(engine)
        worker = only(engine)
        os.kill(worker.pid, signal.SIGSTOP)
        engine._pool._timeout_s = 0.1
        head: wire.Head = {"text": "Hi.", "voice": "en-US"}
        with pytest.raises(EngineError, match=r"took over 0\.1 s"):
            await engine._pool.telephone(head, [bytes(8 << 20)], law="ulaw")
        assert not is_known(worker.pid)
        await asyncio.sleep(0)
        assert worker._requests.transport.is_closing()
        await engine.close()

    run(main())


async def test_the_folder_that_the_gateway_runs_in_is_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write there has no code run by a worker."""
    (tmp_path / "struct.py").write_text("raise SystemExit(7)")
    (tmp_path / "tts").mkdir()
    (tmp_path / "tts" / "__init__.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    engine = PicoEngine(workers=1, timeout_s=60.0)
    assert await spoken(engine)
    await engine.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOENT])
async def test_no_process_can_be_started(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is told, without a path, as something that passes; the next text is spoken."""
    engine = PicoEngine(workers=1, timeout_s=60.0)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/somewhere")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", refuse)
        with pytest.raises(EngineError) as caught:
            await spoken(engine)
    assert str(caught.value) == f"pico did not start ({os.strerror(number)})"
    assert caught.value.is_temporary
    assert await spoken(engine)
    await engine.close()


async def test_no_pipe_can_be_taken_hold_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that was started is ended, and its other pipe closed."""
    engine = PicoEngine(workers=1, timeout_s=60.0)
    started = []

    async def refuse(_: object, file: io.FileIO) -> None:
        file.close()
        started.append(only(engine).pid)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(asyncio.get_running_loop(), "connect_write_pipe", refuse)
        with pytest.raises(EngineError, match="did not start"):
            await spoken(engine)
    assert not is_known(started[0])
    assert await spoken(engine)
    await engine.close()


async def test_a_start_that_takes_too_long_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not as the signal that we ended it with: nobody shall look for another culprit."""
    monkeypatch.setattr(pool, "START_TIMEOUT_S", 0.0)
    engine = PicoEngine(workers=1)
    with pytest.raises(EngineError) as caught:
        await spoken(engine)
    assert str(caught.value) == "pico did not start within 0 s"
    await engine.close()


async def test_nonsense_from_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told as such; the worker is not asked again."""
    engine = PicoEngine(workers=1, timeout_s=60.0)
    await spoken(engine)
    worker = only(engine)
    worker._answers.feed_data(b"\xff" * 64)
    with pytest.raises(EngineError) as caught:
        await spoken(engine)
    assert str(caught.value) == "pico answered with no frame"
    assert not is_known(worker.pid)
    await engine.close()


async def test_an_end_while_a_worker_speaks_is_told_as_such() -> None:
    """Not as a failure of the worker."""
    engine = PicoEngine(workers=1, timeout_s=60.0)
    asking = await stuck(engine)
    await engine.close()
    with pytest.raises(EngineError, match="pico is shut down"):
        await asking


async def test_an_end_while_a_dead_worker_is_put_away_starts_no_other() -> None:
    """Whoever closes an engine has closed all of it."""
    engine = PicoEngine(workers=1, timeout_s=60.0)
    await spoken(engine)
    only(engine)._answers.feed_eof()
    asking = asyncio.create_task(spoken(engine))
    for _ in range(3):
        await asyncio.sleep(0)
    await engine.close()
    with pytest.raises(EngineError, match="pico is shut down"):
        await asking
    assert engine._pool.pids == []


def test_an_end_at_whichever_moment_of_a_start(run: Run) -> None:
    """Leaves neither process nor pipe, and is told as what it is."""

    async def main() -> None:
        before = open_pipes()
        for moment in range(8):
            engine = PicoEngine(workers=1, timeout_s=60.0)
            asking = asyncio.create_task(spoken(engine))
            for _ in range(moment):
                await asyncio.sleep(0)
            seen = engine._pool.pids
            await engine.close()
            with pytest.raises(EngineError, match="pico is shut down"):
                await asking
            assert not any(map(is_known, seen))
        for _ in range(3):
            await asyncio.sleep(0)
        assert open_pipes() == before

    run(main())
