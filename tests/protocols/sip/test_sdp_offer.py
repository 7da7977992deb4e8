"""Offer and answer for one audio stream (RFC 3264)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.audio.g711 import Law
from protocols.errors import LocalProtocolError, ProtocolError
from protocols.rtp.parameters import Direction
from protocols.sip.sdp import Description, SdpError, parse
from protocols.sip.sdp_audio import (
    AudioPolicy,
    MediaAddressError,
    MediaSecurity,
    NotAcceptableError,
)
from protocols.sip.sdp_offer import Negotiation

POLICY = AudioPolicy(networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))
SECURE = replace(POLICY, security=MediaSecurity.SECURE)
INLINE = "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"


def side(policy: AudioPolicy = POLICY, host: str = "192.0.2.1", port: int = 4000) -> Negotiation:
    return Negotiation(policy, address=host, port=port, session_id=7)


def other(policy: AudioPolicy = POLICY) -> Negotiation:
    return side(policy, "192.0.2.2", 5000)


def body(*media: str, address: str | None = "192.0.2.2", version: int = 1) -> bytes:
    """A peer's description; each medium is its m= line and attributes, parted by `|`."""
    lines = ["v=0", f"o=- 9 {version} IN IP4 192.0.2.2", "s=-"]
    if address is not None:
        lines.append(f"c=IN IP{6 if ':' in address else 4} {address}")
    lines.append("t=0 0")
    for each in media:
        head, *attributes = each.split("|")
        lines.append(f"m={head}")
        lines += [f"a={attribute}" for attribute in attributes]
    return "\r\n".join([*lines, ""]).encode()


def audio_of(data: bytes, index: int = 0) -> tuple[Description, list[str]]:
    description = parse(data)
    return description, [
        each.name if each.value is None else f"{each.name}:{each.value}"
        for each in description.media[index].attributes
    ]


def test_two_of_us_agree() -> None:
    """Both sides come to the same terms, each with the other's address."""
    one, two = side(), other()
    answer, theirs = two.answer(one.offer())
    ours = one.take_answer(answer)
    assert ours is not None and theirs is not None
    assert ours.remote == ("192.0.2.2", 5000) and theirs.remote == ("192.0.2.1", 4000)
    assert ours.rtcp == ("192.0.2.2", 5001)
    assert ours.law is theirs.law is Law.ULAW
    assert ours.dtmf_payload_type == theirs.dtmf_payload_type == 101
    assert ours.direction is theirs.direction is Direction.SENDRECV
    assert ours.ptime_ms == 20 and ours.keys is None
    assert one.parameters == ours and one.is_offer_pending
    one.confirm()
    assert not one.is_offer_pending


def test_an_offer_says_what_we_take() -> None:
    """Both laws, telephone events 0-15, the length of packets and the direction."""
    description, attributes = audio_of(side().offer())
    media = description.media[0]
    assert (media.port, media.protocol, media.formats) == (4000, "RTP/AVP", ("0", "8", "101"))
    assert attributes == [
        "rtpmap:0 PCMU/8000",
        "rtpmap:8 PCMA/8000",
        "rtpmap:101 telephone-event/8000",
        "fmtp:101 0-15",
        "ptime:20",
        "sendrecv",
    ]


@pytest.mark.parametrize(
    ("formats", "law"),
    [("0 8", Law.ULAW), ("8 0", Law.ALAW), ("8", Law.ALAW), ("18 0", Law.ULAW)],
)
def test_the_offering_side_orders_codecs(formats: str, law: Law) -> None:
    """We answer with the first codec of the offer that we have."""
    answer, agreed = side().answer(body(f"audio 5000 RTP/AVP {formats}"))
    assert agreed is not None and agreed.law is law
    assert parse(answer).media[0].formats[0] == str(law.payload_type)


def test_our_own_order_can_be_asked_for() -> None:
    """With `prefers_own_order` the trunk's order of codecs counts."""
    policy = replace(POLICY, prefers_own_order=True)
    answer, agreed = side(policy).answer(body("audio 5000 RTP/AVP 8 0"))
    assert agreed is not None and agreed.law is Law.ULAW
    assert parse(answer).media[0].formats == ("0", "8")


def test_payload_types_are_the_negotiated_ones() -> None:
    """Keys come and go at the agreed number, whatever it is; each side's own may differ."""
    offer = body("audio 5000 RTP/AVP 96 121|rtpmap:96 PCMA/8000|rtpmap:121 Telephone-Event/8000")
    answer, agreed = side().answer(offer)
    assert agreed is not None
    assert (agreed.law, agreed.payload_type, agreed.dtmf_payload_type) == (Law.ALAW, 96, 121)
    assert agreed.receive_types == {96: Law.ALAW}
    assert agreed.dtmf_receive_types == {121}
    assert parse(answer).media[0].formats == ("96", "121")

    ours = side()
    ours.offer()
    agreed = ours.take_answer(body("audio 5000 RTP/AVP 0 97|rtpmap:97 telephone-event/8000"))
    assert agreed is not None and agreed.dtmf_payload_type == 97
    assert agreed.dtmf_receive_types == {97, 101}


def test_events_at_another_rate_are_not_ours() -> None:
    """telephone-event at 48 kHz belongs to a codec that we do not have."""
    offer = body(
        "audio 5000 RTP/AVP 0 110 101|rtpmap:110 telephone-event/48000"
        "|rtpmap:101 telephone-event/8000"
    )
    _, agreed = side().answer(offer)
    assert agreed is not None and agreed.dtmf_payload_type == 101


def test_a_remapped_static_type_is_what_it_says() -> None:
    """0 mapped to something else is not PCMU."""
    with pytest.raises(NotAcceptableError):
        side().answer(body("audio 5000 RTP/AVP 0|rtpmap:0 G722/8000/2"))


def test_no_keys_without_telephone_events() -> None:
    """A peer that names none gets none."""
    answer, agreed = side().answer(body("audio 5000 RTP/AVP 0"))
    assert agreed is not None and agreed.dtmf_payload_type is None
    assert not agreed.dtmf_receive_types
    assert b"telephone-event" not in answer


@pytest.mark.parametrize(
    ("attributes", "ptime_ms"),
    [
        ("", 20), ("|ptime:30", 30), ("|ptime:60", 60), ("|ptime:25", 20), ("|ptime:x", 20),
        ("|maxptime:15", 10), ("|ptime:30|maxptime:20", 20), ("|ptime:20.0", 20),
        ("|ptime:99999999999", 20), ("|ptime:0", 20),
    ],
)  # fmt: skip
def test_packets_are_as_long_as_the_peer_wants(attributes: str, ptime_ms: int) -> None:
    """ptime is followed where we can, maxptime always."""
    _, agreed = side().answer(body(f"audio 5000 RTP/AVP 0{attributes}"))
    assert agreed is not None and agreed.ptime_ms == ptime_ms


def test_packets_can_be_too_short() -> None:
    """A peer that takes no 10 ms is refused, not overrun."""
    with pytest.raises(NotAcceptableError):
        side().answer(body("audio 5000 RTP/AVP 0|maxptime:5"))


def test_other_media_are_refused_in_their_place() -> None:
    """Video and second audio get port 0; ours is answered where it stands."""
    offer = body(
        "video 6000 RTP/AVP 34", "audio 5000 RTP/AVP 0", "audio 5002 RTP/AVP 8",
        "image 7000 udptl t38",
    )  # fmt: skip
    answer, agreed = side().answer(offer)
    assert agreed is not None and agreed.remote == ("192.0.2.2", 5000)
    media = parse(answer).media
    assert [(each.kind, each.port) for each in media] == [
        ("video", 0), ("audio", 4000), ("audio", 0), ("image", 0)
    ]  # fmt: skip
    assert media[3].formats == ("t38",) and media[3].protocol == "udptl"


def test_our_re_offer_shows_as_many_media() -> None:
    """A re-INVITE of ours keeps count and order of the media."""
    one = side()
    one.answer(body("video 6000 RTP/AVP 34", "audio 5000 RTP/AVP 8"))
    media = parse(one.offer(Direction.SENDONLY)).media
    assert [(each.kind, each.port) for each in media] == [("video", 0), ("audio", 4000)]
    with pytest.raises(SdpError):
        one.take_answer(body("audio 5000 RTP/AVP 0"))
    assert one.take_answer(body("video 0 RTP/AVP 34", "audio 5000 RTP/AVP 8")) is not None


def test_a_peer_that_drops_refused_media_is_answered_all_the_same() -> None:
    """It must not (RFC 3264 section 8), and many a PBX does: a hold or a refresh is to hold and
    to refresh. The answer has as many media as the offer, and so has our next offer."""
    one = side()
    one.answer(body("video 6000 RTP/AVP 34", "audio 5000 RTP/AVP 8"))
    answer, agreed = one.answer(body("audio 5000 RTP/AVP 8|sendonly", version=2))
    assert agreed is not None and agreed.direction is Direction.RECVONLY
    assert [(each.kind, each.port) for each in parse(answer).media] == [("audio", 4000)]
    assert [each.kind for each in parse(one.offer()).media] == ["audio"]


def test_audio_may_be_taken_away_together_with_other_media() -> None:
    """And be offered again by us."""
    one = side()
    one.answer(body("video 6000 RTP/AVP 34", "audio 5000 RTP/AVP 8"))
    answer, agreed = one.answer(body("audio 0 RTP/AVP 8", version=2))
    assert agreed is None and parse(answer).media[0].port == 0
    assert [(each.kind, each.port) for each in parse(one.offer()).media] == [("audio", 4000)]


def test_a_second_fitting_audio_is_taken() -> None:
    """When the first audio does not fit, the next one may."""
    _, agreed = side().answer(body("audio 5000 RTP/SAVP 0", "audio 5002 RTP/AVP 8"))
    assert agreed is not None and agreed.remote == ("192.0.2.2", 5002)


def test_refused_audio() -> None:
    """Port 0 in an answer, or in a later offer, means no audio."""
    one = side()
    one.offer()
    assert one.take_answer(body("audio 0 RTP/AVP 0")) is None
    two = side()
    two.answer(body("audio 5000 RTP/AVP 0"))
    answer, agreed = two.answer(body("audio 0 RTP/AVP 0", version=2))
    assert agreed is None and two.parameters is None
    assert parse(answer).media[0].port == 0


@pytest.mark.parametrize(
    "offer",
    [
        body(),
        body("video 5000 RTP/AVP 34"),
        body("audio 0 RTP/AVP 0"),
        body("audio 5000 RTP/AVP 18"),
        body("audio 5000 UDP/TLS/RTP/SAVPF 0"),
        body("audio 5000 RTP/AVPF 0"),
        body(f"audio 5000 RTP/SAVP 0|crypto:1 AES_CM_128_HMAC_SHA1_80 {INLINE}"),
    ],
)
def test_what_cannot_be_agreed_on_is_488(offer: bytes) -> None:
    """No audio, no codec, another profile: not acceptable here."""
    with pytest.raises(NotAcceptableError) as caught:
        side().answer(offer)
    assert caught.value.status_hint == 488


@pytest.mark.parametrize(
    "offer",
    [
        body("audio 5000 RTP/AVP 0", address="198.51.100.1"),
        body("audio 5000 RTP/AVP 0", address="127.0.0.1"),
        body("audio 5000 RTP/AVP 0", address="host.example.com"),
        body("audio 5000 RTP/AVP 0", address="2001:db9::1"),
    ],
)
def test_media_goes_nowhere_else(offer: bytes) -> None:
    """An address outside the trunk's networks is refused."""
    with pytest.raises(MediaAddressError):
        side().answer(offer)
    with pytest.raises(MediaAddressError):
        side(replace(POLICY, networks=())).answer(body("audio 5000 RTP/AVP 0"))


@pytest.mark.parametrize("place", ["198.51.100.1", "10.0.0.5", "host.example.com"])
def test_reports_go_nowhere_else_and_cost_no_call(place: str) -> None:
    """Media relays often leave the private address of who is behind them in a=rtcp: the call goes
    on without RTCP."""
    _, agreed = side().answer(body(f"audio 5000 RTP/AVP 0|rtcp:5001 IN IP4 {place}"))
    assert agreed is not None
    assert agreed.remote == ("192.0.2.2", 5000) and agreed.rtcp is None


def test_ipv6_is_written_one_way() -> None:
    """The same address in other words is the same source."""
    _, agreed = side().answer(body("audio 5000 RTP/AVP 0", address="2001:DB8:0::1"))
    assert agreed is not None and agreed.remote == ("2001:db8::1", 5000)


def test_rtcp_may_be_elsewhere_or_shared() -> None:
    """a=rtcp names port and host; rtcp-mux shares the port; 0 means none."""

    def rtcp(attributes: str) -> tuple[object, bool]:
        _, agreed = side().answer(body(f"audio 5000 RTP/AVP 0{attributes}"))
        assert agreed is not None
        return agreed.rtcp, agreed.is_rtcp_mux

    assert rtcp("") == (("192.0.2.2", 5001), False)
    assert rtcp("|rtcp:6001") == (("192.0.2.2", 6001), False)
    assert rtcp("|rtcp:6001 IN IP4 192.0.2.9") == (("192.0.2.9", 6001), False)
    assert rtcp("|rtcp:0") == (None, False)
    assert rtcp("|rtcp-mux") == (None, True)
    one = side()
    one.offer()
    agreed = one.take_answer(body("audio 5000 RTP/AVP 0|rtcp-mux"))
    assert agreed is not None and not agreed.is_rtcp_mux


def test_a_failed_answer_changes_nothing() -> None:
    """After a refused offer, what held before holds."""
    one = side()
    one.answer(body("audio 5000 RTP/AVP 0"))
    before = one.parameters
    with pytest.raises(NotAcceptableError):
        one.answer(body("audio 5000 RTP/AVP 18"))
    assert one.parameters == before
    one.offer(Direction.INACTIVE)
    one.withdraw()
    assert one.parameters == before and not one.is_offer_pending


def test_an_answer_that_fits_nothing_leaves_nothing() -> None:
    """As if there had been none: an offer without audio is then a first offer, and refused."""
    one = side()
    one.offer()
    with pytest.raises(NotAcceptableError):
        one.take_answer(body("audio 5000 RTP/AVP 18"))
    one.withdraw()
    with pytest.raises(NotAcceptableError):
        one.answer(body("audio 0 RTP/AVP 0"))


def test_an_answer_needs_an_offer() -> None:
    """Answers out of nowhere, and offers that cross ours, are the caller's mistake."""
    with pytest.raises(LocalProtocolError):
        side().take_answer(body("audio 5000 RTP/AVP 0"))
    one = side()
    one.offer()
    with pytest.raises(LocalProtocolError):
        one.answer(body("audio 5000 RTP/AVP 0"))


def test_early_media_then_another_fork() -> None:
    """Each early dialog has its own terms; 183 and 200 may both carry the answer."""
    one = side()
    one.offer()
    branch = one.fork()
    early = one.take_answer(body("audio 5000 RTP/AVP 0"))
    assert one.take_answer(body("audio 5000 RTP/AVP 0")) == early
    late = branch.take_answer(body("audio 6000 RTP/AVP 8"))
    assert early is not None and late is not None
    assert early.remote == ("192.0.2.2", 5000) and late.remote == ("192.0.2.2", 6000)


# SRTP ---------------------------------------------------------------------------------------------


def test_keys_cross() -> None:
    """What one side sends with is what the other receives with."""
    one, two = side(SECURE), other(SECURE)
    answer, theirs = two.answer(one.offer())
    ours = one.take_answer(answer)
    assert ours is not None and theirs is not None and ours.keys and theirs.keys
    assert ours.keys.suite == "AES_CM_128_HMAC_SHA1_80"
    assert ours.keys.send == theirs.keys.receive and ours.keys.receive == theirs.keys.send
    assert parse(answer).media[0].protocol == "RTP/SAVP"


def test_our_key_stays_over_a_re_invite() -> None:
    """A hold must not cost packets by a new key of ours."""
    one, two = side(SECURE), other(SECURE)
    answer, _ = two.answer(one.offer())
    before = one.take_answer(answer)
    one.confirm()
    answer, _ = two.answer(one.offer(Direction.SENDONLY))
    after = one.take_answer(answer)
    assert before is not None and after is not None and before.keys == after.keys


def test_the_weaker_suite_is_taken_if_it_is_all_there_is() -> None:
    """The tag of the answer is that of the chosen line."""
    offer = body(
        f"audio 5000 RTP/SAVP 0|crypto:1 AES_256_CM_HMAC_SHA1_80 {INLINE}"
        f"|crypto:2 AES_CM_128_HMAC_SHA1_80 {INLINE}"
        f"|crypto:3 AES_CM_128_HMAC_SHA1_32 {INLINE}"
    )
    answer, agreed = side(SECURE).answer(offer)
    assert agreed is not None and agreed.keys is not None
    assert audio_of(answer)[1][-3].startswith("crypto:2 AES_CM_128_HMAC_SHA1_80 inline:")


def test_policy_on_encryption() -> None:
    """PLAIN and SECURE take only their own, EITHER takes both and offers SRTP."""
    secured = body(f"audio 5000 RTP/SAVP 0|crypto:1 AES_CM_128_HMAC_SHA1_32 {INLINE}")
    plain = body("audio 5000 RTP/AVP 0")
    either = replace(POLICY, security=MediaSecurity.EITHER)
    with pytest.raises(NotAcceptableError):
        side(SECURE).answer(plain)
    with pytest.raises(NotAcceptableError):
        side(POLICY).answer(secured)
    for offer, has_keys in ((plain, False), (secured, True)):
        _, agreed = side(either).answer(offer)
        assert agreed is not None and (agreed.keys is not None) is has_keys
    assert parse(side(either).offer()).media[0].protocol == "RTP/SAVP"


@pytest.mark.parametrize(
    "answer",
    [
        "audio 5000 RTP/AVP 0",
        "audio 5000 RTP/SAVP 0",
        f"audio 5000 RTP/SAVP 0|crypto:9 AES_CM_128_HMAC_SHA1_80 {INLINE}",
        f"audio 5000 RTP/SAVP 0|crypto:2 AES_CM_128_HMAC_SHA1_80 {INLINE}",
    ],
)
def test_answers_must_choose_what_was_offered(answer: str) -> None:
    """No profile, tag or suite but an offered one."""
    one = side(replace(POLICY, security=MediaSecurity.EITHER))
    one.offer()
    with pytest.raises(NotAcceptableError):
        one.take_answer(body(answer))
    assert one.parameters is None


ATTRIBUTES = st.lists(
    st.one_of(
        st.sampled_from([
            "rtpmap:0 PCMU/8000", "rtpmap:101 telephone-event/8000", "rtpmap:x", "ptime:20",
            "maxptime:7", "sendonly", "rtcp:x", "rtcp:1 IN IP4 192.0.2.3", "rtcp-mux",
            f"crypto:1 AES_CM_128_HMAC_SHA1_80 {INLINE}", "crypto:", "rtpmap:96 PCMA/8000/1",
        ]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30),
    ),
    max_size=8,
)  # fmt: skip
HEADS = st.one_of(
    st.sampled_from(["audio 5000 RTP/AVP 0 8 101", "audio 5000 RTP/SAVP 0", "audio 0 RTP/AVP 0"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30),
    st.builds(lambda n: f"audio 5000 RTP/AVP {n} 0", st.text(max_size=4)),
)


@given(st.lists(st.tuples(HEADS, ATTRIBUTES), max_size=3))
def test_no_offer_or_answer_breaks_us(media: list[tuple[str, list[str]]]) -> None:
    """Whatever a peer describes: terms, or the protocol's error; and our answer is sound."""
    data = "\r\n".join(
        ["v=0", "o=- 9 1 IN IP4 192.0.2.2", "c=IN IP4 192.0.2.2"]
        + [line for head, rest in media for line in (f"m={head}", *(f"a={each}" for each in rest))]
    ).encode("utf-8", "replace")
    policy = replace(POLICY, security=MediaSecurity.EITHER)
    with suppress(ProtocolError):
        answer, agreed = side(policy).answer(data)
        assert len(parse(answer).media) == len(media)
        assert agreed is not None
    one = side(policy)
    one.offer()
    with suppress(ProtocolError):
        one.take_answer(data)
