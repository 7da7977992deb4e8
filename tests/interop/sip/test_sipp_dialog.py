"""We call SIPp: what happens within the call."""

from __future__ import annotations

from pathlib import Path

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
    ReferReceived,
    ReferRefused,
)
from protocols.sip.flow import Transport
from protocols.sip.uri import Uri
from tests.interop.matrix import covers
from tests.interop.sip import suite
from tests.interop.sip.agent import agent, at
from tests.interop.sip.sipp import (
    ANSWERED,
    BYE_TAKEN,
    INVITED,
    answer,
    audio,
    pause,
    recv,
    request,
    run,
    sipp,
)
from tests.interop.sip.suite import SIPP_CALLED

TARGET = Uri.parse("sip:+12125550177@elsewhere.example.com")
SIPP_DTMF = 96
"""The payload type that SIPp sends keys with, whatever was agreed."""
SIPFRAG = "message/sipfrag;version=2.0"


def _notify(number: int, line: str, state: str) -> tuple[str, str]:
    fields = ("Event: refer", f"Subscription-State: {state}")
    return request("NOTIFY", number, *fields, body=line, content=SIPFRAG), recv(200)


@covers(SIPP_CALLED, suite.HOLD)
async def test_we_hold_and_resume(folder: Path) -> None:
    """Our re-INVITEs say sendonly and then sendrecv, in a session description of a higher version,
    and are acknowledged."""
    steps = (
        INVITED, ANSWERED, recv("ACK"),
        recv("INVITE"), answer(200, body=audio(direction="recvonly", version=2), is_new=False,
                               is_repeated=True), recv("ACK"),
        recv("INVITE"), answer(200, body=audio(version=3), is_new=False, is_repeated=True),
        recv("ACK"), BYE_TAKEN,
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps) as peer:
        call, line = await ours.talk(at(peer.port))
        for direction in (Direction.SENDONLY, Direction.SENDRECV):
            ours.do(call.offer, line.offer(direction))
            found = line.take((await ours.heard.until(OfferAnswered)).body)
            assert found.direction is direction
        await ours.hang_up(call)
        await peer.finish()
        first, hold, resume = peer.got("INVITE")
        assert "a=sendonly" in hold.body
        assert "a=sendonly" not in resume.body
        versions = [int(each.body.split("o=")[1].split()[2]) for each in (first, hold, resume)]
        assert versions == [versions[0], versions[0] + 1, versions[0] + 2]


@covers(SIPP_CALLED, suite.HOLD)
async def test_the_called_peer_holds_and_resumes(folder: Path) -> None:
    """SIPp's sendonly is answered with recvonly, and its sendrecv with that."""
    steps = (
        INVITED, ANSWERED, recv("ACK"),
        request("INVITE", 1, body=audio(direction="sendonly", version=2)),
        recv(100, optional=True), recv(200), request("ACK", 1),
        request("INVITE", 2, body=audio(direction="sendrecv", version=3)),
        recv(100, optional=True), recv(200), request("ACK", 2), BYE_TAKEN,
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps) as peer:
        call, line = await ours.talk(at(peer.port))
        for direction in (Direction.RECVONLY, Direction.SENDRECV):
            offered = await ours.heard.until(Offered)
            ours.do(call.accept_offer, line.answer(offered.body))
            assert line.leg.parameters is not None
            assert line.leg.parameters.direction is direction
        await ours.received("ACK", 2)
        await ours.hang_up(call)
        await peer.finish()
        bodies = [each.body for each in peer.got("200 INVITE")]
        assert "a=recvonly" in bodies[0]
        assert "a=recvonly" not in bodies[1]


@covers(SIPP_CALLED, suite.UPDATE)
async def test_the_session_is_refreshed_by_update(folder: Path) -> None:
    """At half of the interval that SIPp agreed to, it gets an UPDATE without a body that names us
    as the refresher."""
    steps = (
        INVITED,
        answer(200, "Session-Expires: 90;refresher=uac", "Require: timer", "Supported: timer",
               "Allow: INVITE, ACK, BYE, CANCEL, UPDATE", body=audio(), is_repeated=True,
               is_to_invite=True),
        recv("ACK"), recv("UPDATE"),
        answer(200, "Session-Expires: 90;refresher=uac", "Require: timer", is_new=False),
        BYE_TAKEN,
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps) as peer:
        call, _ = await ours.talk(at(peer.port))
        assert (call.timer.seconds, call.timer.is_refresher) == (90, True)
        ours.skip(46.0)
        await peer.until("200 UPDATE")
        ours.skip(40.0)
        assert ours.ua.calls
        await ours.hang_up(call)
        await peer.finish()
        update = peer.got("UPDATE")[0]
        assert update.header("Session-Expires") == "90;refresher=uac"
        assert not update.body


@covers(SIPP_CALLED, suite.UPDATE)
async def test_a_session_that_the_peer_does_not_refresh_is_ended(folder: Path) -> None:
    """Where refreshing is SIPp's and it does not, it gets a BYE before the interval is over."""
    steps = (
        INVITED,
        answer(200, "Session-Expires: 90;refresher=uas", "Require: timer", body=audio(),
               is_repeated=True, is_to_invite=True),
        recv("ACK"), BYE_TAKEN,
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps) as peer:
        await ours.talk(at(peer.port))
        ours.skip(89.0)
        assert (await ours.heard.until(Ended)).cause is EndCause.SESSION_EXPIRED
        await peer.finish()


@covers(SIPP_CALLED, suite.PRACK)
async def test_a_reliable_provisional_response_is_acknowledged(folder: Path) -> None:
    """SIPp's 183 with RSeq gets a PRACK that names it, once, although it is said twice."""
    steps = (
        INVITED, answer(183, "Require: 100rel", "RSeq: 4711", body=audio(), is_to_invite=True),
        recv("PRACK"), answer(200, is_new=False),
        answer(183, "Require: 100rel", "RSeq: 4711", body=audio(), is_to_invite=True), pause(100),
        ANSWERED, recv("ACK"), BYE_TAKEN,
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps) as peer:
        line = ours.line()
        call = ours.invite(at(peer.port), line.offer())
        line.take((await ours.heard.until(Progress)).body, is_final=False)
        line.take((await ours.heard.until(Answered)).body)
        await ours.hang_up(call)
        await peer.finish()
        assert [each.header("RAck") for each in peer.got("PRACK")] == ["4711 1 INVITE"]


@covers(SIPP_CALLED, suite.REFER_TAKEN)
async def test_the_peer_transfers_the_call(folder: Path) -> None:
    """SIPp takes our REFER and tells twice how it goes; both NOTIFY get their 200."""
    steps = (
        INVITED, ANSWERED, recv("ACK"), recv("REFER"), answer(202, is_new=False),
        *_notify(1, "SIP/2.0 100 Trying", "active;expires=60"),
        *_notify(2, "SIP/2.0 200 OK", "terminated;reason=noresource"), BYE_TAKEN,
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps) as peer:
        call, _ = await ours.talk(at(peer.port))
        ours.do(call.refer, TARGET)
        final = await ours.heard.until(ReferProgress, lambda event: event.is_final)
        assert final.code == 200
        await ours.hang_up(call)
        await peer.finish()
        assert peer.got("REFER")[0].header("Refer-To") == f"<{TARGET}>"


@covers(SIPP_CALLED, suite.REFER_REFUSED)
async def test_the_peer_does_not_transfer(folder: Path) -> None:
    """SIPp's 603 to our REFER is told, and the call goes on."""
    steps = (INVITED, ANSWERED, recv("ACK"), recv("REFER"), answer(603, is_new=False), BYE_TAKEN)
    async with agent() as ours, sipp(folder, *steps) as peer:
        call, _ = await ours.talk(at(peer.port))
        ours.do(call.refer, TARGET)
        assert (await ours.heard.until(ReferRefused)).code == 603
        assert ours.ua.calls
        await ours.hang_up(call)
        await peer.finish()


@covers(SIPP_CALLED, suite.REFER_TAKEN)
async def test_the_called_peer_has_us_transferred(folder: Path) -> None:
    """Where that is allowed, SIPp's REFER is taken, and SIPp told by NOTIFY how it went."""
    steps = (
        INVITED, ANSWERED, recv("ACK"), request("REFER", 1, f"Refer-To: <{TARGET}>"), recv(202),
        recv("NOTIFY"), answer(200, is_new=False), recv("NOTIFY"), answer(200, is_new=False),
        BYE_TAKEN,
    )  # fmt: skip
    async with agent(config=Config(accepts_refer=True)) as ours, sipp(folder, *steps) as peer:
        call, _ = await ours.talk(at(peer.port))
        asked = await ours.heard.until(ReferReceived)
        assert asked.target == TARGET
        ours.do(call.accept_refer)
        ours.do(call.notify_refer, 200)
        await peer.until("200 NOTIFY", 2)
        await ours.hang_up(call)
        await peer.finish()
        texts = [each.body.strip() for each in peer.got("NOTIFY")]
        assert [text.split()[1] for text in texts] == ["100", "200"]


@covers(SIPP_CALLED, suite.ROUTED)
async def test_requests_follow_the_recorded_route(folder: Path) -> None:
    """ACK and BYE bear the routes in the reversed order of Record-Route, and go to the first."""
    routes = "Record-Route: <sip:core.example.com;lr>, <sip:[local_ip]:[local_port];lr>"
    steps = (
        INVITED, answer(200, routes, body=audio(), is_repeated=True, is_to_invite=True),
        recv("ACK"), BYE_TAKEN,
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps, contact_port=9) as peer:
        call, _ = await ours.talk(at(peer.port))
        await ours.hang_up(call)
        await peer.finish()
        for name in ("ACK", "BYE"):
            said = peer.got(name)[0]
            found = ", ".join(said.headers("Route")).split(", ")
            assert found == [f"<sip:127.0.0.1:{peer.port};lr>", "<sip:core.example.com;lr>"]
            assert said.line.startswith(f"{name} sip:sipp@127.0.0.1:9")


@covers(SIPP_CALLED, suite.NAT)
async def test_our_own_address_may_be_wrong(folder: Path) -> None:
    """With an address in Via and Contact that nobody has, as behind address translation, `rport` is
    asked for, and the call goes on both ways."""
    steps = (INVITED, ANSWERED, recv("ACK"), pause(50), request("BYE", 1), recv(200))
    async with agent() as ours, sipp(folder, *steps) as peer:
        ours.ua.set_local(Transport.UDP, "192.0.2.77", 5999)
        await ours.talk(at(peer.port))
        assert (await ours.heard.until(Ended)).cause is EndCause.REMOTE
        await peer.finish()
        via = peer.got("INVITE")[0].header("Via")
        assert via.startswith("SIP/2.0/UDP 192.0.2.77:5999")
        assert ";rport" in via


@covers(SIPP_CALLED, suite.DTMF_FROM)
async def test_keys_that_the_peer_presses(folder: Path) -> None:
    """What SIPp presses comes once each, in order."""
    steps = (
        INVITED, ANSWERED, recv("ACK"), pause(100), run('play_dtmf="159#"'), BYE_TAKEN
    )  # fmt: skip
    async with agent() as ours, sipp(folder, *steps) as peer:
        call, line = await ours.talk(at(peer.port), ours.line(dtmf_payload_type=SIPP_DTMF))
        await line.until_digits(4)
        await ours.hang_up(call)
        await peer.finish()
        assert line.digits == "159#"
