"""Speech: a text in, telephone audio out, by the first engine that can."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from tts.cache import Cache
from tts.engine import (
    MAX_AUDIO_S,
    MAX_TEXT_CHARS,
    PHONE_AUDIO_VERSION,
    PHONE_RATE,
    Attempt,
    Engine,
    EngineError,
    NotSpoken,
    Pcm,
    SpeechError,
    TelephoneEngine,
    TextRefused,
    TooLong,
    Voice,
)
from tts.guard import guarded
from tts.normalize import UnspeakableText, UnspeakablyLong, normalizing
from tts.skipping import EngineHealth, Skipping
from tts.steps import Steps, T
from tts.turns import Turns

if TYPE_CHECKING:
    from protocols.audio.g711 import Law

ENGINE_TIMEOUT_S: Final = 90.0
"""What an engine may take at most, waiting for its turn included. Engines of ours give up
earlier."""

_MAX_OCTETS: Final = int((MAX_AUDIO_S + 1) * PHONE_RATE)
"""With the silence before and after it."""

Normalizing = Callable[[str, str, Mapping[str, str]], Steps[str]]


@dataclass(frozen=True, slots=True)
class Utterance:
    """What to say, and by what."""

    text: str
    lexicon: Mapping[str, str] = field(default_factory=dict)
    """The shop's {written: spoken}."""
    language: str = "en"
    """A language, as "en"; a region after a hyphen is ignored."""
    engines: tuple[str, ...] = ("pico",)
    """The order in which they are tried."""
    allowed: frozenset[str] | None = None
    """The engines that may have the text; None: those that keep it on this machine."""
    voice: str = ""
    """`engine:voice`; other engines, and other languages, use their default."""
    law: str = "ulaw"
    """Of G.711, as `protocols.audio.g711.Law` names them."""
    is_words: bool = False
    """Whether the text is words already, as `normalize` writes them: it is not read once more."""


@dataclass(frozen=True, slots=True)
class Audio:
    """Speech as it goes over the telephone: G.711 at 8 kHz."""

    data: bytes
    law_name: str
    engine: str
    voice: str
    script: str
    """What was spoken, in words."""
    key: str
    """Where the cache has it."""
    is_cached: bool

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return len(self.data) / PHONE_RATE

    @property
    def law(self) -> Law:
        """Of G.711. Loads numpy, as `wav` does."""
        from protocols.audio.g711 import Law

        return Law(self.law_name)

    def wav(self) -> bytes:
        """A file of 16-bit PCM, to be heard elsewhere."""
        from protocols.audio import g711, wav

        return wav.write(g711.decode(self.data, self.law), g711.RATE)


class Speech:
    """All engines, their cache, and who is tried when.

    `normalizing(text, language, lexicon)` turns a text into words. `clock` is monotonic.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        cache: Cache,
        *,
        normalizing: Normalizing = normalizing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engines = {engine.name: engine for engine in engines}
        if len(self._engines) != len(engines):
            raise ValueError("two engines have one name")
        self._cache = cache
        self._normalizing = normalizing
        self._skipping = Skipping(list(self._engines), clock)
        self._turns = Turns()
        self._threads = ThreadPoolExecutor(1, "speech")

    async def start(self) -> None:
        """Open the cache. Engines start when they are first used."""
        await self._cache.start()

    async def close(self) -> None:
        """End what runs, and close the engines and the cache."""
        await self._cache.close()
        closings = (engine.close() for engine in self._engines.values())
        await asyncio.gather(*closings, return_exceptions=True)
        self._threads.shutdown(wait=False)  # what it still does touches nothing

    def voices(self, allowed: frozenset[str] | None = None) -> tuple[Voice, ...]:
        """The voices of the engines allowed."""
        return tuple(
            voice
            for engine in self._engines.values()
            if _is_allowed(engine, allowed)
            for voice in engine.voices
        )

    def health(self) -> tuple[EngineHealth, ...]:
        """How the engines do."""
        return self._skipping.health()

    async def say(self, said: Utterance) -> Audio:
        """Speak, by the first engine of the order that is allowed and can.

        Raises TextRefused, also for what speaks too long, and NotSpoken with every engine that did
        not speak and why.
        """
        language = said.language.split("-")[0].lower()
        script = await self.read(_reading(said, language, self._normalizing))
        attempts: list[Attempt] = []
        is_too_long = False
        for name in dict.fromkeys(said.engines):
            try:
                engine, voice = self._choose(name, said, language)
                key = cache_key(engine, voice, said.law, script)
                render = partial(self._render, engine, voice, said.law, script)
                data, is_cached = await self._cache.fetch(key, render)
            except EngineError as error:
                failed = Attempt(name, str(error), error.is_temporary, error.retry_after_s)
                attempts.append(failed)
                is_too_long = is_too_long or isinstance(error, TooLong)
            else:
                return Audio(data, said.law, name, str(voice), script, key, is_cached)
        if is_too_long and not any(each.is_temporary for each in attempts):
            raise TextRefused("too-long", f"the text takes more than {MAX_AUDIO_S:.0f} s to say")
        raise NotSpoken(attempts)

    async def read(self, work: Steps[T]) -> T:
        """Work on texts that others want done too, without holding up the event loop."""
        return await self._turns.do(work)

    def _choose(self, name: str, said: Utterance, language: str) -> tuple[Engine, Voice]:
        engine = self._engines.get(name)
        if engine is None:
            raise EngineError("is not set up", is_temporary=False)
        if not _is_allowed(engine, said.allowed):
            raise EngineError("may not have this text", is_temporary=False)
        fit = [voice for voice in engine.voices if voice.language == language]
        if not fit:
            raise EngineError(f"has no voice for {language[:8]!r}", is_temporary=False)
        return engine, next((voice for voice in fit if str(voice) == said.voice), fit[0])

    async def _render(self, engine: Engine, voice: Voice, law: str, script: str) -> bytes:
        """Have an engine speak, unless it is skipped, and keep account of how it did."""
        if (wait_s := self._skipping.wait_s(engine.name)) is not None:
            message = f"is skipped for {wait_s:.0f} s after failures"
            raise EngineError(message, retry_after_s=wait_s)
        try:
            data = await self._spoken(engine, voice, law, script)
        except EngineError as error:
            self._skipping.failed(engine.name, error)
            raise
        except BaseException:
            self._skipping.left(engine.name)
            raise
        self._skipping.succeeded(engine.name)
        return data

    async def _spoken(self, engine: Engine, voice: Voice, law: str, script: str) -> bytes:
        try:
            async with asyncio.timeout(ENGINE_TIMEOUT_S):
                if isinstance(engine, TelephoneEngine):
                    return _checked(await engine.telephone(script, voice, law))
                pcm = await engine.synthesize(script, voice)
            if pcm.duration_s > MAX_AUDIO_S:
                raise TooLong
            loop, work = asyncio.get_running_loop(), (pcm, engine.pre_emphasis, law)
            return await loop.run_in_executor(self._threads, _telephone, *work)
        except SpeechError as error:
            if isinstance(error, EngineError):
                raise
            raise EngineError(str(error), is_temporary=False) from None
        except TimeoutError:
            raise EngineError(f"took over {ENGINE_TIMEOUT_S:g} s") from None
        except Exception as error:  # an engine of a third party; its words may hold the text
            raise EngineError(f"failed ({type(error).__name__})") from None


def _reading(said: Utterance, language: str, normalizing: Normalizing) -> Steps[str]:
    """The words that an engine is given. Raises TextRefused, and the lexicon's own errors."""
    if said.is_words:
        return guarded(said.text)
    if len(said.text) > MAX_TEXT_CHARS:
        raise TextRefused("too-long")
    if not said.text.strip():
        raise TextRefused("empty")
    try:
        words = yield from normalizing(said.text, language, said.lexicon)
    except UnspeakablyLong as error:
        raise TextRefused("too-long", f"the text {error}") from None
    except UnspeakableText as error:
        raise TextRefused("not-understood", str(error)) from None
    return guarded(words or "?")


def cache_key(engine: Engine, voice: Voice, law: str, script: str) -> str:
    """What the audio follows from: not the shop, not the phone, not how the words were found."""
    fields = (
        PHONE_AUDIO_VERSION,
        engine.name,
        engine.fingerprint,
        repr(engine.pre_emphasis),
        voice.id,
        str(law),
        script,
    )
    digest = hashlib.sha256()
    for each in fields:
        data = each.encode()
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()


def _is_allowed(engine: Engine, allowed: frozenset[str] | None) -> bool:
    return not engine.is_remote if allowed is None else engine.name in allowed


def _checked(octets: bytes) -> bytes:
    """What an engine says is telephone audio, if it may be. Raises EngineError."""
    if not isinstance(octets, bytes) or not octets:
        raise EngineError("answered with no audio")
    if len(octets) > _MAX_OCTETS:
        raise TooLong
    return octets


def _telephone(pcm: Pcm, pre_emphasis: float, law: str) -> bytes:
    """For an engine of a third party, which brought numpy into this process before."""
    from protocols.audio import g711
    from tts.phone_audio import to_phone

    return g711.encode(to_phone(pcm, pre_emphasis), g711.Law(law))
