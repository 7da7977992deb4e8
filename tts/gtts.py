"""The voice of Google Translate, by the gTTS library's knowledge of its protocol.

An unofficial service: who uses it answers for its terms, and the text leaves for Google, so it
speaks only for shops that allow that. The library makes the requests' bodies; it is not let near
the network, since it verifies no certificate and waits without end.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import aiohttp

from tts import remote
from tts.decoder import Decoder
from tts.engine import EngineError, Pcm, Voice
from tts.steps import Steps
from tts.turns import Turns

MAX_PART_CHARS: Final = 100
MAX_ANSWER_BYTES: Final = 1 << 20
"""A part of 100 characters takes 100 to 200 KB."""

_STEP_CHARS: Final = 1 << 15
"""Of base 64, a multiple of four: decoded in one step, in a fraction of a millisecond."""

_PATH: Final = "_/TranslateWebserverUi/data/batchexecute"
_BEGIN: Final = b'jQ1olc","[\\"'
_END: Final = b'\\"]'
_SENTENCE_ENDS = re.compile(r"(?<=[.?!]) ")
_CLAUSE_ENDS = re.compile(r"(?<=,) ")


class GttsEngine:
    """Google Translate's voice in each of `languages`. The session is not closed with it.

    Raises ImportError when the library is not installed, ValueError for a bad address.
    """

    name = "gtts"
    is_remote = True
    pre_emphasis = 0.0

    def __init__(
        self,
        session: aiohttp.ClientSession,
        decoder: Decoder,
        *,
        base_url: str = "https://translate.google.com",
        languages: Sequence[str] = ("en", "es", "fr"),
        timeout_s: float = 10.0,
        parts_at_once: int = 4,
    ) -> None:
        import gtts

        logging.getLogger("gtts.tts").disabled = True  # it logs the text
        self._library: Any = gtts
        self._session = session
        self._decoder = decoder
        self._url = remote.parse_base(base_url) / _PATH
        self._timeout_s = timeout_s
        self._parts = asyncio.Semaphore(parts_at_once)
        self._turns = Turns()
        self.voices = tuple(Voice("gtts", each, each, "Google Translate") for each in languages)
        self.fingerprint = version("gTTS")

    async def synthesize(self, text: str, voice: Voice) -> Pcm:
        """Fetch the parts of the text, and join them."""
        return await self._decoder.decode(await self._parts_of(text, voice), "mp3")

    async def telephone(self, text: str, voice: Voice, law: str) -> bytes:
        """The same for the telephone."""
        return await self._decoder.telephone(await self._parts_of(text, voice), "mp3", law)

    async def close(self) -> None:
        """Nothing of its own is open."""

    async def _parts_of(self, text: str, voice: Voice) -> list[bytes]:
        """The parts of the text as MP3, fetched a few at a time."""
        bodies = await self._turns.do(self._bodies(text, voice))
        if not bodies:
            raise EngineError("it finds nothing to say in the text", is_temporary=False)
        tasks = [asyncio.ensure_future(self._fetch(body)) for body in bodies]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    def _bodies(self, text: str, voice: Voice) -> Steps[list[bytes]]:
        """The requests' bodies. The library takes a quarter of a millisecond for each."""
        make, bodies = self._library.gTTS, []
        for part in pieces(text):
            request = make(part, lang=voice.id, lang_check=False, pre_processor_funcs=[])
            bodies += [body.encode() for body in request.get_bodies()]
            yield
        return bodies

    async def _fetch(self, body: bytes) -> bytes:
        request = remote.Request(
            self._url,
            body,
            self._library.gTTS.GOOGLE_TTS_HEADERS,
            ("application/json",),
            MAX_ANSWER_BYTES,
            self._timeout_s,
        )
        async with self._parts:
            answer = await remote.post(self._session, request)
        return await self._turns.do(audio_in(answer))


def pieces(text: str) -> list[str]:
    """The text in parts of at most 100 characters: whole sentences, else clauses, else words.

    Few large parts: each is a request, and its voice falls at the end of each.
    """
    parts: list[str] = []
    for sentence in _SENTENCE_ENDS.split(text):
        for clause in _split(sentence, _CLAUSE_ENDS):
            for words in _split(clause, re.compile(" ")):
                for start in range(0, len(words), MAX_PART_CHARS):
                    _append(parts, words[start : start + MAX_PART_CHARS])
    return parts


def _split(text: str, where: re.Pattern[str]) -> list[str]:
    return [text] if len(text) <= MAX_PART_CHARS else where.split(text)


def _append(parts: list[str], text: str) -> None:
    """Add to the last part if it fits, else as a part of its own."""
    text = text.strip()
    if parts and len(parts[-1]) + 1 + len(text) <= MAX_PART_CHARS:
        parts[-1] = f"{parts[-1]} {text}"
    elif text:
        parts.append(text)


def audio_in(answer: bytes | bytearray) -> Steps[bytes]:
    """The MP3 in an answer of the service. Raises EngineError."""
    begin = answer.find(_BEGIN) + len(_BEGIN)
    end = answer.find(_END, begin)
    if begin < len(_BEGIN) or end < 0:
        raise EngineError("its answer holds no audio")
    audio = bytearray()
    for start in range(begin, end, _STEP_CHARS):
        packed = answer[start : min(start + _STEP_CHARS, end)]
        try:
            audio += base64.b64decode(packed, validate=True)
        except binascii.Error:
            raise EngineError("its answer holds broken audio") from None
        yield
    return bytes(audio)
