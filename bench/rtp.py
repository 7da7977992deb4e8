"""`python -m bench.rtp`: how steadily calls get their packets, and what a call costs.

One process plays to many calls and hears them (the role `voice`); another is their far end and
takes the times at which the kernel received each packet; a third does nothing but wait for a timer,
so that what the machine itself does to timers stands beside; a fourth may make work. Each ends by
itself, whatever happens to the others.
"""

from __future__ import annotations

import argparse
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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from ipaddress import ip_network
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from bench import machine
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
_ONE, _TWO = bytes(range(30)), bytes(range(30, 60))
_TIMESTAMP = struct.Struct("qq")
_SO_TIMESTAMPNS = 35


@dataclass(frozen=True)
class Load:
    """One measurement. `flood`: packets a second from a wrong source to each of ten calls."""

    name: str
    calls: int
    seconds: float
    has_work: bool = False
    is_secure: bool = False
    flood: int = 0


@dataclass(frozen=True)
class Gaps:
    """Milliseconds between two packets of a call, or two turns of a timer."""

    p50: float
    p99: float
    p999: float
    worst: float
    count: int


@dataclass(frozen=True)
class Figures:
    """What one measurement found. `core` is the share of one core of the role, in percent."""

    load: str
    packets: Gaps
    timer: Gaps
    core: float
    core_per_call: float
    heard: int
    lost: int
    wrong_source: int
    skipped_ticks: int


def gaps(found: list[float]) -> Gaps:
    """Percentiles of gaps in seconds."""
    found.sort()
    shares = (0.5, 0.99, 0.999, 1.0)
    at = [found[min(int(len(found) * each), len(found) - 1)] for each in shares]
    p50, p99, p999, worst = (round(each * 1000, 2) for each in at)
    return Gaps(p50, p99, p999, worst, len(found))


# The processes ------------------------------------------------------------------------------------


def _say(told: object) -> None:
    print(json.dumps(told), flush=True)


def _keys(is_role: bool) -> SrtpKeys:
    one, two = (_ONE, _TWO) if is_role else (_TWO, _ONE)
    return SrtpKeys(AES_CM_128_HMAC_SHA1_80, send=one, receive=two)


async def role(load: Load) -> None:
    """Play to all calls and listen to all of them, as the product does."""
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
        }
    )
    engine.close()


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class FarEnd:
    """The other side of all calls: sends a packet every 20 ms on each, notes when each came."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._sockets = [_bound() for _ in range(load.calls)]
        self._last = [0.0] * load.calls
        self._gaps: list[float] = []
        self._poller = select.epoll()
        self._calls = {each.fileno(): n for n, each in enumerate(self._sockets)}
        self._srtp = [SrtpContext(_keys(False)) for _ in range(load.calls if load.is_secure else 0)]

    def run(self) -> None:
        _say([each.getsockname()[1] for each in self._sockets])
        ports = json.loads(sys.stdin.readline())
        for each, port in zip(self._sockets, ports, strict=True):
            each.connect((HOST, port))
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

    def _send(self, tick: int) -> None:
        payload = bytes(160)
        for n in range(tick % 4, len(self._sockets), 4):
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
                _, ancillary, _, _ = sockets[n].recvmsg(256, 64)
            except OSError:
                continue
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


async def timer(load: Load) -> None:
    """Wait for a timer of 20 ms, on an absolute schedule, and for nothing else."""
    loop = asyncio.get_running_loop()
    start = time.monotonic()
    found: list[float] = []
    last, turn = start, 0
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


# The measurement ----------------------------------------------------------------------------------


def measure(load: Load) -> Figures:
    """Run one load; at most its seconds and half a minute."""
    names = ["timer", "peer", "role"] + (["work"] if load.has_work else [])
    processes = {name: _process(name, load) for name in names}
    try:
        role_, peer = processes["role"], processes["peer"]
        ports = _hear(role_), _hear(peer)
        _tell(role_, ports[1])
        _tell(peer, ports[0])
        told = _hear(role_)
        found = Figures(
            load.name,
            Gaps(**_hear(peer)),
            Gaps(**_hear(processes["timer"])),
            round(100 * told["used"] / load.seconds, 1),
            round(100 * told["used"] / load.seconds / load.calls, 3),
            told["heard"],
            told["lost"],
            told["wrong_source"],
            told["skipped"],
        )
    finally:
        for each in processes.values():
            each.kill()
            each.communicate()
    return found


def _process(name: str, load: Load) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.rtp", "--as", name, "--load", json.dumps(asdict(load))]
    # A session each: Linux shares the processors out among sessions first, and services that run
    # side by side are in several.
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _hear(process: subprocess.Popen[str]) -> Any:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError("a process of the benchmark ended without its figures")
    return json.loads(line)


def _tell(process: subprocess.Popen[str], told: object) -> None:
    if process.stdin:
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()


def show(found: list[Figures]) -> None:
    """A line for one load: the medians of its runs."""

    def middle(of: Callable[[Figures], float]) -> float:
        return median(map(of, found))

    print(
        f"{found[0].load:32}{middle(lambda f: f.packets.p50):7.1f}"
        f"{middle(lambda f: f.packets.p99):7.1f}{middle(lambda f: f.packets.p999):7.1f}"
        f"{middle(lambda f: f.packets.worst):7.1f}{middle(lambda f: f.timer.p99):11.1f}"
        f"{middle(lambda f: f.timer.p999):7.1f}{middle(lambda f: f.core):9.1f}"
        f"{middle(lambda f: f.core_per_call):8.3f}{middle(lambda f: f.lost):7.0f}",
        flush=True,
    )


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.rtp", description="Measure media.")
    add = parser.add_argument
    add("--calls", type=int, default=300, metavar="N", help="calls at once (default 300)")
    add("--seconds", type=float, default=10.0, metavar="S", help="length of a run (default 10)")
    add("--runs", type=int, default=5, metavar="N", help="runs of each load (default 5)")
    add("--only", default="", metavar="WORDS", help="only loads whose name contains this")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--as", dest="part", choices=["role", "peer", "timer", "work"], help=argparse.SUPPRESS)
    add("--load", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        return _part(options.part, Load(**json.loads(options.load)))
    base = {"calls": options.calls, "seconds": options.seconds}
    loads = [
        Load("alone", **base),
        Load("beside a busy process", has_work=True, **base),
        Load("SRTP", is_secure=True, **base),
        Load("10,000/s from a wrong source", flood=1000, **base),
    ]
    for name, value in machine.describe().items():
        print(f"{name:12} {value}")
    print(
        f"\n{options.calls} calls, both ways. Gaps between packets of a call in ms, as the kernel"
        "\nof the far end saw them; beside them those of a timer in a process that does nothing"
        "\nelse. Shares of one core in percent, of all calls and of one. Medians of the runs.\n\n"
        f"{'load':32}{'p50':>7}{'p99':>7}{'p99.9':>7}{'max':>7}{'timer p99':>11}{'p99.9':>7}"
        f"{'core':>9}{'a call':>8}{'lost':>7}"
    )
    told = []
    for load in loads:
        if options.only in load.name:
            found = [measure(load) for _ in range(options.runs)]
            told += [asdict(each) for each in found]
            show(found)
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0


def _part(name: str, load: Load) -> int:
    signal.alarm(int(load.seconds + WARM_S + SPARE_S))
    if name == "role":
        uvloop.run(role(load))
    elif name == "timer":
        uvloop.run(timer(load))
    elif name == "peer":
        FarEnd(load).run()
    else:
        work(load)
    return 0


if __name__ == "__main__":
    sys.exit(main())
