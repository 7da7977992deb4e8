"""What a trunk counts and tells as a fault, and what it does not."""

from __future__ import annotations

import pytest

from gateway.voice.call_events import CallEnd
from gateway.voice.calls import TrunkCall
from gateway.voice.servers import Asked
from protocols.sip.events import EndCause, Replied
from tests.fakes.sip import Heard, far_end
from tests.voice.trunks import HOST, PHONE, QUIET, next_of, only, running, settings, state_is, until


def alive(heard: Heard) -> list[str]:
    return [heard.reply("200 OK")] if heard.method == "OPTIONS" else []


@pytest.mark.parametrize(
    ("status", "is_fault"),
    [
        ("403 Forbidden", True),
        ("407 Proxy Authentication Required", True),
        ("488 Not Acceptable Here", True),
        ("500 Server Error", True),
        ("404 Not Found", False),
        ("486 Busy Here", False),
        ("600 Busy Everywhere", False),
        ("603 Decline", False),
    ],
)
async def test_refusals_of_the_carrier_are_faults_and_those_of_people_are_not(
    status: str, is_fault: bool
) -> None:
    """Whoever declines a call has a phone that works; a carrier that forbids all of them shows."""
    async with (
        far_end(lambda heard: [heard.reply(status)] if heard.method == "INVITE" else []) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        await next_of(only(here).call(PHONE), CallEnd)
        figures = only(here).state().figures
        assert figures["failed"] == is_fault
        assert any(status[:3] in words for _, words in figures["errors"]) == is_fault


async def test_an_old_question_that_runs_out_does_not_undo_a_newer_answer() -> None:
    """A server that is back is up, though what it was asked while it was away stays unanswered."""
    async with far_end(alive) as there, running(settings(there.port)) as here:
        trunk = only(here)
        await state_is(trunk, "up")
        (target,) = trunk.servers.all
        before = Asked(target, trunk.endpoint.now - 32.0)
        trunk._on_event(Replied(before, 408, "no answer", EndCause.TIMEOUT))
        assert trunk.state().state == "up"
        newest = Asked(target, trunk.endpoint.now)
        trunk._on_event(Replied(newest, 408, "no answer", EndCause.TIMEOUT))
        assert trunk.state().state == "down"


async def test_a_call_from_a_telephone_uri_is_understood_and_counted_once() -> None:
    """As carriers write callers (RFC 3966)."""
    async with far_end(alive) as there, running(settings(there.port)) as here:
        trunk = only(here)
        await state_is(trunk, "up")
        seen: list[TrunkCall] = []

        def take(call: TrunkCall) -> None:
            seen.append(call)
            call.reject(486)

        here.on_incoming = take
        there.send(
            f"INVITE sip:+12125550100@{HOST} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {HOST}:{there.port};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
            "From: <tel:+1-212-555-0123>;tag=1\r\nTo: <tel:+12125550100>\r\n"
            "P-Asserted-Identity: <tel:+12125550123>\r\nDiversion: nonsense\r\n"
            f"Call-ID: 1\r\nCSeq: 1 INVITE\r\nContact: <sip:{HOST}:{there.port}>\r\n"
            "Content-Length: 0\r\n\r\n",
            (HOST, here.port),
        )
        await until(lambda: bool(seen))
        assert (seen[0].caller.number, seen[0].to) == (PHONE, "+12125550100")
        await until(lambda: trunk.room == trunk.settings.max_calls)
