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
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any, Final

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
        self._is_closed = False

    @property
    def pids(self) -> list[int]:
        """The processes that run."""
        return [worker.pid for worker in self._all]

    async def speech(self, head: wire.Head, body: bytes = b"") -> Pcm:
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
        self, head: wire.Head, body: bytes = b"", *, law: str, pre_emphasis: float = 0.0
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
        await asyncio.gather(*(worker.end() for worker in list(self._all)))
        self._all.clear()
        self._idle.clear()

    async def _ask(self, head: wire.Head, body: bytes) -> tuple[wire.Head, bytearray]:
        try:
            begin = wire.begin(head, len(body))
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

    async def _ask_worker(self, begin: bytes, body: bytes) -> tuple[wire.Head, bytearray]:
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
                if not isinstance(error, (EOFError, OSError, wire.FrameError)):
                    raise
                if worker.has_answered and not isinstance(error, wire.FrameError):
                    is_again = True
                    continue
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
        self._require_open()
        while self._idle and not is_new:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            await self._drop(worker)
        worker = await _Worker.start(self._kind, self._command)
        self._all.add(worker)
        try:
            self._require_open()  # who closed it meanwhile did not see this worker
            async with asyncio.timeout(START_TIMEOUT_S):
                head, _ = await worker.next_frame()
        except BaseException as error:
            await self._drop(worker)
            if isinstance(error, (TimeoutError, EOFError, OSError, wire.FrameError)):
                raise EngineError(f"{self._kind} did not start ({worker.fate})") from None
            raise
        if "error" in head:
            await self._drop(worker)
            raise EngineError(str(head["error"]))
        return worker

    def _require_open(self) -> None:
        if self._is_closed:
            raise EngineError(f"{self._kind} is shut down")

    async def _drop(self, worker: _Worker) -> None:
        self._all.discard(worker)
        await worker.end()


class _Worker:
    """One process."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        requests: StreamWriter,
        answers: StreamReader,
        pipe: BaseTransport,
    ) -> None:
        """`pipe` is where the answers come from."""
        self._process = process
        self._requests = requests
        self._answers = answers
        self._pipe = pipe
        self.has_answered = False

    @classmethod
    async def start(cls, kind: str, options: str) -> _Worker:
        """Start a process; it is ready once its first frame has come.

        Not by the event loop's own means: some copy the memory of the whole gateway for it and hold
        all up for 5 to 10 ms, where Popen borrows it and takes a third of a millisecond.
        """
        command = (sys.executable, "-m", "tts.worker", kind, str(os.getpid()), options)
        try:
            process = subprocess.Popen(  # noqa: ASYNC220
                command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=_environment(),
                process_group=0,  # a terminal's signals are not for it
            )
        except OSError as error:
            raise EngineError(f"{kind} did not start ({error.strerror})") from error
        try:
            return cls(process, *await _connected(process))
        except BaseException:
            process.kill()
            raise

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

    async def ask(self, begin: bytes, body: bytes) -> tuple[wire.Head, bytearray]:
        """Send a request and wait for its answer."""
        self._requests.write(begin)
        for start in range(0, len(body), _PIECE_BYTES):
            self._requests.write(body[start : start + _PIECE_BYTES])
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
        if self._answers.at_eof() or self._requests.is_closing():
            await self._gone()
        self._process.kill()
        self._requests.close()
        self._pipe.close()
        await self._gone()

    async def _gone(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT_S):
                while self._process.poll() is None:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(_LOOK_EVERY_S)


async def _connected(
    process: subprocess.Popen[bytes],
) -> tuple[StreamWriter, StreamReader, BaseTransport]:
    """The ends of its pipes that are ours."""
    loop = asyncio.get_running_loop()
    answers, unused = StreamReader(limit=_PIPE_BYTES), StreamReader()
    pipe, _ = await loop.connect_read_pipe(lambda: StreamReaderProtocol(answers), process.stdout)
    transport, protocol = await loop.connect_write_pipe(
        lambda: StreamReaderProtocol(unused), process.stdin
    )
    return StreamWriter(transport, protocol, None, loop), answers, pipe


def _environment() -> dict[str, str]:
    """What a worker knows of ours: where libraries are, and no secret."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    ours = str(Path(__file__).resolve().parents[1])
    paths = [ours, *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
