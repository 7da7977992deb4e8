"""`gateway trunk`: beside a running node through the store, and a call of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from config.faults import SettingsError
from config.loading import load, load_with_places
from gateway.app import Gateway
from gateway.cli.frame import CommandError
from gateway.cli.main import _parser
from gateway.store.embedded import ConnectParameters
from gateway.store.trunks import CHANNEL, TOLD_CHANNEL, put_trunks
from gateway.voice.call_events import CallEnd
from gateway.voice.identity import Caller
from gateway.voice.trunkset import TrunkSet
from protocols.audio import wav
from protocols.audio.g711 import Law
from protocols.rtp.events import DigitReceived, MediaStarted
from tests.voice.trunks import (
    HOST,
    PHONE,
    Answering,
    next_of,
    only,
    running,
    settings,
    state_is,
    tone,
)


@dataclass
class Stage:
    """A settings file whose trunk leads to a far end of ours."""

    config: Path
    there: TrunkSet
    answering: Answering

    async def run(self, *arguments: str) -> int:
        """Run `gateway trunk …`."""
        words = ["trunk", *arguments, "--config", str(self.config)]
        args = _parser(words).parse_args(words)
        return int(await args.run(args))


@pytest.fixture
async def stage(tmp_path: Path, database: ConnectParameters) -> AsyncIterator[Stage]:
    url = f"postgresql://{database['user']}@/{database['database']}"
    url += f"?host={database['host']}&port={database['port']}"
    answering = Answering()
    async with running(settings(1, options_s=0.0), on_incoming=answering) as there:
        config = tmp_path / "gateway.toml"
        config.write_text(
            f'[http]\nlisten = "{HOST}:0"\n'
            f'[store]\ndatabase_url = "{url}"\ndata_dir = "{tmp_path}"\n'
            f'[voice]\nlisten = "{HOST}:0"\nrtp_port_first = 20000\nrtp_port_last = 29999\n'
            f'[[trunks]]\nname = "lab"\nhost = "{HOST}"\nport = {there.port}\n'
            'caller_number = "+12125550100"\noptions_s = 1\n',
            encoding="utf-8",
        )
        yield Stage(config, there, answering)


@asynccontextmanager
async def node(stage: Stage) -> AsyncIterator[Gateway]:
    """A node of these settings with role voice."""
    made = Gateway(load(stage.config, {}), ("voice",), lambda: load_with_places(stage.config, {}))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def shown(stage: Stage, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert await stage.run("list", "--json") == 0
    return list(json.loads(capsys.readouterr().out))


async def test_a_trunk_of_a_running_node_is_shown_and_its_calls_are_drawn(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its state, the server's round trip, figures; and no whole phone number."""
    async with node(stage) as gateway:
        assert gateway.voice is not None
        trunk = only(gateway.voice.trunks)
        await state_is(trunk, "up")
        call = trunk.call(PHONE, Caller())
        await next_of(call, MediaStarted)
        call.hang_up()
        await call.wait_ended()
        async with asyncio.timeout(10):
            while not (states := await shown(stage, capsys)) or not states[0]["answered"]:
                pass  # each look is a connection of its own, and takes its time
        (state,) = states
        assert (state["name"], state["state"], state["out"]) == ("lab", "up", 1)
        assert state["servers"][0]["is_up"]

        assert await stage.run("list") == 0
        assert await stage.run("show", "lab") == 0
        assert await stage.run("trace", "lab") == 0
        out = capsys.readouterr().out
        assert "answers in" in out
        assert "1 out, 0 in, 1 answered" in out
        assert "INVITE" in out
        assert "200 OK (BYE)" in out
        assert "+1212***23" in out
        assert "5550123" not in out
    assert gateway.voice.trunks.transport.connections == 0


async def test_the_calls_of_several_nodes_are_drawn_one_node_after_the_other(
    stage: Stage, capsys: pytest.CaptureFixture[str], database: ConnectParameters
) -> None:
    """However many notices of the database each of them needs, and however these cross."""
    connection = await asyncpg.connect(**database)

    async def tell(payload: str) -> None:
        token = payload.split()[3]
        for told in ("1 more\none a", "2 more\ntwo a", "1 end\none b", "2 end\ntwo b"):
            await connection.execute("SELECT pg_notify($1, $2)", TOLD_CHANNEL, f"{token} {told}")

    asked: list[asyncio.Task[None]] = []
    try:
        async with node(stage) as gateway:  # makes the tables, and says what a trunk shows
            assert gateway.voice is not None
            async with asyncio.timeout(10):
                while not (states := await shown(stage, capsys)):
                    pass  # each look is a connection of its own, and takes its time
        row = {"trunk": "lab", "state": "up", "since": 0.0, "error": "", "figures": states[0]}
        await connection.execute("DELETE FROM trunk_state")
        for number in (1, 2):
            await put_trunks(connection, number, [row])
        await connection.add_listener(
            CHANNEL, lambda _c, _p, _ch, payload: asked.append(asyncio.create_task(tell(payload)))
        )
        assert await stage.run("trace", "lab") == 0
        assert capsys.readouterr().out.split("\n") == ["one a", "one b", "", "two a", "two b", ""]
        await asyncio.gather(*asked)
    finally:
        await connection.close()


async def test_settings_read_again_change_trunks_and_end_no_call(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault anywhere, be it in a file that they name, leaves everything as it was."""
    async with node(stage) as gateway:
        assert gateway.voice is not None
        await state_is(only(gateway.voice.trunks), "up")
        call = only(gateway.voice.trunks).call(PHONE, Caller())
        await next_of(call, MediaStarted)
        text = stage.config.read_text("utf-8")
        broken = text + 'transport = "tls"\ntls_ca = "/none.pem"\n'
        stage.config.write_text(broken, "utf-8")
        with pytest.raises(SettingsError, match="tls_ca"):
            await gateway.reload()
        assert [trunk.settings.transport for trunk in gateway.voice.trunks] == ["udp"]
        more = text.replace("lab", "more").partition("[[trunks]]")[2]
        stage.config.write_text(f"{text}max_calls = 3\n[[trunks]]{more}", "utf-8")
        changes = await gateway.reload()
        assert (changes.trunks, changes.at_restart) == (True, [])
        async with asyncio.timeout(10):
            while [each["name"] for each in await shown(stage, capsys)] != ["lab", "more"]:
                pass  # each look is a connection of its own, and takes its time
        assert [trunk.room for trunk in gateway.voice.trunks] == [2, 10]
        assert call.end is None
        assert (await gateway.reload()).words() == "nothing has changed"
        call.hang_up()
        await call.wait_ended()


async def test_a_trunk_that_no_node_runs_is_told_of(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await stage.run("list") == 0
    assert "not run" in capsys.readouterr().out
    assert await stage.run("show", "lab") == 0
    out = capsys.readouterr().out
    assert f"(udp to {HOST}:{stage.there.port})" in out
    assert "no node runs it" in out
    assert "next        start a node with role voice" in out
    with pytest.raises(CommandError, match="no node runs"):
        await stage.run("trace", "lab")
    for action in ("show", "trace"):
        with pytest.raises(CommandError, match="there is no trunk"):
            await stage.run(action, "nobody")


async def test_what_keeps_a_trunk_from_working_is_shown_with_what_to_do(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """The far end registers nobody; and somebody whom no trunk knows gets no answer."""
    text = stage.config.read_text("utf-8")
    stage.config.write_text(f'{text}user = "sample"\nregister = true\n', "utf-8")
    async with node(stage) as gateway:
        assert gateway.voice is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.2", 0))
            stranger.sendto(b"OPTIONS sip:x SIP/2.0\r\n\r\n", (HOST, gateway.voice.trunks.port))
            async with asyncio.timeout(10):
                while not (states := await shown(stage, capsys)) or not states[0]["strangers"]:
                    pass  # each look is a connection of its own, and takes its time
        assert await stage.run("show", "lab") == 0
        out = capsys.readouterr().out
    assert "unregistered since" in out
    assert "registers   again at" in out
    assert "next        see that user, password and registrar" in out
    assert "strangers   1 times" in out
    assert "the last 127.0.0.2" in out


async def test_a_call_of_an_operator_plays_a_file_and_draws_what_was_said(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a running node or without one; the exit status tells whether it was answered."""
    file = tmp_path / "tone.wav"
    file.write_bytes(wav.write_g711(tone(1_000.0, 0.3).octets(Law.ULAW), Law.ULAW))
    asked = asyncio.create_task(
        stage.run("call", "lab", "(212) 555-0123", "--play", str(file), "--wait", "0.2")
    )
    await stage.answering.told(MediaStarted)
    stage.answering.calls[0].leg.send_digits("7")
    assert await asked == 0
    assert (await stage.answering.told(CallEnd)).talked_s > 0.3
    assert not any(isinstance(each, DigitReceived) for each in stage.answering.events)
    out = capsys.readouterr().out
    for words in ("answered", "key 7", "played 0.", "INVITE", "BYE", "0 lost"):
        assert words in out
    assert "5550123" not in out


async def test_a_call_that_nobody_answers_says_why(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.there.on_incoming = lambda call: call.reject(486)
    assert await stage.run("call", "lab", PHONE) == 1
    out = capsys.readouterr().out
    assert "not answered: Busy Here" in out
    assert "486 Busy Here" in out
    stage.there.on_incoming = lambda call: call.reject(404)
    assert await stage.run("call", "lab", PHONE) == 1
    assert "see number_format" in capsys.readouterr().out


@pytest.mark.parametrize("number", ["+19005550123", "+442079460123", "911", "hello"])
async def test_only_numbers_of_allowed_kinds_are_called(stage: Stage, number: str) -> None:
    """Neither premium ones nor those of other countries."""
    with pytest.raises(CommandError):
        await stage.run("call", "lab", number)
    assert stage.answering.calls == []


def test_without_trunks_nothing_of_theirs_is_loaded() -> None:
    """Who sends texts alone pays nothing for calls."""
    code = (
        "import sys, gateway.cli.serve, gateway.app\n"
        "wrong = {'gateway.voice.trunk', 'gateway.voice.dns', 'protocols.sip.transport',"
        " 'pylibsrtp'} & set(sys.modules)\n"
        "assert not wrong, wrong"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
