"""Speech as the gateway uses it: composed when somebody first speaks, closed in order at the end.

A gateway that never speaks loads no engine and opens no cache; one that does has its worker
processes load them, and numpy.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.voice.engines import Built, Count, build, counted

if TYPE_CHECKING:
    import aiohttp

    from config.settings import Settings
    from config.speech import SpeechSettings
    from gateway.store.records import ShopSpeech
    from tts.cache import Cache
    from tts.decoder import Decoder
    from tts.engine import Engine
    from tts.speech import Audio, Speech, Utterance

log = logging.getLogger(__name__)

FOLDER: Final = "speech"
"""Where speech is kept, in the data folder. Nothing of speech is written anywhere else."""


SWITCH_S: Final = 0.001
"""How long a thread may keep the interpreter from the event loop once somebody speaks. What speaks
is loaded in one; by Python's default, of 5 ms, the loop would wait so long for each turn."""


def folder_of(settings: Settings) -> Path:
    """The folder for speech of these settings."""
    return settings.store.data_dir / FOLDER


def _uncounted(_engine: str, _seconds: float, _is_error: bool) -> None:
    """For who wants no figures."""


@dataclass(slots=True)
class Parts:
    """What speaks."""

    speech: Speech
    cache: Cache
    built: Built
    decoder: Decoder
    session: aiohttp.ClientSession


class SpeechDesk:
    """Speaks for shops, each by its own engines. `folder` None: keeps speech in memory alone."""

    def __init__(
        self, settings: SpeechSettings, folder: Path | None, count: Count = _uncounted
    ) -> None:
        """`count` is told of each text that an engine had."""
        self.settings = settings
        self._folder = folder
        self._count = count
        self._opening: asyncio.Task[Parts] | None = None

    async def open(self) -> Parts:
        """What speaks, made the first time. Who goes away meanwhile leaves it to the next."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._compose(), name="speech")
        opening = self._opening
        try:
            return await asyncio.shield(opening)
        except Exception:
            if self._opening is opening:
                self._opening = None
            raise

    async def close(self) -> None:
        """End what was opened: engines and cache, then what they work with."""
        opening, self._opening = self._opening, None
        if opening is None:
            return
        (parts,) = await asyncio.gather(opening, return_exceptions=True)
        if isinstance(parts, Parts):
            await parts.speech.close()
            await parts.decoder.close()
            await parts.session.close()

    async def say(
        self, text: str, language: str, shop: ShopSpeech, *, is_words: bool = False
    ) -> Audio:
        """Speak a text as the shop wants it. `is_words`: it is words already, as a script has them.

        Raises TextRefused, and NotSpoken with every engine that did not speak and why.
        """
        parts = await self.open()
        engines = parts.built.engines
        said = utterance(text, language, shop, self.settings, engines, is_words=is_words)
        return await parts.speech.say(said)

    async def _compose(self) -> Parts:
        """Load what is needed in a thread, since that takes a tenth of a second."""
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_S))
        await asyncio.to_thread(_load)
        import aiohttp

        from tts.cache import Cache
        from tts.decoder import Decoder
        from tts.speech import Speech

        settings = self.settings
        session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        decoder = Decoder()
        try:
            built = await asyncio.to_thread(build, settings, session, decoder)
            for breach in built.faults.values():
                log.error("speech: %s", breach.problem)
            cache = Cache(
                self._folder, max_bytes=settings.cache_max_bytes, ttl_s=settings.cache_ttl_s
            )
            speech = Speech([counted(engine, self._count) for engine in built.engines], cache)
            await speech.start()
        except BaseException:
            await session.close()
            raise
        return Parts(speech, cache, built, decoder, session)


def _load() -> None:
    """Import what speaks, and make the tables of its languages.

    No library in C is among them: the loader of such lets nobody go on until it is through.
    """
    for module in ("tts.speech", "tts.cache", "tts.decoder", "gateway.voice.script", "aiohttp"):
        importlib.import_module(module)
    normalize = importlib.import_module("tts.normalize")
    for language in normalize.LANGUAGES:
        normalize.rules(language)


def allowed_engines(shop: ShopSpeech, engines: list[Engine]) -> frozenset[str]:
    """Those that may have the shop's texts: engines on this machine, and those it allows."""
    mine = (each.name for each in engines if not each.is_remote or each.name in shop.allowed)
    return frozenset(mine)


def utterance(
    text: str,
    language: str,
    shop: ShopSpeech,
    settings: SpeechSettings,
    engines: list[Engine],
    *,
    is_words: bool = False,
) -> Utterance:
    """What `Speech.say` is asked for a shop."""
    from tts.speech import Utterance

    return Utterance(
        text,
        language=language,
        engines=shop.engines or settings.engines,
        allowed=allowed_engines(shop, engines),
        voice=shop.voice or "",
        is_words=is_words,
    )


def spoken_by(shop: ShopSpeech, engine: str | None, voice: str | None) -> ShopSpeech:
    """As the shop is spoken, but by this engine alone and this voice, where they are named."""
    if engine is not None:
        shop = replace(shop, engines=(engine,))
    return shop if voice is None else replace(shop, voice=voice)
