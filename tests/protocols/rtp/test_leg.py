"""A leg: what it sends, whom it hears, what it tells."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.audio.g711 import Law
from protocols.errors import LocalProtocolError
from protocols.rtp import dtmf, rtcp
from protocols.rtp.clip import SILENT_FRAME, ULAW_TO_ALAW, Clip
from protocols.rtp.events import (
    DigitReceived,
    DigitsSent,
    MediaStarted,
    PlaybackEnded,
)
from protocols.rtp.outgoing import MAX_CLIPS
from protocols.rtp.packet import RtpPacket, build
from protocols.rtp.parameters import Direction
from protocols.rtp.rtcp import Bye
from protocols.rtp.srtp import SUITES, SrtpContext
from tests.protocols.rtp.legs import AUDIO, PARAMETERS, PEER, STRANGER, Bench, key, keys, voice

# Sending ------------------------------------------------------------------------------------------


def test_a_clip_leaves_octet_by_octet() -> None:
    """20 ms a packet, numbers and timestamps in step, the first marked, then silence."""
    bench = Bench()
    bench.leg.play(Clip(AUDIO), token="hello")
    bench.run(12)
    packets = bench.packets
    assert b"".join(each.payload for each in packets[:10]) == AUDIO
    assert packets[10].payload == SILENT_FRAME
    assert [each.is_marked for each in packets] == [True] + [False] * 11
    for one, two in zip(packets, packets[1:], strict=False):
        assert two.sequence == (one.sequence + 1) & 0xFFFF
        assert two.timestamp == (one.timestamp + 160) & 0xFFFFFFFF
        assert two.ssrc == one.ssrc
    assert bench.events == [PlaybackEnded("hello", True, 0.2)]


@given(
    st.lists(st.integers(0, 900), min_size=1, max_size=8),
    st.sampled_from([10, 20, 30, 40, 60]),
    st.sampled_from(list(Law)),
)
def test_clips_follow_without_a_gap(sizes: list[int], ptime_ms: int, law: Law) -> None:
    """Of any length, in packets of any length, in both laws; each end is told, in order."""
    bench = Bench(ptime_ms=ptime_ms, law=law, payload_type=law.payload_type)
    clips = [bytes([n * 16 + 1]) * size for n, size in enumerate(sizes)]
    for n, each in enumerate(clips):
        bench.leg.play(Clip(each), token=n)
    bench.run(sum(sizes) // (8 * ptime_ms) + 2, ticks=ptime_ms // 5)
    whole = b"".join(clips)
    if law is Law.ALAW:
        whole = whole.translate(ULAW_TO_ALAW)
    sent = b"".join(each.payload for each in bench.packets)
    assert sent.startswith(whole)
    assert set(sent[len(whole) :]) <= {law.silence}
    assert {len(each.payload) for each in bench.packets} == {8 * ptime_ms}
    assert bench.events == [PlaybackEnded(n, True, size / 8000) for n, size in enumerate(sizes)]


def test_a_clip_may_go_round() -> None:
    """Until it is stopped; the time it was heard is told."""
    bench = Bench()
    bench.leg.play(Clip(AUDIO[:200]), is_looped=True)
    bench.run(10)
    assert b"".join(each.payload for each in bench.packets) == AUDIO[:200] * 8
    assert bench.leg.stop_playing() == 0.2
    assert bench.events == [PlaybackEnded(None, False, 0.2)]


def test_stopping_is_at_once() -> None:
    """The next packet is silence; what waited is told too."""
    bench = Bench()
    bench.leg.play(Clip(AUDIO), token=1)
    bench.leg.play(Clip(AUDIO), token=2)
    bench.run(3)
    assert bench.leg.stop_playing() == pytest.approx(0.06)
    bench.run(1)
    assert bench.packets[-1].payload == SILENT_FRAME
    assert bench.events == [PlaybackEnded(1, False, 0.06), PlaybackEnded(2, False, 0.0)]
    assert bench.leg.stop_playing() == 0.0


def test_nothing_is_sent_when_so_configured() -> None:
    """Without filling, a pause is a step of the timestamp and a mark, not of the number."""
    bench = Bench()
    bench.leg.fills_silence = False
    bench.leg.play(Clip(AUDIO[:160]))
    bench.run(5)
    bench.leg.play(Clip(AUDIO[:160]))
    bench.run(1)
    one, two = bench.packets
    assert two.sequence == (one.sequence + 1) & 0xFFFF
    assert two.timestamp == (one.timestamp + 5 * 160) & 0xFFFFFFFF
    assert two.is_marked


def test_a_stall_costs_no_audio() -> None:
    """Ticks that were left out are a pause of the clip, told by the timestamp."""
    bench = Bench()
    bench.leg.play(Clip(AUDIO))
    bench.run(2)
    bench.tick += 40
    bench.run(2)
    packets = bench.packets
    assert b"".join(each.payload for each in packets) == AUDIO[:640]
    assert packets[2].timestamp == (packets[1].timestamp + 160 + 1600) & 0xFFFFFFFF
    assert packets[2].is_marked


def test_shorter_packets_wait_for_the_last_long_one() -> None:
    """When the peer wishes for shorter packets in the middle of a long one, no sound lies over
    another, and none of the clip is missing."""
    bench = Bench(ptime_ms=60)
    bench.leg.play(Clip(AUDIO))
    bench.run(1, ticks=3)
    bench.leg.update(PARAMETERS, bench.now)
    bench.run(10)
    packets = bench.packets
    assert b"".join(each.payload for each in packets) == AUDIO[: 480 + 160 * 7]
    for one, two in zip(packets, packets[1:], strict=False):
        assert (two.timestamp - one.timestamp) & 0xFFFFFFFF >= len(one.payload)


def test_on_hold_nothing_leaves() -> None:
    """And a clip waits until the peer takes it."""
    bench = Bench(direction=Direction.RECVONLY)
    bench.leg.play(Clip(AUDIO[:320]))
    bench.run(5)
    assert not bench.sent
    bench.leg.update(PARAMETERS, bench.now)
    bench.run(2)
    assert b"".join(each.payload for each in bench.packets) == AUDIO[:320]


def test_keys_are_pressed_while_a_clip_waits() -> None:
    """Number by number in order, the clip complete, and the end told."""
    bench = Bench()
    bench.leg.play(Clip(AUDIO))
    bench.run(2)
    bench.leg.send_digits("1#", duration_ms=80, gap_ms=40)
    bench.run(30)
    packets = bench.packets
    assert [each.sequence for each in packets] == [
        (packets[0].sequence + n) & 0xFFFF for n in range(len(packets))
    ]
    receiver = dtmf.DigitReceiver()
    heard = [
        receiver.receive(each.payload, each.timestamp, each.sequence)
        for each in packets
        if each.payload_type == 101
    ]
    assert "".join(each for each in heard if each) == "1#"
    voice_ = b"".join(each.payload for each in packets if each.payload_type == 0)
    assert voice_.replace(SILENT_FRAME, b"") == AUDIO
    assert bench.events == [DigitsSent(), PlaybackEnded(None, True, 0.2)]


@pytest.mark.parametrize("frames", range(12))
def test_keys_that_can_no_longer_be_sent_have_an_end(frames: int) -> None:
    """A re-INVITE takes telephone events away, in a key or between two: who waits is told."""
    bench = Bench()
    bench.leg.send_digits("12", duration_ms=40, gap_ms=80)
    bench.run(frames)
    bench.leg.update(replace(PARAMETERS, dtmf_payload_type=None), bench.now)
    bench.run(20)
    assert bench.events == [DigitsSent()]
    bench.leg.play(Clip(AUDIO[:160]))
    bench.run(1)
    assert bench.packets[-1].payload == AUDIO[:160]


def test_what_a_leg_refuses() -> None:
    """Keys where the peer takes none, too many clips, an empty loop."""
    bench = Bench(dtmf_payload_type=None)
    with pytest.raises(LocalProtocolError):
        bench.leg.send_digits("1")
    with pytest.raises(LocalProtocolError):
        bench.leg.play(Clip(b""), is_looped=True)
    with pytest.raises(LocalProtocolError):
        for _ in range(MAX_CLIPS + 2):
            bench.leg.play(Clip(AUDIO))


# Hearing ------------------------------------------------------------------------------------------


def test_a_peer_is_heard() -> None:
    """Its frames reach listeners in μ-law, whatever law it speaks; its start is told once."""
    bench = Bench()
    bench.listen()
    for n in range(10):
        bench.hear(voice(n, payload_type=8, mark=0x2A))
        bench.run(1)
    assert bench.events == [MediaStarted(PEER)]
    heard = [each for each in bench.frames if each != SILENT_FRAME]
    assert len(heard) >= 8
    converted = Clip(b"\x2a", Law.ALAW).octets(Law.ULAW)
    assert {each for frame in heard for each in frame} == set(converted)


def test_a_listener_that_ends_hears_no_more() -> None:
    """Also a method, which Python makes anew each time it is named."""
    bench = Bench()
    bench.leg.add_tap(bench.frames.append)
    bench.run(2)
    bench.leg.remove_tap(bench.frames.append)
    bench.run(2)
    assert len(bench.frames) == 2


def test_strangers_change_nothing() -> None:
    """A thousand packets a second from elsewhere, keys among them: recording, keys and counts are
    what they would be without."""
    alone, attacked = Bench(), Bench()
    for bench in (alone, attacked):
        bench.listen()
        for n in range(100):
            bench.hear(voice(n))
            if n == 50:
                bench.hear(key("9", 200, 50_000, ssrc=9))
            if bench is attacked:
                for burst in range(20):
                    number = n * 20 + burst
                    bench.hear(voice(number, mark=99, ssrc=9), STRANGER)
                    bench.hear(voice(number, mark=99, ssrc=9), ("192.0.2.77", 5000))
                    bench.hear(key("1", number, number), ("192.0.2.2", 6000))
                    bench.leg.receive_rtcp(rtcp.build(Bye((9,))), STRANGER, bench.now)
            bench.run(1)
    assert attacked.frames == alone.frames
    assert attacked.events == alone.events
    ours, theirs = attacked.leg.statistics(), alone.leg.statistics()
    assert ours.wrong_source == 100 * 80
    assert replace(ours, wrong_source=0) == theirs


def test_noise_from_the_right_place_is_survived() -> None:
    """Malformed packets are counted and change nothing else."""
    bench = Bench()
    bench.hear(voice(0))
    for data in (b"", b"\x80", bytes(12), b"\x00" * 100, b"\x90" + bytes(11), b"\x80" * 1501):
        bench.hear(data)
    assert bench.leg.statistics().malformed == 6
    assert bench.leg.statistics().received == 1


@given(st.lists(st.tuples(st.binary(max_size=60), st.booleans()), max_size=20))
def test_no_datagram_raises(datagrams: list[tuple[bytes, bool]]) -> None:
    """Whatever comes, on either port."""
    bench = Bench(is_rtcp_mux=False)
    muxed = Bench(is_rtcp_mux=True)
    for data, is_likely in datagrams:
        for head in (b"", b"\x80\x00", b"\x80\x65", b"\x80\xc8", b"\x81\xc9\x00\x07"):
            whole = head + data if is_likely else data
            for each in (bench, muxed):
                each.hear(whole)
                each.leg.receive_rtcp(whole, PEER, each.now)
    bench.run(3)


def test_keys_are_told_once() -> None:
    """With copies and lost ends; comfort noise and unknown types are no audio."""
    bench = Bench()
    bench.listen()
    bench.hear(voice(0))
    for n in (1, 2, 2, 3):
        bench.hear(key("5", n, 160))
    bench.hear(key("5", 9, 4000, is_end=True))
    bench.hear(build(RtpPacket(13, 10, 5000, 9, b"\x40")))
    bench.hear(build(RtpPacket(96, 11, 5000, 9, b"x")))
    assert bench.events == [MediaStarted(PEER), DigitReceived("5"), DigitReceived("5")]
    bench.run(8)
    assert bench.leg.statistics().concealed == 0


def test_a_change_of_stream_is_followed() -> None:
    """Another SSRC from the same place goes on, and counts add up."""
    bench = Bench()
    for n in range(5):
        bench.hear(voice(n))
    for n in range(30_000, 30_005):
        bench.hear(voice(n, ssrc=10))
    found = bench.leg.statistics()
    assert (found.received, found.lost, found.wrong_ssrc) == (9, 0, 1)


def test_another_stream_has_a_clock_of_its_own() -> None:
    """A key of it is heard although a key of the old one bore the same timestamp."""
    bench = Bench()
    for ssrc in (9, 10):
        for n in range(4):
            bench.hear(voice(n, ssrc=ssrc))
        for n in (4, 5, 6):
            bench.hear(key("5", n, 640, ssrc=ssrc))
    assert bench.events == [MediaStarted(PEER), DigitReceived("5"), DigitReceived("5")]


def test_counts_outlive_a_stream_and_its_listeners() -> None:
    """Copies, reordered packets and frames that stood in are those of the whole call."""
    bench = Bench()
    bench.listen()
    for ssrc in (9, 10):
        for n in (0, 1, 2, 3, 5, 4, 4):
            bench.hear(voice(n, ssrc=ssrc))
            bench.run(1)
    bench.run(8)
    bench.leg.remove_tap(bench.frames.append)
    before = bench.leg.statistics()
    assert (before.reordered, before.duplicates) == (2, 2)
    assert before.concealed
    bench.listen()
    assert bench.leg.statistics() == before


def test_a_re_invite_moves_the_peer() -> None:
    """The new place is heard, the old one no more."""
    moved = ("192.0.2.3", 5000)
    bench = Bench()
    bench.hear(voice(0))
    bench.leg.update(replace(PARAMETERS, remote=moved), bench.now)
    assert not bench.leg.is_locked and bench.leg.destination == moved
    bench.hear(voice(1))
    bench.hear(voice(1), moved)
    bench.hear(voice(2), moved)
    assert bench.events == [MediaStarted(PEER), MediaStarted(moved)]
    assert bench.leg.statistics().wrong_source == 1


@pytest.mark.parametrize("suite", [None, *SUITES])
def test_who_was_left_is_not_taken_again(suite: str | None) -> None:
    """The old place goes on sending until it hears of the re-INVITE, half a second perhaps; the new
    one is waited for, encrypted or not."""
    moved = ("192.0.2.3", 5000)
    ours, theirs = keys(suite) if suite else (None, None)
    peer = SrtpContext(theirs) if theirs else None
    bench = Bench(keys=ours)

    def say(n: int, ssrc: int = 9) -> bytes:
        return peer.protect(voice(n, ssrc=ssrc)) if peer else voice(n, ssrc=ssrc)

    bench.hear(say(0))
    bench.leg.update(replace(PARAMETERS, remote=moved, keys=ours), bench.now)
    for n in range(1, 26):
        bench.hear(say(n))
        bench.run(1)
    assert not bench.leg.is_locked
    bench.hear(say(500, ssrc=10), moved)
    assert bench.events == [MediaStarted(PEER), MediaStarted(moved)]
    assert bench.leg.statistics().received == 2


def test_who_was_left_is_taken_when_nobody_else_comes() -> None:
    """A peer whose media does not come from where its SDP says may name another place and stay
    where it is."""
    bench = Bench()
    bench.hear(voice(0))
    bench.leg.update(replace(PARAMETERS, remote=("192.0.2.3", 5000)), bench.now)
    for n in range(1, 100):
        bench.hear(voice(n))
    assert bench.leg.destination == PEER


@pytest.mark.parametrize("port", [6001, 6002])
def test_address_translation_may_change_on_hold(port: int) -> None:
    """Nothing came through it meanwhile, and it gave the peer another port: that is learned as the
    first was; an old port that still stands is taken at once, and sent to until then."""
    before, after = (PEER[0], 6001), (PEER[0], port)
    bench = Bench()
    for n in range(5):
        bench.hear(voice(n), before)
    bench.leg.update(replace(PARAMETERS, direction=Direction.INACTIVE), bench.now)
    bench.leg.update(PARAMETERS, bench.now)
    assert bench.leg.destination == before
    taken = 1 if port == 6001 else 5
    for n in range(100, 100 + taken):
        assert not bench.leg.is_locked
        bench.hear(voice(n), after)
    assert bench.leg.is_locked and bench.leg.destination == after
    assert bench.events == [MediaStarted(each) for each in dict.fromkeys([before, after])]
    for n in range(200, 220):
        bench.hear(voice(n), (PEER[0], 6003))
    assert bench.leg.destination == after


def test_the_named_place_stays_through_a_hold() -> None:
    """Where the peer sends from where its SDP says, nobody else is listened to after a hold."""
    bench = Bench()
    bench.hear(voice(0))
    bench.leg.update(replace(PARAMETERS, direction=Direction.INACTIVE), bench.now)
    bench.leg.update(PARAMETERS, bench.now)
    for n in range(20):
        bench.hear(voice(n), (PEER[0], 6001))
    assert bench.leg.destination == PEER
    assert bench.leg.statistics().wrong_source == 20


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("hear"), st.integers(0, 5), st.integers(1, 12)),
            st.tuples(st.just("move"), st.integers(0, 5), st.just(0)),
        ),
        max_size=30,
    )
)
def test_only_the_trunk_is_ever_sent_to(steps: list[tuple[str, int, int]]) -> None:
    """Whoever sends and wherever the peer moves: what leaves goes to the place that was named last,
    or to one in the trunk's networks, and only one place at a time is heard."""
    places = [PEER, (PEER[0], 5002), ("192.0.2.3", 5000), ("192.0.2.4", 5000), STRANGER,
              ("203.0.113.9", 5000)]  # fmt: skip
    bench = Bench()
    count = 0
    for what, index, number in steps:
        place = places[index]
        if what == "move":
            moved = replace(PARAMETERS, remote=place)
            if index < 4:
                bench.leg.update(moved, bench.now)
                continue
            before = bench.leg.parameters, bench.leg.destination
            for foreign in (moved, replace(PARAMETERS, rtcp=place)):
                with pytest.raises(LocalProtocolError):
                    bench.leg.update(foreign, bench.now)
            assert (bench.leg.parameters, bench.leg.destination) == before
            continue
        for _ in range(number):
            count += 1
            locked = bench.leg.destination if bench.leg.is_locked else None
            before = bench.leg.statistics().received
            bench.hear(voice(count), place)
            assert locked in (None, bench.leg.destination)
            if locked not in (None, place):
                assert bench.leg.statistics().received == before
        assert bench.leg.destination in places[:4]
