"""A process is killed with -9 while its calls are up: nobody pays for calls that nobody hears."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from gateway.voice.call_events import Answered, CallEnd
from gateway.voice.trunkset import TrunkSet
from protocols.rtp.events import MediaStarted
from protocols.sip import events as sip_events
from protocols.sip.call_tables import CallState
from protocols.sip.core import Config
from protocols.sip.endpoint import UserAgent
from protocols.sip.events import EndCause, Event
from protocols.sip.fields import Body
from protocols.sip.flow import Hop, Transport
from protocols.sip.randomness import SystemRandomness
from tests.voice.trunks import HOST, PHONE, Answering, next_of, on_any_port, only, running, settings
from tests.voice.trunks import until as eventually

pytestmark = pytest.mark.crash

_ROOT = Path(__file__).parents[2]
CALLS = 5
FIRST_PORT, LAST_PORT = 31_000, 31_099
"""Of the sound of the process that is killed."""


def written(folder: Path, far_port: int, transport: str = "udp") -> Path:
    """Settings of one trunk to a far end."""
    config = folder / "gateway.toml"
    config.write_text(
        f'[voice]\nlisten = "{HOST}:0"\nrtp_port_first = {FIRST_PORT}\n'
        f"rtp_port_last = {LAST_PORT}\n"
        f'[[trunks]]\nname = "lab"\nhost = "{HOST}"\nport = {far_port}\n'
        f'transport = "{transport}"\ncaller_number = "+12125550100"\n'
        "options_s = 0\ncalls_per_s = 1000\n",
        encoding="utf-8",
    )
    return config


@asynccontextmanager
async def process(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process of these words, killed at the end if it lives."""
    made = await asyncio.create_subprocess_exec(
        sys.executable, *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, cwd=_ROOT,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield made
    finally:
        if made.returncode is None:
            await kill(made)


async def kill(running: asyncio.subprocess.Process) -> None:
    """With -9; nothing of its session remains."""
    running.kill()
    async with asyncio.timeout(10):
        await running.wait()
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, signal.SIG_DFL)


async def line(of: asyncio.subprocess.Process) -> str:
    """The next line that a process prints."""
    assert of.stdout is not None
    async with asyncio.timeout(20):
        return (await of.stdout.readline()).decode().strip()


def free_ports() -> list[int]:
    """Ports of sound that nobody has."""
    found = []
    for port in range(FIRST_PORT, LAST_PORT + 1):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((HOST, port))
                found.append(port)
            except OSError:
                continue
    return found


def ending(there: TrunkSet) -> bool:
    """Whether each call of a far end is being ended by itself, or is over."""
    states = [call.sip.state for call in only(there).calls if call.sip is not None]
    return all(state in (CallState.ENDING, CallState.ENDED) for state in states)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_the_far_end_of_killed_calls_ends_them_for_their_silence(
    transport: str, tmp_path: Path
) -> None:
    """Both those that we made and those that we took; once we are there again it learns at once
    that nobody knows them, and nothing of them is left on either side."""
    answering = Answering()
    far = settings(1, media_lost_s=1.0, options_s=0.0, transport=transport)
    async with running(far, on_incoming=answering) as there:
        config = written(tmp_path, there.port, transport)
        async with process("-m", "tests.voice.calling", str(config), str(CALLS)) as killed:
            port = int(await line(killed))
            assert [await line(killed) for _ in range(CALLS)] == ["up"] * CALLS
            async with running(
                settings(port, media_lost_s=1.0, options_s=0.0, transport=transport)
            ) as caller:
                theirs = [only(caller).call(PHONE) for _ in range(CALLS)]
                for call in theirs:
                    await next_of(call, Answered)
                assert [await line(killed) for _ in range(CALLS)] == ["up"] * CALLS
                assert (len(there.media), len(caller.media)) == (CALLS, CALLS)

                await kill(killed)
                assert len(free_ports()) == LAST_PORT - FIRST_PORT + 1
                await eventually(lambda: ending(there) and ending(caller))

                again = settings(
                    there.port,
                    options_s=0.0,
                    transport=transport,
                    voice=on_any_port(listen=f"{HOST}:{port}"),
                )
                async with running(again) as restarted:
                    for call in [*answering.calls, *theirs]:
                        async with asyncio.timeout(10):
                            end = await call.wait_ended()
                        assert end.cause is EndCause.LOCAL
                        assert end.problem == "no sound came for long"
                    assert (len(there.media), len(caller.media)) == (0, 0)
                    assert (only(there).calls, only(caller).calls) == (set(), set())
                    assert (only(restarted).calls, len(restarted.media)) == (set(), 0)
                    assert only(restarted).room == only(restarted).settings.max_calls


class FarAgent(asyncio.DatagramProtocol):
    """A far end over UDP that knows session timers and does not listen for silence: takes every
    call; `later` lets its time pass."""

    def __init__(self) -> None:
        self.agent = UserAgent(Config(session_expires_s=1_800), SystemRandomness())
        self.events: list[Event] = []
        self.sent: list[bytes] = []
        self.port = 0
        self._passed_s = 0.0
        self._news = asyncio.Event()
        self._socket: asyncio.DatagramTransport

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() + self._passed_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]
        self.agent.set_local(Transport.UDP, HOST, self.port)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data.strip():
            self._take(self.agent.receive(data, Hop(Transport.UDP, *addr), self.now))

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self._passed_s += seconds
        self._take(self.agent.handle_timer(self.now))

    async def told(self, kind: type[Event]) -> Event:
        """Wait for an event of a kind."""
        async with asyncio.timeout(20):
            while not (found := [each for each in self.events if isinstance(each, kind)]):
                self._news.clear()
                await self._news.wait()
        return found[0]

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, sip_events.IncomingCall):
                event.call.answer(self.now, Body("application/sdp", SOUND.encode()))
        self.events += [*events, *self.agent.handle_timer(self.now)]
        self._news.set()
        for out in self.agent.data_to_send():
            self.sent.append(out.data)
            self._socket.sendto(out.data, (out.hop.host, out.hop.port))


SOUND = "\r\n".join(
    ["v=0", f"o=- 1 1 IN IP4 {HOST}", "s=-", f"c=IN IP4 {HOST}", "t=0 0",
     "m=audio 39998 RTP/AVP 0", "a=sendrecv", ""]
)  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_call_of_an_operator_whose_command_is_ended_is_hung_up(
    number: signal.Signals, tmp_path: Path
) -> None:
    """By `timeout`, or because the terminal is closed: nobody is left with a silent phone."""
    answering = Answering()
    async with running(settings(1, options_s=0.0), on_incoming=answering) as there:
        config = written(tmp_path, there.port)
        words = ("trunk", "call", "lab", PHONE, "--wait", "600", "--config", str(config))
        async with process("-m", "gateway", *words) as ended:
            await answering.told(MediaStarted)
            ended.send_signal(number)
            assert (await answering.told(CallEnd)).cause is EndCause.REMOTE
            async with asyncio.timeout(10):
                assert await ended.wait() == 0


async def test_the_far_end_of_a_killed_call_ends_it_when_the_session_expires(
    tmp_path: Path,
) -> None:
    """Of `gateway trunk call`, at a far end that does not mind silence: half an hour is the most
    that a call can outlive us (RFC 4028)."""
    loop = asyncio.get_running_loop()
    transport, far = await loop.create_datagram_endpoint(FarAgent, local_addr=(HOST, 0))
    try:
        config = written(tmp_path, far.port)
        words = ("trunk", "call", "lab", PHONE, "--wait", "600", "--config", str(config))
        async with process("-m", "gateway", *words) as killed:
            await far.told(sip_events.Confirmed)
            await kill(killed)
        assert len(far.agent.calls) == 1
        far.later(900.0)
        assert far.sent[-1].startswith((b"UPDATE ", b"INVITE ")), "the refresh at half the time"
        far.later(32.0)
        assert far.sent[-1].startswith(b"BYE ")
        far.later(32.0)  # nobody answers it
        end = await far.told(sip_events.Ended)
        assert isinstance(end, sip_events.Ended)
        assert end.cause is EndCause.TIMEOUT
        assert not far.agent.calls
    finally:
        transport.close()
