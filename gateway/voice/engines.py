"""The engines that the settings name: made, or why they cannot be.

Nothing is imported before it is needed. Engines' libraries, and numpy, are loaded by worker
processes alone, but for those of engines elsewhere and of third parties.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeVar

from config.breach import Breach
from config.speech import SpeechSettings

if TYPE_CHECKING:
    import aiohttp

    from config.settings import Settings
    from tts.decoder import Decoder
    from tts.engine import Engine, Pcm, TelephoneEngine, Voice

_T = TypeVar("_T")

Count = Callable[[str, float, bool], None]
"""Told of each text that an engine had: its name, the seconds it took, whether it failed."""

EXTRAS: Final = {"piper": "piper", "gtts": "gtts"}
"""The extra that brings an engine's library, which is called like the library's module."""


_PICO_PLATFORMS: Final = ("linux", "win32")


@dataclass(slots=True)
class Built:
    """The engines that can be used, in the order of the settings, and why others cannot."""

    engines: list[Engine] = field(default_factory=list)
    faults: dict[str, Breach] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Tools:
    """What engines elsewhere need; None where an engine is only looked at."""

    speech: SpeechSettings
    session: aiohttp.ClientSession | None
    decoder: Decoder | None


def build(
    speech: SpeechSettings, session: aiohttp.ClientSession | None, decoder: Decoder | None
) -> Built:
    """Make every engine of the settings. Loads libraries: call it in a thread.

    No process and no connection is begun before an engine speaks. `session` and `decoder` None: to
    look at the engines alone.
    """
    built = Built()
    tools = _Tools(speech, session, decoder)
    for name in speech.engines:
        breach = _absence(name)
        if breach is None:
            try:
                built.engines.append(_MAKERS.get(name, _plugin)(name, tools))
                continue
            except Exception as error:
                breach = _reason(name, error)
        built.faults[name] = breach
    return built


def speech_breaches(settings: Settings) -> list[Breach]:
    """The engines of the settings that cannot be used here, and what to do about each.

    Pico where there is none for the system is no fault while nobody has asked for it.
    """
    if sys.platform not in _PICO_PLATFORMS and settings.speech.engines == SpeechSettings().engines:
        return []
    return list(build(settings.speech, None, None).faults.values())


def _absence(name: str) -> Breach | None:
    """Says what to install where the library of an engine is not."""
    module = "py_nanotts" if name == "pico" else EXTRAS.get(name)
    if module is None or find_spec(module) is not None:
        return None
    problem = f"{name} cannot be used: its library is not installed"
    if name == "pico":
        hint = "pip install py-nanotts (Linux and Windows), or use another engine"
    else:
        hint = f"pip install 'sms-voice-gateway[{EXTRAS[name]}]', or leave it out"
    return Breach(("speech", "engines"), problem, hint)


def _reason(name: str, error: Exception) -> Breach:
    key, hint = _KEYS.get(name, ("plugins", "see the package that brings it, or leave it out"))
    words = str(error) or type(error).__name__
    return Breach(("speech", key), f"{name} cannot be used: {words}", hint)


_KEYS: Final = {
    "piper": ("piper_voices", "name .onnx files with their .onnx.json, or installed packages"),
    "gtts": ("gtts_url", ""),
    "openai": ("openai_url", ""),
}


def _pico(_name: str, tools: _Tools) -> Engine:
    from tts.pico import PicoEngine

    return PicoEngine(workers=tools.speech.workers, timeout_s=tools.speech.timeout_s)


def _piper(_name: str, tools: _Tools) -> Engine:
    from tts.piper import PiperEngine

    speech = tools.speech
    return PiperEngine(
        speech.piper_voices, workers=speech.piper_workers, timeout_s=speech.piper_timeout_s
    )


def _gtts(_name: str, tools: _Tools) -> Engine:
    from tts.gtts import GttsEngine

    elsewhere: Any = (tools.session, tools.decoder)
    speech = tools.speech
    return GttsEngine(*elsewhere, base_url=speech.gtts_url, timeout_s=speech.remote_timeout_s)


def _openai(_name: str, tools: _Tools) -> Engine:
    from tts.openai import OpenaiEngine

    elsewhere: Any = (tools.session, tools.decoder)
    speech = tools.speech
    return OpenaiEngine(
        *elsewhere,
        base_url=speech.openai_url,
        model=speech.openai_model,
        voices=speech.openai_voices,
        api_key=speech.openai_api_key,
        audio_format=speech.openai_format,
        timeout_s=speech.remote_timeout_s,
    )


def _plugin(name: str, tools: _Tools) -> Engine:
    from tts.plugins import load

    return load(name, tools.speech.plugins.get(name, {}))


_MAKERS: Final[dict[str, Callable[[str, _Tools], Engine]]] = {
    "pico": _pico,
    "piper": _piper,
    "gtts": _gtts,
    "openai": _openai,
}


class Counted:
    """An engine whose work is told to `count(engine, seconds, is_error)`."""

    def __init__(self, engine: Engine, count: Count) -> None:
        self._engine = engine
        self._count = count
        self.name = engine.name
        self.fingerprint = engine.fingerprint
        self.is_remote = engine.is_remote
        self.pre_emphasis = engine.pre_emphasis
        self.voices = engine.voices

    async def synthesize(self, text: str, voice: Voice) -> Pcm:
        """Speak, and tell how that went."""
        return await self._counted(self._engine.synthesize(text, voice))

    async def close(self) -> None:
        """End what the engine runs."""
        await self._engine.close()

    async def _counted(self, speaking: Awaitable[_T]) -> _T:
        start = time.monotonic()
        is_error = True
        try:
            spoken = await speaking
            is_error = False
            return spoken
        finally:
            self._count(self.name, time.monotonic() - start, is_error)


class CountedTelephone(Counted):
    """The same for an engine that makes telephone audio itself."""

    def __init__(self, engine: TelephoneEngine, count: Count) -> None:
        super().__init__(engine, count)
        self._telephone = engine.telephone

    async def telephone(self, text: str, voice: Voice, law: str) -> bytes:
        """Speak, and tell how that went."""
        return await self._counted(self._telephone(text, voice, law))


def counted(engine: Engine, count: Count) -> Counted:
    """An engine that tells of its work, and can whatever it could before."""
    from tts.engine import TelephoneEngine

    if isinstance(engine, TelephoneEngine):
        return CountedTelephone(engine, count)
    return Counted(engine, count)
