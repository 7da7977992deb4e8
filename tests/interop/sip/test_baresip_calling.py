"""baresip calls us."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from protocols.audio.g711 import Law
from protocols.rtp.events import DigitsSent, MediaStarted
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
    ReferReceived,
)
from protocols.sip.fields import NameAddr
from protocols.sip.flow import Transport
from protocols.sip.randomness import SystemRandomness
from protocols.sip.sdp_audio import MediaSecurity
from protocols.sip.uri import Uri
from tests.channels.certificates import Authority
from tests.interop.matrix import covers
from tests.interop.sip import suite
from tests.interop.sip.agent import HOST, Agent, agent
from tests.interop.sip.baresip import Baresip, baresip
from tests.interop.sip.lossy import lossy
from tests.interop.sip.sound import BARESIP_HZ, OURS_HZ, loudest_of_pcm, loudest_of_ulaw, tone
from tests.interop.sip.suite import BARESIP_CALLING


def _target(ours: Agent, transport: Transport = Transport.UDP) -> str:
    """Without its transport: baresip adds the one of its account."""
    return f"sip:gateway@{HOST}:{ours.ports_of[transport]}"


async def _leaves(ours: Agent, peer: Baresip) -> None:
    await peer.do("hangup")
    assert (await ours.heard.until(Ended)).cause is EndCause.REMOTE
    await peer.until("CALL_CLOSED")


@covers(BARESIP_CALLING, suite.RINGING)
async def test_a_call_comes_rings_and_is_taken(folder: Path) -> None:
    """baresip hears of 180, of 183 and of the answer; each hears the other's tone."""
    async with agent() as ours, baresip(folder) as peer:
        await peer.do("dial", _target(ours))
        incoming = await ours.heard.until(IncomingCall)
        ours.do(incoming.call.ring)
        await peer.until("CALL_RINGING")
        line = ours.line()
        body = line.answer(incoming.body)
        ours.do(incoming.call.ring, 183, body, is_reliable=False)
        await peer.until("CALL_PROGRESS")
        ours.do(incoming.call.answer, body)
        await ours.heard.until(Confirmed)
        await peer.until("CALL_ESTABLISHED")
        line.leg.play(tone(1.0))
        await line.until_played()
        await _leaves(ours, peer)
        assert loudest_of_pcm(peer.recorded) == OURS_HZ
        assert loudest_of_ulaw(line.audio) == BARESIP_HZ


@covers(BARESIP_CALLING, suite.EARLY_MEDIA)
async def test_the_caller_hears_us_before_we_answer(folder: Path) -> None:
    """What we play with the 183 is in baresip's recording of a call that was never answered."""
    async with agent() as ours, baresip(folder) as peer:
        await peer.do("dial", _target(ours))
        incoming = await ours.heard.until(IncomingCall)
        line = ours.line()
        body = line.answer(incoming.body)
        ours.do(incoming.call.ring, 183, body, is_reliable=False)
        await peer.until("CALL_PROGRESS")
        line.leg.play(tone(1.0))
        await line.until_played()
        ours.do(incoming.call.reject, 480)
        await peer.until("CALL_CLOSED")
        await ours.heard.until(Ended)
        assert not peer.told("CALL_ESTABLISHED")
        assert loudest_of_pcm(peer.recorded) == OURS_HZ


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(486, marks=covers(BARESIP_CALLING, suite.BUSY)),
        pytest.param(603, marks=covers(BARESIP_CALLING, suite.DECLINE)),
    ],
)
async def test_a_refusal_reaches_the_caller(folder: Path, code: int) -> None:
    """baresip tells the code as the reason that the call ended."""
    async with agent() as ours, baresip(folder) as peer:
        await peer.do("dial", _target(ours))
        incoming = await ours.heard.until(IncomingCall)
        ours.do(incoming.call.reject, code)
        assert (await ours.heard.until(Ended)).cause is EndCause.REFUSED
        assert (await peer.until("CALL_CLOSED"))["param"].startswith(f"{code} ")


@covers(BARESIP_CALLING, suite.MOVED)
async def test_the_caller_follows_a_redirection(folder: Path) -> None:
    """baresip calls whom our 302 names."""
    async with agent() as ours, agent() as other, baresip(folder) as peer:
        await peer.do("dial", _target(ours))
        incoming = await ours.heard.until(IncomingCall)
        ours.do(incoming.call.redirect, [NameAddr(Uri.parse(_target(other)))])
        await ours.heard.until(Ended)
        await other.taken()
        await peer.until("CALL_ESTABLISHED")
        await _leaves(other, peer)


@covers(BARESIP_CALLING, suite.NO_ANSWER)
async def test_the_caller_gives_up(folder: Path) -> None:
    """baresip cancels, and gets its 487."""
    async with agent() as ours, baresip(folder) as peer:
        await peer.do("dial", _target(ours))
        incoming = await ours.heard.until(IncomingCall)
        ours.do(incoming.call.ring)
        await peer.until("CALL_RINGING")
        await peer.do("hangup")
        assert (await ours.heard.until(Ended)).cause is EndCause.CANCELED
        await peer.until_message("487 INVITE")


@covers(BARESIP_CALLING, suite.CROSSING)
async def test_a_cancel_that_crosses_our_answer(folder: Path) -> None:
    """baresip gives up while our 200 is on its way to it; it gets 200 for its CANCEL, and ends the
    call that it got."""
    async with (
        agent() as ours,
        lossy(kept={"200 INVITE": "CANCEL"}) as link,
        baresip(folder) as peer,
    ):
        link.ours = HOST, ours.ports_of[Transport.UDP]
        ours.ua.set_local(Transport.UDP, HOST, link.far)
        await peer.do("dial", f"sip:gateway@{HOST}:{link.far}")
        incoming = await ours.heard.until(IncomingCall)
        ours.do(incoming.call.ring)
        await peer.until("CALL_RINGING")
        ours.do(incoming.call.answer, ours.line().answer(incoming.body))
        await link.until("200 INVITE")
        await peer.do("hangup")
        assert (await ours.heard.until(Ended)).cause is EndCause.REMOTE
        await peer.until_message("200 CANCEL")
        await peer.until_message("200 BYE")


@covers(BARESIP_CALLING, suite.AUTH_401_MD5)
@pytest.mark.parametrize("secret", ["sesame", "mistaken"])
async def test_the_caller_is_challenged(folder: Path, secret: str) -> None:
    """With the right password baresip gets in, with another it is told 401."""
    guard = DigestServer(
        "gateway.example.com", {"shop": "sesame"}.get, b"s" * 32, SystemRandomness(),
        algorithms=("MD5",),
    )  # fmt: skip
    account = f";auth_user=shop;auth_pass={secret}"
    async with agent(guard=guard) as ours, baresip(folder, account=account) as peer:
        await peer.do("dial", _target(ours))
        if secret == "sesame":
            await ours.taken()
            await peer.until("CALL_ESTABLISHED")
            await _leaves(ours, peer)
        else:
            await peer.until("CALL_CLOSED")
            assert not any(isinstance(each, IncomingCall) for each in ours.heard.all)


@pytest.mark.parametrize(
    ("lost", "kept", "copies"),
    [
        pytest.param("INVITE", {}, 1, id="invite",
                     marks=covers(BARESIP_CALLING, suite.LOST_INVITE)),
        pytest.param("200 INVITE", {}, 1, id="200", marks=covers(BARESIP_CALLING, suite.LOST_200)),
        pytest.param("BYE", {}, 1, id="bye", marks=covers(BARESIP_CALLING, suite.LOST_BYE)),
        pytest.param("", {}, 2, id="twice", marks=covers(BARESIP_CALLING, suite.DUPLICATED)),
        pytest.param("", {"180 INVITE": "200 INVITE"}, 1, id="180",
                     marks=covers(BARESIP_CALLING, suite.REORDERED)),
    ],
)  # fmt: skip
async def test_a_call_over_a_bad_link(
    folder: Path, lost: str, kept: dict[str, str], copies: int
) -> None:
    """What is lost is said again, what comes twice counts once: there is one call, established and
    closed once on either side."""
    async with (
        agent() as ours,
        lossy(lost={lost: 1} if lost else {}, kept=kept, copies=copies) as link,
        baresip(folder) as peer,
    ):
        link.ours = HOST, ours.ports_of[Transport.UDP]
        ours.ua.set_local(Transport.UDP, HOST, link.far)
        await peer.do("dial", f"sip:gateway@{HOST}:{link.far}")
        incoming = await ours.heard.until(IncomingCall)
        ours.do(incoming.call.ring)
        ours.do(incoming.call.answer, ours.line().answer(incoming.body))
        await ours.heard.until(Confirmed)
        await peer.until("CALL_ESTABLISHED")
        await _leaves(ours, peer)
        for kind in ("CALL_ESTABLISHED", "CALL_CLOSED"):
            assert len(peer.told(kind)) == 1
        told = [each for each in ours.heard.all if isinstance(each, IncomingCall | Ended)]
        assert [type(each) for each in told] == [IncomingCall, Ended]
        if lost:
            assert [each.copies for each in link.saw(lost)][:2] == [0, 1]


async def test_a_peer_that_cannot_repeat_its_ack_is_let_go(folder: Path) -> None:
    """baresip 1.0 answers a repeated 200 with nothing that is an ACK; such a call is ended when
    nobody can wait longer for one, and nothing of it is left."""
    async with agent() as ours, lossy(lost={"ACK": 99}) as link, baresip(folder) as peer:
        link.ours = HOST, ours.ports_of[Transport.UDP]
        ours.ua.set_local(Transport.UDP, HOST, link.far)
        await peer.do("dial", f"sip:gateway@{HOST}:{link.far}")
        incoming = await ours.heard.until(IncomingCall)
        ours.do(incoming.call.answer, ours.line().answer(incoming.body))
        await peer.until("CALL_ESTABLISHED")
        await link.until("200 INVITE", 2)
        ours.skip(40.0)
        assert (await ours.heard.until(Ended)).cause is EndCause.NO_ACK
        await peer.until("CALL_CLOSED")


@covers(BARESIP_CALLING, suite.HOLD)
async def test_hold_and_resume(folder: Path) -> None:
    """baresip holds us, and we hold baresip; each resumes."""
    async with agent() as ours, baresip(folder) as peer:
        await peer.do("dial", _target(ours))
        call, line = await ours.taken()
        await peer.until("CALL_ESTABLISHED")
        for command, direction in (("hold", Direction.RECVONLY), ("resume", Direction.SENDRECV)):
            await peer.do(command)
            offered = await ours.heard.until(Offered)
            ours.do(call.accept_offer, line.answer(offered.body))
            assert line.leg.parameters is not None
            assert line.leg.parameters.direction is direction
        await ours.received("ACK", 3)
        for direction in (Direction.SENDONLY, Direction.SENDRECV):
            ours.do(call.offer, line.offer(direction))
            assert line.take((await ours.heard.until(OfferAnswered)).body).direction is direction
        await _leaves(ours, peer)


@covers(BARESIP_CALLING, suite.REFER_TAKEN, suite.REFER_REFUSED)
@pytest.mark.parametrize("is_allowed", [True, False])
async def test_the_caller_transfers_us(folder: Path, is_allowed: bool) -> None:
    """baresip's REFER is taken where that is allowed, and it hears how that went; it is refused
    everywhere else."""
    config = Config(accepts_refer=is_allowed)
    async with agent(config=config) as ours, baresip(folder) as peer:
        await peer.do("dial", _target(ours))
        call, _ = await ours.taken()
        await peer.until("CALL_ESTABLISHED")
        await peer.do("transfer", "sip:third@elsewhere.example.com")
        if is_allowed:
            asked = await ours.heard.until(ReferReceived)
            assert str(asked.target) == "sip:third@elsewhere.example.com"
            ours.do(call.accept_refer)
            ours.do(call.notify_refer, 200)
            assert (await peer.until("CALL_CLOSED"))["param"]
            await ours.heard.until(Ended)
        else:
            await peer.until_message("603 REFER")
            await peer.until_logged("transfer failed: 603")
            # After a transfer that failed baresip 1.0 tells of no end.
            await peer.do("hangup")
            assert (await ours.heard.until(Ended)).cause is EndCause.REMOTE


@covers(BARESIP_CALLING, suite.TCP)
async def test_a_call_comes_over_tcp(folder: Path) -> None:
    """The whole call goes over baresip's connection."""
    async with agent() as ours, baresip(folder, transport="tcp") as peer:
        await peer.do("dial", _target(ours, Transport.TCP))
        _, line = await ours.taken()
        await line.heard.until(MediaStarted)
        await _leaves(ours, peer)


def _asking(authority: Authority, certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """Wants a certificate of whoever calls."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    made.load_cert_chain(*certificate)
    made.verify_mode = ssl.CERT_REQUIRED
    return made


@covers(BARESIP_CALLING, suite.TLS, suite.SRTP)
async def test_a_call_comes_over_tls_with_secure_media(
    folder: Path, authority: Authority, certificate: tuple[Path, Path]
) -> None:
    """baresip shows a certificate of our authority; the keys of RFC 4568 agree, and each hears the
    other."""
    async with (
        agent(server_tls=_asking(authority, certificate)) as ours,
        baresip(
            folder, transport="tls", certificate=certificate, account=";mediaenc=srtp-mand"
        ) as peer,
    ):
        await peer.do("dial", _target(ours, Transport.TLS))
        _, line = await ours.taken(ours.line(security=MediaSecurity.SECURE))
        await line.heard.until(MediaStarted)
        line.leg.play(tone(1.0))
        await line.until_played()
        await _leaves(ours, peer)
        assert loudest_of_pcm(peer.recorded) == OURS_HZ
        assert loudest_of_ulaw(line.audio) == BARESIP_HZ
        assert "SRTP is Enabled" in peer.log


@covers(BARESIP_CALLING, suite.TLS)
async def test_a_caller_with_a_certificate_of_others_is_refused(
    folder: Path, authority: Authority, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """The INVITE of a baresip whose certificate somebody else signed is not read; that of another,
    which comes later, is."""
    theirs = Authority(tmp_path, "others").sign("localhost")
    async with (
        agent(server_tls=_asking(authority, certificate)) as ours,
        baresip(folder, transport="tls", certificate=theirs) as stranger,
        baresip(folder, transport="tls", certificate=certificate) as peer,
    ):
        await stranger.do("dial", _target(ours, Transport.TLS))
        await stranger.until_message("INVITE")
        await peer.do("dial", _target(ours, Transport.TLS))
        await ours.taken()
        await _leaves(ours, peer)
        assert len([each for each in ours.heard.all if isinstance(each, IncomingCall)]) == 1
        assert not [each for each in stranger.messages if each.is_received]


@covers(BARESIP_CALLING, suite.DTMF_TO, suite.DTMF_FROM)
async def test_keys_both_ways(folder: Path) -> None:
    """Each key that either presses is told to the other once, in order."""
    async with agent() as ours, baresip(folder) as peer:
        await peer.do("dial", _target(ours))
        _, line = await ours.taken()
        await peer.until("CALL_ESTABLISHED")
        line.leg.send_digits("73#")
        await line.heard.until(DigitsSent)
        await peer.until("CALL_DTMF_END", 3)
        for number, key in enumerate("91*", 1):
            peer.press(key)
            await line.until_digits(number)
        await _leaves(ours, peer)
        assert "".join(each["param"] for each in peer.told("CALL_DTMF_START")) == "73#"
        assert line.digits == "91*"


@pytest.mark.parametrize(
    ("codecs", "law"),
    [
        pytest.param("PCMU,PCMA", Law.ULAW, marks=covers(BARESIP_CALLING, suite.PCMU_FIRST)),
        pytest.param("PCMA,PCMU", Law.ALAW, marks=covers(BARESIP_CALLING, suite.PCMA_FIRST)),
        pytest.param("PCMA", Law.ALAW, marks=covers(BARESIP_CALLING, suite.PCMA_ONLY)),
    ],
    ids=["pcmu-first", "pcma-first", "pcma-alone"],
)
async def test_codecs(folder: Path, codecs: str, law: Law) -> None:
    """baresip's order decides, and each hears the other's tone."""
    async with agent() as ours, baresip(folder, account=f";audio_codecs={codecs}") as peer:
        await peer.do("dial", _target(ours))
        _, line = await ours.taken()
        assert line.leg.parameters is not None
        assert line.leg.parameters.law is law
        await peer.until("CALL_ESTABLISHED")
        line.leg.play(tone(0.6))
        await line.until_played()
        await _leaves(ours, peer)
        assert loudest_of_pcm(peer.recorded) == OURS_HZ
        assert loudest_of_ulaw(line.audio) == BARESIP_HZ
