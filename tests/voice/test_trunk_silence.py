"""Lines without sound: which of them a trunk gives up."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.voice.call_events import Answered, CallEnd
from protocols.rtp.events import MediaLost
from tests.fakes.sip import FarEnd, Heard, far_end
from tests.voice.trunks import HOST, PHONE, Answering, next_of, running, settings, until


def sound(way: str) -> str:
    """A session description of a far end that never sends a packet."""
    lines = ["v=0", f"o=- 1 1 IN IP4 {HOST}", "s=-", f"c=IN IP4 {HOST}", "t=0 0"]
    return "\r\n".join([*lines, "m=audio 39998 RTP/AVP 0", f"a={way}", ""])


def answers(heard: Heard) -> list[str]:
    """The script: take every call, and never make a sound."""
    contact = "Contact: <" + heard.start.split(" ")[1] + ">"
    kind = "Content-Type: application/sdp"
    if heard.method == "INVITE":
        return [heard.reply("200 OK", contact, kind, body=sound("sendrecv"))]
    return [heard.reply("200 OK")] if heard.method == "BYE" else []


def hold(there: FarEnd) -> str:
    """A re-INVITE that puts the call on hold."""
    invite = there.of("INVITE")[0]
    body = sound("inactive")
    target = invite.header("Contact").partition("<")[2].partition(">")[0]
    lines = [
        f"INVITE {target} SIP/2.0",
        f"Via: SIP/2.0/UDP {HOST}:{there.port};branch=z9hG4bKhold",
        "Max-Forwards: 70",
        f"From: {invite.header('To')};tag=far",
        f"To: {invite.header('From')}",
        f"Call-ID: {invite.header('Call-ID')}",
        "CSeq: 7 INVITE",
        f"Contact: <sip:far@{HOST}:{there.port}>",
        "Content-Type: application/sdp",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", body])


async def test_a_call_put_on_hold_is_not_given_up_for_the_silence_before() -> None:
    """The other side fell silent first and said why afterwards: silence is what was agreed on."""
    async with far_end(answers) as there:
        own = settings(there.port, media_lost_s=600.0, options_s=0.0)
        soon = replace(own.trunks[0], name="soon", media_lost_s=0.1)
        async with running(replace(own, trunks=(own.trunks[0], soon))) as here:
            trunk = here.get("lab")
            assert trunk is not None
            call = trunk.call(PHONE)
            await next_of(call, Answered)
            await next_of(call, MediaLost)
            there.send(hold(there), (HOST, here.port))
            await until(lambda: call.parameters is not None and not call.parameters.is_receiving)
            assert "media" not in call._timers, "the call would be ended ten minutes later"
            assert call.end is None


def invite(to_port: int, far: FarEnd) -> str:
    """A call that leaves the offer to us."""
    lines = [
        f"INVITE sip:+12125550100@{HOST}:{to_port} SIP/2.0",
        f"Via: SIP/2.0/UDP {HOST}:{far.port};branch=z9hG4bKfirst",
        "Max-Forwards: 70",
        f"From: <sip:+12125550123@{HOST}>;tag=far",
        f"To: <sip:+12125550100@{HOST}>",
        "Call-ID: offerless",
        "CSeq: 1 INVITE",
        f"Contact: <sip:far@{HOST}:{far.port}>",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""])


async def test_a_caller_that_never_answers_our_offer_is_hung_up_on() -> None:
    """No sound was agreed on, so none can be missed: the line would stay up for an hour."""

    def acknowledges(heard: Heard) -> list[str]:
        if heard.start.startswith("SIP/2.0 200") and "INVITE" in heard.header("CSeq"):
            first = heard.header("To")
            target = heard.header("Contact").partition("<")[2].partition(">")[0]
            lines = [
                f"ACK {target} SIP/2.0",
                f"Via: {heard.header('Via').partition(';')[0]};branch=z9hG4bKack",
                "Max-Forwards: 70",
                f"From: {heard.header('From')}",
                f"To: {first}",
                "Call-ID: offerless",
                "CSeq: 1 ACK",
                "Content-Length: 0",
            ]
            return ["\r\n".join([*lines, "", ""])]
        return [heard.reply("200 OK")] if heard.method == "BYE" else []

    answering = Answering()
    async with far_end(acknowledges) as there:
        own = settings(there.port, options_s=0.0)
        async with running(own, on_incoming=answering) as here:
            there.send(invite(here.port, there), (HOST, here.port))
            await there.wait_for("BYE")
            end = await answering.told(CallEnd)
            assert "without a session description" in end.problem
            assert not any(isinstance(each, Answered) for each in answering.events)
