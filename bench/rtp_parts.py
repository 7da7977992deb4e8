"""The processes of the media benchmarks, each run as `python -m bench.rtp_parts NAME LOAD`.

They tell each other what is needed (ports, figures) as lines of JSON, by way of who started them,
and each ends by itself, whatever happens to the others.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import uvloop

from bench.texts import flow
from gateway.voice.realtime import run_ahead
from protocols.audio.g711 import Law
from protocols.rtp.clip import Clip
from protocols.rtp.packet import HEADER
from protocols.rtp.parameters import MediaParameters, SrtpKeys
from protocols.rtp.ports import PortPool
from protocols.rtp.srtp import AES_CM_128_HMAC_SHA1_80, SrtpContext
from protocols.rtp.transport import MediaEngine

HOST = "127.0.0.1"
TICK_S = 0.005
WARM_S = 1.5
SPARE_S = 30.0
"""What a process may live longer than its run."""
_FLOW_SPARE_S = 90.0
"""The same for the texts: a whole gateway is set up before them."""
_ONE, _TWO = bytes(range(30)), bytes(range(30, 60))
_TIMESTAMP = struct.Struct("qq")
_SO_TIMESTAMPNS = 35


@dataclass(frozen=True)
class Load:
    """One measurement. `flood`: packets a second from a wrong source to each of ten calls;
    `texts`: texts a second that a gateway beside the calls handles; `is_ordinary`: the role has no
    right to run ahead of others.
    """

    name: str
    calls: int
    seconds: float
    has_work: bool = False
    is_secure: bool = False
    flood: int = 0
    texts: int = 0
    is_ordinary: bool = False


@dataclass(frozen=True)
class Gaps:
    """Milliseconds between two packets of a call, or two turns of a timer."""

    p50: float
    p99: float
    p999: float
    worst: float
    count: int


def gaps(found: list[float]) -> Gaps:
    """Percentiles of gaps in seconds."""
    found.sort()
    shares = (0.5, 0.99, 0.999, 1.0)
    at = [found[min(int(len(found) * each), len(found) - 1)] for each in shares]
    p50, p99, p999, worst = (round(each * 1000, 2) for each in at)
    return Gaps(p50, p99, p999, worst, len(found))


# Seen from who starts them ------------------------------------------------------------------------


class Part:
    """One of these processes."""

    def __init__(self, name: str, load: Load) -> None:
        # A session each: Linux shares the processors out among sessions first, and services that
        # run side by side are in several.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.rtp_parts", name, json.dumps(asdict(load))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def hear(self) -> Any:
        """What it says next."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError("a process of the benchmark ended without its figures")
        return json.loads(line)

    def tell(self, told: object) -> None:
        """Say something to it."""
        if self._process.stdin:
            self._process.stdin.write(json.dumps(told) + "\n")
            self._process.stdin.flush()

    def end(self) -> None:
        """Let it end what it started, and then itself; or end it, when it does not."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(SPARE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _say(told: object) -> None:
    print(json.dumps(told), flush=True)


# The role -----------------------------------------------------------------------------------------


def _keys(is_role: bool) -> SrtpKeys:
    one, two = (_ONE, _TWO) if is_role else (_TWO, _ONE)
    return SrtpKeys(AES_CM_128_HMAC_SHA1_80, send=one, receive=two)


async def role(load: Load) -> None:
    """Play to all calls and listen to all of them, as the product does."""
    is_ahead = not load.is_ordinary and run_ahead()
    engine = MediaEngine(HOST, PortPool(20_000, 39_999))
    networks = (ip_network("127.0.0.0/8"),)
    legs = [engine.open(networks, lambda event: None) for _ in range(load.calls)]
    _say([leg.port for leg in legs])
    clip = Clip(os.urandom(8000 * 20))
    heard = 0

    def tap(frame: bytes) -> None:
        nonlocal heard
        heard += 1

    for leg, port in zip(legs, json.loads(sys.stdin.readline()), strict=True):
        parameters = MediaParameters(
            (HOST, port), Law.ULAW, 0, {0: Law.ULAW}, keys=_keys(True) if load.is_secure else None
        )
        engine.start(leg, parameters)
        leg.play(clip, is_looped=True)
        leg.add_tap(tap)
    gc.collect()
    gc.freeze()
    await asyncio.sleep(WARM_S)
    before = _processor_s()
    await asyncio.sleep(load.seconds)
    used = _processor_s() - before
    found = [leg.statistics() for leg in legs]
    _say(
        {
            "used": used,
            "heard": sum(each.received for each in found),
            "lost": sum(each.lost for each in found),
            "wrong_source": sum(each.wrong_source for each in found),
            "skipped": engine.skipped_ticks,
            "is_ahead": is_ahead,
        }
    )
    engine.close()


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# The far end --------------------------------------------------------------------------------------


class FarEnd:
    """The other side of all calls: sends a packet every 20 ms on each, notes when each came.

    Told no ports, it learns each call's from the first packet that comes.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._sockets = [_bound() for _ in range(load.calls)]
        self._known = [False] * load.calls
        self._last = [0.0] * load.calls
        self._gaps: list[float] = []
        self._poller = select.epoll()
        self._calls = {each.fileno(): n for n, each in enumerate(self._sockets)}
        self._srtp = [SrtpContext(_keys(False)) for _ in range(load.calls if load.is_secure else 0)]

    def run(self) -> None:
        _say([each.getsockname()[1] for each in self._sockets])
        ports = json.loads(sys.stdin.readline())
        for n, port in enumerate(ports):
            self._connect(n, port)
        for each in self._sockets:
            self._poller.register(each.fileno(), select.EPOLLIN)
        flood, strangers = _bound(), [(HOST, port) for port in ports[:10]]
        start = time.monotonic()
        measured = start + WARM_S
        end = measured + self._load.seconds
        tick, flooded = 0, 0
        while (now := time.monotonic()) < end:
            while start + tick * TICK_S <= now:
                self._send(tick)
                tick += 1
            due = int((now - start) * self._load.flood)
            for _ in range(min(due - flooded, 20)):
                for stranger in strangers:
                    with suppress(OSError):
                        flood.sendto(bytes(172), stranger)
            flooded = due
            self._receive(now >= measured)
            left = start + tick * TICK_S - time.monotonic()
            if left > 0.001:
                time.sleep(left - 0.0005)
        _say(asdict(gaps(self._gaps)))

    def _connect(self, n: int, port: int) -> None:
        self._sockets[n].connect((HOST, port))
        self._known[n] = True

    def _send(self, tick: int) -> None:
        payload = bytes(160)
        for n in range(tick % 4, len(self._sockets), 4):
            if not self._known[n]:
                continue
            count = tick // 4
            packet = HEADER.pack(0x80, 0, count & 0xFFFF, count * 160 & 0xFFFFFFFF, n) + payload
            if self._srtp:
                packet = self._srtp[n].protect(packet)
            with suppress(OSError):  # the role ended first, or the system has no room
                self._sockets[n].send(packet)

    def _receive(self, is_measured: bool) -> None:
        last, calls, sockets = self._last, self._calls, self._sockets
        for descriptor, _ in self._poller.poll(0, 4096):
            n = calls[descriptor]
            try:
                _, ancillary, _, source = sockets[n].recvmsg(256, 64)
            except OSError:
                continue
            if not self._known[n]:
                self._connect(n, source[1])
            seconds, nanoseconds = _TIMESTAMP.unpack(ancillary[0][2])
            now = seconds % 100_000 + nanoseconds / 1e9
            if last[n] and is_measured and now > last[n]:
                self._gaps.append(now - last[n])
            last[n] = now


def _bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.bind((HOST, 0))
    sock.setblocking(False)
    return sock


# What stands beside -------------------------------------------------------------------------------


async def timer(load: Load) -> None:
    """Wait for a timer of 20 ms, on an absolute schedule, and for nothing else."""
    loop = asyncio.get_running_loop()
    start = time.monotonic()
    found: list[float] = []
    await asyncio.sleep(WARM_S)
    end = time.monotonic() + load.seconds
    turn = int((time.monotonic() - start) / 0.02)
    last = 0.0
    while (now := time.monotonic()) < end:
        if last:
            found.append(now - last)
        last = now
        turn += 1
        waiter = loop.create_future()
        loop.call_later(max(start + turn * 0.02 - now, 0), waiter.set_result, None)
        await waiter
    _say(asdict(gaps(found)))


def work(load: Load) -> None:
    """Use a whole core, in the manner of a busy process: numbers, strings and system calls."""
    end = time.monotonic() + load.seconds + WARM_S
    with Path(os.devnull).open("wb", buffering=0) as sink:
        while time.monotonic() < end:
            sink.write(json.dumps({str(n): n * n for n in range(200)}).encode())


async def texts(load: Load) -> None:
    """A gateway that handles texts at a steady rate, from just before the calls to their end."""
    messages = int(load.texts * (load.seconds + WARM_S + 1.0))
    # No alarm: it would leave the gateway and its database running.
    async with (
        asyncio.timeout(load.seconds + WARM_S + _FLOW_SPARE_S),
        flow(load.texts, messages) as let_go,
    ):
        _say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        _say(asdict(await let_go()))


def main() -> int:
    """Be one of them."""
    name, load = sys.argv[1], Load(**json.loads(sys.argv[2]))
    if name != "texts":
        signal.alarm(int(load.seconds + WARM_S + SPARE_S))
    if name == "role":
        uvloop.run(role(load))
    elif name == "timer":
        uvloop.run(timer(load))
    elif name == "peer":
        FarEnd(load).run()
    elif name == "texts":
        asyncio.run(texts(load))
    else:
        work(load)
    return 0


if __name__ == "__main__":
    sys.exit(main())
