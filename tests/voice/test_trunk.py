"""Trunks on loopback: calls over every transport, servers that fail, registration, limits."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.voice.admission import TrunkBusy, TrunkDown
from gateway.voice.call_events import Answered, CallEnd, EarlyMedia, Ringing, TransferProgress
from gateway.voice.calls import TrunkCall
from gateway.voice.identity import Caller
from gateway.voice.trunkset import TrunkSet
from protocols.errors import LocalProtocolError
from protocols.rtp.events import DigitReceived, MediaStarted
from protocols.sip.events import EndCause
from protocols.sip.limits import DEFAULT_LIMITS
from tests.channels.certificates import Authority
from tests.fakes.dns import name_server
from tests.fakes.sip import Heard, far_end
from tests.voice.trunks import (
    HOST,
    PHONE,
    QUIET,
    SHOP,
    Answering,
    Listener,
    next_of,
    on_any_port,
    only,
    running,
    settings,
    state_is,
    tone,
    until,
)

NAME = "trunk.example.com"


def silent(_heard: Heard) -> list[str]:
    return []


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_whole_call_is_heard_both_ways(transport: str, tmp_path: Path) -> None:
    """Tone there, tone back, a key pressed, and an end that both sides know; with TLS the sound is
    encrypted too."""
    authority = Authority(tmp_path, "authority")
    cert, key = authority.sign(NAME)
    voice = on_any_port(tls_listen=f"{HOST}:0", tls_cert=cert, tls_key=key)
    more: dict[str, Any] = {"transport": transport}
    if transport == "tls":
        more |= {"tls_ca": authority.file, "tls_server_name": NAME, "srtp": "required"}
    answering = Answering(tone_hz=440.0)
    async with running(settings(1, voice=voice, **QUIET, **more), on_incoming=answering) as there:
        port = there.tls_port if transport == "tls" else there.port
        async with running(settings(port, **QUIET, **more)) as here:
            trunk = here.get("lab")
            assert trunk is not None
            call = trunk.call(PHONE, Caller(name="Sample Bridal"))
            await next_of(call, Answered)
            heard = Listener()
            call.leg.add_tap(heard)
            call.leg.play(tone(1_000.0, 20.0))
            await until(lambda: heard.tone_hz == 440.0 and answering.heard.tone_hz == 1_000.0)
            call.leg.send_digits("9")
            assert (await answering.told(DigitReceived)).digit == "9"
            call.hang_up()
            end = await next_of(call, CallEnd)
            assert end.cause is EndCause.LOCAL
            assert (await answering.told(CallEnd)).cause is EndCause.REMOTE
            assert end.statistics is not None
            assert end.statistics.lost == 0
            assert call.parameters is not None
            assert (call.parameters.keys is not None) is (transport == "tls")
            incoming = answering.calls[0]
            assert (incoming.to, incoming.caller) == (PHONE, Caller(SHOP, "Sample Bridal"))


async def test_early_media_and_ringing_are_told_before_the_answer() -> None:
    taken: list[TrunkCall] = []

    def take(call: TrunkCall) -> None:
        taken.append(call)
        call.ring()
        call.early()
        call.leg.play(tone(440.0), is_looped=True)

    async with (
        running(settings(1, **QUIET), on_incoming=take) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        call = only(here).call(PHONE)
        seen: list[Any] = []
        await next_of(call, EarlyMedia, seen)
        assert Ringing(180) in seen
        heard = Listener()
        call.leg.add_tap(heard)
        await until(lambda: heard.tone_hz == 440.0)
        taken[0].answer()
        await next_of(call, Answered)
        taken[0].hang_up()
        assert (await next_of(call, CallEnd)).cause is EndCause.REMOTE


async def test_a_refusal_is_told_with_its_code() -> None:
    async with (
        running(settings(1, **QUIET), on_incoming=lambda call: call.reject(486)) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        end = await next_of(only(here).call(PHONE), CallEnd)
        assert (end.code, end.was_answered) == (486, False)


async def test_without_anybody_to_take_them_calls_are_refused() -> None:
    async with (
        running(settings(1, **QUIET)) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        assert (await next_of(only(here).call(PHONE), CallEnd)).code == 480


async def test_a_call_that_nobody_can_take_is_refused_and_does_not_stay() -> None:
    """Whatever goes wrong with whoever was to take it."""

    def fails(_call: TrunkCall) -> None:
        raise RuntimeError("no")

    async with (
        running(settings(1, **QUIET), on_incoming=fails) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        end = await next_of(only(here).call(PHONE), CallEnd)
        assert end.code == 480
        assert only(there).calls == set()


async def test_a_caller_is_sent_to_another_number() -> None:
    """302, which the core never follows by itself."""
    async with (
        running(settings(1, **QUIET), on_incoming=lambda call: call.redirect([SHOP])) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        end = await next_of(only(here).call(PHONE), CallEnd)
        assert end.code == 302


async def test_a_transfer_that_the_other_side_refuses_is_told() -> None:
    """Our own trunks refuse REFER: it would let the peer choose whom we call."""
    answering = Answering()
    async with (
        running(settings(1, **QUIET), on_incoming=answering) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        call = only(here).call(PHONE)
        await next_of(call, Answered)
        call.transfer(SHOP)
        assert await next_of(call, TransferProgress) == TransferProgress(603, True)
        call.hang_up()


async def test_giving_up_while_it_rings_cancels_the_call() -> None:
    taken: list[TrunkCall] = []

    def take(call: TrunkCall) -> None:
        taken.append(call)
        call.ring()

    async with (
        running(settings(1, **QUIET), on_incoming=take) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        call = only(here).call(PHONE)
        await next_of(call, Ringing)
        call.hang_up()
        assert (await next_of(call, CallEnd)).cause is EndCause.CANCELED
        assert (await taken[0].wait_ended()).cause is EndCause.CANCELED


async def test_a_call_that_nobody_answers_ends_by_itself() -> None:
    async with (
        running(settings(1, **QUIET), on_incoming=lambda call: call.ring()) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        call = only(here).call(PHONE, ring_s=0.1)
        assert (await next_of(call, CallEnd)).cause is EndCause.NO_ANSWER


async def test_a_call_does_not_last_longer_than_it_may() -> None:
    """The cap on what a call can cost."""
    answering = Answering()
    async with (
        running(settings(1, **QUIET), on_incoming=answering) as there,
        running(settings(there.port, call_max_s=0.2, **QUIET)) as here,
    ):
        end = await next_of(only(here).call(PHONE), CallEnd)
        assert end.cause is EndCause.LOCAL
        assert "longest time" in end.problem


async def test_a_line_that_has_gone_silent_is_given_up() -> None:
    """Whoever was at the other end is gone without a word: killed, or cut off."""
    answering = Answering()
    async with (
        running(settings(1, media_lost_s=0.3, **QUIET), on_incoming=answering) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        call = only(here).call(PHONE)
        await answering.told(MediaStarted)
        call.leg.fills_silence = False
        end = await answering.told(CallEnd)
        assert (end.cause, end.problem) == (EndCause.LOCAL, "no sound came for long")
        assert (await call.wait_ended()).cause is EndCause.REMOTE


async def test_sound_outside_of_the_media_networks_ends_the_call() -> None:
    """Where the answer wants our packets there may be somebody who never asked for them."""
    answering = Answering()
    async with (
        running(settings(1, **QUIET), on_incoming=answering) as there,
        running(settings(there.port, media_networks=("192.0.2.0/24",), **QUIET)) as here,
    ):
        end = await next_of(only(here).call(PHONE), CallEnd)
        assert "networks" in end.problem
        assert (await answering.told(CallEnd)).cause is EndCause.REMOTE


# ---------------------------------------------------------------------- limits


async def test_more_calls_than_allowed_are_not_begun() -> None:
    """Nothing is sent for them; the other way they are refused with 503."""
    answering = Answering()
    async with (
        running(settings(1, max_calls=1, **QUIET), on_incoming=answering) as there,
        running(settings(there.port, max_calls=2, **QUIET)) as here,
    ):
        trunk = only(here)
        first = trunk.call(PHONE)
        await next_of(first, Answered)
        assert (await next_of(trunk.call(PHONE), CallEnd)).code == 503
        first.hang_up()
        await first.wait_ended()
        blocked = [trunk.call(PHONE, ring_s=5), trunk.call(PHONE, ring_s=5)]
        with pytest.raises(TrunkBusy):
            trunk.call(PHONE)
        assert trunk.room == 0
        for call in blocked:
            call.hang_up()
            await call.wait_ended()
        assert trunk.room == 2


async def test_calls_begin_at_the_pace_of_the_trunk() -> None:
    async with (
        running(settings(1, **QUIET)) as there,
        running(settings(there.port, calls_per_s=0.01, **QUIET)) as here,
    ):
        trunk = only(here)
        call = trunk.call(PHONE)
        with pytest.raises(TrunkBusy) as caught:
            trunk.call(PHONE)
        assert 50 < caught.value.retry_after_s <= 100
        await call.wait_ended()


@pytest.mark.parametrize(
    "number", ["", "2125550123", "+1212555012x", "sip:a@example.com", "+12125550123\r\nX: 1"]
)
async def test_only_numbers_are_called(number: str) -> None:
    async with running(settings(9, **QUIET)) as here:
        with pytest.raises(LocalProtocolError):
            only(here).call(number)


# ---------------------------------------------------------------------- servers


async def test_the_next_server_is_called_when_one_is_silent() -> None:
    """By DNS; the person is called once, and later calls begin at the server that answered."""
    answering = Answering()
    async with (
        far_end(silent) as dead,
        running(settings(1, **QUIET), on_incoming=answering) as there,
        name_server() as dns,
    ):
        dns.records = {
            ("SRV", "_sip._udp.example.com"): [
                (1, 0, dead.port, "a.example.com"),
                (2, 0, there.port, "b.example.com"),
            ],
            ("A", "a.example.com"): [HOST],
            ("A", "b.example.com"): [HOST],
        }
        own = settings(
            0,
            host="example.com",
            failover_s=0.1,
            voice=on_any_port(dns_servers=(HOST,)),
            **QUIET,
        )
        async with running(own, dns_port=dns.port) as here:
            trunk = only(here)
            call = trunk.call(PHONE)
            await next_of(call, Answered)
            assert call.target is not None
            assert call.target.name == "b.example.com"
            assert trunk.servers.order(trunk.endpoint.now)[0].name == "b.example.com"
            assert len(answering.calls) == 1
            call.hang_up()
            await call.wait_ended()


@pytest.mark.parametrize(
    ("status", "is_next"), [("503 Service Unavailable", True), ("500 Server Error", False)]
)
async def test_503_sends_us_to_the_next_server_and_500_does_not(
    status: str, is_next: bool
) -> None:
    """RFC 3263 section 4.3; a 500 may come from behind the carrier, after the phone rang."""
    async with (
        far_end(lambda heard: [heard.reply(status)] if heard.method == "INVITE" else []) as first,
        far_end(lambda heard: [heard.reply("486 Busy Here")]) as second,
        name_server() as dns,
    ):
        dns.records = {
            ("SRV", "_sip._udp.example.com"): [
                (1, 0, first.port, "a.example.com"),
                (2, 0, second.port, "a.example.com"),
            ],
            ("A", "a.example.com"): [HOST],
        }
        own = settings(0, host="example.com", voice=on_any_port(dns_servers=(HOST,)), **QUIET)
        async with running(own, dns_port=dns.port) as here:
            end = await next_of(only(here).call(PHONE), CallEnd)
            assert end.code == (486 if is_next else 500)


async def test_a_server_that_goes_and_comes_back_shows_in_the_state() -> None:
    """By OPTIONS: down when it does not answer soon, up at the first answer."""
    is_there = True

    def script(heard: Heard) -> list[str]:
        return [heard.reply("200 OK")] if is_there and heard.method == "OPTIONS" else []

    async with far_end(script) as there:
        own = settings(there.port, options_s=0.1, failover_s=0.2)
        async with running(own) as here:
            trunk = only(here)
            await state_is(trunk, "up")
            assert trunk.is_usable
            server = trunk.state().figures["servers"][0]
            assert server["is_up"]
            assert server["round_trip_ms"] < 1_000
            is_there = False
            await state_is(trunk, "down")
            assert "OPTIONS" in trunk.state().error
            is_there = True
            await state_is(trunk, "up")
            assert trunk.state().error == ""


async def test_a_trunk_that_dns_does_not_know_is_down_and_calls_nobody() -> None:
    async with name_server() as dns:
        own = settings(0, host="example.com", voice=on_any_port(dns_servers=(HOST,)))
        async with running(own, dns_port=dns.port) as here:
            trunk = only(here)
            await state_is(trunk, "down")
            assert "no server of example.com" in trunk.state().error
            with pytest.raises(TrunkDown):
                trunk.call(PHONE)


async def test_a_trunk_that_has_only_just_begun_says_so_and_calls_nobody() -> None:
    """The call may be made a moment later: nothing is wrong with it."""
    trunks = TrunkSet(settings(1, **QUIET))
    await trunks.start()
    try:
        with pytest.raises(TrunkDown):
            only(trunks).call(PHONE)
        assert only(trunks).room == only(trunks).settings.max_calls
    finally:
        await trunks.stop(0.0)


async def test_an_address_of_dns_outside_of_the_networks_is_not_used() -> None:
    """Whoever answers for DNS does not choose whom we trust."""
    async with name_server() as dns, far_end(silent) as there:
        dns.records = {("A", "example.com"): [HOST]}
        own = settings(
            there.port,
            host="example.com",
            networks=("192.0.2.0/24",),
            voice=on_any_port(dns_servers=(HOST,)),
            **QUIET,
        )
        async with running(own, dns_port=dns.port) as here:
            trunk = only(here)
            end = await next_of(trunk.call(PHONE), CallEnd)
            assert end.cause is EndCause.TRANSPORT
            assert any("outside of networks" in each[1] for each in trunk.state().figures["errors"])
            assert trunk.room == trunk.settings.max_calls
            assert there.heard == []


async def test_stopping_hangs_up_and_says_so_to_the_far_end() -> None:
    answering = Answering()
    async with running(settings(1, **QUIET), on_incoming=answering) as there:
        async with running(settings(there.port, **QUIET)) as here:
            call = only(here).call(PHONE)
            await next_of(call, MediaStarted)
        assert call.end is not None
        assert (await answering.told(CallEnd)).cause is EndCause.REMOTE


async def test_two_trunks_to_one_carrier_do_not_get_each_others_answers() -> None:
    """They share a network and a port: what each began comes back to it."""
    answering = Answering()
    async with running(settings(1, **QUIET), on_incoming=answering) as there:
        own = settings(there.port, **QUIET)
        names = ("first", "second", "third")
        both = replace(own, trunks=tuple(replace(own.trunks[0], name=name) for name in names))
        async with running(both) as here:
            calls = [trunk.call(PHONE) for trunk in here]
            for call in calls:
                await next_of(call, Answered)
            answering.calls[1].hang_up()
            assert (await next_of(calls[1], CallEnd)).cause is EndCause.REMOTE
            assert [call.end for call in (calls[0], calls[2])] == [None, None]
            assert [trunk.endpoint.agent.stray_responses for trunk in here] == [0, 0, 0]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_many_calls_that_begin_at_once_all_come_about(transport: str) -> None:
    """Also when there is no connection yet; and each gives back what it took."""
    many = 100
    keys = {"transport": transport, "max_calls": many, **QUIET}

    def take(call: TrunkCall) -> None:
        call.on_event = lambda event: None
        call.answer()

    async with (
        running(settings(1, **keys), on_incoming=take) as there,
        running(settings(there.port, **keys)) as here,
    ):
        trunk = only(here)
        calls = [trunk.call(PHONE) for _ in range(many)]
        for call in calls:
            await next_of(call, Answered)
        assert trunk.room == 0
        for call in calls:
            call.hang_up()
        for call in calls:
            assert (await call.wait_ended()).cause is EndCause.LOCAL
        assert (trunk.room, len(here.media)) == (many, 0)


async def test_a_trunk_holds_as_many_calls_as_its_settings_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also more than a user agent takes by default: the carrier granted them."""
    small = dataclasses.replace(DEFAULT_LIMITS, calls=2)
    monkeypatch.setattr("gateway.voice.agent.DEFAULT_LIMITS", small)

    def take(call: TrunkCall) -> None:
        call.on_event = lambda event: None
        call.answer()

    keys = {"max_calls": 6, **QUIET}
    async with (
        running(settings(1, **keys), on_incoming=take) as there,
        running(settings(there.port, **keys)) as here,
    ):
        calls = [only(here).call(PHONE) for _ in range(6)]
        for call in calls:
            await next_of(call, Answered)
        assert (only(here).room, only(there).room) == (0, 0)


async def test_an_error_that_goes_on_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Hundreds of calls that fail alike do not fill the log."""
    async with (
        far_end(lambda heard: [heard.reply("503 Service Unavailable")]) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        trunk = only(here)
        for _ in range(8):
            await trunk.call(PHONE).wait_ended()
        assert trunk.state().figures["failed"] == 8
    told = [each for each in caplog.records if "503" in each.getMessage()]
    assert len(told) == 2  # of the server, and of the call
