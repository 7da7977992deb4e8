"""We call SIPp: answers, refusals, challenges."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.audio.g711 import Law
from protocols.rtp.clip import Clip
from protocols.rtp.events import MediaStarted
from protocols.sip.digest import Credentials
from protocols.sip.events import Answered, EndCause, Ended, Progress, Rejected
from protocols.sip.flow import Transport
from tests.interop.matrix import covers
from tests.interop.sip import suite
from tests.interop.sip.agent import agent, at
from tests.interop.sip.digests import PASSWORD, USER, challenge, is_right
from tests.interop.sip.lossy import lossy
from tests.interop.sip.sipp import (
    ANSWERED,
    BYE_TAKEN,
    INVITED,
    answer,
    audio,
    pause,
    recv,
    sipp,
)
from tests.interop.sip.suite import SIPP_CALLED

TONE = b"\x20" * 8000
LAWS = {"0 PCMU/8000": Law.ULAW, "8 PCMA/8000": Law.ALAW}


@covers(SIPP_CALLED, suite.RINGING)
async def test_a_call_rings_is_answered_and_ends(folder: Path) -> None:
    """180, 183 and 200 are told in that order; SIPp gets one ACK and one BYE."""
    steps = (INVITED, answer(180), answer(183), ANSWERED, recv("ACK"), BYE_TAKEN)
    async with agent() as ours, sipp(folder, *steps) as peer:
        line = ours.line()
        call = ours.invite(at(peer.port), line.offer())
        assert (await ours.heard.until(Progress)).code == 180
        assert (await ours.heard.until(Progress)).code == 183
        line.take((await ours.heard.until(Answered)).body)
        assert (await ours.hang_up(call)).cause is EndCause.LOCAL
        await peer.finish()
        assert [each.name for each in peer.messages if each.is_received] == ["INVITE", "ACK", "BYE"]


@covers(SIPP_CALLED, suite.EARLY_MEDIA)
async def test_early_media_is_heard(folder: Path) -> None:
    """What SIPp sends after its 183 is heard before the call is answered."""
    steps = (INVITED, answer(183, body=audio()), pause(600), ANSWERED, recv("ACK"), BYE_TAKEN)
    async with agent() as ours, sipp(folder, *steps, options=["-rtp_echo"]) as peer:
        line = ours.line()
        call = ours.invite(at(peer.port), line.offer())
        progress = await ours.heard.until(Progress)
        line.take(progress.body, is_final=False)
        line.leg.play(Clip(TONE))
        await line.heard.until(MediaStarted)
        assert not any(isinstance(each, Answered) for each in ours.heard.all)
        line.take((await ours.heard.until(Answered)).body)
        await ours.hang_up(call)
        await peer.finish()
        assert TONE[:160] in line.audio


@pytest.mark.parametrize(
    ("formats", "law"),
    [
        pytest.param(("0 PCMU/8000", "8 PCMA/8000"), Law.ULAW,
                     marks=covers(SIPP_CALLED, suite.PCMU_FIRST)),
        pytest.param(("8 PCMA/8000", "0 PCMU/8000"), Law.ALAW,
                     marks=covers(SIPP_CALLED, suite.PCMA_FIRST)),
        pytest.param(("8 PCMA/8000",), Law.ALAW, marks=covers(SIPP_CALLED, suite.PCMA_ONLY)),
    ],
    ids=["pcmu-first", "pcma-first", "pcma-alone"],
)  # fmt: skip
async def test_the_codec_that_the_peer_prefers_is_spoken(
    folder: Path, formats: tuple[str, ...], law: Law
) -> None:
    """Whichever order SIPp answers in, its first is what we send, and what comes back is heard."""
    steps = (
        INVITED, answer(200, body=audio(formats), is_repeated=True), recv("ACK"), BYE_TAKEN
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps, options=["-rtp_echo"]) as peer:
        call, line = await ours.talk(at(peer.port))
        assert line.leg.parameters is not None
        assert line.leg.parameters.law is law
        line.leg.play(Clip(TONE))
        await line.heard.until(MediaStarted)
        await ours.hang_up(call)
        await peer.finish()


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        pytest.param(486, EndCause.RESPONSE, marks=covers(SIPP_CALLED, suite.BUSY)),
        pytest.param(603, EndCause.RESPONSE, marks=covers(SIPP_CALLED, suite.DECLINE)),
    ],
)
async def test_a_refusal_is_told_and_acknowledged(
    folder: Path, code: int, cause: EndCause
) -> None:
    """The code is told; SIPp gets its ACK and needs to say it once only."""
    steps = (INVITED, answer(code, is_repeated=True), recv("ACK"))
    async with agent() as ours, sipp(folder, *steps) as peer:
        ours.invite(at(peer.port), ours.line().offer())
        rejected = await ours.heard.until(Rejected)
        assert (rejected.code, rejected.cause) == (code, cause)
        await peer.finish()
        assert len(peer.sent(f"{code} INVITE")) == 1


@covers(SIPP_CALLED, suite.MOVED)
async def test_a_redirection_is_told_and_not_followed(folder: Path) -> None:
    """302 tells where else to try; who is called is the application's to decide."""
    elsewhere = "sip:+12125550177@elsewhere.example.com"
    steps = (INVITED, answer(302, f"Contact: <{elsewhere}>", is_repeated=True), recv("ACK"))
    async with agent() as ours, sipp(folder, *steps) as peer:
        ours.invite(at(peer.port), ours.line().offer())
        rejected = await ours.heard.until(Rejected)
        assert rejected.code == 302
        assert elsewhere in [str(each.uri) for each in rejected.contacts]
        await peer.finish()
        assert len(peer.got("INVITE")) == 1


@covers(SIPP_CALLED, suite.NO_ANSWER)
async def test_a_call_that_nobody_answers_is_canceled(folder: Path) -> None:
    """After the time for an answer SIPp gets a CANCEL, and an ACK for its 487."""
    steps = (
        INVITED, answer(180), recv("CANCEL"), answer(200, is_new=False),
        answer(487, is_repeated=True, is_to_invite=True), recv("ACK"),
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps) as peer:
        ours.invite(at(peer.port), ours.line().offer(), setup_s=0.3)
        rejected = await ours.heard.until(Rejected)
        assert rejected.cause is EndCause.NO_ANSWER
        await peer.finish()
        assert peer.got("CANCEL")[0].header("CSeq").split()[0] == "1"
        assert peer.got("CANCEL")[0].header("Via") == peer.got("INVITE")[0].header("Via")


@covers(SIPP_CALLED, suite.CROSSING)
async def test_an_answer_that_crosses_the_cancel_is_ended(folder: Path) -> None:
    """SIPp answers while the CANCEL is on its way: it gets an ACK, and then a BYE."""
    steps = (
        INVITED, answer(180), pause(50), ANSWERED, recv("CANCEL"), answer(200, is_new=False),
        recv("ACK"), BYE_TAKEN,
    )  # fmt: skip
    # The 200 waits on its way until the CANCEL has passed it.
    async with (
        agent() as ours,
        lossy(kept={"200 INVITE": "CANCEL"}) as link,
        sipp(folder, *steps, contact_port=link.near) as peer,
    ):
        link.peer = at(peer.port).host, peer.port
        call = ours.invite(at(link.near), ours.line().offer())
        await ours.heard.until(Progress)
        await link.until("200 INVITE")
        ours.do(call.hang_up)
        assert (await ours.heard.until(Ended)).cause is EndCause.CANCELED
        await peer.finish()
        assert [each.name for each in peer.messages if each.is_received][-3:] == [
            "CANCEL", "ACK", "BYE",
        ]  # fmt: skip


def _challenged(code: int, algorithm: str) -> pytest.MarkDecorator:
    case = {
        (401, "MD5"): suite.AUTH_401_MD5,
        (401, "SHA-256"): suite.AUTH_401_SHA256,
        (401, "SHA-512-256"): suite.AUTH_401_SHA512,
        (407, "MD5"): suite.AUTH_407_MD5,
        (407, "SHA-256"): suite.AUTH_407_SHA256,
        (407, "SHA-512-256"): suite.AUTH_407_SHA512,
    }[code, algorithm]
    return covers(SIPP_CALLED, case)


@pytest.mark.parametrize(
    ("code", "algorithm"),
    [
        pytest.param(code, algorithm, marks=_challenged(code, algorithm))
        for code in (401, 407)
        for algorithm in ("MD5", "SHA-256", "SHA-512-256")
    ],
)
async def test_a_challenge_is_answered(folder: Path, code: int, algorithm: str) -> None:
    """SIPp's challenge is acknowledged and answered rightly, and so is it in the BYE, with the next
    count of the same nonce."""
    asked, given = {
        401: ("WWW-Authenticate", "Authorization"),
        407: ("Proxy-Authenticate", "Proxy-Authorization"),
    }[code]
    steps = (
        INVITED, answer(code, f"{asked}: {challenge(algorithm, 'n1')}", is_repeated=True),
        recv("ACK"), recv("INVITE"), answer(180), answer(200, body=audio(), is_repeated=True),
        recv("ACK"), BYE_TAKEN,
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps) as peer:
        call, _ = await ours.talk(at(peer.port), credentials=Credentials(USER, PASSWORD))
        await ours.hang_up(call)
        await peer.finish()
        first, second = peer.got("INVITE")
        assert not first.headers(given)
        assert is_right(second, given, algorithm, "n1")
        assert int(second.header("CSeq").split()[0]) == int(first.header("CSeq").split()[0]) + 1
        assert is_right(peer.got("BYE")[0], given, algorithm, "n1", count=2)


@covers(SIPP_CALLED, suite.STALE)
async def test_a_stale_nonce_is_replaced(folder: Path) -> None:
    """When SIPp calls the nonce stale, its next one is used, with the same password."""
    steps = (
        INVITED, answer(401, f"WWW-Authenticate: {challenge('SHA-256', 'old')}"), recv("ACK"),
        recv("INVITE"),
        answer(401, f"WWW-Authenticate: {challenge('SHA-256', 'new', is_stale=True)}"),
        recv("ACK"), recv("INVITE"), answer(200, body=audio(), is_repeated=True), recv("ACK"),
        BYE_TAKEN,
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps) as peer:
        call, _ = await ours.talk(at(peer.port), credentials=Credentials(USER, PASSWORD))
        await ours.hang_up(call)
        await peer.finish()
        assert is_right(peer.got("INVITE")[1], "Authorization", "SHA-256", "old")
        assert is_right(peer.got("INVITE")[2], "Authorization", "SHA-256", "new")


@covers(SIPP_CALLED, suite.STALE)
async def test_a_wrong_password_is_not_tried_twice(folder: Path) -> None:
    """Challenged again without `stale` we give up with the code."""
    steps = (
        INVITED, answer(401, f"WWW-Authenticate: {challenge('SHA-256', 'n1')}"), recv("ACK"),
        recv("INVITE"), answer(401, f"WWW-Authenticate: {challenge('SHA-256', 'n2')}"), recv("ACK"),
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps) as peer:
        ours.invite(
            at(peer.port), ours.line().offer(), credentials=Credentials(USER, "a wrong one")
        )
        assert (await ours.heard.until(Rejected)).code == 401
        await peer.finish()


@covers(SIPP_CALLED, suite.TCP)
async def test_a_call_over_tcp(folder: Path) -> None:
    """INVITE, ACK and BYE go over one connection, which Via and Contact name."""
    steps = (INVITED, answer(180), answer(200, body=audio()), recv("ACK"), BYE_TAKEN)
    async with agent() as ours, sipp(folder, *steps, transport="t1") as peer:
        call, _ = await ours.talk(at(peer.port, Transport.TCP))
        await ours.hang_up(call)
        await peer.finish()
        for name in ("INVITE", "ACK", "BYE"):
            assert peer.got(name)[0].header("Via").startswith("SIP/2.0/TCP ")
        assert "transport=tcp" in peer.got("INVITE")[0].header("Contact").lower()
