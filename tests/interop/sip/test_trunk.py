"""Trunks as operators set them up: `gateway trunk call`, registration, calls that come."""

from __future__ import annotations

import asyncio
import sys
import wave
from pathlib import Path

import numpy as np

from gateway.voice.call_events import Answered, CallEnd
from gateway.voice.identity import Caller
from protocols.rtp.events import DigitReceived, MediaStarted
from protocols.sip.events import EndCause
from tests.channels.certificates import Authority
from tests.interop.sip.baresip import baresip
from tests.interop.sip.kamailio import PASSWORD, REALM, USER, kamailio
from tests.interop.sip.ports import free_port
from tests.interop.sip.sipp import (
    BYE_TAKEN,
    INVITED,
    answer,
    asks,
    audio,
    recv,
    sipp,
)
from tests.interop.sip.sound import BARESIP_HZ, OURS_HZ, loudest_of_pcm
from tests.voice.trunks import (
    HOST,
    PHONE,
    SHOP,
    Answering,
    next_of,
    only,
    running,
    settings,
    state_is,
    tone,
    until,
)

LOOPBACK = ("127.0.0.0/8",)


async def _gateway(file: Path, *arguments: str) -> str:
    """What the command prints, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments, "--config", str(file),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 40)
    assert process.returncode == 0, output.decode()
    return output.decode()


def _file(folder: Path, name: str, lines: list[str]) -> Path:
    file = folder / f"{name}.toml"
    trunk = ["[[trunks]]", 'name = "lab"', f'host = "{HOST}"', f'caller_number = "{SHOP}"', *lines]
    voice = ["[voice]", f'listen = "{HOST}:{free_port()}"']
    file.write_text("\n".join([*voice, *trunk]) + "\n")
    return file


async def test_a_call_from_the_command_line(folder: Path) -> None:
    """`gateway trunk call` reaches baresip, which hears what was played."""
    played = folder / "played.wav"
    moments = np.arange(8000) / 8000
    with wave.open(str(played), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes((8000 * np.sin(2 * np.pi * OURS_HZ * moments)).astype("<i2").tobytes())
    async with baresip(folder, user=PHONE) as peer:
        file = _file(folder, "plain", [f"port = {peer.port}"])
        said = await _gateway(
            file, "trunk", "call", "lab", PHONE, "--play", str(played), "--wait", "0.2"
        )
        await peer.until("CALL_CLOSED")
        assert "answered" in said
        assert "INVITE" in said
        assert len(peer.told("CALL_ESTABLISHED")) == 1
        assert loudest_of_pcm(peer.recorded) == OURS_HZ


async def test_a_secure_call_from_the_command_line(
    folder: Path, authority: Authority, certificate: tuple[Path, Path]
) -> None:
    """With TLS and SRTP required, `gateway trunk call` reaches baresip, whose keys agree."""
    async with baresip(
        folder, transport="tls", certificate=certificate, account=";mediaenc=srtp-mand", user=PHONE
    ) as peer:
        lines = [
            f"port = {peer.tls_port}", 'transport = "tls"', f'tls_ca = "{authority.file}"',
            'tls_server_name = "localhost"', 'srtp = "required"',
        ]  # fmt: skip
        said = await _gateway(
            _file(folder, "secure", lines), "trunk", "call", "lab", PHONE, "--wait", "0.3"
        )
        await peer.until("CALL_CLOSED")
        assert "answered" in said
        assert "SRTP is Enabled" in peer.log


async def test_a_trunk_registers_and_calls_through_the_proxy(folder: Path) -> None:
    """The trunk registers at Kamailio, calls through it with its password, and leaves."""
    behind = free_port()
    taken = (INVITED, answer(180), answer(200, body=audio(), is_repeated=True), recv("ACK"))
    async with (
        kamailio(folder, behind=behind) as proxy,
        sipp(folder, *taken, BYE_TAKEN, port=behind, options=["-rtp_echo"]) as peer,
    ):
        of = settings(
            proxy.port, user=USER, password=PASSWORD, realm=REALM, register=True,
            networks=LOOPBACK, options_s=0.0,
        )  # fmt: skip
        async with running(of) as trunks:
            trunk = only(trunks)
            await state_is(trunk, "up")
            assert f"@{HOST}:{trunks.port}" in await proxy.contacts()
            call = trunk.call(PHONE, Caller(name="Sample Bridal"))
            await next_of(call, Answered)
            call.leg.play(tone(OURS_HZ))
            await next_of(call, MediaStarted)
            call.hang_up()
            assert (await call.wait_ended()).cause is EndCause.LOCAL
            await peer.finish()
            invite = peer.got("INVITE")[0]
            assert PHONE in invite.line
            assert SHOP in invite.header("From")
            assert SHOP in invite.header("P-Asserted-Identity")
        assert f"@{HOST}:{trunks.port}" not in await proxy.contacts()


async def test_calls_come_over_a_trunk_from_its_networks(folder: Path) -> None:
    """SIPp's call is taken, its keys and its BYE are told."""
    steps = (
        asks("INVITE", 1, body=audio(), is_first=True), recv(100, optional=True), recv(180),
        recv(200, rrs=True), asks("ACK", 1), asks("BYE", 2), recv(200),
    )  # fmt: skip
    answering = Answering()
    of = settings(free_port(), networks=LOOPBACK, options_s=0.0)
    async with (
        running(of, on_incoming=answering) as trunks,
        sipp(folder, *steps, target=trunks.port) as peer,
    ):
        end = await answering.told(CallEnd)
        assert end.cause is EndCause.REMOTE
        await peer.finish()


async def test_calls_of_baresip_over_a_trunk(folder: Path) -> None:
    """baresip's keys come once each, and what the trunk plays is in its recording."""
    answering = Answering(OURS_HZ)
    of = settings(free_port(), networks=LOOPBACK, options_s=0.0)
    async with running(of, on_incoming=answering) as trunks, baresip(folder) as peer:
        await peer.do("dial", f"sip:{SHOP}@{HOST}:{trunks.port}")
        await peer.until("CALL_ESTABLISHED")
        await answering.told(MediaStarted)
        peer.press("5")
        assert (await answering.told(DigitReceived)).digit == "5"
        await until(lambda: round(answering.heard.tone_hz) == BARESIP_HZ)
        await peer.do("hangup")
        assert (await answering.told(CallEnd)).cause is EndCause.REMOTE
        await peer.until("CALL_CLOSED")
        assert loudest_of_pcm(peer.recorded) == OURS_HZ


async def test_strangers_hear_nothing(folder: Path) -> None:
    """SIPp outside of the trunk's networks repeats its INVITE and gets no byte."""
    of = settings(free_port(), networks=("192.0.2.0/24",), options_s=0.0)
    steps = (asks("INVITE", 1, body=audio(), is_first=True), recv(100), recv(200))
    async with running(of) as trunks, sipp(folder, *steps, target=trunks.port) as peer:
        await peer.until("INVITE", 2)
        assert not [each for each in peer.messages if each.is_received]
