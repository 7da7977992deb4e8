"""We call baresip."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from protocols.audio.g711 import Law
from protocols.rtp.events import DigitsSent, MediaStarted
from protocols.rtp.parameters import Direction
from protocols.sip.core import Config
from protocols.sip.events import (
    Answered,
    EndCause,
    Ended,
    OfferAnswered,
    Offered,
    Progress,
    ReferProgress,
    ReferRefused,
    Rejected,
)
from protocols.sip.flow import Hop, Transport
from protocols.sip.sdp_audio import MediaSecurity
from protocols.sip.uri import Uri
from tests.channels.certificates import Authority
from tests.interop.matrix import covers
from tests.interop.sip import suite
from tests.interop.sip.agent import HOST, Agent, agent, at
from tests.interop.sip.baresip import baresip
from tests.interop.sip.lossy import Link, lossy
from tests.interop.sip.sound import BARESIP_HZ, OURS_HZ, loudest_of_pcm, loudest_of_ulaw, tone
from tests.interop.sip.suite import BARESIP_CALLED

PINNED = Config(is_pinned=True)


@covers(BARESIP_CALLED, suite.RINGING)
async def test_a_call_is_rung_taken_and_ended_by_the_peer(folder: Path) -> None:
    """180, 200 and BYE of baresip are told; each hears the other's tone."""
    async with agent() as ours, baresip(folder, answers="manual") as peer:
        line = ours.line()
        ours.invite(at(peer.port), line.offer(), user="baresip")
        assert (await ours.heard.until(Progress)).code == 180
        await peer.until("CALL_INCOMING")
        await peer.do("accept")
        line.take((await ours.heard.until(Answered)).body)
        await peer.until("CALL_ESTABLISHED")
        line.leg.play(tone(1.0), token="tone")
        await line.heard.until(MediaStarted)
        await line.until_played()
        await peer.do("hangup")
        assert (await ours.heard.until(Ended)).cause is EndCause.REMOTE
        await peer.until("CALL_CLOSED")
        assert loudest_of_pcm(peer.recorded) == OURS_HZ
        assert loudest_of_ulaw(line.audio) == BARESIP_HZ


@covers(BARESIP_CALLED, suite.BUSY)
async def test_the_peer_is_busy(folder: Path) -> None:
    """baresip's 486 is told and acknowledged."""
    async with agent() as ours, baresip(folder, answers="manual") as peer:
        ours.invite(at(peer.port), ours.line().offer(), user="baresip")
        await peer.until("CALL_INCOMING")
        await peer.do("hangup")
        assert (await ours.heard.until(Rejected)).code == 486
        await peer.until_message("ACK")


@covers(BARESIP_CALLED, suite.NO_ANSWER)
async def test_a_call_that_nobody_answers_is_canceled(folder: Path) -> None:
    """baresip answers our CANCEL with 200 and 487, and forgets the call."""
    async with agent() as ours, baresip(folder, answers="manual") as peer:
        ours.invite(at(peer.port), ours.line().offer(), user="baresip", setup_s=0.3)
        assert (await ours.heard.until(Rejected)).cause is EndCause.NO_ANSWER
        await peer.until("CALL_CLOSED")
        await peer.until_message("487 INVITE")
        await peer.until_message("ACK")


@covers(BARESIP_CALLED, suite.CROSSING)
async def test_an_answer_that_crosses_the_cancel_is_ended(folder: Path) -> None:
    """baresip answers while the CANCEL is on its way: it gets an ACK and a BYE."""
    async with (
        agent(config=PINNED) as ours,
        lossy(kept={"200 INVITE": "CANCEL"}) as link,
        baresip(folder) as peer,
    ):
        link.peer = HOST, peer.port
        ours.ua.set_local(Transport.UDP, HOST, link.far)
        call = ours.invite(at(link.near), ours.line().offer(), user="baresip")
        await ours.heard.until(Progress)
        await link.until("200 INVITE")
        ours.do(call.hang_up)
        assert (await ours.heard.until(Ended)).cause is EndCause.CANCELED
        await peer.until("CALL_CLOSED")
        came = [each.name for each in peer.messages if each.is_received]
        assert came == ["INVITE", "CANCEL", "ACK", "BYE"]


@pytest.mark.parametrize(
    ("lost", "kept", "copies", "repeated"),
    [
        pytest.param("INVITE", {}, 1, "INVITE", id="invite",
                     marks=covers(BARESIP_CALLED, suite.LOST_INVITE)),
        pytest.param("200 INVITE", {}, 1, "200 INVITE", id="200",
                     marks=covers(BARESIP_CALLED, suite.LOST_200)),
        pytest.param("ACK", {}, 1, "ACK", id="ack", marks=covers(BARESIP_CALLED, suite.LOST_ACK)),
        pytest.param("BYE", {}, 1, "BYE", id="bye", marks=covers(BARESIP_CALLED, suite.LOST_BYE)),
        pytest.param("", {}, 2, "", id="twice", marks=covers(BARESIP_CALLED, suite.DUPLICATED)),
        pytest.param("", {"180 INVITE": "200 INVITE"}, 1, "", id="180",
                     marks=covers(BARESIP_CALLED, suite.REORDERED)),
    ],
)  # fmt: skip
async def test_a_call_over_a_bad_link(
    folder: Path, lost: str, kept: dict[str, str], copies: int, repeated: str
) -> None:
    """What is lost is said again, what comes twice counts once: baresip sees one call that is
    established and closed once, and so do we."""
    async with (
        agent(config=PINNED) as ours,
        lossy(lost={lost: 1} if lost else {}, kept=kept, copies=copies) as link,
        baresip(folder) as peer,
    ):
        await _whole_call(ours, link, peer.port)
        await peer.until("CALL_CLOSED")
        for kind in ("CALL_ESTABLISHED", "CALL_CLOSED"):
            assert len(peer.told(kind)) == 1
        if repeated:
            assert [each.copies for each in link.saw(repeated)][:2] == [0, 1]
        for name in kept:
            assert link.saw(name)[0].copies == 0
            assert not any(isinstance(each, Progress) for each in ours.heard.all)


async def _whole_call(ours: Agent, link: Link, port: int) -> None:
    is_ack_lost = "ACK" in link.script.lost
    link.peer = HOST, port
    ours.ua.set_local(Transport.UDP, HOST, link.far)
    call, _ = await ours.talk(at(link.near), user="baresip")
    await link.until("ACK", 2 if is_ack_lost else 1)
    await ours.hang_up(call)
    assert len([each for each in ours.heard.all if isinstance(each, Answered)]) == 1


@covers(BARESIP_CALLED, suite.HOLD)
async def test_hold_and_resume(folder: Path) -> None:
    """We hold baresip, and baresip holds us; each resumes."""
    async with agent() as ours, baresip(folder) as peer:
        call, line = await ours.talk(at(peer.port), user="baresip")
        await peer.until("CALL_ESTABLISHED")
        for direction in (Direction.SENDONLY, Direction.SENDRECV):
            ours.do(call.offer, line.offer(direction))
            assert line.take((await ours.heard.until(OfferAnswered)).body).direction is direction
        for command, direction in (("hold", Direction.RECVONLY), ("resume", Direction.SENDRECV)):
            await peer.do(command)
            offered = await ours.heard.until(Offered)
            ours.do(call.accept_offer, line.answer(offered.body))
            assert line.leg.parameters is not None
            assert line.leg.parameters.direction is direction
        await ours.received("ACK", 2)
        await ours.hang_up(call)
        await peer.until("CALL_CLOSED")


async def test_a_session_is_refreshed_by_re_invite_where_there_is_no_update(folder: Path) -> None:
    """baresip's Allow has no UPDATE: at half of the interval it gets a re-INVITE, and talks on."""
    async with agent() as ours, baresip(folder) as peer:
        call, _ = await ours.talk(at(peer.port), user="baresip")
        assert call.timer.is_refresher
        ours.skip(call.timer.seconds / 2 + 1)
        await peer.until_message("ACK", 2)
        ours.skip(call.timer.seconds / 2 - 1)
        assert ours.ua.calls
        assert not [each for each in peer.messages if each.name == "UPDATE"]
        await ours.hang_up(call)
        await peer.until("CALL_CLOSED")


@covers(BARESIP_CALLED, suite.REFER_TAKEN)
async def test_the_peer_transfers_the_call(folder: Path) -> None:
    """baresip calls whom our REFER names, and tells how that went."""
    async with agent() as ours, agent() as third, baresip(folder) as peer:
        call, _ = await ours.talk(at(peer.port), user="baresip")
        await peer.until("CALL_ESTABLISHED")
        target = f"sip:third@{HOST}:{third.ports_of[Transport.UDP]}"
        ours.do(call.refer, Uri.parse(target))
        other, _ = await third.taken()
        assert str(other.invite.uri).startswith(target)
        told = await ours.heard.until(ReferProgress, lambda event: event.is_final)
        assert told.code == 200
        if call.id in ours.ua.calls:
            await ours.hang_up(call)
        await peer.do("hangup")
        assert (await third.heard.until(Ended)).cause is EndCause.REMOTE


@covers(BARESIP_CALLED, suite.REFER_REFUSED)
async def test_the_peer_does_not_transfer(folder: Path) -> None:
    """Told not to, baresip refuses our REFER, and the call goes on."""
    async with agent() as ours, baresip(folder, account=";call_transfer=no") as peer:
        call, _ = await ours.talk(at(peer.port), user="baresip")
        await peer.until("CALL_ESTABLISHED")
        ours.do(call.refer, Uri.parse("sip:third@127.0.0.1:9"))
        assert (await ours.heard.until(ReferRefused)).code >= 400
        assert ours.ua.calls
        await ours.hang_up(call)
        await peer.until("CALL_CLOSED")


@covers(BARESIP_CALLED, suite.TCP)
async def test_a_call_over_tcp(folder: Path) -> None:
    """The call, audio included, goes as over UDP."""
    async with agent() as ours, baresip(folder, transport="tcp") as peer:
        call, line = await ours.talk(at(peer.port, Transport.TCP), user="baresip")
        await line.heard.until(MediaStarted)
        await ours.hang_up(call)
        await peer.until("CALL_CLOSED")
        assert peer.messages[0].header("Via").startswith("SIP/2.0/TCP ")


@covers(BARESIP_CALLED, suite.TLS, suite.SRTP)
async def test_a_call_over_tls_with_secure_media(
    folder: Path, authority: Authority, certificate: tuple[Path, Path]
) -> None:
    """baresip's certificate is verified, the keys of RFC 4568 agree, and each hears the other."""
    context = ssl.create_default_context(cafile=str(authority.file))
    async with (
        agent(client_tls=context, server_tls=_server(certificate)) as ours,
        baresip(
            folder, transport="tls", certificate=certificate, account=";mediaenc=srtp-mand"
        ) as peer,
    ):
        line = ours.line(security=MediaSecurity.SECURE)
        call, _ = await ours.talk(Hop(Transport.TLS, HOST, peer.tls_port), line, user="baresip")
        await line.heard.until(MediaStarted)
        line.leg.play(tone(1.0))
        await line.until_played()
        await ours.hang_up(call)
        await peer.until("CALL_CLOSED")
        assert loudest_of_pcm(peer.recorded) == OURS_HZ
        assert loudest_of_ulaw(line.audio) == BARESIP_HZ
        assert "SRTP is Enabled" in peer.log
        assert " RTP/SAVP " in peer.messages[0].text


@covers(BARESIP_CALLED, suite.TLS)
async def test_a_certificate_of_somebody_else_is_refused(
    folder: Path, certificate: tuple[Path, Path]
) -> None:
    """Without its authority, baresip gets no INVITE, and the call has failed."""
    async with (
        agent(client_tls=ssl.create_default_context(), server_tls=_server(certificate)) as ours,
        baresip(folder, transport="tls", certificate=certificate) as peer,
    ):
        ours.invite(Hop(Transport.TLS, HOST, peer.tls_port), ours.line().offer(), user="baresip")
        assert (await ours.heard.until(Rejected)).cause is EndCause.TRANSPORT
        assert "the certificate is not trusted" in ours.endpoint.fault.lower()
        assert not peer.messages


def _server(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


@covers(BARESIP_CALLED, suite.DTMF_TO, suite.DTMF_FROM)
async def test_keys_both_ways(folder: Path) -> None:
    """Each key that either presses is told to the other once, in order."""
    async with agent() as ours, baresip(folder) as peer:
        call, line = await ours.talk(at(peer.port), user="baresip")
        await peer.until("CALL_ESTABLISHED")
        line.leg.send_digits("19*#0")
        await line.heard.until(DigitsSent)
        await peer.until("CALL_DTMF_END", 5)
        for key in "2580":
            peer.press(key)
            await line.until_digits("2580".index(key) + 1)
        await ours.hang_up(call)
        await peer.until("CALL_CLOSED")
        assert "".join(each["param"] for each in peer.told("CALL_DTMF_START")) == "19*#0"
        assert line.digits == "2580"


@pytest.mark.parametrize(
    ("codecs", "laws"),
    [
        pytest.param("PCMU,PCMA", (Law.ULAW, Law.ALAW),
                     marks=covers(BARESIP_CALLED, suite.PCMU_FIRST)),
        pytest.param("PCMU,PCMA", (Law.ALAW, Law.ULAW),
                     marks=covers(BARESIP_CALLED, suite.PCMA_FIRST)),
        pytest.param("PCMA", (Law.ULAW, Law.ALAW), marks=covers(BARESIP_CALLED, suite.PCMA_ONLY)),
    ],
    ids=["pcmu-first", "pcma-first", "pcma-alone"],
)  # fmt: skip
async def test_codecs(folder: Path, codecs: str, laws: tuple[Law, ...]) -> None:
    """Our order decides among what baresip can, and each hears the other's tone."""
    law = Law.ALAW if codecs == "PCMA" else laws[0]
    async with agent() as ours, baresip(folder, account=f";audio_codecs={codecs}") as peer:
        call, line = await ours.talk(at(peer.port), ours.line(laws=laws), user="baresip")
        assert line.leg.parameters is not None
        assert line.leg.parameters.law is law
        line.leg.play(tone(0.6))
        await line.until_played()
        await ours.hang_up(call)
        await peer.until("CALL_CLOSED")
        assert loudest_of_pcm(peer.recorded) == OURS_HZ
        assert loudest_of_ulaw(line.audio) == BARESIP_HZ


@covers(BARESIP_CALLED, suite.NAT)
async def test_our_own_address_may_be_wrong(folder: Path) -> None:
    """baresip answers to where the INVITE came from, and says so in the Via."""
    async with agent() as ours, baresip(folder) as peer:
        port = ours.ports_of[Transport.UDP]
        ours.ua.set_local(Transport.UDP, "192.0.2.77", 5999)
        call, _ = await ours.talk(at(peer.port), user="baresip")
        await ours.hang_up(call)
        await peer.until("CALL_CLOSED")
        via = next(each for each in peer.messages if each.name == "200 INVITE").header("Via")
        assert via.startswith("SIP/2.0/UDP 192.0.2.77:5999;")
        assert f";rport={port}" in via
        assert ";received=127.0.0.1" in via
