"""One leg of a call: what comes in is judged, buffered and told; what goes out is made.

No clock, no sockets: datagrams, ticks and `now` come in; `transmit` and `transmit_rtcp` take what
goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Final, Protocol

from protocols.audio.g711 import Law
from protocols.errors import LocalProtocolError
from protocols.rtp import rtcp
from protocols.rtp.clip import ALAW_TO_ULAW, Clip, transcode
from protocols.rtp.dtmf import DigitReceiver
from protocols.rtp.events import (
    DigitReceived,
    MediaEvent,
    MediaLost,
    MediaResumed,
    MediaStarted,
    SourceStopped,
)
from protocols.rtp.jitter import JitterBuffer
from protocols.rtp.latch import Network, SourceLatch, SsrcGuard, is_within
from protocols.rtp.outgoing import Outgoing
from protocols.rtp.packet import COMFORT_NOISE, MAX_PACKET_BYTES, RtpError, RtpPacket, parse
from protocols.rtp.parameters import Address, MediaParameters
from protocols.rtp.reports import FarView, ReportKeeper
from protocols.rtp.sequence import Arrival, SequenceTracker
from protocols.rtp.srtp import SrtpContext

_TAKEN: Final = frozenset((Arrival.NEW, Arrival.REORDERED, Arrival.RESTARTED))


@dataclass(frozen=True, slots=True)
class LegLimits:
    """`silent_s`: without a packet for so long, media counts as lost. `delay_s` and
    `max_delay_s`: of the jitter buffer, at first and at most."""

    silent_s: float = 10.0
    delay_s: float = 0.04
    max_delay_s: float = 0.2
    is_learning: bool = True
    """Whether a source that SDP did not name may be taken, within the trunk's networks."""


DEFAULT_LIMITS: Final = LegLimits()


@dataclass(frozen=True, slots=True)
class LegStatistics:
    """What happened on a leg so far. `malformed` packets were no RTP or failed SRTP; `wrong_source`
    came from elsewhere before the source was taken (after it the kernel drops them);
    `wrong_ssrc` from the right place with another stream's number."""

    sent: int
    received: int
    lost: int
    reordered: int
    duplicates: int
    late: int
    concealed: int
    discarded: int
    malformed: int
    wrong_source: int
    wrong_ssrc: int
    jitter_ms: float
    round_trip_s: float | None
    far_view: FarView | None


class Tap(Protocol):
    """Takes a frame every 20 ms: 160 octets of μ-law."""

    def __call__(self, frame: bytes, /) -> object: ...


class Leg:
    """A leg that is open but not agreed on takes and sends nothing; `start` begins it."""

    def __init__(
        self,
        address: str,
        port: int,
        networks: Sequence[Network],
        emit: Callable[[MediaEvent], None],
        *,
        transmit: Callable[[bytes], object],
        transmit_rtcp: Callable[[bytes], object],
        limits: LegLimits = DEFAULT_LIMITS,
        cname: str = "gateway",
        epoch_s: float = 0.0,
        random: Random | None = None,
    ) -> None:
        self.address = address
        self.port = port
        self.parameters: MediaParameters | None = None
        self.bridged: Leg | None = None
        """The leg that gets what this one receives."""
        self.malformed = 0
        self._networks = tuple(networks)
        self._emit = emit
        self._transmit = transmit
        self._transmit_rtcp = transmit_rtcp
        self._limits = limits
        self._cname = cname
        self._epoch_s = epoch_s
        self._random = random or SystemRandom()
        self._latch = SourceLatch(networks, is_learning=limits.is_learning)
        self._guard = SsrcGuard()
        self._tracker: SequenceTracker | None = None
        self._jitter = self._new_jitter()
        self._digits = DigitReceiver()
        self._outgoing = Outgoing(emit, self._random)
        self._reports: ReportKeeper | None = None
        self._srtp: SrtpContext | None = None
        self._taps: list[Tap] = []
        self._types: dict[int, Law] = {}
        self._dtmf_types: frozenset[int] = frozenset()
        self._is_sending = False
        self._is_receiving = False
        self._is_lost = False
        self._is_source_told = False
        self._heard_at = 0.0
        self._begins_stream = True
        self._tick = 0
        self._lost_before = self._received_before = 0

    # ------------------------------------------------------------------ agreement

    def start(self, parameters: MediaParameters, now: float) -> None:
        """Take what SDP agreed on, first or anew. The peer's source is locked anew when its address
        changed. Raises LocalProtocolError for keys that cannot be used; nothing changed then."""
        old = self.parameters
        if parameters.keys != (old.keys if old else None):
            keys = parameters.keys
            self._srtp = SrtpContext(keys, self._srtp) if keys is not None else None
        if old is None or parameters.remote != old.remote and parameters.remote is not None:
            self._latch.open(parameters.remote)
            self._is_source_told = False
        self._guard.renew()
        self.parameters = parameters
        self._types = dict(parameters.receive_types)
        self._dtmf_types = parameters.dtmf_receive_types
        self._is_sending = parameters.is_sending
        self._is_receiving = parameters.is_receiving
        self._heard_at = now
        self._is_lost = False
        self._outgoing.configure(
            parameters.law,
            parameters.payload_type,
            parameters.dtmf_payload_type,
            parameters.ptime_ms,
        )
        if self._reports is None:
            self._reports = ReportKeeper(
                self._outgoing.sent, self._cname, self._epoch_s, self._random, now
            )

    def update(self, parameters: MediaParameters, now: float) -> None:
        """`start`, once more."""
        self.start(parameters, now)

    @property
    def destination(self) -> Address | None:
        """Where to send RTP: to the locked source, or before to what SDP named."""
        return self._latch.locked or (self.parameters.remote if self.parameters else None)

    @property
    def is_locked(self) -> bool:
        """Whether a source was taken; datagrams from elsewhere need not be shown any more."""
        return self._latch.locked is not None

    @property
    def rtcp_destination(self) -> Address | None:
        """Where to send RTCP when it has a port of its own."""
        return self.parameters.rtcp if self.parameters else None

    # ------------------------------------------------------------------ the owner's wishes

    def play(self, clip: Clip, *, token: object = None, is_looped: bool = False) -> None:
        """Queue a clip; `PlaybackEnded` with `token` tells its end. Raises LocalProtocolError when
        too many wait."""
        self._outgoing.play(clip, token=token, is_looped=is_looped)

    def stop_playing(self) -> float:
        """Stop at once and forget what waits; returns the seconds that the current clip was
        heard."""
        return self._outgoing.stop_playing()

    def send_digits(self, digits: str, *, duration_ms: int = 160, gap_ms: int = 80) -> None:
        """Press keys; clips pause meanwhile. Raises LocalProtocolError where the peer takes none,
        for what is no key, and when too many wait."""
        self._outgoing.send_digits(digits, duration_ms, gap_ms)

    @property
    def fills_silence(self) -> bool:
        """Whether silence is sent when there is nothing else."""
        return self._outgoing.fills_silence

    @fills_silence.setter
    def fills_silence(self, fills: bool) -> None:
        self._outgoing.fills_silence = fills

    def add_tap(self, tap: Tap) -> None:
        """Give a listener all frames from now on."""
        if not self._taps:
            self._jitter = self._new_jitter()
        self._taps = [*self._taps, tap]

    def remove_tap(self, tap: Tap) -> None:
        """End a listener; nothing happens if it is none."""
        self._taps = [each for each in self._taps if each is not tap]

    def statistics(self) -> LegStatistics:
        """The counts of this moment."""
        tracker, jitter, reports = self._tracker, self._jitter, self._reports
        return LegStatistics(
            sent=self._outgoing.sent.packets,
            received=self._received_before + (tracker.received if tracker else 0),
            lost=self._lost_before + (max(tracker.lost, 0) if tracker else 0),
            reordered=tracker.reordered if tracker else 0,
            duplicates=tracker.duplicates if tracker else 0,
            late=jitter.late,
            concealed=jitter.concealed,
            discarded=jitter.discarded,
            malformed=self.malformed,
            wrong_source=self._latch.wrong,
            wrong_ssrc=self._guard.refused,
            jitter_ms=tracker.jitter_ms if tracker else 0.0,
            round_trip_s=reports.round_trip_s if reports else None,
            far_view=reports.far_view if reports else None,
        )

    # ------------------------------------------------------------------ turns

    def turn(self, tick: int) -> None:
        """A packet time: send what is due."""
        self._tick = tick
        if not self._is_sending:
            self._outgoing.skip()
            return
        packet = self._outgoing.turn(tick)
        if packet is not None:
            self._send(packet)

    def _send(self, packet: bytes) -> None:
        if self._srtp is not None:
            try:
                packet = self._srtp.protect(packet)
            except LocalProtocolError:
                return
        self._transmit(packet)

    def pull(self) -> None:
        """20 ms have passed: give the listeners their frame. One that raises is removed and the
        others get theirs; then its error is raised."""
        if not self._taps:
            return
        frame = self._jitter.pull()
        failed: Exception | None = None
        for tap in self._taps:
            try:
                tap(frame)
            except Exception as error:
                self.remove_tap(tap)
                failed = error
        if failed is not None:
            raise failed

    def check(self, now: float) -> None:
        """Call it about once a second: reports, and media that stays away."""
        reports = self._reports
        if reports is None:
            return
        if now >= reports.due:
            args = self._report_arguments()
            self._send_rtcp(reports.report(*args, now))
        silent_s = now - self._heard_at
        if self._is_receiving and not self._is_lost and silent_s >= self._limits.silent_s:
            self._is_lost = True
            self._emit(MediaLost(silent_s))

    def farewell(self, now: float) -> None:
        """The leg ends: say BYE, once something was sent; clips that wait are told ended."""
        self._outgoing.stop_playing()
        if self._reports is not None and self._outgoing.sent.packets:
            self._send_rtcp(self._reports.farewell(*self._report_arguments(), now))
        self._is_sending = self._is_receiving = False
        self.parameters = None
        self.bridged = None
        self._taps = []

    def _report_arguments(self) -> tuple[SequenceTracker | None, int, int]:
        return self._tracker, self._guard.current or 0, self._outgoing.timestamp_at(self._tick)

    def _send_rtcp(self, packet: bytes) -> None:
        parameters = self.parameters
        if parameters is None or parameters.remote is None:
            return
        if self._srtp is not None:
            packet = self._srtp.protect_rtcp(packet)
        if parameters.is_rtcp_mux:
            self._transmit(packet)
        elif parameters.rtcp is not None:
            self._transmit_rtcp(packet)

    # ------------------------------------------------------------------ datagrams

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take a datagram from the RTP port. Nothing it holds raises an error."""
        if not self._is_receiving or not 12 <= len(data) <= MAX_PACKET_BYTES:
            self.malformed += self._is_receiving
            return
        if 192 <= data[1] < 224:
            self._receive_muxed(data, source, now)
            return
        try:
            self._receive_rtp(data, source, now)
        except RtpError:
            self.malformed += 1

    def _receive_rtp(self, data: bytes, source: Address, now: float) -> None:
        locked = self._latch.locked
        if locked is not None and source != locked:
            self._latch.wrong += 1
            return
        if self._srtp is not None:
            data = self._srtp.unprotect(data)
        packet = parse(data)
        law = self._types.get(packet.payload_type)
        is_key = law is None and packet.payload_type in self._dtmf_types
        if law is None and not is_key and packet.payload_type != COMFORT_NOISE:
            return
        sequence, ssrc = packet.sequence, packet.ssrc
        is_proven = self._srtp is not None
        if locked is None and not self._latch.admit(source, ssrc, sequence, is_proven=is_proven):
            return
        if ssrc != self._guard.current:
            if not self._guard.admit(ssrc, sequence, now):
                return
            self._new_stream()
        else:
            self._guard.admit(ssrc, sequence, now)
        self._heard(source, now)
        tracker = self._tracker
        if tracker is None:
            tracker = self._tracker = SequenceTracker()
        arrival = tracker.receive(sequence)
        if arrival in _TAKEN:
            self._take(packet, law, arrival, now, tracker)

    def _new_stream(self) -> None:
        if self._tracker is not None:
            self._received_before += self._tracker.received
            self._lost_before += max(self._tracker.lost, 0)
        self._tracker = SequenceTracker()
        self._begins_stream = True
        if self._reports is not None:
            self._reports.is_stopped = False

    def _heard(self, source: Address, now: float) -> None:
        self._heard_at = now
        if not self._is_source_told:
            self._is_source_told = True
            self._emit(MediaStarted(source))
        if self._is_lost:
            self._is_lost = False
            self._emit(MediaResumed())

    def _take(
        self, packet: RtpPacket, law: Law | None, arrival: Arrival, now: float,
        tracker: SequenceTracker,
    ) -> None:  # fmt: skip
        is_newest = arrival is not Arrival.REORDERED
        begins = self._begins_stream or arrival is Arrival.RESTARTED
        self._begins_stream = False
        if law is not None:
            if is_newest:
                tracker.measure(packet.timestamp, now)
            if self._taps:
                payload = packet.payload
                if law is Law.ALAW:
                    payload = payload.translate(ALAW_TO_ULAW)
                self._jitter.put(packet.timestamp, payload, is_newest=is_newest)
        else:
            self._jitter.pause()
            if packet.payload_type != COMFORT_NOISE:
                self._receive_key(packet)
        other = self.bridged
        if other is not None and packet.payload_type != COMFORT_NOISE:
            other.relay(packet, law, is_first=begins)

    def _receive_key(self, packet: RtpPacket) -> None:
        digit = self._digits.receive(
            packet.payload, packet.timestamp, packet.sequence, is_marked=packet.is_marked
        )
        if digit is not None:
            self._emit(DigitReceived(digit))

    def relay(self, packet: RtpPacket, law: Law | None, *, is_first: bool) -> None:
        """Send another leg's packet on: audio in this leg's law, keys (`law` None) as keys."""
        outgoing = self._outgoing
        if not self._is_sending:
            return
        if law is None:
            if outgoing.dtmf_payload_type is None:
                return
            payload_type, payload = outgoing.dtmf_payload_type, packet.payload
        else:
            payload_type = outgoing.payload_type
            payload = transcode(packet.payload, law, outgoing.law)
        data = outgoing.relay(
            payload_type, packet.sequence, packet.timestamp, payload, self._tick,
            is_marked=packet.is_marked, is_first=is_first,
        )  # fmt: skip
        if data is not None:
            self._send(data)

    def join(self, other: Leg) -> None:
        """Give what comes in to another leg from now on."""
        self.bridged = other
        other._outgoing.forget_relay()

    def _receive_muxed(self, data: bytes, source: Address, now: float) -> None:
        parameters = self.parameters
        if parameters is None or not parameters.is_rtcp_mux:
            self.malformed += 1
            return
        if source != (self._latch.locked or self._latch.expected):
            self._latch.wrong += 1
            return
        self._take_rtcp(data, now)

    def receive_rtcp(self, data: bytes, source: Address, now: float) -> None:
        """Take a datagram from the RTCP port: only from the host that media comes from, or where
        SDP says. Nothing it holds raises an error."""
        parameters = self.parameters
        if parameters is None or parameters.is_rtcp_mux:
            return
        peer = self._latch.locked or self._latch.expected
        hosts = {peer[0]} if peer else set()
        if parameters.rtcp is not None:
            hosts.add(parameters.rtcp[0])
        if source[0] not in hosts or not is_within(source[0], self._networks):
            self._latch.wrong += 1
            return
        self._take_rtcp(data, now)

    def _take_rtcp(self, data: bytes, now: float) -> None:
        reports = self._reports
        if reports is None:
            return
        try:
            if self._srtp is not None:
                data = self._srtp.unprotect_rtcp(data)
            packets = rtcp.parse(data)
        except RtpError:
            self.malformed += 1
            return
        was_stopped = reports.is_stopped
        reports.receive(packets, self._guard.current, now)
        if reports.is_stopped and not was_stopped:
            self._emit(SourceStopped())

    def _new_jitter(self) -> JitterBuffer:
        return JitterBuffer(start_s=self._limits.delay_s, limit_s=self._limits.max_delay_s)


def bridge(one: Leg, other: Leg) -> None:
    """Let two legs hear each other. Raises LocalProtocolError if one of them is bridged already."""
    if one is other or one.bridged is not None or other.bridged is not None:
        raise LocalProtocolError("a leg can be bridged with one other only")
    one.join(other)
    other.join(one)


def unbridge(leg: Leg) -> None:
    """Part a leg from the other; nothing happens if it is alone."""
    other = leg.bridged
    leg.bridged = None
    if other is not None:
        other.bridged = None
