"""Engines elsewhere: what goes out, what comes back, and every way it can fail."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from protocols.audio import wav
from protocols.audio.g711 import RATE, Law
from tests.protocols.mail.servers import make_contexts
from tests.tts.engines import beep
from tests.tts.servers import (
    MP3,
    GoogleServer,
    OpenaiServer,
    VoiceServer,
    answering,
)
from tests.turning import loop_turns
from tts import turns as turning
from tts.decoder import Decoder
from tts.engine import Engine, EngineError, TelephoneEngine
from tts.gtts import GttsEngine, audio_in, pieces
from tts.openai import OpenaiEngine
from tts.remote import retry_after
from tts.steps import at_once

TEXT = "Your gown is ready for pickup."
LONG = (
    "Hi Maria, this is Sample Bridal. Your gown, the veil, and the two bridesmaid dresses that you "
    "ordered in March are ready for pickup. We are open until six thirty in the evening. "
    "Call us at two one two, five five five, zero one two three."
)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
async def decoder() -> AsyncIterator[Decoder]:
    made = Decoder()
    yield made
    await made.close()


@pytest.fixture
async def google() -> AsyncIterator[GoogleServer]:
    async with GoogleServer() as server:
        yield server


@pytest.fixture
async def openai() -> AsyncIterator[OpenaiServer]:
    async with OpenaiServer() as server:
        yield server


@pytest.fixture
def gtts_engine(
    google: GoogleServer, session: aiohttp.ClientSession, decoder: Decoder
) -> GttsEngine:
    pytest.importorskip("gtts")
    return GttsEngine(session, decoder, base_url=google.url, parts_at_once=2)


@pytest.fixture
def openai_engine(
    openai: OpenaiServer, session: aiohttp.ClientSession, decoder: Decoder
) -> OpenaiEngine:
    return make_openai(openai, session, decoder)


def make_openai(
    server: VoiceServer | None,
    session: aiohttp.ClientSession,
    decoder: Decoder,
    **options: object,
) -> OpenaiEngine:
    chosen = {
        "base_url": server.url if server else "",
        "model": "speech-1",
        "voices": {"en": ("alloy", "echo"), "es": ("nova",)},
        **options,
    }
    return OpenaiEngine(session, decoder, **chosen)  # type: ignore[arg-type]


@pytest.fixture(params=["gtts", "openai"])
def pair(request: pytest.FixtureRequest) -> tuple[Engine, VoiceServer]:
    """Either engine with its server."""
    server = request.getfixturevalue("google" if request.param == "gtts" else "openai")
    return request.getfixturevalue(f"{request.param}_engine"), server


async def failure(engine: Engine) -> EngineError:
    assert isinstance(engine, TelephoneEngine)
    with pytest.raises(EngineError) as caught:
        await engine.telephone(TEXT, engine.voices[0], "ulaw")
    assert TEXT not in str(caught.value)
    return caught.value


# ------------------------------------------------------------------- faults of both


async def test_slow(pair: tuple[Engine, VoiceServer]) -> None:
    """An answer that does not come to its end in time is given up, for now."""
    engine, server = pair
    server.fault = server.slow
    engine._timeout_s = 0.3  # type: ignore[attr-defined]
    error = await failure(engine)
    assert "no whole answer within 0.3 s" in str(error)
    assert error.is_temporary


async def test_busy(pair: tuple[Engine, VoiceServer]) -> None:
    """A server that has too much to do tells when to come back."""
    engine, server = pair
    server.fault = answering(429, headers={"Retry-After": "30"})
    error = await failure(engine)
    assert error.is_temporary
    assert error.retry_after_s == 30


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (" 7 ", 7),
        ("999999999999", 3600),
        ("Thu, 01 Jan 1970 00:17:40 GMT", 60),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_when_to_come_back(value: str, wait_s: float | None) -> None:
    """Seconds and dates are understood, at most an hour is waited."""
    assert retry_after(value, now=1_000.0) == wait_s


async def test_busy_without_a_time(pair: tuple[Engine, VoiceServer]) -> None:
    """A time that is none is none."""
    engine, server = pair
    server.fault = answering(429, headers={"Retry-After": "soon\u00b2"})
    assert (await failure(engine)).retry_after_s is None


@pytest.mark.parametrize(
    ("status", "is_temporary"),
    [(500, True), (503, True), (408, True), (401, True), (403, True), (404, True), (400, False)],
)
async def test_refused(pair: tuple[Engine, VoiceServer], status: int, is_temporary: bool) -> None:
    """A refusal is told by its number alone; what the server says of it may hold the text."""
    engine, server = pair
    server.fault = answering(status, text=f"cannot say: {TEXT}")
    error = await failure(engine)
    assert str(error) == f"HTTP {status}"
    assert error.is_temporary is is_temporary


async def test_endless(pair: tuple[Engine, VoiceServer]) -> None:
    """An answer that goes on and on is cut off at a size."""
    engine, server = pair
    server.fault = server.endless
    assert "more than" in str(await failure(engine))


async def test_announced_size(pair: tuple[Engine, VoiceServer]) -> None:
    """An answer that announces too much is not read."""
    engine, server = pair
    body = b"\0" * (13 << 20)
    server.fault = answering(body=body, content_type=server.content_type)
    assert "more than" in str(await failure(engine))


async def test_cut(pair: tuple[Engine, VoiceServer]) -> None:
    """A connection that breaks off within the answer is a failure for now."""
    engine, server = pair
    server.fault = server.cut
    error = await failure(engine)
    assert "broke off" in str(error)
    assert error.is_temporary


async def test_redirect(pair: tuple[Engine, VoiceServer]) -> None:
    """The text goes to no other address than the operator's."""
    engine, server = pair
    server.fault = server.elsewhere
    assert str(await failure(engine)) == "HTTP 307"
    assert len(server.requests) == 1


@pytest.mark.parametrize("content_type", ["text/html", "application/xml", "image/png"])
async def test_content_type(pair: tuple[Engine, VoiceServer], content_type: str) -> None:
    """A page is not taken for audio."""
    engine, server = pair
    server.fault = answering(body=b"<html>are you a robot?", content_type=content_type)
    assert content_type in str(await failure(engine))


async def test_words_of_a_peer_are_not_repeated(pair: tuple[Engine, VoiceServer]) -> None:
    """Nor in its content type: it knows the text, and what is told goes into logs."""
    engine, server = pair
    server.fault = answering(body=b"x", content_type="text/zanzibar")
    assert "zanzibar" not in str(await failure(engine))


async def test_compressed(pair: tuple[Engine, VoiceServer]) -> None:
    """Nothing is inflated: a small answer stays small."""
    engine, server = pair
    headers = {"Content-Encoding": "gzip", "Content-Type": server.content_type}
    server.fault = answering(body=b"\x1f\x8b\x08", headers=headers)
    assert "compressed" in str(await failure(engine))


async def test_nobody_there(pair: tuple[Engine, VoiceServer]) -> None:
    """A server that is down is a failure for now."""
    engine, server = pair
    await server._server.close()
    error = await failure(engine)
    assert "no connection" in str(error)
    assert error.is_temporary


async def test_for_the_telephone(pair: tuple[Engine, VoiceServer]) -> None:
    """What a server answers becomes octets of the law asked for, silence at its ends cut."""
    engine, _ = pair
    assert isinstance(engine, TelephoneEngine)
    pcm = await engine.synthesize(TEXT, engine.voices[0])
    for law in Law:
        octets = await engine.telephone(TEXT, engine.voices[0], law)
        assert octets[: RATE // 10] == bytes([law.silence]) * (RATE // 10)
        assert 1.0 < len(octets) / RATE < pcm.duration_s + 0.6


async def test_recovers(pair: tuple[Engine, VoiceServer]) -> None:
    """After a failure the next text is spoken."""
    engine, server = pair
    server.fault = server.cut
    await failure(engine)
    server.fault = None
    assert (await engine.synthesize(TEXT, engine.voices[0])).duration_s >= 1.0


@pytest.mark.parametrize(
    "url",
    ["ftp://user:lab@localhost", "localhost", "http://user:lab@localhost", "http://localhost/?a=b"],
)
async def test_addresses(url: str, session: aiohttp.ClientSession, decoder: Decoder) -> None:
    """An address that is none is refused at the start, and no password in it told."""
    pytest.importorskip("gtts")
    with pytest.raises(ValueError, match="address") as caught:
        GttsEngine(session, decoder, base_url=url)
    assert "lab" not in str(caught.value)
    with pytest.raises(ValueError, match="address"):
        OpenaiEngine(session, decoder, base_url=url, model="m", voices={})


async def test_a_server_is_asked_for_so_many_texts_at_a_time(
    openai: OpenaiServer, session: aiohttp.ClientSession, decoder: Decoder
) -> None:
    """Its answers are large, and those of all who wait would be in memory together."""
    engine = make_openai(openai, session, decoder, texts_at_once=2)
    saying = (engine.telephone(f"Gown {n}.", engine.voices[0], "ulaw") for n in range(6))
    assert all(await asyncio.gather(*saying))
    assert openai.most_at_once == 2


# ------------------------------------------------------------------- Google


async def test_google_speaks(gtts_engine: GttsEngine, google: GoogleServer) -> None:
    """A short text is one request, in the language of the voice."""
    pcm = await gtts_engine.synthesize(TEXT, gtts_engine.voices[1])
    assert google.requests == [{"text": TEXT, "language": "es"}]
    assert pcm.rate == 24_000
    assert 2.0 < pcm.duration_s < 3.0


async def test_google_parts(gtts_engine: GttsEngine, google: GoogleServer) -> None:
    """A long text goes in few parts, some at a time, and is joined."""
    pcm = await gtts_engine.synthesize(LONG, gtts_engine.voices[0])
    texts = [asked["text"] for asked in google.requests]
    assert sorted(texts, key=LONG.index) == pieces(LONG)
    assert google.most_at_once == 2
    assert pcm.duration_s == pytest.approx(2.5 * len(texts), abs=0.2 * len(texts))


async def test_google_requests_are_made_in_turns_of_the_loop(
    gtts_engine: GttsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library takes milliseconds for those of a long text, in which calls would stutter."""
    monkeypatch.setattr(turning, "SLICE_S", 0.0)
    plain, when = gtts_engine._library.gTTS.get_bodies, []
    with loop_turns() as turns:

        def note(request: object) -> list[str]:
            when.append(turns())
            bodies: list[str] = plain(request)
            return bodies

        monkeypatch.setattr(gtts_engine._library.gTTS, "get_bodies", note)
        await gtts_engine.synthesize(LONG, gtts_engine.voices[0])
    assert len(set(when)) == len(when) == len(pieces(LONG))


def test_google_audio_is_unpacked_in_steps() -> None:
    """As much as an answer may hold, a little at a time."""
    audio = bytes(range(256)) * 2_900
    answer = b'["jQ1olc","[\\"' + base64.b64encode(audio) + b'\\"]"]'
    assert len(list(audio_in(answer))) >= 30
    assert at_once(audio_in(answer)) == audio


async def test_google_headers(gtts_engine: GttsEngine, google: GoogleServer) -> None:
    """Requests look like the library's own."""
    await gtts_engine.synthesize(TEXT, gtts_engine.voices[0])
    assert google.headers[0]["Referer"] == "http://translate.google.com/"
    assert google.headers[0]["User-Agent"].startswith("Mozilla/5.0")


@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        ("", "no MP3"),
        ("AAAA", "no MP3"),
        ("%%%", "broken audio"),
    ],
)
async def test_google_broken_audio(
    gtts_engine: GttsEngine, google: GoogleServer, audio: str, reason: str
) -> None:
    """Audio that is none is a failure."""

    async def broken(_: object) -> object:
        return google.holding(audio)

    google.fault = broken  # type: ignore[assignment]
    assert reason in str(await failure(gtts_engine))


async def test_google_without_audio(gtts_engine: GttsEngine, google: GoogleServer) -> None:
    """An answer without audio is a failure."""
    google.fault = answering(text=")]}'\n\n[]", content_type="application/json")
    assert "no audio" in str(await failure(gtts_engine))


async def test_text_in_no_log(gtts_engine: GttsEngine, caplog: pytest.LogCaptureFixture) -> None:
    """The library logs the texts that it is given; nothing of that is kept."""
    with caplog.at_level(logging.DEBUG):
        await gtts_engine.synthesize(TEXT, gtts_engine.voices[0])
    assert "gown" not in caplog.text


def test_pieces() -> None:
    """A text is cut at sentences, then at commas, then at words, into as few parts as fit."""
    parts = pieces(LONG)
    assert " ".join(parts) == LONG
    assert len(parts) == 4
    assert all(len(part) <= 100 for part in parts)
    assert pieces("a" * 250) == ["a" * 100, "a" * 100, "a" * 50]
    assert pieces(TEXT) == [TEXT]
    assert pieces("") == []


# ------------------------------------------------------------------- OpenAI's protocol


@pytest.mark.parametrize("audio_format", ["wav", "mp3", "pcm"])
async def test_openai_formats(
    openai: OpenaiServer, session: aiohttp.ClientSession, decoder: Decoder, audio_format: str
) -> None:
    """Audio is understood in each format."""
    engine = make_openai(openai, session, decoder, audio_format=audio_format)
    pcm = await engine.synthesize(TEXT, engine.voices[1])
    assert openai.requests == [
        {"model": "speech-1", "input": TEXT, "voice": "echo", "response_format": audio_format}
    ]
    assert pcm.rate == 24_000
    assert pcm.duration_s == pytest.approx(2.5 if audio_format == "mp3" else 1.0, abs=0.2)


async def test_openai_address(
    openai: OpenaiServer, session: aiohttp.ClientSession, decoder: Decoder
) -> None:
    """The address may end in /v1 or not."""
    for end in ("", "/", "/v1", "/v1/"):
        engine = make_openai(openai, session, decoder, base_url=openai.url + end)
        await engine.synthesize(TEXT, engine.voices[0])


async def test_openai_key(
    openai: OpenaiServer, session: aiohttp.ClientSession, decoder: Decoder
) -> None:
    """The key goes along, but not unencrypted to another machine."""
    engine = make_openai(openai, session, decoder, api_key="lab-key")
    await engine.synthesize(TEXT, engine.voices[0])
    assert openai.headers[0]["Authorization"] == "Bearer lab-key"
    assert "lab-key" not in repr(vars(engine)["fingerprint"])
    with pytest.raises(ValueError, match="https only"):
        make_openai(openai, session, decoder, base_url="http://192.0.2.1/v1", api_key="lab-key")


@pytest.mark.parametrize(
    ("audio_format", "body", "reason"),
    [
        ("wav", b"RIFFxxxxWAVE", "broken: the file has no samples"),
        ("wav", b"", "not a WAV file"),
        ("wav", wav.write(np.zeros(0, np.int16), 24_000), "audio is empty"),
        ("wav", wav.write(beep(1).samples, 4_000), "rate that is not spoken at"),
        ("wav", wav.write(np.ones(8_000 * 121, np.int16), 8_000), "more than 120 s"),
        ("mp3", b"\xff\xfb\x90" * 50, "no MP3"),
        ("mp3", MP3[:10], "no MP3"),
        ("mp3", b"<html>", "no MP3"),
        ("pcm", b"", "audio is empty"),
        ("pcm", b"\1", "audio is empty"),
        ("pcm", b"\1\0" * 24_000 * 121, "more than 120 s"),
    ],
)
async def test_openai_broken_audio(
    openai: OpenaiServer,
    session: aiohttp.ClientSession,
    decoder: Decoder,
    audio_format: str,
    body: bytes,
    reason: str,
) -> None:
    """Audio that is broken, empty or too long is a failure, and its reason is told."""
    openai.fault = answering(body=body, content_type="audio/wav")
    engine = make_openai(openai, session, decoder, audio_format=audio_format)
    assert reason in str(await failure(engine))


async def test_decoder_survives_anything(decoder: Decoder) -> None:
    """Spoilt audio of any kind ends in words, and the same process decodes the next."""
    chance = np.random.default_rng(4)
    good = wav.write(beep().samples, 16_000)
    await decoder.decode([good], "wav")
    before = decoder._pool.pids
    for _ in range(200):
        kind = chance.choice(["wav", "mp3"])
        spoilt = bytearray(good if kind == "wav" else MP3)
        for place in chance.integers(0, min(len(spoilt), 4_000), 20):
            spoilt[place] = chance.integers(0, 256)
        try:
            await decoder.decode([bytes(spoilt)], kind)
        except EngineError as error:
            assert "broke off" not in str(error)
    assert decoder._pool.pids == before


@pytest.mark.parametrize("is_trusted", [False, True])
async def test_certificates(decoder: Decoder, tmp_path: Path, is_trusted: bool) -> None:
    """A server whose certificate nobody vouches for does not get the text."""
    server_context, make_trusting = make_contexts(tmp_path, "localhost")
    heard = []

    async def answer(request: web.Request) -> web.Response:
        heard.append(await request.json())
        return OpenaiServer().speak(heard[-1])

    app = web.Application()
    app.router.add_post("/v1/audio/speech", answer)
    server = TestServer(app, scheme="https", host="localhost")
    await server.start_server(ssl=server_context)
    connector = aiohttp.TCPConnector(ssl=make_trusting() if is_trusted else True)
    async with aiohttp.ClientSession(connector=connector) as session:
        engine = make_openai(None, session, decoder, base_url=str(server.make_url("/")))
        if is_trusted:
            assert (await engine.synthesize(TEXT, engine.voices[0])).duration_s == 1.0
        else:
            assert str(await failure(engine)) == "its certificate is not trusted"
    await server.close()
    assert len(heard) == is_trusted


async def test_no_part_is_left_out(decoder: Decoder) -> None:
    """Audio in more parts than may be is refused, not cut."""
    part = b"\1\0" * 100
    assert len((await decoder.decode([part] * 64, "pcm")).samples) == 6_400
    with pytest.raises(EngineError, match="too many parts"):
        await decoder.decode([part] * 65, "pcm")
