"""Spoken messages: what a preview tells of them, the link to hear one, and the voices.

What speaks stands beside the API, not under it: it is met here by its shape alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from aiohttp import web

from gateway.api.auth import Caller, named_shop
from gateway.api.context import ApiContext
from gateway.api.decoding import read_query
from gateway.api.endpoints import Endpoint, OpenEndpoint, json_answer
from gateway.api.pieces import Pieces, Recorded
from gateway.dispatch.acceptance import iso
from gateway.dispatch.request import SendRequest
from gateway.errors import Refusal
from gateway.model import Category
from gateway.store.directory import Shop

NOT_SENT = (
    "sending by voice is not available in this version: POST /v1/messages refuses it; this is how"
    " it would sound"
)
_LISTEN = "/v1/speech/{token}"


class Spoken(Protocol):
    """A message as a person would hear it."""

    @property
    def script(self) -> str: ...
    @property
    def spoken(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def engine(self) -> str: ...
    @property
    def voice(self) -> str: ...
    @property
    def duration_s(self) -> float: ...
    @property
    def token(self) -> str: ...
    @property
    def expires_ms(self) -> int: ...
    @property
    def voicemail(self) -> str | None: ...
    @property
    def why_no_voicemail(self) -> str | None: ...


class Choice(Protocol):
    """Engines and voices."""

    @property
    def engines(self) -> Sequence[Any]: ...
    @property
    def voices(self) -> Sequence[Any]: ...


class Speaker(Protocol):
    """What speaks. Every method raises Refusal."""

    async def preview(
        self,
        shop: Shop,
        text: str,
        category: Category,
        language: str | None,
        *,
        is_left: bool,
        is_operator: bool,
    ) -> Spoken: ...

    async def listen(self, token: str) -> Recorded: ...

    async def voices(self, shop: Shop | None) -> Choice: ...


class SpokenView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A message as a person would hear it. `script` is for reading, `voicemail` what would be left
    on a voicemail; `spoken` is what `engine` was given. `listen`: where the WAV is, for whoever has
    the address, until `listen_until`.
    """

    script: str
    spoken: str
    language: str
    engine: str
    voice: str
    duration_s: float
    listen: str
    listen_until: str
    voicemail: str | None = None


class VoiceView(msgspec.Struct):
    """A voice by its name, `engine:voice`, and the language that it reads."""

    voice: str
    engine: str
    language: str
    description: str


class EngineView(msgspec.Struct, omit_defaults=True):
    """An engine. `is_remote`: it sends the text to another machine; `problem`: why it does not
    speak now.
    """

    name: str
    is_remote: bool
    is_allowed: bool
    problem: str | None = None


class VoicesView(msgspec.Struct):
    """The engines in the order in which they are tried, and the voices of those allowed."""

    engines: list[EngineView]
    voices: list[VoiceView]


class VoicesQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whose voices: with an admin key one shop's, or all."""

    shop: str | None = None


def is_spoken(wanted: SendRequest) -> bool:
    """Whether a request may become a call."""
    return wanted.channel == "voice" or wanted.voice is not None or "voice" in wanted.fallback


def as_text(wanted: SendRequest) -> SendRequest:
    """The same request for a text alone. A channel or fallback that is no call stays."""
    fallback = [channel for channel in wanted.fallback if channel != "voice"]
    channel = "sms" if wanted.channel == "voice" else wanted.channel
    return msgspec.structs.replace(wanted, channel=channel, voice=None, fallback=fallback)


async def speak(
    context: ApiContext, caller: Caller, shop: Shop, wanted: SendRequest
) -> tuple[SpokenView, list[str]]:
    """What a request sounds like, and what is to be known of that."""
    voice = wanted.voice
    is_left = voice is None or voice.voicemail == "leave"
    spoken = await _speaker(context).preview(
        shop,
        wanted.text,
        Category[wanted.category.upper()],
        None if voice is None else voice.language,
        is_left=is_left,
        is_operator=caller.shop is None,
    )
    why = [NOT_SENT]
    if spoken.why_no_voicemail is not None:
        why.append(f"no voicemail would be left: {spoken.why_no_voicemail}")
    view = SpokenView(
        script=spoken.script,
        spoken=spoken.spoken,
        language=spoken.language,
        engine=spoken.engine,
        voice=spoken.voice,
        duration_s=spoken.duration_s,
        listen=_LISTEN.replace("{token}", spoken.token),
        listen_until=iso(spoken.expires_ms),
        voicemail=spoken.voicemail,
    )
    return view, why


def _speaker(context: ApiContext) -> Speaker:
    if context.speaker is None:
        raise Refusal("not-available", "This process does not speak.")
    return context.speaker


async def voices(context: ApiContext, caller: Caller, request: web.Request) -> web.Response:
    """The engines and voices that a shop may use."""
    shop = named_shop(context, caller, read_query(VoicesQuery, request).shop)
    found = await _speaker(context).voices(shop)
    is_operator = caller.shop is None
    return json_answer(
        VoicesView(
            [
                EngineView(e.name, e.is_remote, e.is_allowed, _problem(e.problem, is_operator))
                for e in found.engines
            ],
            [VoiceView(v.voice, v.engine, v.language, v.description) for v in found.voices],
        )
    )


def _problem(problem: str | None, is_operator: bool) -> str | None:
    """What is wrong in words for operators, which name files and addresses, or for shops."""
    return problem if problem is None or is_operator else "does not speak at the moment"


async def listen(context: ApiContext, request: web.Request) -> web.Response:
    """The speech that a link leads to, whole or the part that a browser asks for."""
    recording = await _speaker(context).listen(request.match_info["token"])
    content = recording.wav
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": 'inline; filename="preview.wav"',
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    start, end = _range(request, len(content))
    is_part = (start, end) != (0, len(content))
    if is_part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
    return web.Response(
        body=Pieces(recording, start, end, request.transport),
        status=206 if is_part else 200,
        content_type="audio/wav",
        headers=headers,
    )


def _range(request: web.Request, size: int) -> tuple[int, int]:
    """The octets that are asked for (RFC 9110 section 14.2); all of them where the range is none
    that could be served.
    """
    try:
        asked = request.http_range
    except ValueError:
        return 0, size
    start, end, _ = asked.indices(size)
    return (start, end) if start < end else (0, size)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/voices",
        voices,
        "Show the engines and voices that a shop may use",
        query=VoicesQuery,
        answer=VoicesView,
        problems=("invalid-request", "not-found", "not-available", "unavailable"),
    ),
)


def endpoints() -> tuple[OpenEndpoint, ...]:
    """What needs no key: the link itself is the permission."""
    return (
        OpenEndpoint(
            _LISTEN,
            listen,
            "Hear a preview, by the link in it",
            content_type="audio/wav",
            is_ops=False,
            problems=("not-found", "not-available"),
        ),
    )
