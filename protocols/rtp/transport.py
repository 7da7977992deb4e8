"""RTP over asyncio: the one file here that knows of sockets, loops and clocks.

All calls of a process share one timer. At each tick of 5 ms what is due is sent first; then the
sockets that have something are asked (one system call for all), then listeners get their frames,
and at last the owners of the legs their events. So nothing that comes in, be it a flood, and no
handler delays what goes out by more than its own tick. A connected socket a leg lets the kernel
drop what comes from elsewhere.
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Final, TypeAlias

from protocols.rtp.events import MediaEvent
from protocols.rtp.incoming import DEFAULT_LIMITS, LegLimits
from protocols.rtp.latch import Network
from protocols.rtp.leg import Leg, LegStatistics, bridge, unbridge
from protocols.rtp.packet import MAX_PACKET_BYTES
from protocols.rtp.parameters import Address, MediaParameters
from protocols.rtp.ports import PortPool
from protocols.rtp.recording import FrameBuffer, WavWriter
from protocols.rtp.wheel import PERIODS, Wheel

EXPEDITED: Final = 0xB8
"""The traffic class of voice: DSCP EF (RFC 3246)."""
MAX_READS: Final = 4
"""Datagrams taken from one socket in one tick; a flood waits in the kernel and is dropped there."""
MAX_UNSETTLED_READS: Final = 16
"""The same before the source is known: the true one must get through among strangers."""
BIND_TRIES: Final = 16
CHECK_TICKS: Final = 200
"""Every leg is looked after once in so many ticks."""
MAX_WAITING_CHUNKS: Final = 16
"""Chunks that wait for the disk, half a minute, before a recording is given up."""
_NTP_EPOCH_S: Final = 2_208_988_800

EventHandler: TypeAlias = Callable[[MediaEvent], None]


class Recording:
    """A WAV file in the making, a listener of a leg. The disk is another thread's work."""

    def __init__(self, leg: Leg, path: Path, max_s: float, thread: ThreadPoolExecutor) -> None:
        self.buffer = FrameBuffer(max_s)
        self._leg = leg
        self._writer = WavWriter(path)
        self._thread = thread
        self._waiting = 0
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] | None = None
        self._write(b"")

    @property
    def is_full(self) -> bool:
        """Whether the limit was reached, or the disk failed."""
        return self.buffer.is_full or self._writer.error is not None

    def __call__(self, frame: bytes) -> None:
        if self._writer.error is None and self._ended is None:
            self.buffer(frame)
            if self.buffer.is_chunk_due:
                self._write(self.buffer.take())

    def _write(self, data: bytes) -> None:
        if self._waiting >= MAX_WAITING_CHUNKS:
            self._writer.error = OSError("the disk does not keep up with a recording")
            return
        self._waiting += 1
        written = self._loop.run_in_executor(self._thread, self._writer.append, data)
        written.add_done_callback(self._written)

    def _written(self, _: asyncio.Future[None]) -> None:
        self._waiting -= 1

    def end(self) -> asyncio.Future[None]:
        """Take no more; the file is whole when the future is done. Asked twice, the same."""
        if self._ended is None:
            self._leg.remove_tap(self)
            rest = self.buffer.take()
            self._ended = self._loop.run_in_executor(self._thread, self._writer.finish, rest)
        return self._ended

    async def finish(self) -> float:
        """End the recording; returns its seconds. Raises OSError if the disk failed."""
        await asyncio.shield(self.end())
        if self._writer.error is not None:
            raise self._writer.error
        return self.buffer.seconds


class _Place:
    """The sockets of one leg."""

    __slots__ = (
        "_engine", "_is_drained", "_read_tick", "_send", "_wants", "handler", "leg", "period",
        "recordings", "rtcp", "rtp", "unsent",
    )  # fmt: skip

    def __init__(self, engine: MediaEngine, rtp: socket.socket, rtcp: socket.socket) -> None:
        self._engine = engine
        self.rtp = rtp
        self.rtcp = rtcp
        self.leg: Leg
        self.handler: EventHandler
        self.recordings: list[Recording] = []
        self.period = 0
        self.unsent = 0
        self._is_drained = False
        self._read_tick = 0
        self._wants: Address | None = None
        self._send: Callable[[bytes], object] = self._send_to

    def transmit(self, packet: bytes) -> None:
        try:
            self._send(packet)
        except OSError:
            self.unsent += 1

    def _send_to(self, packet: bytes) -> None:
        destination = self.leg.destination
        if destination is not None:
            self.rtp.sendto(packet, destination)

    def transmit_rtcp(self, packet: bytes) -> None:
        destination = self.leg.rtcp_destination
        if destination is not None:
            with suppress(OSError):
                self.rtcp.sendto(packet, destination)

    def turn(self, tick: int) -> None:
        try:
            self.leg.turn(tick)
        except Exception as error:
            self._engine.on_error(error)

    def pull(self, _tick: int) -> None:
        try:
            self.leg.pull()
        except Exception as error:
            self._engine.on_error(error)

    def readable(self, now: float, tick: int) -> None:
        """Take a datagram; more of them when they came faster than one a tick."""
        reads = MAX_UNSETTLED_READS
        if self._is_drained:
            reads = MAX_READS if tick - self._read_tick <= 1 else 1
        self._read_tick = tick
        locked = self._wants
        try:
            for _ in range(reads):
                if self._is_drained and locked is not None:
                    data, source = self.rtp.recv(MAX_PACKET_BYTES + 1), locked
                else:
                    data, name = self.rtp.recvfrom(MAX_PACKET_BYTES + 1)
                    source = (name[0], name[1])
                self.leg.receive(data, source, now)
                if locked is None and self.leg.is_locked:
                    locked = self._lock()
        except BlockingIOError:
            self._is_drained = self._wants is not None
        except OSError:
            return
        except Exception as error:
            self._engine.on_error(error)

    def _lock(self) -> Address | None:
        """Connect to the source, so that the kernel drops all others. What had come before is
        still there: sources are compared until the socket was empty once."""
        source = self.leg.destination
        if source is not None:
            try:
                self.rtp.connect(source)
            except OSError:
                return None
            self._send = self.rtp.send
            self._wants = source
        return source

    def unlock(self, rtp: socket.socket) -> None:
        """Go on with a fresh socket that is not connected."""
        self.rtp = rtp
        self._wants = None
        self._is_drained = False
        self._send = self._send_to

    @property
    def is_connected(self) -> bool:
        return self._wants is not None

    def rtcp_readable(self, now: float, _tick: int) -> None:
        try:
            data, name = self.rtcp.recvfrom(MAX_PACKET_BYTES + 1)
            self.leg.receive_rtcp(data, (name[0], name[1]), now)
        except OSError:
            return
        except Exception as error:
            self._engine.on_error(error)


class MediaEngine:
    """All legs of a process, on one local address.

    `on_error` gets what handlers and listeners raise; the engine goes on. Make it with a running
    loop.
    """

    def __init__(
        self,
        address: str,
        ports: PortPool,
        *,
        limits: LegLimits = DEFAULT_LIMITS,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.address = address
        self.on_error = on_error or self._raise_to_loop
        self._ports = ports
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._epoch_s = time.time() - time.monotonic() + _NTP_EPOCH_S
        now = time.monotonic()
        self._sending = Wheel(now)
        self._listening = Wheel(now)
        self._poller = select.epoll() if hasattr(select, "epoll") else select.poll()
        self._readers: dict[int, Callable[[float, int], None]] = {}
        self._places: dict[Leg, _Place] = {}
        self._checks: deque[Leg] = deque()
        self._events: deque[tuple[_Place, MediaEvent]] = deque()
        self._is_telling_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._disk = ThreadPoolExecutor(1, "recordings")

    def __len__(self) -> int:
        return len(self._places)

    @property
    def skipped_ticks(self) -> int:
        """Ticks of 5 ms that were left out because the process was held up."""
        return self._sending.skipped

    # ------------------------------------------------------------------ legs

    def open(self, networks: Sequence[Network], on_event: EventHandler) -> Leg:
        """Bind a pair of ports for a new leg; `networks` is where its peer may be. Raises
        PortsExhaustedError, and OSError when the system gives no sockets."""
        port, rtp, rtcp = self._bind_pair()
        place = _Place(self, rtp, rtcp)
        place.handler = on_event
        place.leg = leg = Leg(
            self.address,
            port,
            networks,
            lambda event: self._emit(place, event),
            transmit=place.transmit,
            transmit_rtcp=place.transmit_rtcp,
            limits=self._limits,
            cname=f"{port}@{self.address}",
            epoch_s=self._epoch_s,
        )
        try:
            self._register(rtp, place.readable)
            self._register(rtcp, place.rtcp_readable)
        except OSError:
            self._release(port, rtp, rtcp)
            raise
        self._places[leg] = place
        self._checks.append(leg)
        self._listening.add(port, PERIODS[20], place.pull)
        self._arm()
        return leg

    def start(self, leg: Leg, parameters: MediaParameters) -> None:
        """Begin what SDP agreed on, or change to it. Raises LocalProtocolError, and OSError when
        the leg's port cannot be opened anew for a peer that moved, or may have."""
        place = self._places[leg]
        leg.start(parameters, time.monotonic())
        if place.is_connected and not leg.is_locked:
            self._unlock(place)
        period = PERIODS[parameters.ptime_ms]
        if period != place.period:
            place.period = period
            self._sending.add(leg.port, period, place.turn)
        self._arm()

    def close_leg(self, leg: Leg) -> LegStatistics:
        """End a leg: RTCP BYE, recordings finished in their thread, ports set free. Its events
        that wait are still told."""
        place = self._places.pop(leg)
        unbridge(leg)
        statistics = leg.statistics()
        try:
            leg.farewell(time.monotonic())
        except Exception as error:
            self.on_error(error)
        for recording in place.recordings:
            recording.end()
        self._sending.remove(leg.port)
        self._listening.remove(leg.port)
        self._checks.remove(leg)
        self._release(leg.port, place.rtp, place.rtcp)
        return statistics

    def bridge(self, one: Leg, other: Leg) -> None:
        """Let two legs hear each other. Raises LocalProtocolError if one is bridged already."""
        bridge(one, other)

    def unbridge(self, leg: Leg) -> None:
        """Part two legs."""
        unbridge(leg)

    def record(self, leg: Leg, path: Path, max_s: float) -> Recording:
        """Write what the peer says into a WAV file of μ-law, until `finish`, `max_s` or the end of
        the leg. What the disk refuses is told by `finish`."""
        recording = Recording(leg, path, max_s, self._disk)
        self._places[leg].recordings.append(recording)
        leg.add_tap(recording)
        return recording

    def close(self) -> None:
        """End all legs; recordings are waited for."""
        for leg in list(self._places):
            self.close_leg(leg)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if hasattr(self._poller, "close"):
            self._poller.close()
        self._disk.shutdown()

    # ------------------------------------------------------------------ sockets

    def _bind_pair(self) -> tuple[int, socket.socket, socket.socket]:
        for tries_left in reversed(range(BIND_TRIES)):
            port = self._ports.take(time.monotonic())
            rtp = None
            try:
                rtp = self._bind(port)
                return port, rtp, self._bind(port + 1)
            except OSError as error:
                if rtp is not None:
                    rtp.close()
                self._ports.give_back(port, time.monotonic())
                if not tries_left or error.errno != errno.EADDRINUSE:
                    raise
        raise AssertionError

    def _bind(self, port: int) -> socket.socket:
        is_v6 = ":" in self.address
        sock = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            with suppress(OSError):
                if is_v6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, EXPEDITED)
                else:
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, EXPEDITED)
            sock.bind((self.address, port))
        except OSError:
            sock.close()
            raise
        return sock

    def _release(self, port: int, *sockets: socket.socket) -> None:
        for each in sockets:
            self._unregister(each)
            each.close()
        self._ports.give_back(port, time.monotonic())

    def _unlock(self, place: _Place) -> None:
        """A connected socket cannot be parted from its peer in Python: open the port anew."""
        self._unregister(place.rtp)
        place.rtp.close()
        place.unlock(self._bind(place.leg.port))
        self._register(place.rtp, place.readable)

    def _register(self, sock: socket.socket, reader: Callable[[float, int], None]) -> None:
        self._poller.register(sock.fileno(), select.POLLIN)
        self._readers[sock.fileno()] = reader

    def _unregister(self, sock: socket.socket) -> None:
        if self._readers.pop(sock.fileno(), None) is not None:
            self._poller.unregister(sock.fileno())

    # ------------------------------------------------------------------ the tick

    def _arm(self) -> None:
        if self._timer is None and self._places:
            now = time.monotonic()
            self._sending.resume(now)
            self._listening.resume(now)
            self._schedule()

    def _schedule(self) -> None:
        delay_s = self._sending.due() - time.monotonic()
        whole_ms = max(ceil(delay_s * 1000), 0) / 1000
        self._timer = self._loop.call_later(whole_ms, self._run)

    def _run(self) -> None:
        self._timer = None
        now = time.monotonic()
        try:
            ticks = self._sending.run(now)
            if ticks:
                self._read(now, self._sending.next_tick)
                self._listening.run(now)
                self._check(now, ticks)
                self._tell()
        finally:
            if self._places:
                self._schedule()

    def _read(self, now: float, tick: int) -> None:
        readers = self._readers
        for descriptor, _ in self._poller.poll(0):
            reader = readers.get(descriptor)
            if reader is not None:
                reader(now, tick)

    def _check(self, now: float, ticks: int) -> None:
        checks = self._checks
        for _ in range(min(ceil(len(checks) * ticks / CHECK_TICKS), len(checks))):
            leg = checks[0]
            checks.rotate(-1)
            try:
                leg.check(now)
            except Exception as error:
                self.on_error(error)

    # ------------------------------------------------------------------ events

    def _emit(self, place: _Place, event: MediaEvent) -> None:
        self._events.append((place, event))
        if not self._is_telling_due:
            self._is_telling_due = True
            self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        self._is_telling_due = False
        events = self._events
        while events:
            place, event = events.popleft()
            try:
                place.handler(event)
            except Exception as error:
                self.on_error(error)

    def _raise_to_loop(self, error: Exception) -> None:
        self._loop.call_exception_handler(
            {"message": "a handler of media events failed", "exception": error}
        )
