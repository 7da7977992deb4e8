"""SIPp calls us over a link that loses, doubles and reorders what the test says."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.sip.events import Confirmed, EndCause, Ended, IncomingCall
from protocols.sip.flow import Transport
from tests.interop.matrix import covers
from tests.interop.sip import suite
from tests.interop.sip.agent import HOST, agent
from tests.interop.sip.lossy import Link, lossy
from tests.interop.sip.sipp import answer, asks, audio, pause, recv, sipp
from tests.interop.sip.suite import SIPP_CALLING

CALLS = (
    asks("INVITE", 1, body=audio(), is_first=True), recv(100, optional=True),
    recv(200, rrs=True), asks("ACK", 1),
)  # fmt: skip
PEER_LEAVES = (*CALLS, pause(300), asks("BYE", 2), recv(200))
WE_LEAVE = (
    *CALLS, recv("BYE"), answer(200, is_new=False), '<timewait milliseconds="1200"/>'
)  # fmt: skip


async def _whole_call(
    folder: Path, link: Link, steps: tuple[str, ...] = PEER_LEAVES, is_ringing: bool = False
) -> list[str]:
    """A call over the link; what SIPp received, by name."""
    async with agent() as ours:
        link.ours = HOST, ours.ports_of[Transport.UDP]
        ours.ua.set_local(Transport.UDP, HOST, link.far)
        async with sipp(folder, *steps, target=link.far, contact_port=link.near) as peer:
            incoming = await ours.heard.until(IncomingCall)
            if is_ringing:
                ours.do(incoming.call.ring)
            ours.do(incoming.call.answer, ours.line().answer(incoming.body))
            await ours.heard.until(Confirmed)
            if steps is WE_LEAVE:
                await ours.hang_up(incoming.call)
            else:
                assert (await ours.heard.until(Ended)).cause is EndCause.REMOTE
            await peer.finish()
            told = [each for each in ours.heard.all if isinstance(each, IncomingCall | Ended)]
            assert [type(each) for each in told] == [IncomingCall, Ended]
            return [each.name for each in peer.messages if each.is_received]


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param("INVITE", marks=covers(SIPP_CALLING, suite.LOST_INVITE)),
        pytest.param("BYE", marks=covers(SIPP_CALLING, suite.LOST_BYE)),
    ],
)
async def test_a_lost_request_comes_again(folder: Path, lost: str) -> None:
    """SIPp repeats itself, and the call comes and ends once."""
    async with lossy(lost={lost: 1}) as link:
        came = await _whole_call(folder, link)
        assert came[-2:] == ["200 INVITE", "200 BYE"]
        assert [each.copies for each in link.saw(lost)] == [0, 1]


@covers(SIPP_CALLING, suite.LOST_BYE)
async def test_our_lost_bye_is_sent_again(folder: Path) -> None:
    """Our BYE goes out again until SIPp answers it."""
    async with lossy(lost={"BYE": 1}) as link:
        came = await _whole_call(folder, link, WE_LEAVE)
        assert came.count("BYE") == 1
        first, second = link.saw("BYE")
        assert first.data == second.data


@covers(SIPP_CALLING, suite.LOST_200)
async def test_our_lost_answer_is_given_again(folder: Path) -> None:
    """Without an ACK we say 200 again, the same to the octet."""
    async with lossy(lost={"200 INVITE": 1}) as link:
        came = await _whole_call(folder, link)
        assert came.count("200 INVITE") == 1
        first, second = link.saw("200 INVITE")
        assert first.data == second.data


@covers(SIPP_CALLING, suite.LOST_ACK)
async def test_a_lost_ack_is_asked_for_again(folder: Path) -> None:
    """We say 200 again, and SIPp its ACK; the call is confirmed once."""
    async with lossy(lost={"ACK": 1}) as link:
        came = await _whole_call(folder, link, (*CALLS, pause(900), asks("BYE", 2), recv(200)))
        assert came.count("200 INVITE") == 2
        assert [each.copies for each in link.saw("ACK")] == [0, 1]


@covers(SIPP_CALLING, suite.DUPLICATED)
async def test_everything_twice_is_one_call(folder: Path) -> None:
    """With every message doubled both ways there is one call, one answer and one end."""
    async with lossy(copies=2) as link:
        came = await _whole_call(folder, link)
        assert came.count("200 BYE") >= 1
        assert all(each.copies == 2 for each in link.passed)
        assert len(link.saw("INVITE")) == 1


@covers(SIPP_CALLING, suite.REORDERED)
async def test_the_caller_hears_180_after_200(folder: Path) -> None:
    """Our 180 comes after our 200, and SIPp's call is good."""
    async with lossy(kept={"180 INVITE": "200 INVITE"}) as link:
        steps = (*CALLS, recv(180), pause(300), asks("BYE", 2), recv(200))
        came = await _whole_call(folder, link, steps, is_ringing=True)
        assert came.index("200 INVITE") < came.index("180 INVITE")
