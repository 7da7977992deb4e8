"""Servers that speak the protocols of engines elsewhere, and can be told to fail."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from protocols.audio import wav
from tests.tts.engines import beep

MP3 = (Path(__file__).parents[1] / "data" / "speech" / "ready.mp3").read_bytes()
"""Two and a half seconds at 24 kHz."""

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class VoiceServer:
    """A server with a fault, or none. `fault` answers instead of it."""

    path = ""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.fault: Answer | None = None
        self.released = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._server = TestServer(app)

    async def __aenter__(self) -> VoiceServer:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.released.set()
        await self._server.close()

    @property
    def url(self) -> str:
        return str(self._server.make_url("/")).rstrip("/")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path != self.path or request.method != "POST":
            return web.Response(status=404)
        self.headers.append(dict(request.headers))
        self.requests.append(await self.parse(request))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.01)
            if self.fault is not None:
                return await self.fault(request)
            return self.speak(self.requests[-1])
        finally:
            self.at_once -= 1

    async def parse(self, request: web.Request) -> dict[str, Any]:
        raise NotImplementedError

    def speak(self, asked: dict[str, Any]) -> web.Response:
        raise NotImplementedError

    # ------------------------------------------------------------------ faults

    async def slow(self, request: web.Request) -> web.StreamResponse:
        """Begin to answer and stop."""
        response = web.StreamResponse(headers={"Content-Type": self.content_type})
        await response.prepare(request)
        await self.released.wait()
        return response

    async def endless(self, request: web.Request) -> web.StreamResponse:
        """Answer for ever."""
        response = web.StreamResponse(headers={"Content-Type": self.content_type})
        await response.prepare(request)
        while not self.released.is_set():
            await response.write(b"\0" * 65_536)
        return response

    async def cut(self, request: web.Request) -> web.StreamResponse:
        """Break the connection off within the answer."""
        response = web.StreamResponse(
            headers={"Content-Type": self.content_type, "Content-Length": "50000"}
        )
        await response.prepare(request)
        await response.write(b"RIFF")
        assert request.transport is not None
        request.transport.abort()
        return response

    async def elsewhere(self, _: web.Request) -> web.StreamResponse:
        """Send the asker to another address."""
        return web.Response(status=307, headers={"Location": f"{self.url}/other"})

    content_type = "audio/wav"


def answering(status: int = 200, **options: Any) -> Answer:
    """A fault that is one fixed answer."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, **options)

    return answer


class GoogleServer(VoiceServer):
    """Google Translate's voice, as far as gTTS knows it."""

    path = "/_/TranslateWebserverUi/data/batchexecute"
    content_type = "application/json"

    async def parse(self, request: web.Request) -> dict[str, Any]:
        form = await request.post()
        ((name, packed, _, kind),) = json.loads(str(form["f.req"]))[0]
        text, language, slow, null = json.loads(packed)
        assert (name, kind, slow, null) == ("jQ1olc", "generic", None, "null")
        return {"text": text, "language": language}

    def speak(self, asked: dict[str, Any]) -> web.Response:
        assert 0 < len(asked["text"]) <= 100
        return self.holding(base64.b64encode(MP3).decode())

    def holding(self, audio: str) -> web.Response:
        """An answer that holds this for audio."""
        row = ["wrb.fr", "jQ1olc", json.dumps([audio]), None, None, None, "generic"]
        line = json.dumps([row, ["di", 50]], separators=(",", ":"))
        text = f")]}}'\n\n{len(line)}\n{line}\n"
        return web.Response(text=text, content_type="application/json")


class OpenaiServer(VoiceServer):
    """`/v1/audio/speech`."""

    path = "/v1/audio/speech"

    async def parse(self, request: web.Request) -> dict[str, Any]:
        asked: dict[str, Any] = await request.json()
        return asked

    def speak(self, asked: dict[str, Any]) -> web.Response:
        pcm = beep(1.0, 24_000)
        body, content_type = {
            "wav": (wav.write(pcm.samples, pcm.rate), "audio/wav"),
            "mp3": (MP3, "audio/mpeg"),
            "pcm": (pcm.samples.tobytes(), "audio/pcm"),
        }[asked["response_format"]]
        return web.Response(body=body, content_type=content_type)
