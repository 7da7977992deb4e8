"""Any server that speaks OpenAI's `/v1/audio/speech`: the company's own, or one in the house."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp
from yarl import URL

from tts import remote
from tts.decoder import MAX_ENCODED_BYTES, AudioFormat, Decoder
from tts.engine import Pcm, Voice

PCM_RATE: Final = 24_000
"""Samples a second of the format `pcm`, which says nothing of itself."""

_CONTENT_TYPES: Final = ("audio/", "application/octet-stream")


class OpenaiEngine:
    """A model on such a server. `voices`: by language, the first being its default.

    The session is not closed with it. Raises ValueError for a bad address, and for a key that
    would travel unencrypted to another machine.
    """

    is_remote = True
    pre_emphasis = 0.0

    def __init__(
        self,
        session: aiohttp.ClientSession,
        decoder: Decoder,
        *,
        base_url: str,
        model: str,
        voices: Mapping[str, Sequence[str]],
        api_key: str = "",
        audio_format: AudioFormat = "wav",
        timeout_s: float = 20.0,
        texts_at_once: int = 8,
        name: str = "openai",
    ) -> None:
        """`texts_at_once`: an answer may have 12 MB, and is in memory until it is decoded."""
        base = remote.parse_base(base_url)
        if api_key and base.scheme == "http" and not _is_loopback(base):
            raise ValueError("a key goes over https only, or to this machine")
        self.name = name
        self._session = session
        self._decoder = decoder
        self._url = (base if base.name == "v1" else base / "v1") / "audio" / "speech"
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._model = model
        self._format = audio_format
        self._timeout_s = timeout_s
        self._texts = asyncio.Semaphore(texts_at_once)
        self.voices = tuple(
            Voice(name, voice, language, model)
            for language, names in voices.items()
            for voice in names
        )
        identity = json.dumps([str(self._url), model, audio_format])
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()

    async def synthesize(self, text: str, voice: Voice) -> Pcm:
        """Ask the server."""
        async with self._texts:
            answer = await self._ask(text, voice)
            return await self._decoder.decode([answer], self._format, PCM_RATE)

    async def telephone(self, text: str, voice: Voice, law: str) -> bytes:
        """The same for the telephone."""
        async with self._texts:
            answer = await self._ask(text, voice)
            return await self._decoder.telephone([answer], self._format, law, PCM_RATE)

    async def close(self) -> None:
        """Nothing of its own is open."""

    async def _ask(self, text: str, voice: Voice) -> bytearray:
        asked = {
            "model": self._model,
            "input": text,
            "voice": voice.id,
            "response_format": self._format,
        }
        request = remote.Request(
            self._url,
            json.dumps(asked).encode(),
            self._headers,
            _CONTENT_TYPES,
            MAX_ENCODED_BYTES,
            self._timeout_s,
        )
        return await remote.post(self._session, request)


def _is_loopback(url: URL) -> bool:
    try:
        return ipaddress.ip_address(url.host or "").is_loopback
    except ValueError:
        return url.host == "localhost"
