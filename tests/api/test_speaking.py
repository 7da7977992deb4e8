"""Previews that can be heard, links to them, and voices."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import struct
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.speech import SpeechSettings
from gateway.store.records import ShopSpeech
from gateway.voice import previews
from gateway.voice.previews import Previews
from gateway.voice.speech import SpeechDesk
from protocols.audio import wav
from tests.api.fixtures import ADMIN_KEY, OTHER_KEY, SAMPLE, Api, NoDatabase
from tests.tts.hostile import MARKUP
from tests.tts.servers import GoogleServer, OpenaiServer, answering
from tts.pico import PicoEngine

CALL = {"channel": "voice", "to": "(212) 555-0123", "text": "Your gown is ready. It is $149.50."}
PREVIEW = "/v1/messages/preview"


def speaking(api: Api, folder: Path, **settings: Any) -> Previews:
    """Give the API a voice."""
    speech = SpeechSettings(**({"workers": 1, "timeout_s": 30.0} | settings))
    database: Any = NoDatabase()
    desk = SpeechDesk(speech, folder, api.context.metrics.spoke)
    speaker = Previews(desk, database, folder)
    api.context.speaker = speaker
    return speaker


@pytest.fixture
async def voiced(api: Api, tmp_path: Path) -> AsyncIterator[Api]:
    """The API with the default engine."""
    speaker = speaking(api, tmp_path / "speech")
    yield api
    await speaker.close()


async def heard(api: Api, body: dict[str, Any] = CALL, **options: Any) -> dict[str, Any]:
    status, told, _ = await api.call("POST", PREVIEW, body, **options)
    assert status == 200, told
    found: dict[str, Any] = told
    return found


def loudness_db(content: bytes) -> tuple[float, float]:
    """The level of a WAV in dBFS, and how long it is."""
    speech = wav.read(content)
    level = np.sqrt(np.mean((speech.samples / 32_768.0) ** 2))
    return 20 * float(np.log10(level)), len(speech.samples) / speech.rate


async def test_a_call_is_previewed_as_it_would_sound(voiced: Api) -> None:
    """Script, words, engine, voice and duration, and a WAV that is speech."""
    told = await heard(voiced)
    assert (told["status"], told["reason"]) == ("refused", "not-available")
    assert "sending by voice is not available" in told["why"][0]
    voice = told["voice"]
    assert voice["script"].splitlines()[0] == "This is Sample Bridal."
    assert "one hundred forty nine dollars and fifty cents" in voice["spoken"]
    assert (voice["engine"], voice["voice"], voice["language"]) == ("pico", "pico:en-US", "en")
    status, content, headers = await voiced.call("GET", voice["listen"], key=None)
    assert (status, headers["Content-Type"]) == (200, "audio/wav")
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == (
        "nosniff", "no-referrer",
    )  # fmt: skip
    level_db, duration_s = loudness_db(content)
    assert -26 < level_db < -14
    assert 8 < duration_s < 25
    assert duration_s == pytest.approx(voice["duration_s"], abs=0.05)


async def test_a_call_needs_no_number_of_the_shop(voiced: Api) -> None:
    """What texts alone have is left out."""
    voiced.directory.shops["sample"] = replace(SAMPLE, numbers=())
    told = await heard(voiced)
    assert told["to"] == "+12125550123"
    assert not {"from", "encoding", "segments", "route", "link"} & told.keys()


@pytest.mark.parametrize(
    "asked", [{"voice": {}}, {"fallback": ["voice"]}, {"voice": {"voicemail": "skip"}}]
)
async def test_a_text_that_may_become_a_call(voiced: Api, asked: dict[str, Any]) -> None:
    """Is previewed as both."""
    body = {
        "text": "Your gown is ready.",
        "contact": {"primary_phone": "(212) 555-0123", "sms_alerts": "SMS OK"},
    }
    told = await heard(voiced, body | asked)
    assert (told["channel"], told["encoding"], told["segments"]) == ("sms", "gsm7", 1)
    assert told["voice"]["script"]
    assert ("voicemail" in told["voice"]) == (asked.get("voice", {}).get("voicemail") != "skip")
    assert told["status"] == "refused"


async def test_a_text_has_no_voice(voiced: Api) -> None:
    """Nothing is rendered that nobody asked for."""
    body = {
        "text": "Ready.", "contact": {"primary_phone": "(212) 555-0123", "sms_alerts": ""},
    }  # fmt: skip
    told = await heard(voiced, body)
    assert "voice" not in told and told["status"] == "queued"


async def test_the_language_of_a_message(voiced: Api) -> None:
    """Goes before the shop's; one that nobody reads is a fault of its field."""
    told = await heard(voiced, CALL | {"text": "Listo.", "voice": {"language": "es"}})
    assert told["voice"]["voice"] == "pico:es-ES"
    assert told["voice"]["script"].startswith("Le habla")
    status, told, _ = await voiced.call("POST", PREVIEW, CALL | {"voice": {"language": "de"}})
    assert (status, told["errors"][0]["field"]) == (400, "voice.language")
    status, told, _ = await voiced.call("POST", PREVIEW, CALL | {"voice": {"speed": 2}})
    assert (status, told["errors"][0]["field"]) == (400, "voice.speed")


@pytest.mark.parametrize("channel", ["email", "voice"])
async def test_sending_by_voice_is_refused(voiced: Api, channel: str) -> None:
    """A preview promises nothing; and mail has none."""
    status, told, _ = await voiced.call("POST", "/v1/messages", CALL | {"channel": channel})
    assert (status, told["type"]) == (422, "/problems/not-available")
    status, told, _ = await voiced.call("POST", PREVIEW, CALL | {"channel": "email"})
    assert (status, told["type"]) == (422, "/problems/not-available")


async def test_a_link_needs_no_key_and_cannot_be_guessed(voiced: Api) -> None:
    """A changed one is not found; nor is what a key of the other shop asks for by it."""
    link = (await heard(voiced))["voice"]["listen"]
    for bad in (link[:-1], link[:-2] + "zz", link.replace("/v1/speech/", "/v1/speech/A"), "/v1/x"):
        status, told, _ = await voiced.call("GET", bad, key=None)
        assert (status, told["type"]) == (404, "/problems/not-found")
    status, told, _ = await voiced.call("GET", f"{link[:-4]}AAAA", key=OTHER_KEY)
    assert status == 404
    status, _, _ = await voiced.call("POST", link, key=None)
    assert status == 405


async def test_a_browser_may_ask_for_a_part(voiced: Api) -> None:
    """RFC 9110 section 14: players jump within the file."""
    link = (await heard(voiced))["voice"]["listen"]
    _, whole, _ = await voiced.call("GET", link, key=None)
    for asked, expected in (("bytes=0-1", whole[:2]), ("bytes=-4", whole[-4:])):
        status, part, headers = await voiced.call("GET", link, key=None, headers={"Range": asked})
        assert (status, part) == (206, expected)
        assert headers["Content-Range"].endswith(f"/{len(whole)}")
    for asked in ("bytes=999999999-", "lines=1-2", "bytes=5-1"):
        status, part, _ = await voiced.call("GET", link, key=None, headers={"Range": asked})
        assert (status, len(part)) == (200, len(whole))


async def test_another_shop_sees_nothing(voiced: Api) -> None:
    """A key speaks for its own shop alone."""
    status, told, _ = await voiced.call("POST", PREVIEW, CALL | {"shop": "sample"}, key=OTHER_KEY)
    assert (status, told["type"]) == (404, "/problems/not-found")
    status, told, _ = await voiced.call("GET", "/v1/voices?shop=sample", key=OTHER_KEY)
    assert status == 404
    told = await heard(voiced, key=OTHER_KEY)
    assert "Other Formal Wear" in told["voice"]["script"]


async def test_a_support_agreement_that_has_ended(voiced: Api) -> None:
    """Nothing is rendered for it."""
    voiced.directory.shops["sample"] = replace(SAMPLE, support_until=date(2020, 1, 1))
    status, told, _ = await voiced.call("POST", PREVIEW, CALL)
    assert (status, told["type"]) == (422, "/problems/support-ended")


async def test_texts_stay_here_unless_the_shop_allows_otherwise(api: Api, tmp_path: Path) -> None:
    """Engines elsewhere see nothing of it, whatever happens to the one that is here."""
    async with OpenaiServer() as openai, GoogleServer() as google:
        speaker = speaking(
            api,
            tmp_path / "speech",
            engines=("gtts", "openai", "pico"),
            gtts_url=google.url,
            openai_url=openai.url,
            openai_model="sample",
            openai_voices={"en": ("ann",)},
        )
        try:
            assert (await heard(api))["voice"]["engine"] == "pico"
            everything = await api.call("GET", "/v1/voices")
            status, told, _ = await api.call("POST", PREVIEW, CALL | {"text": MARKUP[0]})
            assert status in (200, 400)
            assert (google.requests, openai.requests) == ([], [])
            shop = replace(SAMPLE, speech=ShopSpeech(allowed=("openai",)))
            api.directory.shops["sample"] = shop
            assert (await heard(api))["voice"]["engine"] == "openai"
            assert len(openai.requests) == 1
            assert google.requests == []
            openai.fault = answering(500)
            assert (await heard(api, CALL | {"text": "Another."}))["voice"]["engine"] == "pico"
        finally:
            await speaker.close()
    assert {voice["engine"] for voice in everything[1]["voices"]} == {"pico"}


async def test_what_engines_say_of_their_failures_is_for_operators(
    api: Api, tmp_path: Path
) -> None:
    """It may name machines that are no concern of a shop, which is told when to try again."""
    async with OpenaiServer() as openai:
        url = openai.url
        speaker = speaking(
            api, tmp_path / "speech", engines=("openai",), openai_url=url,
            openai_model="sample", openai_voices={"en": ("sample",)},
        )  # fmt: skip
    api.directory.shops["sample"] = replace(SAMPLE, speech=ShopSpeech(allowed=("openai",)))
    try:
        status, told, headers = await api.call("POST", PREVIEW, CALL)
        assert (status, "Retry-After" in headers) == (503, True)
        assert "openai: does not speak at the moment" in told["detail"]
        body = CALL | {"shop": "sample"}
        _, told, _ = await api.call("POST", PREVIEW, body, key=ADMIN_KEY)
        assert "no connection" in told["detail"]
    finally:
        await speaker.close()


async def test_voices(voiced: Api) -> None:
    """Engines in their order, and voices of the languages that are read."""
    status, told, _ = await voiced.call("GET", "/v1/voices")
    assert status == 200
    assert told["engines"] == [{"name": "pico", "is_remote": False, "is_allowed": True}]
    assert {voice["language"] for voice in told["voices"]} == {"en", "es", "fr"}
    status, told, _ = await voiced.call("GET", "/v1/voices", key=ADMIN_KEY)
    assert status == 200
    status, told, _ = await voiced.call("GET", "/v1/voices?shop=nobody", key=ADMIN_KEY)
    assert status == 404
    assert (await voiced.call("GET", "/v1/voices", key=None))[0] == 401


async def test_figures_of_speech_bear_no_shop(voiced: Api) -> None:
    """A thousand previews of one text are one rendering."""
    await asyncio.gather(*(heard(voiced) for _ in range(20)))
    _, page, _ = await voiced.call("GET", "/metrics", key=None)
    lines = [line for line in page.decode().splitlines() if line.startswith("gateway_speech")]
    assert 'gateway_speech_renders_total{engine="pico"} 1.0' in lines
    assert all(re.search(r'\{engine="pico"\}', line) for line in lines)


async def test_a_process_that_does_not_speak_says_so(api: Api) -> None:
    """As something that it cannot do."""
    for method, path, body in (("POST", PREVIEW, CALL), ("GET", "/v1/voices", None)):
        status, told, _ = await api.call(method, path, body)
        assert (status, told["type"]) == (422, "/problems/not-available")


async def test_a_file_that_takes_long_keeps_nobody_else_waiting(
    voiced: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are answered before the file is made for one who asked earlier."""
    link = (await heard(voiced))["voice"]["listen"]
    begun, others_are_answered = threading.Event(), threading.Event()
    outcome = []
    plain = previews._wav

    def slow(content: bytes) -> bytes:
        begun.set()
        outcome.append(others_are_answered.wait(20))
        return plain(content)

    monkeypatch.setattr(previews, "_wav", slow)
    asking = asyncio.create_task(voiced.call("GET", link, key=None))
    assert await asyncio.to_thread(begun.wait, 20)
    assert (await voiced.call("GET", "/v1/voices"))[0] == 200
    others_are_answered.set()
    assert (await asking)[0] == 200
    assert outcome == [True]


async def test_an_engine_that_takes_long_keeps_nobody_else_waiting(voiced: Api) -> None:
    """While a worker process stands still, earlier previews are listened to and others answered."""
    link = (await heard(voiced))["voice"]["listen"]
    speaker = voiced.context.speaker
    assert isinstance(speaker, Previews)
    (engine,) = (await speaker._desk.open()).built.engines
    assert isinstance(engine, PicoEngine)
    (pid,) = engine._pool.pids
    os.kill(pid, signal.SIGSTOP)
    try:
        asking = asyncio.create_task(heard(voiced, CALL | {"text": "Another."}))
        while not speaker._flights:  # noqa: ASYNC110 - nobody is told when a rendering begins
            await asyncio.sleep(0)
        assert (await voiced.call("GET", link, key=None))[0] == 200
        assert (await voiced.call("GET", "/v1/voices"))[0] == 200
        assert not asking.done()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (await asking)["voice"]["engine"] == "pico"


async def test_the_description_tells_of_links(voiced: Api) -> None:
    """/openapi.json has the path with its parameter, and no key."""
    _, told, _ = await voiced.call("GET", "/openapi.json", key=None)
    operation = told["paths"]["/v1/speech/{token}"]["get"]
    assert operation["parameters"][0]["name"] == "token"
    assert operation["security"] == [] and "404" in operation["responses"]


def test_a_wav_is_what_players_read() -> None:
    """A RIFF header of 44 octets, 16-bit PCM, one channel, 8 kHz."""
    content = wav.write(np.zeros(8, dtype=np.int16), 8_000)
    kind, channels, rate = struct.unpack_from("<HHI", content, 20)
    assert (content[:4], kind, channels, rate) == (b"RIFF", 1, 1, 8_000)
