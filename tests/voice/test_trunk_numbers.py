"""Toll fraud: whom a trunk calls, whoever asks it to."""

from __future__ import annotations

import pytest

from gateway.voice.call_events import Answered, CallEnd
from gateway.voice.calls import TrunkCall
from protocols.errors import LocalProtocolError
from tests.voice.trunks import PHONE, QUIET, Answering, next_of, only, running, settings

PREMIUM, ABROAD = "+19005550123", "+442079460123"


@pytest.mark.parametrize("number", [PREMIUM, ABROAD, "+12125550123 ", "2125550123", "+1", ""])
async def test_no_number_of_another_country_or_kind_is_called(number: str) -> None:
    """`[sms] countries` holds in the trunk itself, not only where numbers come in."""
    answering = Answering()
    async with (
        running(settings(1, **QUIET), on_incoming=answering) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        trunk = only(here)
        with pytest.raises(LocalProtocolError):
            trunk.call(number)
        assert trunk.room == trunk.settings.max_calls
        call = trunk.call(PHONE)
        await next_of(call, Answered)
        with pytest.raises(LocalProtocolError):
            call.transfer(number)
        assert call.end is None
        assert len(answering.calls) == 1


@pytest.mark.parametrize("number", [PREMIUM, ABROAD])
async def test_no_caller_is_sent_to_a_number_that_we_would_not_call(number: str) -> None:
    """A 302 makes the carrier call it, and bill us."""

    def take(call: TrunkCall) -> None:
        with pytest.raises(LocalProtocolError):
            call.redirect([PHONE, number])
        call.reject()

    async with (
        running(settings(1, **QUIET), on_incoming=take) as there,
        running(settings(there.port, **QUIET)) as here,
    ):
        assert (await next_of(only(here).call(PHONE), CallEnd)).code == 603
