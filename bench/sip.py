"""`python -m bench.sip`: what strangers on the SIP port cost, and how many requests of peers are
answered.

A process of its own listens as the role `voice` does; this one sends. The listener tells the CPU
time that it took, and ends when its input does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_network
from pathlib import Path

import uvloop

from bench import machine
from protocols.sip.agent_driver import Endpoint
from protocols.sip.core import Config
from protocols.sip.endpoint import UserAgent
from protocols.sip.flow import Hop, Transport
from protocols.sip.limits import Limits
from protocols.sip.randomness import SystemRandomness
from protocols.sip.resolving import Target
from protocols.sip.sharing import MarkedRandomness
from protocols.sip.transport import SipTransport, TransportLimits

HOST = "127.0.0.1"
STRANGER = "127.0.0.2"
SCAN_PER_S = 150
PIECE = 32
"""Requests under way at the same time, when as many as possible are sent."""


@dataclass
class Figure:
    """One line of the table."""

    name: str
    per_s: float
    cpu_percent: float
    cpu_us_each: float
    bytes_back: int


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.sip", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each scan (default 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--listen", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.listen:
        uvloop.run(_listen())
        return 0
    figures = _measure(options.seconds)
    for each in figures:
        print(
            f"{each.name:<34} {each.per_s:>9,.0f}/s {each.cpu_percent:>6.2f} % of a core"
            f" {each.cpu_us_each:>7.1f} us each {each.bytes_back:>9,} octets back"
        )
    if options.json is not None:
        told = {"machine": machine.describe(), "sip": [asdict(each) for each in figures]}
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0


async def _nowhere(_hop: Hop) -> Sequence[Target]:
    raise OSError


async def _listen() -> None:
    """The listener: prints its port, and its CPU seconds for each line that it is sent."""
    limits = TransportLimits(messages_per_s=1e9, burst=1e9)
    sockets = SipTransport(resolve=_nowhere, limits=limits)
    port = await sockets.listen(HOST, 0)
    held = Limits(server_transactions=200_000)
    agent = UserAgent(Config(), MarkedRandomness("b", SystemRandomness()), limits=held)
    for transport in Transport:
        agent.set_local(transport, HOST, port)
    endpoint = Endpoint(
        sockets.loop,
        agent,
        send=sockets.send,
        on_events=lambda events: None,
        on_error=sockets.on_error,
        mark="b",
        user="gateway",
    )
    sockets.allowed.put(endpoint, [ip_network(HOST)])
    print(port, flush=True)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_utime + used.ru_stime, flush=True)
    endpoint.close()
    await sockets.close()


class _Listener:
    """The other process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.sip", "--listen"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._said())

    def cpu_s(self) -> float:
        """What it has used so far."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._said())

    def _said(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        return self._process.stdout.readline()

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _measure(seconds: float) -> list[Figure]:
    listener = _Listener()
    try:
        return [
            _scan("strangers, UDP", listener, seconds, _datagram),
            _scan("strangers, TCP", listener, seconds, _connection),
            _flood(listener),
            _options(listener),
        ]
    finally:
        listener.close()


def _scan(name: str, listener: _Listener, seconds: float, knock: object) -> Figure:
    """So many requests a second from strangers, evenly."""
    before, began, back = listener.cpu_s(), time.monotonic(), 0
    count = int(seconds * SCAN_PER_S)
    for number in range(count):
        time.sleep(max(0.0, began + number / SCAN_PER_S - time.monotonic()))
        back += knock(listener.port, number)  # type: ignore[operator]
    return _figure(name, count, time.monotonic() - began, listener.cpu_s() - before, back)


def _datagram(port: int, number: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((STRANGER, 0))
        sock.setblocking(False)
        sock.sendto(_request(number, STRANGER, "INVITE"), (HOST, port))
        try:
            return len(sock.recv(65_536))
        except BlockingIOError:
            return 0


def _connection(port: int, number: int) -> int:
    with socket.create_connection((HOST, port), 5, (STRANGER, 0)) as sock:
        try:
            sock.sendall(_request(number, STRANGER, "INVITE"))
            return len(sock.recv(65_536))
        except OSError:
            return 0


def _flood(listener: _Listener, count: int = 50_000) -> Figure:
    """As many datagrams of a stranger as go through."""
    before, began = listener.cpu_s(), time.monotonic()
    data = _request(0, STRANGER, "INVITE")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((STRANGER, 0))
        for number in range(count):
            sock.sendto(data, (HOST, listener.port))
            if not number % 500:
                listener.cpu_s()  # it has read them all when it answers
    used = listener.cpu_s() - before
    return _figure("strangers, as fast as it goes", count, time.monotonic() - began, used, 0)


def _options(listener: _Listener, count: int = 20_000) -> Figure:
    """OPTIONS of a peer, each answered; a few are always under way."""
    before, began, back = listener.cpu_s(), time.monotonic(), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        sock.settimeout(5)
        for number in range(count):
            sock.sendto(_request(number, HOST, "OPTIONS"), (HOST, listener.port))
            if number >= PIECE:
                back += len(sock.recv(65_536))
        for _ in range(min(PIECE, count)):
            back += len(sock.recv(65_536))
    used = listener.cpu_s() - before
    return _figure("OPTIONS of a peer, UDP", count, time.monotonic() - began, used, back)


def _figure(name: str, count: int, seconds: float, cpu_s: float, back: int) -> Figure:
    return Figure(name, count / seconds, 100 * cpu_s / seconds, 1e6 * cpu_s / count, back)


def _request(number: int, host: str, method: str) -> bytes:
    lines = (
        f"{method} sip:100@{HOST} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:5060;rport;branch=z9hG4bK{number}",
        f"From: <sip:scanner@{host}>;tag={number}",
        f"To: <sip:100@{HOST}>",
        f"Call-ID: {number}@{host}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:scanner@{host}:5060>",
        "Max-Forwards: 70",
        "User-Agent: friendly",
        "Content-Length: 0",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


if __name__ == "__main__":
    sys.exit(main())
