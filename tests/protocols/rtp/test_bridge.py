"""Two legs bridged: what the one hears, the other sends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.audio.g711 import Law
from protocols.errors import LocalProtocolError
from protocols.rtp import dtmf, rtcp
from protocols.rtp.clip import ULAW_TO_ALAW, Clip
from protocols.rtp.events import DigitReceived, MediaStarted
from protocols.rtp.leg import bridge, unbridge
from protocols.rtp.packet import RtpPacket, build, parse
from protocols.rtp.parameters import Direction, SrtpKeys
from protocols.rtp.rtcp import SenderReport
from protocols.rtp.srtp import SUITES, SrtpContext
from tests.protocols.rtp.legs import AUDIO, PARAMETERS, PEER, Bench, key, voice


def test_a_bridge_passes_audio_and_keys() -> None:
    """Gaps stay gaps, payload types are the other side's, laws are converted, numbers are ours."""
    one = Bench(seed=1)
    two = Bench(seed=2, law=Law.ALAW, payload_type=8, dtmf_payload_type=96)
    bridge(one.leg, two.leg)
    for n in (0, 1, 3, 2):
        one.hear(voice(n, mark=0x2A))
    one.hear(key("5", 4, 640))
    packets = two.packets
    first = packets[0].sequence
    assert [(each.sequence - first) & 0xFFFF for each in packets] == [0, 1, 3, 2, 4]
    assert [(each.timestamp - packets[0].timestamp) & 0xFFFFFFFF for each in packets] == [
        0, 160, 480, 320, 640
    ]  # fmt: skip
    assert [each.payload_type for each in packets] == [8, 8, 8, 8, 96]
    assert packets[0].payload == (b"\x2a" * 160).translate(ULAW_TO_ALAW)
    assert dtmf.parse(packets[4].payload).event == 5
    assert packets[0].is_marked and packets[0].ssrc != 9
    assert one.events == [MediaStarted(PEER), DigitReceived("5")]


def test_going_over_to_a_bridge_and_back() -> None:
    """Numbers never repeat, timestamps never run back, whoever speaks: clip, peer, silence."""
    one, two = Bench(seed=1), Bench(seed=2)
    two.leg.play(Clip(AUDIO[:800]))
    two.run(5)
    bridge(one.leg, two.leg)
    for n in range(20):
        one.hear(voice(n))
        one.run(1)
        two.run(1)
    two.leg.play(Clip(AUDIO[:800]))
    for n in range(20, 40):
        one.hear(voice(n))
        one.run(1)
        two.run(1)
    unbridge(one.leg)
    two.run(10)
    packets = two.packets
    assert [each.sequence for each in packets] == [
        (packets[0].sequence + n) & 0xFFFF for n in range(len(packets))
    ]
    steps = [
        (b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in zip(packets, packets[1:], strict=False)
    ]
    assert all(160 <= each <= 800 for each in steps)
    assert AUDIO[:160] in [each.payload for each in packets[5:]]
    assert one.leg.bridged is None and two.leg.bridged is None


def test_a_second_bridge_has_its_own_numbers() -> None:
    """Another far end after a transfer: no jump, no repeat."""
    one, two, three = Bench(seed=1), Bench(seed=2), Bench(seed=3)
    bridge(one.leg, two.leg)
    with pytest.raises(LocalProtocolError):
        bridge(one.leg, three.leg)
    for n in range(5):
        one.hear(voice(n))
        two.run(1)
    unbridge(one.leg)
    bridge(three.leg, two.leg)
    for n in range(40_000, 40_005):
        three.hear(voice(n))
        two.run(1)
    packets = two.packets
    assert [each.sequence for each in packets] == [
        (packets[0].sequence + n) & 0xFFFF for n in range(10)
    ]


def test_long_packets_that_are_passed_on_are_waited_for() -> None:
    """Sound of our own does not lie over what was passed on, however long its packets were."""
    one, two = Bench(seed=1), Bench(seed=2, ptime_ms=10)
    bridge(one.leg, two.leg)
    one.hear(build(RtpPacket(0, 1, 0, 9, bytes(480))))
    unbridge(one.leg)
    two.leg.play(Clip(AUDIO))
    two.run(10, ticks=2)
    passed, own = two.packets[:2]
    assert (own.timestamp - passed.timestamp) & 0xFFFFFFFF >= 480


def test_reports_tell_the_time_of_what_is_passed_on() -> None:
    """The clock of a sender report is the one of the packets, also when the clock of the far end
    has jumped (RFC 3550 section 6.4.1)."""
    one, two = Bench(seed=1), Bench(seed=2)
    bridge(one.leg, two.leg)
    for n in range(1000):
        packet = parse(voice(n))
        one.hear(build(replace(packet, timestamp=packet.timestamp + (n > 50) * 1_000_000)))
        two.run(1)
    reports = [rtcp.parse(each)[0] for each in two.rtcp]
    assert reports
    last = reports[-1]
    assert isinstance(last, SenderReport)
    assert min(abs(last.timestamp - each.timestamp) for each in two.packets) <= 320


@given(st.permutations(range(12)), st.sets(st.integers(0, 11), max_size=4), st.booleans())
def test_a_bridge_into_an_encrypted_leg(order: list[int], gone: set[int], wraps: bool) -> None:
    """Whatever comes in whatever order is encrypted and can be decrypted, also where our numbers
    wrap; a copy that comes in is not sent."""
    suite = next(iter(SUITES))
    ours = SrtpKeys(suite, send=bytes(30), receive=bytes(range(30)))
    peer = SrtpContext(SrtpKeys(suite, send=ours.receive, receive=ours.send))
    one, two = Bench(seed=1), Bench(seed=2, keys=ours)
    bridge(one.leg, two.leg)
    one.hear(voice(100))
    first = peer.unprotect(two.sent[0])
    distance = 0x10000 - 6 - int.from_bytes(first[2:4], "big") if wraps else 1
    for step in range(2000, distance, 2000):
        one.hear(voice(100 + step))
        peer.unprotect(two.sent[-1])
    kept = [n for n in order if n not in gone]
    before = len(two.sent)
    for n in kept:
        for _ in range(2):
            one.hear(voice(100 + distance + n, mark=n))
    heard = [peer.unprotect(each)[-1] for each in two.sent[before:]]
    assert heard == kept


def noise(n: int, ssrc: int) -> bytes:
    return build(RtpPacket(13, n, n * 160, ssrc, b"\x40"))


@pytest.mark.parametrize("begins_with", ["noise", "key", "hold"])
@pytest.mark.parametrize("start", [10_000, 50_000])
def test_a_stream_that_begins_with_what_is_not_passed_on(begins_with: str, start: int) -> None:
    """Another stream may begin with comfort noise, with a key that the other side takes none of, or
    while that side is on hold: its numbers join the old ones all the same."""
    one = Bench(seed=1)
    two = Bench(seed=2, dtmf_payload_type=None if begins_with == "key" else 101)
    bridge(one.leg, two.leg)
    for n in range(5):
        one.hear(voice(n))
        two.run(1)
    if begins_with == "hold":
        two.leg.update(replace(PARAMETERS, direction=Direction.INACTIVE), two.now)
    for n in range(start, start + 3):
        one.hear(
            {"noise": noise(n, 10), "key": key("5", n, n * 160, ssrc=10)}.get(
                begins_with, voice(n, ssrc=10)
            )
        )
    if begins_with == "hold":
        two.leg.update(PARAMETERS, two.now)
    for n in range(start + 3, start + 8):
        one.hear(voice(n, ssrc=10))
        two.run(1)
    packets = two.packets
    assert len(packets) == 10
    for before, after in zip(packets, packets[1:], strict=False):
        assert 1 <= (after.sequence - before.sequence) & 0xFFFF <= 4
        assert 1 <= (after.timestamp - before.timestamp) & 0xFFFFFFFF <= 1600


STEPS = st.tuples(st.integers(0, 60), st.sampled_from(["relay", "turn", "play", "skip"]))


@given(st.lists(STEPS, max_size=60))
def test_numbers_never_repeat(steps: list[tuple[int, str]]) -> None:
    """Any mixture of relayed packets, turns and clips: no number is used for two packets of ours,
    save what the peer itself sent twice."""
    one, two = Bench(seed=1), Bench(seed=2)
    bridge(one.leg, two.leg)
    for n, what in steps:
        if what == "relay":
            one.hear(voice(n))
        elif what == "play":
            two.leg.play(Clip(AUDIO[: n * 10]))
        two.run(1)
        if what == "skip":
            two.tick += n * 4
    numbers = [each.sequence for each in two.packets]
    assert len(set(numbers)) == len(numbers)
