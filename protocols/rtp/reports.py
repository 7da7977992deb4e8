"""The RTCP side of a leg: when to report and what, and what the peer's reports tell us
(RFC 3550 section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from protocols.rtp.rtcp import (
    Bye,
    ReceiverReport,
    ReceptionReport,
    Rtcp,
    SenderReport,
    SourceDescription,
    build,
)
from protocols.rtp.sequence import FIRST_CYCLE, SequenceTracker

INTERVAL_S: Final = 5.0
"""The mean time between reports; each is drawn from half to one and a half of it."""
_MAX_DELAY: Final = 0xFFFFFFFF


@dataclass(slots=True)
class Sent:
    """What we sent on a stream so far."""

    ssrc: int
    packets: int = 0
    octets: int = 0


@dataclass(frozen=True, slots=True)
class FarView:
    """How the peer hears us, from its last report."""

    fraction_lost: float
    lost: int
    jitter_ms: float


class ReportKeeper:
    """`epoch_s` is what turns `now` into seconds since 1900, the time of NTP; only the difference
    of two reports matters to a peer (section 4)."""

    __slots__ = (
        "_cname", "_epoch_s", "_last_sr", "_last_sr_at", "_random", "_remote_ssrc", "_sent_before",
        "due", "far_view", "is_stopped", "round_trip_s", "sent",
    )  # fmt: skip

    def __init__(self, sent: Sent, cname: str, epoch_s: float, random: Random, now: float) -> None:
        self.sent = sent
        self.far_view: FarView | None = None
        self.round_trip_s: float | None = None
        self.is_stopped = False
        """The peer said BYE for the stream that we hear."""
        self.due = now + INTERVAL_S * (0.25 + random.random() / 2)
        self._cname = cname
        self._epoch_s = epoch_s
        self._random = random
        self._remote_ssrc: int | None = None
        self._last_sr = 0
        self._last_sr_at = 0.0
        self._sent_before = (0, 0)

    def report(
        self, tracker: SequenceTracker | None, remote_ssrc: int, timestamp: int, now: float
    ) -> bytes:
        """The report of this moment; `timestamp` is what a packet of ours would now carry. Moves
        `due`."""
        self.due = now + INTERVAL_S * (0.5 + self._random.random())
        return build(*self._packets(tracker, remote_ssrc, timestamp, now))

    def farewell(
        self, tracker: SequenceTracker | None, remote_ssrc: int, timestamp: int, now: float
    ) -> bytes:
        """The last report, with BYE."""
        packets = self._packets(tracker, remote_ssrc, timestamp, now)
        return build(*packets, Bye((self.sent.ssrc,)))

    def _packets(
        self, tracker: SequenceTracker | None, remote_ssrc: int, timestamp: int, now: float
    ) -> list[Rtcp]:
        """A sender report if something was sent since the last report but one, and a block if
        something came since the last (section 6.4)."""
        blocks: tuple[ReceptionReport, ...] = ()
        if tracker is not None and tracker.has_news:
            blocks = (self._block(tracker, remote_ssrc, now),)
        sent = self.sent
        is_sender = sent.packets > self._sent_before[0]
        self._sent_before = (self._sent_before[1], sent.packets)
        head: Rtcp
        if is_sender:
            ntp = int((now + self._epoch_s) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
            counts = (sent.packets & 0xFFFFFFFF, sent.octets & 0xFFFFFFFF)
            head = SenderReport(sent.ssrc, ntp, timestamp, *counts, blocks)
        else:
            head = ReceiverReport(sent.ssrc, blocks)
        return [head, SourceDescription(sent.ssrc, self._cname)]

    def _block(self, tracker: SequenceTracker, remote_ssrc: int, now: float) -> ReceptionReport:
        has_sr = self._last_sr and self._remote_ssrc == remote_ssrc
        delay = min(int((now - self._last_sr_at) * 65536), _MAX_DELAY) if has_sr else 0
        return ReceptionReport(
            remote_ssrc,
            tracker.report_interval(),
            tracker.lost,
            tracker.highest - FIRST_CYCLE,
            tracker.jitter,
            self._last_sr if has_sr else 0,
            delay,
        )

    @staticmethod
    def tells_of(packets: list[Rtcp], remote_ssrc: int | None) -> bool:
        """Whether reports come from the stream that is heard."""
        return any(
            isinstance(each, SenderReport | ReceiverReport) and each.ssrc == remote_ssrc
            for each in packets
        )

    def receive(self, packets: list[Rtcp], remote_ssrc: int | None, now: float) -> None:
        """Take the peer's reports. Those about other streams than ours tell nothing."""
        if self.tells_of(packets, remote_ssrc):
            self.is_stopped = False
        for packet in packets:
            if isinstance(packet, SenderReport):
                self._remote_ssrc = packet.ssrc
                self._last_sr = packet.ntp >> 16 & 0xFFFFFFFF
                self._last_sr_at = now
            if isinstance(packet, SenderReport | ReceiverReport):
                for block in packet.reports:
                    if block.ssrc == self.sent.ssrc:
                        self._hear(block, now)
            elif isinstance(packet, Bye) and remote_ssrc in packet.ssrcs:
                self.is_stopped = True

    def _hear(self, block: ReceptionReport, now: float) -> None:
        self.far_view = FarView(block.fraction_lost / 256, block.lost, block.jitter / 8)
        if block.last_sr:
            middle = int((now + self._epoch_s) * 65536) & 0xFFFFFFFF
            trip = (middle - block.last_sr - block.delay) & 0xFFFFFFFF
            if trip < 60 * 65536:
                self.round_trip_s = trip / 65536
