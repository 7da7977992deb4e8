"""Settings of trunks read again: what changed is taken over, and nothing else is touched."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from config.settings import TrunkSettings
from gateway.voice import trunkset
from gateway.voice.admission import TrunkDown
from gateway.voice.call_events import Answered, CallEnd
from gateway.voice.trunk import Trunk
from gateway.voice.trunkset import TrunkSet
from protocols.rtp.events import MediaStarted
from protocols.sip.events import EndCause
from tests.fakes.sip import Registrar, far_end
from tests.voice.trunks import (
    ACCOUNT,
    HOST,
    PHONE,
    QUIET,
    Answering,
    next_of,
    on_any_port,
    only,
    running,
    settings,
    state_is,
    until,
)


def named(trunks: TrunkSet, name: str) -> Trunk:
    """A trunk that runs."""
    found = trunks.get(name)
    assert found is not None
    return found


def two(port: int, **keys: Any) -> tuple[TrunkSettings, TrunkSettings]:
    """Trunks `lab` and `other` to one port."""
    (lab,) = settings(port, **(QUIET | keys)).trunks
    return lab, replace(lab, name="other")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_changed_trunk_keeps_its_calls_and_begins_new_ones_by_its_new_settings(
    transport: str,
) -> None:
    """The calls that stand end when one of both sides hangs up, and not for our settings."""
    answering = Answering()
    keys = {"transport": transport, **QUIET}
    async with running(settings(1, **keys), on_incoming=answering) as there:
        own = settings(there.port, **keys)
        async with running(own) as here:
            before = only(here)
            calls = [before.call(PHONE) for _ in range(2)]
            for call in calls:
                await next_of(call, MediaStarted)
            await here.apply([replace(own.trunks[0], caller_number="+12125550199")])
            after = only(here)
            assert after is not before
            assert [call.end for call in calls] == [None, None]
            with pytest.raises(TrunkDown):
                before.call(PHONE)

            again = after.call(PHONE)
            await next_of(again, Answered)
            assert answering.calls[2].caller.number == "+12125550199"

            answering.calls[0].hang_up()
            assert (await next_of(calls[0], CallEnd)).cause is EndCause.REMOTE
            calls[1].hang_up()
            assert (await next_of(calls[1], CallEnd)).cause is EndCause.LOCAL
            await until(lambda: len(here.transport.allowed.owners(HOST)) == 1)
            assert again.end is None
            assert len(after.ladders) == 3, "the calls before are still shown"


async def test_a_trunk_that_did_not_change_notices_nothing() -> None:
    """Not even its registrar, which would otherwise be asked again by all of them."""
    registrar = Registrar("sample", "secret")
    answering = Answering()
    async with (
        far_end(registrar) as there,
        running(settings(1, **QUIET), on_incoming=answering) as far,
    ):
        lab, other = two(there.port, **ACCOUNT)
        other = replace(other, user="other", register=False, port=far.port, host=HOST)
        own = replace(settings(there.port), trunks=(lab, other))
        async with running(own) as here:
            kept = named(here, "lab")
            await state_is(kept, "up")
            asked = len(there.of("REGISTER"))
            call = named(here, "other").call(PHONE)
            await next_of(call, Answered)
            await here.apply([lab, replace(other, max_calls=2)])
            assert named(here, "lab") is kept
            assert named(here, "other").room == 1
            await here.apply([lab])
            assert [trunk.name for trunk in here] == ["lab"]
            assert call.end is None
            call.hang_up()
            assert (await call.wait_ended()).cause is EndCause.LOCAL
            assert len(there.of("REGISTER")) == asked
            await here.apply([lab, other])
            await next_of(named(here, "other").call(PHONE), Answered)


async def test_a_changed_trunk_is_registered_once_it_has_taken_the_old_registration_back() -> None:
    """In this order: both are of the same contact."""
    registrar = Registrar("sample", "secret")
    async with far_end(registrar) as there:
        own = settings(there.port, **ACCOUNT, **QUIET)
        async with running(own) as here:
            await state_is(only(here), "up")
            await here.apply([replace(own.trunks[0], max_calls=3)])
            await state_is(only(here), "up")
            assert list(registrar.bindings) == [f"sip:sample@{HOST}:{here.port}"]
        assert registrar.bindings == {}


async def test_a_change_that_nobody_waits_for_is_made_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever asked for it may be gone: a trunk is not left between its settings."""
    monkeypatch.setattr(trunkset, "LEAVE_S", 0.3)
    is_silent = False
    registrar = Registrar("sample", "secret")
    script = lambda heard: [] if is_silent else registrar(heard)  # noqa: E731
    async with far_end(script) as there:
        own = settings(there.port, **ACCOUNT, **QUIET)
        async with running(own) as here:
            await state_is(only(here), "up")
            is_silent = True
            asked = len(there.of("REGISTER"))
            asking = asyncio.create_task(here.apply([replace(own.trunks[0], max_calls=3)]))
            await there.wait_for("REGISTER", asked + 1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            is_silent = False
            await until(lambda: only(here).room == 3)
            await state_is(only(here), "up")


async def test_a_call_that_comes_after_a_change_is_for_the_trunk_as_it_is_now() -> None:
    """Also while calls of before are up: both share networks, port and user."""
    takes = Answering()
    own = settings(1, **QUIET)
    async with (
        running(own, on_incoming=takes) as here,
        running(settings(here.port, **QUIET)) as far,
    ):
        first = only(far).call(PHONE)
        await next_of(first, Answered)
        await here.apply([replace(own.trunks[0], max_calls=2)])
        second = only(far).call(PHONE)
        await next_of(second, Answered)
        assert only(here).calls == {takes.calls[1]}
        assert only(here).room == 0, "calls of before count too"
        first.hang_up()
        assert (await first.wait_ended()).cause is EndCause.LOCAL
        assert second.end is None
        await until(lambda: only(here).room == 1)


async def test_a_trunk_that_is_gone_leaves_no_connection_behind() -> None:
    """At its next sign of life nobody is there to give one."""
    async with running(settings(1, **QUIET)) as there:
        own = settings(there.port, transport="tcp", keepalive_s=0.1)
        async with running(own) as here:
            await state_is(only(here), "up")
            assert here.transport.connections == 1
            await here.apply([])
            await until(lambda: here.transport.connections == 0)


async def test_stopping_hangs_up_the_calls_of_old_settings_too() -> None:
    answering = Answering()
    async with running(settings(1, **QUIET), on_incoming=answering) as there:
        own = settings(there.port, voice=on_any_port(), **QUIET)
        async with running(own) as here:
            call = only(here).call(PHONE)
            await next_of(call, Answered)
            await here.apply([])
            assert list(here) == []
            assert call.end is None
        assert (await answering.told(CallEnd)).cause is EndCause.REMOTE
