"""The engine on real sockets of the loopback interface."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from protocols.audio.wav import read
from protocols.rtp.clip import Clip
from protocols.rtp.events import DigitReceived, MediaEvent, MediaStarted, PlaybackEnded
from protocols.rtp.leg import Leg
from protocols.rtp.packet import RtpPacket, build, parse
from protocols.rtp.parameters import Direction, MediaParameters
from protocols.rtp.ports import PortPool, PortsExhaustedError
from protocols.rtp.recording import (
    CHUNK_FRAMES,
    HEADER_BYTES,
    FrameBuffer,
    WavWriter,
    wav_header,
)
from protocols.rtp.transport import MAX_WAITING_CHUNKS, MediaEngine
from tests.protocols.rtp.legs import PARAMETERS

HOST = "127.0.0.1"
LOOPBACK = (ip_network("127.0.0.0/8"),)
TONE = b"\x10" * 1600


@pytest.fixture
async def engine() -> AsyncIterator[MediaEngine]:
    made = MediaEngine(HOST, PortPool(20_000, 29_999), on_error=lambda error: errors.append(error))
    errors: list[Exception] = []
    yield made
    made.close()
    assert errors == []


class Told:
    """Events of a leg, and a wait for one."""

    def __init__(self) -> None:
        self.events: list[MediaEvent] = []
        self._changed = asyncio.Event()

    def __call__(self, event: MediaEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def wait(self, is_it: Callable[[MediaEvent], bool]) -> None:
        async with asyncio.timeout(10):
            while not any(map(is_it, self.events)):
                self._changed.clear()
                await self._changed.wait()


def towards(port: int) -> MediaParameters:
    return replace(PARAMETERS, remote=(HOST, port), rtcp=(HOST, port + 1))


def pair(engine: MediaEngine) -> tuple[Leg, Told, Leg, Told]:
    """Two legs that call each other."""
    here, there = Told(), Told()
    one, two = engine.open(LOOPBACK, here), engine.open(LOOPBACK, there)
    engine.start(one, towards(two.port))
    engine.start(two, towards(one.port))
    return one, here, two, there


async def frames(leg: Leg, count: int) -> list[bytes]:
    """The next frames that a leg hears."""
    heard: list[bytes] = []
    done = asyncio.Event()

    def take(frame: bytes) -> None:
        heard.append(frame)
        if len(heard) == count:
            done.set()

    leg.add_tap(take)
    async with asyncio.timeout(10):
        await done.wait()
    leg.remove_tap(take)
    return heard


async def test_two_legs_talk(engine: MediaEngine) -> None:
    """Audio, keys and their ends over sockets."""
    one, here, two, there = pair(engine)
    one.play(Clip(TONE), token="tone")
    heard = await frames(two, 30)
    assert b"".join(heard).strip(b"\xff").startswith(TONE[:800])
    one.send_digits("42", duration_ms=60, gap_ms=40)
    await there.wait(lambda event: event == DigitReceived("2"))
    digits = [each.digit for each in there.events if isinstance(each, DigitReceived)]
    assert digits == ["4", "2"]
    assert PlaybackEnded("tone", True, 0.2) in here.events
    assert MediaStarted((HOST, one.port)) in there.events
    statistics = engine.close_leg(two)
    assert statistics.received > 10 and statistics.lost == 0


async def test_a_recording_is_a_wav_file(engine: MediaEngine, tmp_path: Path) -> None:
    """What was said, in a file that our reader reads; a limit ends it, and so does the call."""
    one, _, two, _ = pair(engine)
    one.play(Clip(TONE), is_looped=True)
    path = tmp_path / "call.wav"
    recording = engine.record(two, path, 0.4)
    cut = engine.record(two, tmp_path / "cut.wav", 60.0)
    await frames(two, 25)
    assert recording.is_full and not cut.is_full
    assert await recording.finish() == pytest.approx(0.4)
    samples = read(path.read_bytes()).samples
    assert len(samples) == 3200
    assert set(samples[-800:].tolist()) == set(read(wav_header(2) + b"\x10\x10").samples.tolist())
    engine.close_leg(two)
    assert await cut.finish() >= 0.48
    assert len(read((tmp_path / "cut.wav").read_bytes()).samples) >= 3840


async def test_a_stranger_is_not_heard(engine: MediaEngine) -> None:
    """Neither before nor after the peer's first packet; its packets cost no listener a frame."""
    told = Told()
    leg = engine.open(LOOPBACK, told)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        peer.bind((HOST, 0))
        stranger.bind((HOST, 0))
        engine.start(leg, towards(peer.getsockname()[1]))
        for n in range(0, 60, 2):
            packet = RtpPacket(101, n, n * 160, 3, b"\x01\x0a\x00\xa0")
            stranger.sendto(build(packet), (HOST, leg.port))
        peer.sendto(build(RtpPacket(0, 0, 0, 9, b"\x10" * 160)), (HOST, leg.port))
        for n in range(0, 60, 2):
            packet = RtpPacket(101, n, n * 160, 9, b"\x01\x0a\x00\xa0")
            stranger.sendto(build(packet), (HOST, leg.port))
        await told.wait(lambda event: isinstance(event, MediaStarted))
        peer.sendto(build(RtpPacket(101, 1, 160, 9, b"\x05\x0a\x00\xa0")), (HOST, leg.port))
        await told.wait(lambda event: isinstance(event, DigitReceived))
        assert told.events == [MediaStarted(peer.getsockname()), DigitReceived("5")]
        assert leg.statistics().received == 2


async def test_a_peer_that_moves_is_followed(engine: MediaEngine) -> None:
    """After a re-INVITE the same port hears the new place and sends there."""
    told = Told()
    leg = engine.open(LOOPBACK, told)
    for _ in range(2):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind((HOST, 0))
            peer.setblocking(False)
            port = peer.getsockname()[1]
            engine.start(leg, towards(port))
            peer.sendto(build(RtpPacket(0, 0, 0, 9, b"\x10" * 160)), (HOST, leg.port))
            await told.wait(lambda event, port=port: event == MediaStarted((HOST, port)))
            data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 2048), 10)
            assert parse(data).payload_type == 0


async def test_a_peer_behind_address_translation(engine: MediaEngine) -> None:
    """Its sound comes from another port than SDP says: it is heard, ours goes there, and whoever
    sits at the port that SDP named changes nothing any more. After a hold it may be yet another."""
    told = Told()
    leg = engine.open(LOOPBACK, told)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as named,
    ):
        for each in (peer, named):
            each.bind((HOST, 0))
            each.setblocking(False)
        engine.start(leg, towards(named.getsockname()[1]))
        for n in range(5):
            peer.sendto(build(RtpPacket(0, n, n * 160, 9, b"\x10" * 160)), (HOST, leg.port))
        await told.wait(lambda event: event == MediaStarted(peer.getsockname()))
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 2048), 10)
        assert parse(data).payload_type == 0
        named.sendto(build(RtpPacket(101, 5, 800, 9, b"\x01\x0a\x00\xa0")), (HOST, leg.port))
        peer.sendto(build(RtpPacket(101, 6, 960, 9, b"\x05\x0a\x00\xa0")), (HOST, leg.port))
        await told.wait(lambda event: isinstance(event, DigitReceived))
        assert told.events == [MediaStarted(peer.getsockname()), DigitReceived("5")]
        parameters = towards(named.getsockname()[1])
        engine.start(leg, replace(parameters, direction=Direction.INACTIVE))
        engine.start(leg, parameters)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind((HOST, 0))
            for n in range(100, 105):
                again.sendto(build(RtpPacket(0, n, n * 160, 9, b"\x10" * 160)), (HOST, leg.port))
            await told.wait(lambda event: event == MediaStarted(again.getsockname()))
            assert leg.destination == again.getsockname()


async def test_sound_goes_over_ipv6() -> None:
    """The same engine on an address of version 6, where the machine has any."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
    engine = MediaEngine("::1", PortPool(20_000, 29_999))
    network = (ip_network("::1/128"),)
    here, there = Told(), Told()
    one, two = engine.open(network, here), engine.open(network, there)
    engine.start(one, replace(PARAMETERS, remote=("::1", two.port), rtcp=None))
    engine.start(two, replace(PARAMETERS, remote=("::1", one.port), rtcp=None))
    one.send_digits("6", duration_ms=60)
    await there.wait(lambda event: event == DigitReceived("6"))
    engine.close()
    assert there.events[0] == MediaStarted(("::1", one.port))


async def test_a_bridge_over_sockets(engine: MediaEngine) -> None:
    """Four legs: the outer two hear each other through the inner two."""
    caller, _, inner, _ = pair(engine)
    outer, _, shop, heard = pair(engine)
    engine.bridge(inner, outer)
    caller.play(Clip(TONE), is_looped=True)
    caller.send_digits("7", duration_ms=60, gap_ms=40)
    await heard.wait(lambda event: event == DigitReceived("7"))
    assert TONE[:160] in await frames(shop, 25)
    engine.unbridge(inner)
    assert inner.bridged is None and outer.bridged is None


async def test_nothing_is_left_of_a_call(engine: MediaEngine) -> None:
    """Ports come free, are not reused at once, and run out with a typed error."""
    small = MediaEngine(HOST, PortPool(30_000, 30_003, rest_s=60.0))
    one, two = small.open(LOOPBACK, Told()), small.open(LOOPBACK, Told())
    assert {one.port, two.port} == {30_000, 30_002}
    with pytest.raises(PortsExhaustedError):
        small.open(LOOPBACK, Told())
    small.close_leg(one)
    with pytest.raises(PortsExhaustedError):
        small.open(LOOPBACK, Told())
    assert len(small) == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, one.port))
    small.close()
    assert len(small) == 0


async def test_a_port_in_use_is_passed_over(engine: MediaEngine) -> None:
    """Another program's port costs no call."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
        foreign.bind((HOST, 30_011))
        small = MediaEngine(HOST, PortPool(30_010, 30_013))
        assert small.open(LOOPBACK, Told()).port == 30_012
        small.close()


async def test_a_failing_listener_harms_nobody() -> None:
    """What taps and handlers raise is told, and the engine goes on."""
    errors: list[Exception] = []
    engine = MediaEngine(HOST, PortPool(20_000, 29_999), on_error=errors.append)
    one, _, two, there = pair(engine)

    def fail(_: object) -> None:
        raise RuntimeError("a bug")

    one.add_tap(fail)
    bad = engine.open(LOOPBACK, fail)
    engine.start(bad, towards(one.port))
    bad.play(Clip(b""))
    bad.stop_playing()
    one.play(Clip(TONE), token=1)
    assert TONE[:160] in await frames(two, 20)
    assert len(errors) >= 2
    engine.close()


async def test_one_broken_leg_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours while a leg is looked after, or ends, is told; all others go on, and its
    ports are given back."""
    errors: list[Exception] = []
    ports = PortPool(20_000, 29_999)
    engine = MediaEngine(HOST, ports, on_error=errors.append)
    bad = engine.open(LOOPBACK, Told())
    one, _, two, _ = pair(engine)

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(bad, "check", fail)
    monkeypatch.setattr(bad, "farewell", fail)
    one.play(Clip(TONE), is_looped=True)
    assert TONE[:160] in await frames(two, 75)
    assert errors
    engine.close_leg(bad)
    assert ports.taken == 2
    engine.close()
    assert ports.taken == 0


async def test_too_few_descriptors_cost_no_ports(
    engine: MediaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that may open no more sockets refuses a call; once it may again, ports are left
    for the next."""
    small = MediaEngine(HOST, PortPool(30_020, 30_027))

    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as full, pytest.raises(OSError, match="too many"):
        full.setattr(socket, "socket", refuse)
        small.open(LOOPBACK, Told())
    legs = [small.open(LOOPBACK, Told()) for _ in range(3)]
    assert len({each.port for each in legs}) == 3
    small.close()


async def test_a_leg_that_cannot_be_watched_costs_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that refuses to watch one more socket refuses the call, and the ports are left."""
    ports = PortPool(30_030, 30_033)
    small = MediaEngine(HOST, ports)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "too many watches")

    with monkeypatch.context() as full, pytest.raises(OSError, match="watches"):
        full.setattr(small, "_register", refuse)
        small.open(LOOPBACK, Told())
    assert (ports.taken, len(small)) == (0, 0)
    small.close_leg(small.open(LOOPBACK, Told()))
    small.close()


def test_a_full_disk_leaves_a_file_that_can_be_heard(tmp_path: Path) -> None:
    """What fitted is there, and the head of the file says how much that is."""
    path = tmp_path / "call.wav"
    writer = WavWriter(path)
    room = HEADER_BYTES + 160 * 3 + 41
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        for _ in range(5):
            writer.append(TONE[:160])
        writer.finish(TONE[:160])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(writer.error, OSError)
    data = path.read_bytes()
    assert data[:HEADER_BYTES] == wav_header(len(data) - HEADER_BYTES)
    assert data[HEADER_BYTES:] == TONE[:480]


async def test_what_the_disk_refuses_is_told(engine: MediaEngine, tmp_path: Path) -> None:
    """A recording that could not be written says so; the call goes on."""
    one, _, two, _ = pair(engine)
    recording = engine.record(two, tmp_path / "nowhere" / "call.wav", 60.0)
    one.play(Clip(TONE), is_looped=True)
    await frames(two, 10)
    with pytest.raises(FileNotFoundError):
        await recording.finish()
    assert recording.is_full
    assert TONE[:160] in await frames(two, 10)


async def test_a_disk_that_hangs_costs_one_recording(
    engine: MediaEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for it is bounded; the recording says that it is not whole, and what was written
    before can be heard."""
    written, goes_on = threading.Semaphore(0), threading.Event()
    append = WavWriter.append

    def hang(writer: WavWriter, data: bytes) -> None:
        if data == TONE[:160] * CHUNK_FRAMES:
            assert goes_on.wait(20)
        append(writer, data)
        written.release()

    monkeypatch.setattr(WavWriter, "append", hang)
    leg = engine.open(LOOPBACK, Told())
    recording = engine.record(leg, tmp_path / "call.wav", 3600.0)
    for _ in range(CHUNK_FRAMES):
        recording(bytes(160))
    for _ in range(2):
        assert await asyncio.to_thread(written.acquire, timeout=20)
    for _ in range((MAX_WAITING_CHUNKS + 2) * CHUNK_FRAMES):
        recording(TONE[:160])
    assert recording.is_full
    goes_on.set()
    with pytest.raises(OSError, match="keep up"):
        await recording.finish()
    data = (tmp_path / "call.wav").read_bytes()
    assert data == wav_header(CHUNK_FRAMES * 160) + bytes(CHUNK_FRAMES * 160)


async def test_the_end_of_all_calls_waits_for_recordings(tmp_path: Path) -> None:
    """A process that is stopped leaves whole files."""
    engine = MediaEngine(HOST, PortPool(20_000, 29_999))
    leg = engine.open(LOOPBACK, Told())
    recording = engine.record(leg, tmp_path / "call.wav", 60.0)
    for _ in range(CHUNK_FRAMES + 7):
        recording(TONE[:160])
    engine.close()
    assert len(read((tmp_path / "call.wav").read_bytes()).samples) == (CHUNK_FRAMES + 7) * 160
    assert await recording.finish() == pytest.approx((CHUNK_FRAMES + 7) * 0.02)


def test_the_head_of_a_recording() -> None:
    """A reader finds the samples behind it; a buffer takes no more than its limit."""
    assert len(wav_header(0)) == 58
    assert len(read(wav_header(4) + bytes(4)).samples) == 4
    buffer = FrameBuffer(0.05)
    for _ in range(5):
        buffer(bytes(160))
    assert buffer.is_full and buffer.octets == 320 and buffer.seconds == 0.04
    assert len(buffer.take()) == 320 and buffer.take() == b""
