"""Messages spoken to be looked at: the script, the speech, and a link to hear it.

It is bounded: so many new texts a minute for each shop, and so many at a time for all, of which
each shop has its share, from the reading of the text on. Many previews of one text are one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakValueDictionary

from gateway.errors import Refusal
from gateway.voice.lexicons import Lexicons
from gateway.voice.links import BadLink, LinkExpired, Links, read_secret
from gateway.voice.quota import Quota
from gateway.voice.refusals import faulty, told
from gateway.voice.sharing import SharedTurns
from gateway.voice.speech import SpeechDesk, folder_of
from gateway.voice.voices import VoiceReport, report

if TYPE_CHECKING:
    from config.settings import Settings
    from gateway.model import Category
    from gateway.store.database import Database
    from gateway.store.records import Shop
    from gateway.voice.engines import Count
    from gateway.voice.script import Script
    from tts.speech import Audio
    from tts.steps import Steps

log = logging.getLogger(__name__)

_GONE: Final = "post the preview again for a new link"


@dataclass(frozen=True, slots=True)
class SpokenPreview:
    """A message as a person would hear it.

    `script` is for reading, a part a line; `spoken` is what the engine was given. `voicemail`: the
    script that would be left on a voicemail, None where `why_no_voicemail` says why there is none.
    """

    script: str
    spoken: str
    language: str
    engine: str
    voice: str
    duration_s: float
    token: str
    expires_ms: int
    voicemail: str | None = None
    why_no_voicemail: str | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a preview is of."""

    shop: Shop
    text: str
    category: Category
    language: str

    def digest(self) -> bytes:
        """The same for previews that are the same."""
        shop = self.shop
        said_by = (shop.id, shop.name, shop.main_phone, shop.speech)
        said = (*said_by, self.text, self.category, self.language)
        return sha256(repr(said).encode()).digest()


class _Heard(NamedTuple):
    """What became of it: the script, the voicemail or why there is none, the speech."""

    script: str
    voicemail: str | None
    why_no_voicemail: str | None
    audio: Audio


class Recording:
    """Speech that is listened to, in memory once for all who do."""

    __slots__ = ("__weakref__", "lock", "wav")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.wav = b""


class Previews:
    """Speaks what may be sent."""

    def __init__(
        self,
        desk: SpeechDesk,
        database: Database,
        folder: Path | None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folder` holds the secret of the links; `clock` tells calendar time."""
        settings = desk.settings
        self._desk = desk
        self._settings = settings
        self._lexicons = Lexicons(database)
        self._folder = folder
        self._clock = clock
        self._monotonic = monotonic
        self._secret: bytes | None = None
        self._quota = Quota(settings.previews_per_minute)
        bounds = settings.previews_at_once, settings.previews_waiting_max
        self._turns = SharedTurns(*bounds, settings.preview_timeout_s)
        self._flights: dict[bytes, asyncio.Task[_Heard]] = {}
        self._listened_to: WeakValueDictionary[str, Recording] = WeakValueDictionary()

    @classmethod
    def of(cls, settings: Settings, database: Database, count: Count) -> Previews:
        """Those of a node, with a desk of their own."""
        folder = folder_of(settings)
        return cls(SpeechDesk(settings.speech, folder, count), database, folder)

    async def close(self) -> None:
        """Stop rendering, and close the desk."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        await self._desk.close()

    async def preview(
        self,
        shop: Shop,
        text: str,
        category: Category,
        language: str | None,
        *,
        is_left: bool,
        is_operator: bool,
    ) -> SpokenPreview:
        """Speak a message of a shop as a call would.

        `is_left`: whether the message would be left on a voicemail. Raises Refusal; to the operator
        alone with what engines say of their failures.
        """
        spoken_in = language or shop.speech.language or self._settings.language
        with told(is_operator=is_operator):
            asked = _Asked(shop, text, category, spoken_in)
            script, left, why, audio = await self._hear(asked)
        links = await self._open_links()
        expires_s = int(self._clock() + self._settings.link_s)
        return SpokenPreview(
            script=script,
            spoken=audio.script,
            language=spoken_in,
            engine=audio.engine,
            voice=audio.voice,
            duration_s=round(audio.duration_s, 2),
            token=links.make(audio.key, expires_s),
            expires_ms=expires_s * 1000,
            voicemail=left if is_left else None,
            why_no_voicemail=why if is_left else None,
        )

    async def listen(self, token: str) -> Recording:
        """What a link leads to. Raises Refusal `not-found`."""
        try:
            key = (await self._open_links()).read(token, self._clock())
        except BadLink:
            raise Refusal("not-found", "There is no such link.") from None
        except LinkExpired:
            raise Refusal("not-found", "The link has expired.", hint=_GONE) from None
        if (recording := self._listened_to.get(key)) is None:
            recording = self._listened_to[key] = Recording()
        async with recording.lock:
            if not recording.wav:
                content = await (await self._desk.open()).cache.find(key)
                if content is None:
                    raise Refusal("not-found", "The speech is not kept any more.", hint=_GONE)
                recording.wav = await asyncio.to_thread(_wav, content)
        return recording

    async def voices(self, shop: Shop | None) -> VoiceReport:
        """The voices that a shop may use, or all there are, and how the engines do."""
        parts = await self._desk.open()
        speech = None if shop is None else shop.speech
        return report(parts.built, self._settings, speech, parts.speech.health())

    async def _hear(self, asked: _Asked) -> _Heard:
        """The speech; one task makes it for all who ask for the same."""
        wanted = asked.digest()
        flight = self._flights.get(wanted)
        if flight is None:
            is_new = self._quota.take(asked.shop.id, wanted, self._monotonic())
            flight = asyncio.create_task(self._fly(asked, wanted, is_new), name="preview")
            self._flights[wanted] = flight
            flight.add_done_callback(_look)
        try:
            async with asyncio.timeout(self._settings.preview_timeout_s):
                return await asyncio.shield(flight)
        except TimeoutError:
            raise Refusal("unavailable", "No engine has spoken in time.", retry_after_s=5) from None

    async def _fly(self, asked: _Asked, wanted: bytes, is_new: bool) -> _Heard:
        """Make the speech in a turn of the shop's. `is_new`: it was counted for it."""
        shop = asked.shop
        is_begun = False
        try:
            async with self._turns.turn(shop.id):
                is_begun = True
                script, left, why = await self._read(asked)
                words, language = script.spoken, asked.language
                audio = await self._desk.say(words, language, shop.speech, is_words=True)
            return _Heard(script.text, left, why, audio)
        except BaseException:
            if is_begun:
                self._quota.forget(shop.id, wanted)
            elif is_new:
                self._quota.give_back(shop.id, wanted)
            raise
        finally:
            del self._flights[wanted]

    async def _read(self, asked: _Asked) -> tuple[Script, str | None, str | None]:
        """The script, and what is left on a voicemail or why nothing."""
        lexicon = await self._lexicons.of(asked.shop)
        speech = (await self._desk.open()).speech
        script = await speech.read(_script(asked, lexicon))
        _require_short(script.spoken)
        return script, *_voicemail(asked)

    async def _open_links(self) -> Links:
        """Links signed with the secret that the folder has now: who deletes it ends them all."""
        try:
            if self._folder is not None or self._secret is None:
                self._secret = await asyncio.to_thread(read_secret, self._folder)
        except OSError as error:
            if self._secret is None:
                log.error("links to previews work until the next start only: %s", error)
                self._secret = read_secret(None)
        return Links(self._secret)


def _script(asked: _Asked, lexicon: Mapping[str, str]) -> Steps[Script]:
    from gateway.voice.script import call_script

    return call_script(
        asked.shop.name,
        asked.text,
        callback=asked.shop.main_phone,
        category=asked.category,
        language=asked.language,
        lexicon=lexicon,
    )


def _voicemail(asked: _Asked) -> tuple[str | None, str | None]:
    """The script to leave, or why there is none. Its words are the call's: they need no reading."""
    from gateway.voice.script import ScriptError, as_lines, call_parts

    try:
        left = call_parts(
            asked.shop.name,
            asked.text,
            callback=asked.shop.main_phone,
            category=asked.category,
            language=asked.language,
            is_voicemail=True,
        )
    except ScriptError as error:
        return None, str(error)
    return as_lines(left), None


def _look(flight: asyncio.Task[_Heard]) -> None:
    """Nobody may be left to look at how it ended."""
    if not flight.cancelled():
        flight.exception()


def _require_short(words: str) -> None:
    from tts.engine import MAX_SPOKEN_CHARS

    if len(words) > MAX_SPOKEN_CHARS:
        problem = f"makes {len(words):,} spoken characters; a call has at most {MAX_SPOKEN_CHARS:,}"
        raise faulty("text", problem, "shorten it: numbers and prices take most")


def _wav(content: bytes) -> bytes:
    from tts.listening import ulaw_wav

    return ulaw_wav(content)
