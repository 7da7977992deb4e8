"""Worker processes, seen from the gateway: started when needed, replaced when they fail.

A worker has one request at a time. One that dies, or does not answer in time, or whose asker goes
away, is killed; the next request starts another. Processes are started afresh and never forked
from the gateway's memory: they inherit neither its secrets nor its sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from asyncio import BaseTransport, StreamReader, StreamReaderProtocol, StreamWriter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import IO, Any, Final

from tts import wire
from tts.confine import Limits
from tts.engine import MAX_AUDIO_S, RATES, EngineError, Overloaded, Pcm, TooLong

START_TIMEOUT_S: Final = 20.0
END_TIMEOUT_S: Final = 2.0
"""How long a worker that ends is waited for."""

QUEUE_TIMEOUT_S: Final = 50.0
"""How long a request waits for a worker at most."""

_LOOK_EVERY_S: Final = 0.002
_PIPE_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 1 << 18
"""What is copied at a time: minutes of audio in one step would hold the event loop."""

Body = Sequence[bytes | bytearray]
"""What goes with a request, one after the other."""

_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT")
_ENVIRONMENT: Final = {
    "PYTHONUTF8": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


def default_workers() -> int:
    """One a processor that we may use, but one: that is left to the event loop and its calls."""
    ours = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, ours - 1)


class WorkerPool:
    """Up to `workers` processes of one kind, 0 for `default_workers`, and a queue of at most
    `queue` requests."""

    def __init__(
        self,
        kind: str,
        options: Mapping[str, Any],
        *,
        workers: int,
        queue: int,
        timeout_s: float,
        limits: Limits,
    ) -> None:
        self._kind = kind
        self._command = json.dumps({**options, "limits": asdict(limits)})
        self._slots = asyncio.Semaphore(workers or default_workers())
        self._queue = queue
        self._timeout_s = timeout_s
        self._waiting = 0
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def pids(self) -> list[int]:
        """The processes that run."""
        return [worker.pid for worker in self._all]

    async def speech(self, head: wire.Head, body: Body = ()) -> Pcm:
        """The audio that a request is answered with.

        Raises EngineError: what the worker said, or that it died or was too slow; Overloaded when
        too many wait.
        """
        import numpy as np  # loading it holds the event loop up: not for who wants telephone audio

        told, audio = await self._ask(head, body)
        rate = told.get("rate")
        if not isinstance(rate, int) or rate not in RATES or len(audio) % 2:
            raise EngineError(f"{self._kind} answered with no audio")
        pcm = Pcm(np.frombuffer(audio, "<i2"), rate)
        if pcm.duration_s > MAX_AUDIO_S:
            raise TooLong
        return pcm

    async def telephone(
        self, head: wire.Head, body: Body = (), *, law: str, pre_emphasis: float = 0.0
    ) -> bytes:
        """The same as telephone audio: octets of G.711 at 8 kHz, made by the worker."""
        phone = {"law": str(law), "pre_emphasis": pre_emphasis}
        told, octets = await self._ask({**head, "phone": phone}, body)
        if told.get("law") != law or not octets:
            raise EngineError(f"{self._kind} answered with no audio")
        return bytes(octets)

    async def close(self) -> None:
        """End all processes."""
        self._is_closed = True
        self._idle.clear()
        await asyncio.gather(*map(self._drop, list(self._all)), *self._endings)

    async def _ask(self, head: wire.Head, body: Body) -> tuple[wire.Head, bytearray]:
        try:
            begin = wire.begin(head, sum(map(len, body)))
        except wire.FrameError:
            raise EngineError("more than a worker is given", is_temporary=False) from None
        await self._wait_for_slot()
        try:
            answer = await self._ask_worker(begin, body)
        finally:
            self._slots.release()
        if answer[0].get("is_too_long"):
            raise TooLong
        if "error" in answer[0]:
            is_temporary = bool(answer[0].get("is_temporary"))
            raise EngineError(str(answer[0]["error"]), is_temporary=is_temporary)
        return answer

    async def _ask_worker(self, begin: bytes, body: Body) -> tuple[wire.Head, bytearray]:
        """Ask one that is idle, or a new one; a new one too where one that was idle is gone: it may
        have died before it was asked, which nobody should notice.
        """
        is_again = False
        while True:
            worker = await self._take(is_new=is_again)
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = await worker.ask(begin, body)
            except BaseException as error:
                await self._drop(worker)
                if isinstance(error, TimeoutError):
                    raise EngineError(f"{self._kind} took over {self._timeout_s:g} s") from None
                if isinstance(error, wire.FrameError):
                    raise EngineError(f"{self._kind} answered with no frame") from None
                if not isinstance(error, (EOFError, OSError)):
                    raise
                if worker.has_answered:
                    is_again = True
                    continue
                self._require_open()
                raise EngineError(f"{self._kind} broke off ({worker.fate})") from None
            worker.has_answered = True
            self._idle.append(worker)
            return answer

    async def _wait_for_slot(self) -> None:
        if self._waiting >= self._queue:
            raise Overloaded(f"{self._waiting} texts wait for {self._kind}")
        self._waiting += 1
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT_S):
                await self._slots.acquire()
        except TimeoutError:
            raise Overloaded(f"{self._kind} was busy for {QUEUE_TIMEOUT_S:g} s") from None
        finally:
            self._waiting -= 1

    async def _take(self, *, is_new: bool = False) -> _Worker:
        """A worker that lives; a new one if there is none, or if it `is_new` that is wanted."""
        while self._idle and not is_new:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            await self._drop(worker)
        self._require_open()
        worker = _Worker.start(self._kind, self._command)
        self._all.add(worker)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await worker.connect()
                head, _ = await worker.next_frame()
        except BaseException as error:
            await self._drop(worker)
            if not isinstance(error, (EOFError, OSError, wire.FrameError)):
                raise
            self._require_open()  # else it is we who ended it
            is_late = isinstance(error, TimeoutError)
            why = f"within {START_TIMEOUT_S:g} s" if is_late else f"({worker.fate})"
            raise EngineError(f"{self._kind} did not start {why}") from None
        if "error" in head:
            await self._drop(worker)
            raise EngineError(str(head["error"]))
        return worker

    def _require_open(self) -> None:
        if self._is_closed:
            raise EngineError(f"{self._kind} is shut down")

    async def _drop(self, worker: _Worker) -> None:
        """End it, whether who asked waits for that or goes away once more."""
        self._all.discard(worker)
        ending = asyncio.create_task(worker.end())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        await asyncio.shield(ending)


class _Worker:
    """One process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._answers = StreamReader(limit=_PIPE_BYTES)
        self._requests: StreamWriter
        self._pipes: list[tuple[BaseTransport, Callable[[], None]]] = []
        self.has_answered = False

    @classmethod
    def start(cls, kind: str, options: str) -> _Worker:
        """Start a process, to be connected to; it is ready once its first frame has come.

        Not by the event loop's own means: some copy the memory of the whole gateway for it and hold
        all up for 5 to 10 ms, where Popen borrows it and takes a third of a millisecond.
        """
        parent = str(os.getpid())
        # -P: what lies in the folder that the gateway was started in is nobody's library.
        command = (sys.executable, "-P", "-m", "tts.worker", kind, parent, options)
        try:
            process = subprocess.Popen(
                command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=_environment(),
                process_group=0,  # a terminal's signals are not for it
            )
        except OSError as error:
            raise EngineError(f"{kind} did not start ({error.strerror})") from error
        return cls(process)

    async def connect(self) -> None:
        """Take hold of the ends of its pipes that are ours. Raises EOFError when it is gone."""
        loop = asyncio.get_running_loop()
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101 - pipes were asked for
        answers, _ = await loop.connect_read_pipe(
            lambda: StreamReaderProtocol(self._answers), _given_to(loop, stdout)
        )
        self._pipes.append((answers, answers.close))
        requests, protocol = await loop.connect_write_pipe(
            lambda: StreamReaderProtocol(StreamReader()), _given_to(loop, stdin)
        )
        self._pipes.append((requests, requests.abort))  # not waiting for what is not written yet
        self._requests = StreamWriter(requests, protocol, None, loop)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None and not self._answers.at_eof()

    @property
    def fate(self) -> str:
        """How it ended."""
        code = self._process.poll()
        if code is None:
            return "still running"
        return f"signal {-code}" if code < 0 else f"exit {code}"

    async def ask(self, begin: bytes, body: Body) -> tuple[wire.Head, bytearray]:
        """Send a request and wait for its answer."""
        self._requests.write(begin)
        for part in body:
            for start in range(0, len(part), _PIECE_BYTES):
                self._requests.write(part[start : start + _PIECE_BYTES])
                await self._requests.drain()
        await self._requests.drain()
        return await self.next_frame()

    async def next_frame(self) -> tuple[wire.Head, bytearray]:
        """What the process says next. Raises EOFError when it is gone."""
        sizes = wire.lengths(await self._answers.readexactly(wire.LENGTHS.size))
        head = wire.parse_head(await self._answers.readexactly(sizes[0]))
        body = bytearray()
        while (left := sizes[1] - len(body)) > 0:
            body += await self._answers.readexactly(min(left, _PIECE_BYTES))
        return head, body

    async def end(self) -> None:
        """Kill it, and see it gone. A worker holds nothing worth a farewell; but one that has
        closed its pipe is let end by itself, and so keeps its fate."""
        try:
            if self._answers.at_eof() or any(pipe.is_closing() for pipe, _ in self._pipes):
                await self._gone()
        finally:
            self._process.kill()
            for pipe, hang_up in self._pipes:
                if not pipe.is_closing():
                    hang_up()
            for file in (self._process.stdin, self._process.stdout):
                if file is not None:  # closed long ago if the loop has taken it over
                    file.close()
        await self._gone()

    async def _gone(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT_S):
                while self._process.poll() is None:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(_LOOK_EVERY_S)


def _given_to(loop: asyncio.AbstractEventLoop, file: IO[bytes]) -> IO[bytes]:
    """An end of a pipe that the loop closes.

    uvloop closes the descriptor, and then the file that it was given: by then a thread may have
    opened another under the same number, so the file must not own it.
    """
    if file.closed:
        raise EOFError  # the worker was ended meanwhile
    with file:
        descriptor = os.dup(file.fileno())
    is_owner = isinstance(loop, asyncio.BaseEventLoop)
    return os.fdopen(descriptor, "rb", buffering=0, closefd=is_owner)


def _environment() -> dict[str, str]:
    """What a worker knows of ours: where libraries are, and no secret."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    ours = str(Path(__file__).resolve().parents[1])
    paths = [ours, *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
