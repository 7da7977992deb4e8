"""What a leg tells and is told besides sound: silence, reports, goodbyes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.rtp import dtmf, rtcp
from protocols.rtp.events import (
    DigitReceived,
    MediaLost,
    MediaResumed,
    MediaStarted,
    SourceStopped,
)
from protocols.rtp.incoming import LegLimits
from protocols.rtp.packet import RtpPacket, build
from protocols.rtp.parameters import Direction
from protocols.rtp.rtcp import Bye, ReceiverReport, ReceptionReport, SenderReport, SourceDescription
from tests.protocols.rtp.legs import PARAMETERS, PEER, STRANGER, Bench, voice

# Sending ------------------------------------------------------------------------------------------


def test_media_that_stays_away_is_told() -> None:
    """Once, after the configured time; and when it comes back."""
    bench = Bench(limits=LegLimits(silent_s=1.0))
    bench.hear(voice(0))
    bench.run(100)
    assert bench.events[1:] == [MediaLost(pytest.approx(1.0, abs=0.03))]
    bench.hear(voice(100))
    assert bench.events[2:] == [MediaResumed()]


@pytest.mark.parametrize("direction", Direction)
def test_a_new_agreement_ends_the_complaint(direction: Direction) -> None:
    """Who counts the seconds since media stayed away hears that they no longer count, for the peer
    may be on hold now; what comes then is told as if nothing had been."""
    bench = Bench(limits=LegLimits(silent_s=1.0))
    bench.hear(voice(0))
    bench.run(60)
    assert isinstance(bench.events[-1], MediaLost)
    bench.leg.update(replace(PARAMETERS, direction=direction), bench.now)
    assert bench.events[2:] == [MediaResumed()]
    bench.leg.update(PARAMETERS, bench.now)
    bench.hear(voice(1))
    assert bench.events[2:] == [MediaResumed()]


@pytest.mark.parametrize("is_mux", [False, True])
def test_a_peer_that_reports_is_there(is_mux: bool) -> None:
    """A PBX that holds us without music sends no sound, but says by RTCP that it lives; reports of
    a stream that nobody hears say nothing."""
    bench = Bench(limits=LegLimits(silent_s=1.0), is_rtcp_mux=is_mux)
    bench.hear(voice(0))
    report = rtcp.build(ReceiverReport(9), SourceDescription(9, "peer"))
    for _ in range(10):
        bench.run(25)
        if is_mux:
            bench.hear(report)
        else:
            bench.leg.receive_rtcp(report, (PEER[0], PEER[1] + 1), bench.now)
        bench.leg.receive_rtcp(report, STRANGER, bench.now)
    assert bench.events == [MediaStarted(PEER)]
    foreign = rtcp.build(ReceiverReport(77), SourceDescription(77, "stranger"))
    for _ in range(3):
        bench.run(25)
        bench.hear(foreign)
        bench.leg.receive_rtcp(foreign, PEER, bench.now)
    assert isinstance(bench.events[-1], MediaLost)


def test_nobody_is_expected_on_hold() -> None:
    """A peer that we put on hold may be silent."""
    bench = Bench(limits=LegLimits(silent_s=1.0), direction=Direction.SENDONLY)
    bench.run(100)
    assert bench.events == []


# RTCP ---------------------------------------------------------------------------------------------


def test_reports_tell_loss_and_come_about_every_five_seconds() -> None:
    """What we sent, how we hear the peer; between 2.5 and 7.5 s apart."""
    bench = Bench()
    times = []
    for n in range(1500):
        if n % 10:
            bench.hear(voice(n))
        before = len(bench.rtcp)
        bench.run(1)
        if len(bench.rtcp) > before:
            times.append(bench.now)
    assert all(2.4 <= b - a <= 7.6 for a, b in zip(times, times[1:], strict=False))
    assert 4 <= len(times) <= 12
    report = rtcp.parse(bench.rtcp[-1])[0]
    assert isinstance(report, SenderReport)
    assert report.octets == report.packets * 160
    assert report.reports[0].ssrc == 9
    assert 20 <= report.reports[0].fraction_lost <= 30


def test_reports_name_the_stream_that_they_count() -> None:
    """Also while the next place of a peer that moved is waited for."""
    bench = Bench()
    bench.hear(voice(0))
    moved = replace(PARAMETERS, remote=("192.0.2.3", 5000))
    bench.leg.update(moved, bench.now)
    while not bench.rtcp:
        bench.run(1)
    report = rtcp.parse(bench.rtcp[0])[0]
    assert isinstance(report, SenderReport)
    assert [each.ssrc for each in report.reports] == [9]


def test_a_round_trip_is_measured() -> None:
    """From the peer's echo of our report (LSR and DLSR)."""
    bench = Bench()
    bench.hear(voice(0))
    while not bench.rtcp:
        bench.run(1)
    sent = rtcp.parse(bench.rtcp[-1])[0]
    assert isinstance(sent, SenderReport)
    last_sr = sent.ntp >> 16 & 0xFFFFFFFF
    bench.tick += 30
    block = ReceptionReport(sent.ssrc, 64, 3, 5, 80, last_sr, int(0.05 * 65536))
    bench.leg.receive_rtcp(rtcp.build(ReceiverReport(9, (block,))), PEER, bench.now)
    found = bench.leg.statistics()
    assert found.round_trip_s == pytest.approx(0.12, abs=0.006)
    assert found.far_view is not None
    assert (found.far_view.fraction_lost, found.far_view.lost) == (0.25, 3)
    assert found.far_view.jitter_ms == 10.0


U32 = st.integers(0, 0xFFFFFFFF)


@given(
    st.lists(st.tuples(U32, st.integers(0, 255), st.integers(-0x800000, 0x7FFFFF), U32, U32, U32))
)
def test_figures_of_a_lying_peer_are_figures(
    blocks: list[tuple[int, int, int, int, int, int]],
) -> None:
    """Whatever it reports of us: shares are shares, and a round trip is under a minute."""
    bench = Bench()
    bench.hear(voice(0))
    bench.run(1)
    ssrc = bench.packets[0].ssrc
    for sent_ntp, fraction, lost, highest, last_sr, delay in blocks:
        block = ReceptionReport(ssrc, fraction, lost, highest, 5, last_sr, delay)
        report = SenderReport(9, sent_ntp << 16, 1, 1, 1, (block,))
        bench.leg.receive_rtcp(rtcp.build(report), PEER, bench.now)
        found = bench.leg.statistics()
        assert found.far_view is not None
        assert 0.0 <= found.far_view.fraction_lost < 1.0
        assert found.round_trip_s is None or 0.0 <= found.round_trip_s < 60.0
    while not bench.rtcp:
        bench.run(1)
    rtcp.parse(bench.rtcp[0])


def test_a_goodbye_is_told_and_said() -> None:
    """BYE of the stream that we hear, once; and ours at the end."""
    bench = Bench()
    bench.hear(voice(0))
    bench.leg.receive_rtcp(rtcp.build(ReceiverReport(9), Bye((77,))), PEER, bench.now)
    assert bench.events == [MediaStarted(PEER)]
    for _ in range(2):
        bench.leg.receive_rtcp(rtcp.build(ReceiverReport(9), Bye((9,))), PEER, bench.now)
    assert bench.events[1:] == [SourceStopped()]
    bench.run(1)
    bench.leg.farewell(bench.now)
    assert isinstance(rtcp.parse(bench.rtcp[-1])[-1], Bye)


def test_a_stream_may_come_back_after_its_goodbye() -> None:
    """Reports without BYE tell that it lives; the next BYE is told again."""
    bench = Bench(limits=LegLimits(silent_s=1.0))
    bench.hear(voice(0))
    for _ in range(2):
        bench.leg.receive_rtcp(rtcp.build(ReceiverReport(9), Bye((9,))), PEER, bench.now)
        for _ in range(4):
            bench.run(25)
            bench.leg.receive_rtcp(rtcp.build(ReceiverReport(9)), PEER, bench.now)
    assert bench.events == [MediaStarted(PEER), SourceStopped(), SourceStopped()]


def test_reports_may_share_the_port() -> None:
    """With rtcp-mux both kinds come and go on one port."""
    bench = Bench(is_rtcp_mux=True, rtcp=None)
    bench.hear(voice(0))
    bench.hear(rtcp.build(ReceiverReport(9), Bye((9,))))
    assert bench.events == [MediaStarted(PEER), SourceStopped()]
    bench.run(400)
    assert not bench.rtcp
    assert any(200 <= each[1] <= 203 for each in bench.sent)


def test_reports_on_a_shared_port_are_heard_on_hold() -> None:
    """A peer that we put on hold still says goodbye."""
    bench = Bench(is_rtcp_mux=True, rtcp=None)
    bench.hear(voice(0))
    bench.leg.update(
        replace(PARAMETERS, is_rtcp_mux=True, rtcp=None, direction=Direction.SENDONLY), bench.now
    )
    bench.hear(rtcp.build(ReceiverReport(9), Bye((9,))))
    assert bench.events == [MediaStarted(PEER), SourceStopped()]


def test_numbers_of_rtcp_are_free_where_it_has_its_own_port() -> None:
    """A marked packet of payload type 80 is a key, not RTCP."""
    bench = Bench(dtmf_receive_types=frozenset({80}))
    event = dtmf.build(dtmf.TelephoneEvent(5, False, 10, 160))
    bench.hear(build(RtpPacket(80, 1, 160, 9, event, True)))
    assert bench.events == [MediaStarted(PEER), DigitReceived("5")]


def test_reports_go_where_the_peers_come_from() -> None:
    """Behind address translation RTCP has another port than SDP says; one other place is taken,
    once, and only for reports about the stream that is heard."""
    bench = Bench()
    bench.hear(voice(0))
    assert bench.leg.rtcp_destination == (PEER[0], PEER[1] + 1)
    for source, ssrc in ((STRANGER, 9), ((PEER[0], 7001), 8), ((PEER[0], 7003), 9),
                         ((PEER[0], 7005), 9)):  # fmt: skip
        bench.leg.receive_rtcp(rtcp.build(ReceiverReport(ssrc)), source, bench.now)
    assert bench.leg.rtcp_destination == (PEER[0], 7003)
    bench.leg.update(replace(PARAMETERS, remote=("192.0.2.3", 5000), rtcp=None), bench.now)
    assert bench.leg.rtcp_destination is None


def test_who_sends_nothing_reports_as_a_receiver() -> None:
    """On hold there is no sender report, and none about a stream of which nothing came since the
    last one (RFC 3550 section 6.4)."""
    bench = Bench()
    bench.hear(voice(0))
    while len(bench.rtcp) < 2:
        bench.run(1)
    first, second = (rtcp.parse(each)[0] for each in bench.rtcp)
    assert isinstance(first, SenderReport) and isinstance(second, SenderReport)
    assert (len(first.reports), len(second.reports)) == (1, 0)
    bench.leg.update(replace(PARAMETERS, direction=Direction.INACTIVE), bench.now)
    while len(bench.rtcp) < 5:
        bench.run(1)
    assert isinstance(rtcp.parse(bench.rtcp[-1])[0], ReceiverReport)


@given(st.integers(0, 0xFFFF))
def test_the_highest_number_counts_cycles(start: int) -> None:
    """Reports bear the number as received, and how often it wrapped (RFC 3550 section 6.4.1)."""
    bench = Bench()
    for n in range(start, start + 10):
        bench.hear(voice(n))
    while not bench.rtcp:
        bench.run(1)
    report = rtcp.parse(bench.rtcp[0])[0]
    assert isinstance(report, SenderReport)
    assert report.reports[0].highest == start + 9


# SRTP ---------------------------------------------------------------------------------------------
