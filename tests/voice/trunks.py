"""Trunk sets on loopback, for tests: ours and, as the far end, another of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import numpy as np
from msgspec.structs import replace

from config.settings import Settings, TrunkSettings, VoiceSettings
from gateway.voice.call_events import CallEvent
from gateway.voice.calls import TrunkCall
from gateway.voice.trunk import Trunk
from gateway.voice.trunkset import TrunkSet
from protocols.audio.g711 import RATE, Law, decode, encode
from protocols.rtp.clip import Clip

HOST = "127.0.0.1"
PHONE = "+12125550123"
SHOP = "+12125550100"
PATIENCE_S = 10.0
QUIET: dict[str, Any] = {"options_s": 0.0}
"""Of a trunk that sends nothing by itself."""
ACCOUNT: dict[str, Any] = {
    "user": "sample",
    "password": "secret",
    "register": True,
    "domain": "example.com",
}
"""Of a trunk that registers."""
T = TypeVar("T")


def settings(port: int, *, voice: VoiceSettings | None = None, **keys: Any) -> Settings:
    """Of one trunk `lab` to a port of this machine."""
    known: dict[str, Any] = {"host": HOST, "port": port, "caller_number": SHOP}
    trunk = TrunkSettings(name="lab", **(known | {"calls_per_s": 1_000.0} | keys))
    return replace(Settings(), trunks=(trunk,), voice=voice or on_any_port())


def on_any_port(**keys: Any) -> VoiceSettings:
    """Listening on free ports, sound in a range that leaves room for others."""
    known: dict[str, Any] = {"rtp_port_first": 20_000, "rtp_port_last": 29_999}
    return VoiceSettings(**(known | {"listen": f"{HOST}:0"} | keys))


@asynccontextmanager
async def running(
    of: Settings, *, on_incoming: Callable[[TrunkCall], None] | None = None, dns_port: int = 53
) -> AsyncIterator[TrunkSet]:
    """A started set; at its end no call, leg or connection is left."""
    made = TrunkSet(of, on_incoming=on_incoming, dns_port=dns_port)
    await made.start()
    try:
        for trunk in made:
            await trunk.looked.wait()
        yield made
    finally:
        await made.stop(asyncio.get_running_loop().time() + 5)
        assert len(made.media) == 0


def only(trunks: TrunkSet) -> Trunk:
    """The one trunk of a set."""
    (trunk,) = trunks
    return trunk


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so that no event tells of."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - a state that nobody announces
            await asyncio.sleep(0.005)


async def state_is(trunk: Trunk, state: str) -> None:
    """Wait for a state of a trunk."""
    await until(lambda: trunk.state().state == state)


async def next_of(call: TrunkCall, kind: type[T], seen: list[CallEvent] | None = None) -> T:
    """The next event of a kind; those before it go to `seen`."""
    async with asyncio.timeout(PATIENCE_S):
        async for event in call.events():
            if isinstance(event, kind):
                return event
            if seen is not None:
                seen.append(event)
    raise AssertionError(f"the call ended without {kind.__name__}: {call.end}")


class Answering:
    """Takes every call, plays a tone, and keeps what happened."""

    def __init__(self, tone_hz: float = 440.0) -> None:
        self.calls: list[TrunkCall] = []
        self.events: list[CallEvent] = []
        self.heard = Listener()
        self._tone = tone(tone_hz)
        self._news = asyncio.Event()

    def __call__(self, call: TrunkCall) -> None:
        self.calls.append(call)
        call.on_event = self._on_event
        call.ring()
        call.answer()
        call.leg.play(self._tone, is_looped=True)
        call.leg.add_tap(self.heard)

    def _on_event(self, event: CallEvent) -> None:
        self.events.append(event)
        self._news.set()

    async def told(self, kind: type[T]) -> T:
        """The first event of a kind, once it is there."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        return event
                self._news.clear()
                await self._news.wait()


class Listener:
    """Hears a leg: which tone is in it."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []

    def __call__(self, frame: bytes) -> None:
        self._frames.append(frame)

    @property
    def tone_hz(self) -> float:
        """The loudest frequency of the last 200 ms; 0 while there is not so much, or silence."""
        samples = decode(b"".join(self._frames[-10:]), Law.ULAW).astype(float)
        if len(samples) < 1_600 or np.abs(samples).max() < 500:
            return 0.0
        return float(np.abs(np.fft.rfft(samples)).argmax()) * RATE / len(samples)


def tone(frequency: float, seconds: float = 1.0) -> Clip:
    """A sine."""
    moments = np.arange(int(seconds * RATE)) / RATE
    wave = 8_000 * np.sin(2 * np.pi * frequency * moments)
    return Clip(encode(wave.astype(np.int16), Law.ULAW))
