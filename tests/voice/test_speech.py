"""Speech within a node: nothing before it is needed, everything gone at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import aiohttp
import pytest

from config.settings import HttpSettings, Settings, StoreSettings
from config.speech import SpeechSettings
from gateway.app import Gateway
from gateway.store.keys import create_key
from gateway.store.lexicon import set_entry
from gateway.store.shops import add_shop
from gateway.voice.engines import build, speech_breaches
from gateway.voice.speech import SpeechDesk
from tests.postgres import ConnectParameters
from tests.store.sample import SAMPLE, SMS, store_of
from tests.tts.engines import Parrot
from tests.voice.desk import SHOP
from tts import plugins
from tts.pico import PicoEngine

ROOT = Path(__file__).parents[2]
LOADED_LATE = ("numpy", "soxr", "tts", "gtts", "piper")


def test_a_gateway_that_never_speaks_loads_nothing() -> None:
    """Neither engines nor numpy come with the composition root."""
    code = "import gateway.app, json, sys; print(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(run.stdout)}
    assert not loaded & set(LOADED_LATE)


def test_a_server_that_speaks_loads_no_library_for_sound() -> None:
    """Speaking and listening leave numpy and engines to worker processes: loading them would hold
    up calls and binds of a server that runs."""
    code = (
        "import asyncio, json, sys, gateway.app\n"
        "from config.speech import SpeechSettings\n"
        "from gateway.store.records import ShopSpeech\n"
        "from gateway.voice.previews import _wav\n"
        "from gateway.voice.speech import SpeechDesk\n"
        "async def main():\n"
        "    desk = SpeechDesk(SpeechSettings(workers=1, timeout_s=30.0), None)\n"
        "    audio = await desk.say('Your gown is ready.', 'en', ShopSpeech())\n"
        "    found = await (await desk.open()).cache.find(audio.key)\n"
        "    print(json.dumps([len(_wav(found)), audio.duration_s, list(sys.modules)]))\n"
        "    await desk.close()\n"
        "asyncio.run(main())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    size, duration_s, loaded = json.loads(run.stdout)
    assert size == 44 + duration_s * 16_000 and duration_s > 1
    libraries = {"numpy", "soxr", "py_nanotts", "miniaudio"}
    assert not libraries & {name.split(".")[0] for name in loaded}


async def test_a_node_speaks_and_ends_what_it_began(
    database: ConnectParameters, tmp_path: Path
) -> None:
    """A lexicon that changes is heard by the running node; at the end no process is left."""
    p = database
    url = f"postgresql://{p['user']}@/{p['database']}?host={p['host']}&port={p['port']}"
    settings = Settings(
        http=HttpSettings(listen="127.0.0.1:0"),
        store=StoreSettings(database_url=url, data_dir=tmp_path),
        speech=SpeechSettings(workers=1, timeout_s=30.0),
    )
    store = store_of(database)
    await store.run(lambda c: add_shop(c, SAMPLE, SMS))
    key = await store.run(lambda c: create_key(c, "sample"))
    gateway = Gateway(settings)
    await gateway.start()
    body = {"channel": "voice", "to": "(212) 555-0123", "text": "Nguyen is ready."}
    try:
        assert "speech" not in os.listdir(tmp_path)
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession(gateway.url, headers=headers) as session:

            async def spoken() -> str:
                async with session.post("/v1/messages/preview", json=body) as response:
                    told = await response.json()
                    assert response.status == 200, told
                    words: str = told["voice"]["spoken"]
                    return words

            assert "Nguyen" in await spoken()
            changed = gateway._directory.on_shop_changed
            heard = []
            changed.append(lambda _old, new: heard.append(new))
            await store.run(lambda c: set_entry(c, "sample", "Nguyen", "win"))
            while not heard:
                await store.fetch("SELECT pg_sleep(0.01)")
            assert "win is ready" in await spoken()
        assert gateway._previews is not None
        (engine,) = (await gateway._previews._desk.open()).built.engines
        assert isinstance(engine, PicoEngine)
        (pid,) = engine._pool.pids
    finally:
        await gateway.stop()
        await store.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_every_engine_is_made_as_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Looking at them needs neither network nor processes."""
    entry = EntryPoint("other", f"{__name__}:make_other", plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry])
    speech = SpeechSettings(
        engines=("other", "openai", "gtts", "pico"),
        openai_url="http://127.0.0.1:8880/v1",
        openai_model="sample",
        openai_voices={"en": ("ann",), "es": ("ana",)},
        plugins={"other": {"speed": "1"}},
    )
    built = build(speech, None, None)
    assert not built.faults
    assert [engine.name for engine in built.engines] == list(speech.engines)
    assert [str(voice) for voice in built.engines[1].voices] == ["openai:ann", "openai:ana"]
    assert speech_breaches(Settings(speech=speech)) == []


def make_other(options: dict[str, str]) -> Parrot:
    """A plugin."""
    assert options == {"speed": "1"}
    return Parrot("other")


@pytest.mark.parametrize(
    ("name", "key"),
    [("pico", "engines"), ("piper", "engines"), ("gtts", "engines"), ("other", "plugins")],
)
def test_an_engine_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, name: str, key: str
) -> None:
    """Is told with what to install, and the others are made."""
    monkeypatch.setattr("gateway.voice.engines.find_spec", lambda _: None)
    speech = SpeechSettings(engines=(name,), plugins={"other": {}})
    (breach,) = speech_breaches(Settings(speech=speech))
    assert breach.path == ("speech", key)
    assert breach.problem.startswith(f"{name} cannot be used") and breach.hint


async def test_a_shop_that_names_an_engine_the_settings_lost(tmp_path: Path) -> None:
    """Hears of it; no other engine takes its place unasked."""
    from tts.engine import NotSpoken

    desk = SpeechDesk(SpeechSettings(), None)
    with pytest.raises(NotSpoken, match="gone: is not set up"):
        await desk.say("Hello.", "en", replace(SHOP.speech, engines=("gone",)))
    await desk.close()
