"""SIPp calls us: answers, refusals, challenges, and what happens within the call."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.audio.g711 import Law
from protocols.rtp.clip import Clip
from protocols.rtp.events import MediaStarted
from protocols.rtp.parameters import Direction
from protocols.sip.core import Config
from protocols.sip.digest_server import DigestServer
from protocols.sip.events import (
    Confirmed,
    EndCause,
    Ended,
    IncomingCall,
    OfferAnswered,
    Offered,
    ReferProgress,
    ReferReceived,
)
from protocols.sip.fields import NameAddr
from protocols.sip.flow import Transport
from protocols.sip.randomness import SystemRandomness
from protocols.sip.uri import Uri
from tests.interop.matrix import covers
from tests.interop.sip import suite
from tests.interop.sip.agent import Agent, agent
from tests.interop.sip.sipp import (
    answer,
    asks,
    asks_about_invite,
    audio,
    keep,
    pause,
    recv,
    run,
    sipp,
)
from tests.interop.sip.suite import SIPP_CALLING

TONE = b"\x20" * 8000
TARGET = Uri.parse("sip:+12125550177@elsewhere.example.com")
SIPP_DTMF = 96
"""The payload type that SIPp sends keys with, whatever was agreed."""

CALLS = (asks("INVITE", 1, body=audio(), is_first=True), recv(100, optional=True))
TAKEN = (*CALLS, recv(200, rrs=True), asks("ACK", 1))
LEAVES = (asks("BYE", 2), recv(200))


def _port(ours: Agent, transport: Transport = Transport.UDP) -> int:
    return ours.ports_of[transport]


def _proves(port: int) -> list[str]:
    """SIPp leaves the user out of the URI that it proves to know the password for, unless told."""
    return ["-auth_uri", f"service@127.0.0.1:{port};transport=UDP"]


async def _ends(ours: Agent, cause: EndCause = EndCause.REMOTE) -> None:
    assert (await ours.heard.until(Ended)).cause is cause


@covers(SIPP_CALLING, suite.RINGING)
async def test_a_call_comes_rings_and_is_taken(folder: Path) -> None:
    """SIPp hears 180, 183 and 200 in that order, and its ACK and BYE are understood."""
    steps = (*CALLS, recv(180), recv(183), recv(200, rrs=True), asks("ACK", 1), *LEAVES)
    async with agent() as ours, sipp(folder, *steps, target=_port(ours)) as peer:
        incoming = await ours.heard.until(IncomingCall)
        assert str(incoming.call.caller.from_.uri) == "sip:+12125550155@example.com"
        ours.do(incoming.call.ring)
        ours.do(incoming.call.ring, 183)
        line = ours.line()
        ours.do(incoming.call.answer, line.answer(incoming.body))
        await ours.heard.until(Confirmed)
        await _ends(ours)
        await peer.finish()


@covers(SIPP_CALLING, suite.EARLY_MEDIA)
async def test_the_caller_hears_us_before_we_answer(folder: Path) -> None:
    """What we play with the 183 comes back from SIPp's echo before the call is answered."""
    steps = (*CALLS, recv(183), recv(200, rrs=True), asks("ACK", 1), *LEAVES)
    async with (
        agent(config=Config(is_100rel=False)) as ours,
        sipp(folder, *steps, target=_port(ours), options=["-rtp_echo"]) as peer,
    ):
        incoming = await ours.heard.until(IncomingCall)
        line = ours.line()
        body = line.answer(incoming.body)
        ours.do(incoming.call.ring, 183, body)
        line.leg.play(Clip(TONE))
        await line.heard.until(MediaStarted)
        ours.do(incoming.call.answer, body)
        await _ends(ours)
        await peer.finish()


@pytest.mark.parametrize(
    ("formats", "law"),
    [
        pytest.param(("0 PCMU/8000", "8 PCMA/8000"), Law.ULAW,
                     marks=covers(SIPP_CALLING, suite.PCMU_FIRST)),
        pytest.param(("8 PCMA/8000", "0 PCMU/8000"), Law.ALAW,
                     marks=covers(SIPP_CALLING, suite.PCMA_FIRST)),
        pytest.param(("8 PCMA/8000",), Law.ALAW, marks=covers(SIPP_CALLING, suite.PCMA_ONLY)),
    ],
    ids=["pcmu-first", "pcma-first", "pcma-alone"],
)  # fmt: skip
async def test_the_codec_that_the_caller_prefers_is_spoken(
    folder: Path, formats: tuple[str, ...], law: Law
) -> None:
    """The first that SIPp offers is the first of our answer, and what it echoes is heard."""
    steps = (
        asks("INVITE", 1, body=audio(formats), is_first=True), recv(100, optional=True),
        recv(200, rrs=True), asks("ACK", 1), pause(300), *LEAVES,
    )  # fmt: skip
    async with (
        agent() as ours, sipp(folder, *steps, target=_port(ours), options=["-rtp_echo"]) as peer,
    ):  # fmt: skip
        _, line = await ours.taken()
        line.leg.play(Clip(TONE))
        await line.heard.until(MediaStarted)
        assert line.leg.parameters is not None
        assert line.leg.parameters.law is law
        await _ends(ours)
        await peer.finish()
        media = peer.got("200 INVITE")[0].body.split("m=audio")[1].split()
        assert media[2] == formats[0].split()[0]


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(486, marks=covers(SIPP_CALLING, suite.BUSY)),
        pytest.param(603, marks=covers(SIPP_CALLING, suite.DECLINE)),
    ],
)
async def test_a_refusal_reaches_the_caller(folder: Path, code: int) -> None:
    """SIPp gets the code once, and its ACK ends the matter."""
    steps = (*CALLS, recv(code), asks_about_invite("ACK"))
    async with agent() as ours, sipp(folder, *steps, target=_port(ours)) as peer:
        incoming = await ours.heard.until(IncomingCall)
        ours.do(incoming.call.reject, code)
        await _ends(ours, EndCause.REFUSED)
        await peer.finish()
        assert len(peer.got(f"{code} INVITE")) == 1


@covers(SIPP_CALLING, suite.MOVED)
async def test_the_caller_is_sent_elsewhere(folder: Path) -> None:
    """302 names the target in its Contact."""
    steps = (*CALLS, recv(302), asks_about_invite("ACK"))
    async with agent() as ours, sipp(folder, *steps, target=_port(ours)) as peer:
        incoming = await ours.heard.until(IncomingCall)
        ours.do(incoming.call.redirect, [NameAddr(TARGET)])
        await _ends(ours, EndCause.REFUSED)
        await peer.finish()
        assert peer.got("302 INVITE")[0].header("Contact") == f"<{TARGET}>"


@covers(SIPP_CALLING, suite.NO_ANSWER)
async def test_the_caller_gives_up(folder: Path) -> None:
    """SIPp cancels: 200 for the CANCEL, 487 for the INVITE, and the call is over."""
    steps = (
        *CALLS, recv(180), asks_about_invite("CANCEL"), recv(200), recv(487),
        asks_about_invite("ACK"),
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps, target=_port(ours)) as peer:
        incoming = await ours.heard.until(IncomingCall)
        ours.do(incoming.call.ring)
        await _ends(ours, EndCause.CANCELED)
        await peer.finish()


@covers(SIPP_CALLING, suite.CROSSING)
async def test_a_cancel_that_crosses_our_answer_changes_nothing(folder: Path) -> None:
    """The CANCEL that comes after our 200 gets its own 200; the call stands until SIPp ends it."""
    steps = (
        *CALLS, recv(180), recv(200, rrs=True), asks_about_invite("CANCEL"), recv(200),
        asks("ACK", 1), *LEAVES,
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps, target=_port(ours)) as peer:
        incoming = await ours.heard.until(IncomingCall)
        ours.do(incoming.call.ring)
        ours.do(incoming.call.answer, ours.line().answer(incoming.body))
        await ours.heard.until(Confirmed)
        await _ends(ours)
        await peer.finish()
        assert [each.name for each in peer.messages if each.is_received][-2:] == [
            "200 CANCEL", "200 BYE",
        ]  # fmt: skip


@covers(SIPP_CALLING, suite.AUTH_401_MD5)
@pytest.mark.parametrize("secret", ["sesame", "mistaken"])
async def test_the_caller_is_challenged(folder: Path, secret: str) -> None:
    """SIPp's answer to our challenge lets it in with the right password alone."""
    is_right = secret == "sesame"
    again = (
        asks("INVITE", 2, "[authentication username=sipp password=" + secret + "]", body=audio(),
             is_first=True),
        recv(100, optional=True),
    )  # fmt: skip
    after = (recv(200, rrs=True), asks("ACK", 2), asks("BYE", 3), recv(200))
    wrong = (recv(401), asks_about_invite("ACK", 2))
    steps = (
        *CALLS, recv(401, auth=True), asks_about_invite("ACK"), *again,
        *(after if is_right else wrong),
    )  # fmt: skip
    known = {"sipp": "sesame"}
    guard = DigestServer(
        "gateway.example.com", known.get, b"s" * 32, SystemRandomness(), algorithms=("MD5",)
    )
    async with (
        agent(guard=guard) as ours,
        sipp(folder, *steps, target=_port(ours), options=_proves(_port(ours))) as peer,
    ):
        if is_right:
            await ours.taken()
            await _ends(ours)
        await peer.finish()
        assert any(isinstance(each, IncomingCall) for each in ours.heard.all) is is_right


@covers(SIPP_CALLING, suite.STALE)
async def test_a_stale_nonce_is_told(folder: Path) -> None:
    """SIPp's right answer with a nonce of yesterday gets 401 with stale=true, and the new nonce
    lets it in."""
    secret = "[authentication username=sipp password=secret]"
    steps = (
        *CALLS, recv(401, auth=True), asks_about_invite("ACK"), pause(100),
        asks("INVITE", 2, secret, body=audio(), is_first=True), recv(100, optional=True),
        recv(401, auth=True), asks_about_invite("ACK", 2),
        asks("INVITE", 3, secret, body=audio(), is_first=True), recv(100, optional=True),
        recv(200, rrs=True), asks("ACK", 3), asks("BYE", 4), recv(200),
    )  # fmt: skip
    guard = DigestServer(
        "gateway.example.com", {"sipp": "secret"}.get, b"s" * 32, SystemRandomness(),
        algorithms=("MD5",), nonce_s=30.0,
    )  # fmt: skip
    async with (
        agent(guard=guard) as ours,
        sipp(folder, *steps, target=_port(ours), options=_proves(_port(ours))) as peer,
    ):
        await ours.received("ACK")
        ours.skip(60.0)
        await ours.taken()
        await _ends(ours)
        await peer.finish()
        first, second = peer.got("401 INVITE")
        assert "stale" not in first.header("WWW-Authenticate")
        assert "stale=true" in second.header("WWW-Authenticate")


@covers(SIPP_CALLING, suite.HOLD)
async def test_the_caller_holds_and_resumes(folder: Path) -> None:
    """SIPp's sendonly is answered with recvonly, and its sendrecv with that."""
    steps = (
        *TAKEN,
        asks("INVITE", 2, body=audio(direction="sendonly", version=2)), recv(100, optional=True),
        recv(200), asks("ACK", 2),
        asks("INVITE", 3, body=audio(version=3)), recv(100, optional=True), recv(200),
        asks("ACK", 3), asks("BYE", 4), recv(200),
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps, target=_port(ours)) as peer:
        call, line = await ours.taken()
        for direction in (Direction.RECVONLY, Direction.SENDRECV):
            offered = await ours.heard.until(Offered)
            ours.do(call.accept_offer, line.answer(offered.body))
            assert line.leg.parameters is not None
            assert line.leg.parameters.direction is direction
        await _ends(ours)
        await peer.finish()
        _, hold, resume = peer.got("200 INVITE")
        assert "a=recvonly" in hold.body
        assert "a=recvonly" not in resume.body


@covers(SIPP_CALLING, suite.HOLD)
async def test_we_hold_the_caller(folder: Path) -> None:
    """SIPp gets our re-INVITE with sendonly in the call that it made, and our ACK."""
    steps = (
        *TAKEN, recv("INVITE"),
        answer(200, body=audio(direction="recvonly", version=2), is_new=False, is_repeated=True),
        recv("ACK"), *LEAVES,
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps, target=_port(ours)) as peer:
        call, line = await ours.taken()
        await ours.heard.until(Confirmed)
        ours.do(call.offer, line.offer(Direction.SENDONLY))
        found = line.take((await ours.heard.until(OfferAnswered)).body)
        assert found.direction is Direction.SENDONLY
        await _ends(ours)
        await peer.finish()
        assert "a=sendonly" in peer.got("INVITE")[0].body


@covers(SIPP_CALLING, suite.UPDATE)
async def test_the_caller_refreshes_the_session(folder: Path) -> None:
    """SIPp's UPDATE is answered with the interval, and moves the end of the session."""
    timer = ("Session-Expires: 90;refresher=uac", "Supported: timer")
    steps = (
        asks("INVITE", 1, *timer, body=audio(), is_first=True), recv(100, optional=True),
        recv(200, rrs=True), asks("ACK", 1), pause(100), asks("UPDATE", 2, *timer), recv(200),
        pause(100), asks("BYE", 3), recv(200),
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps, target=_port(ours)) as peer:
        call, _ = await ours.taken()
        await ours.heard.until(Confirmed)
        assert (call.timer.seconds, call.timer.is_refresher) == (90, False)
        ours.skip(50.0)
        await peer.until("200 UPDATE")
        ours.skip(50.0)
        await _ends(ours)
        await peer.finish()
        assert peer.got("200 UPDATE")[0].header("Session-Expires") == "90;refresher=uac"


@covers(SIPP_CALLING, suite.PRACK)
async def test_our_provisional_response_is_reliable(folder: Path) -> None:
    """Our 183 asks SIPp for a PRACK; with it the 183 is not said again."""
    steps = (
        asks("INVITE", 1, "Supported: 100rel", body=audio(), is_first=True),
        recv(100, optional=True), recv(183, keep("RSeq", "1", "[0-9]+"), rrs=True),
        asks("PRACK", 2, "RAck: [$1] 1 INVITE"), recv(200),
        recv(200, rrs=True), asks("ACK", 1), asks("BYE", 3), recv(200),
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps, target=_port(ours)) as peer:
        incoming = await ours.heard.until(IncomingCall)
        ours.do(incoming.call.ring, 183, ours.line().answer(incoming.body))
        await peer.until("200 PRACK")
        ours.skip(2.0)
        ours.do(incoming.call.answer, None)
        await _ends(ours)
        await peer.finish()
        rings = peer.got("183 INVITE")
        assert len(rings) == 1
        assert rings[0].header("Require") == "100rel"


@covers(SIPP_CALLING, suite.REFER_REFUSED)
async def test_the_caller_may_not_have_us_call(folder: Path) -> None:
    """SIPp's REFER gets 603, without asking anybody, and the call goes on."""
    refer = asks("REFER", 2, f"Refer-To: <{TARGET}>")
    steps = (*TAKEN, refer, recv(603), asks("BYE", 3), recv(200))
    async with agent() as ours, sipp(folder, *steps, target=_port(ours)) as peer:
        await ours.taken()
        await _ends(ours)
        await peer.finish()
        assert not any(isinstance(each, ReferReceived) for each in ours.heard.all)


@covers(SIPP_CALLING, suite.REFER_TAKEN)
async def test_the_caller_is_transferred(folder: Path) -> None:
    """SIPp takes our REFER and says how it went."""
    told = ("Event: refer", "Subscription-State: terminated;reason=noresource")
    steps = (
        *TAKEN, recv("REFER"), answer(202, is_new=False),
        asks("NOTIFY", 2, *told, body="SIP/2.0 200 OK", content="message/sipfrag"), recv(200),
        asks("BYE", 3), recv(200),
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps, target=_port(ours)) as peer:
        call, _ = await ours.taken()
        await ours.heard.until(Confirmed)
        ours.do(call.refer, TARGET)
        told_us = await ours.heard.until(ReferProgress, lambda event: event.is_final)
        assert told_us.code == 200
        await _ends(ours)
        await peer.finish()


@covers(SIPP_CALLING, suite.TCP)
async def test_a_call_comes_over_tcp(folder: Path) -> None:
    """The whole call goes over SIPp's connection."""
    async with (
        agent() as ours,
        sipp(folder, *TAKEN, *LEAVES, target=_port(ours, Transport.TCP), transport="t1") as peer,
    ):
        await ours.taken()
        await _ends(ours)
        await peer.finish()


def _wrong(step: str) -> str:
    """The same with an address in Via that nobody has."""
    return step.replace("[local_ip]:[local_port];rport", "192.0.2.77:5999;rport")


@covers(SIPP_CALLING, suite.NAT)
async def test_the_address_in_via_may_be_wrong(folder: Path) -> None:
    """Responses go to where the request came from and say so in the Via; so does our BYE, where
    the trunk is set to pin."""
    steps = (
        _wrong(asks("INVITE", 1, body=audio(), is_first=True)), recv(100, optional=True),
        recv(200, rrs=True), _wrong(asks("ACK", 1)), recv("BYE"), answer(200, is_new=False),
    )  # fmt: skip
    async with (
        agent(config=Config(is_pinned=True)) as ours,
        sipp(folder, *steps, target=_port(ours), contact_port=9) as peer,
    ):
        call, _ = await ours.taken()
        await ours.heard.until(Confirmed)
        await ours.hang_up(call)
        await peer.finish()
        via = peer.got("200 INVITE")[0].header("Via")
        assert via.startswith("SIP/2.0/UDP 192.0.2.77:5999;")
        assert f";rport={peer.port}" in via
        assert ";received=127.0.0.1" in via


@covers(SIPP_CALLING, suite.ROUTED)
async def test_our_requests_follow_the_recorded_route(folder: Path) -> None:
    """The routes of the INVITE come back in our 200, and our BYE follows them in their order."""
    recorded = (
        "Record-Route: <sip:[local_ip]:[local_port];lr>",
        "Record-Route: <sip:two.example.com;lr>",
    )
    steps = (
        asks("INVITE", 1, *recorded, body=audio(), is_first=True), recv(100, optional=True),
        recv(200, rrs=True), asks("ACK", 1), recv("BYE"), answer(200, is_new=False),
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps, target=_port(ours), contact_port=9) as peer:
        call, _ = await ours.taken()
        await ours.heard.until(Confirmed)
        await ours.hang_up(call)
        await peer.finish()
        wanted = [f"<sip:127.0.0.1:{peer.port};lr>", "<sip:two.example.com;lr>"]
        for name, header in (("200 INVITE", "Record-Route"), ("BYE", "Route")):
            assert ", ".join(peer.got(name)[0].headers(header)).split(", ") == wanted
        assert peer.got("BYE")[0].line.startswith("BYE sip:sipp@127.0.0.1:9")


@covers(SIPP_CALLING, suite.DTMF_FROM)
async def test_keys_that_the_caller_presses(folder: Path) -> None:
    """What SIPp presses comes once each, in order."""
    steps = (
        asks("INVITE", 1, body=audio(dtmf=SIPP_DTMF), is_first=True), recv(100, optional=True),
        recv(200, rrs=True), asks("ACK", 1), pause(100), run('play_dtmf="0*42"'),
        recv("BYE"), answer(200, is_new=False),
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps, target=_port(ours)) as peer:
        call, line = await ours.taken()
        assert await line.until_digits(4) == "0*42"
        await ours.hang_up(call)
        await peer.finish()
