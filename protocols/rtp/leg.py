"""One leg of a call: what comes in is judged, buffered and told; what goes out is made.

No clock, no sockets: datagrams, ticks and `now` come in; `transmit` and `transmit_rtcp` take what
goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random, SystemRandom

from protocols.audio.g711 import Law
from protocols.errors import LocalProtocolError
from protocols.rtp import rtcp
from protocols.rtp.clip import Clip, transcode
from protocols.rtp.events import MediaEvent, SourceStopped
from protocols.rtp.incoming import DEFAULT_LIMITS, Incoming, LegLimits, Tap
from protocols.rtp.latch import Network, is_within
from protocols.rtp.outgoing import Outgoing
from protocols.rtp.packet import HEADER_BYTES, MAX_PACKET_BYTES, RtpError, RtpPacket, is_rtcp
from protocols.rtp.parameters import Address, MediaParameters
from protocols.rtp.reports import FarView, ReportKeeper
from protocols.rtp.sequence import SequenceTracker
from protocols.rtp.srtp import SrtpContext


@dataclass(frozen=True, slots=True)
class LegStatistics:
    """What happened on a leg so far. `malformed` packets were no RTP or failed SRTP; `wrong_source`
    came from elsewhere before the source was taken (after it the kernel drops them), or as RTCP;
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
        self._networks = tuple(networks)
        self._emit = emit
        self._transmit = transmit
        self._transmit_rtcp = transmit_rtcp
        self._cname = cname
        self._epoch_s = epoch_s
        self._random = random or SystemRandom()
        self._incoming = Incoming(networks, emit, limits)
        self._outgoing = Outgoing(emit, self._random)
        self._reports: ReportKeeper | None = None
        self._srtp: SrtpContext | None = None
        self._is_sending = False
        self._is_learning = limits.is_learning
        self._rtcp_source: Address | None = None
        self._tick = 0

    # ------------------------------------------------------------------ agreement

    def start(self, parameters: MediaParameters, now: float) -> None:
        """Take what SDP agreed on, first or anew. The peer's source is locked anew when its address
        changed. Raises LocalProtocolError for keys that cannot be used, and for a place outside the
        networks; nothing changed then."""
        for place in (parameters.remote, parameters.rtcp):
            if place is not None and not is_within(place[0], self._networks):
                raise LocalProtocolError(f"media at {place[0]} is outside the networks of this leg")
        old = self.parameters
        keys = parameters.keys
        if keys != (old.keys if old else None):
            self._srtp = SrtpContext(keys, self._srtp) if keys is not None else None
        expected = self._incoming.latch.expected
        has_moved = parameters.remote is not None and parameters.remote != expected
        if has_moved or old is None or parameters.rtcp != old.rtcp or not old.is_receiving:
            self._rtcp_source = None
        self._incoming.agree(parameters, now, has_moved=has_moved)
        self._outgoing.configure(
            parameters.law,
            parameters.payload_type,
            parameters.dtmf_payload_type,
            parameters.ptime_ms,
        )
        self.parameters = parameters
        self._is_sending = parameters.is_sending
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
        return self._incoming.source

    @property
    def is_locked(self) -> bool:
        """Whether a source was taken; datagrams from elsewhere need not be shown any more."""
        return self._incoming.latch.locked is not None

    @property
    def rtcp_destination(self) -> Address | None:
        """Where to send RTCP when it has a port of its own: where the peer's came from, or before
        where SDP says. None where it wants none."""
        named = self.parameters.rtcp if self.parameters else None
        return self._rtcp_source or named if named is not None else None

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
        self._incoming.add_tap(tap)

    def remove_tap(self, tap: Tap) -> None:
        """End a listener; nothing happens if it is none."""
        self._incoming.remove_tap(tap)

    def statistics(self) -> LegStatistics:
        """The counts of this moment."""
        incoming, reports = self._incoming, self._reports
        tracker, jitter = incoming.tracker, incoming.jitter
        return LegStatistics(
            sent=self._outgoing.sent.packets,
            received=incoming.received,
            lost=incoming.lost,
            reordered=incoming.reordered,
            duplicates=incoming.duplicates,
            late=jitter.late,
            concealed=jitter.concealed,
            discarded=jitter.discarded,
            malformed=incoming.malformed,
            wrong_source=incoming.latch.wrong,
            wrong_ssrc=incoming.guard.refused,
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
        """20 ms have passed: give the listeners their frame. Raises what one of them raises; it is
        then none any more."""
        self._incoming.pull()

    def check(self, now: float) -> None:
        """Call it about once a second: reports, and media that stays away."""
        reports = self._reports
        if reports is None:
            return
        if now >= reports.due:
            args = self._report_arguments()
            self._send_rtcp(reports.report(*args, now))
        self._incoming.check(now)

    def farewell(self, now: float) -> None:
        """The leg ends: say BYE, once something was sent; clips that wait are told ended."""
        self._outgoing.stop_playing()
        if self._reports is not None and self._outgoing.sent.packets:
            self._send_rtcp(self._reports.farewell(*self._report_arguments(), now))
        self._is_sending = False
        self.parameters = None
        self.bridged = None
        self._incoming.end()

    def _report_arguments(self) -> tuple[SequenceTracker | None, int, int]:
        incoming = self._incoming
        now = self._outgoing.clock_at(self._tick)
        return incoming.tracker, incoming.ssrc, now

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
        incoming, parameters = self._incoming, self.parameters
        if parameters is None:
            return
        if not HEADER_BYTES <= len(data) <= MAX_PACKET_BYTES:
            incoming.malformed += 1
        elif parameters.is_rtcp_mux and is_rtcp(data):
            self._receive_muxed(data, source, now)
        elif not incoming.is_expected:
            return
        elif incoming.receive(data, source, self._srtp, now) and self._reports is not None:
            self._reports.is_stopped = False

    def relay(self, packet: RtpPacket, law: Law | None, /, *, begins: bool) -> None:
        """Send another leg's packet on: audio in this leg's law, keys (`law` None) as keys."""
        outgoing = self._outgoing
        if begins:
            outgoing.forget_relay()
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
            is_marked=packet.is_marked,
        )  # fmt: skip
        if data is not None:
            self._send(data)

    def join(self, other: Leg) -> None:
        """Give what comes in to another leg from now on."""
        self.bridged = other
        self._incoming.pass_on = other.relay
        other._outgoing.forget_relay()

    def part(self) -> None:
        """Give what comes in to no other leg any more."""
        self.bridged = None
        self._incoming.pass_on = None

    def _receive_muxed(self, data: bytes, source: Address, now: float) -> None:
        if source != self._incoming.source:
            self._incoming.latch.wrong += 1
        else:
            self._take_rtcp(data, now)

    def receive_rtcp(self, data: bytes, source: Address, now: float) -> None:
        """Take a datagram from the RTCP port: only from the host that media comes from, or where
        SDP says; once reports of the stream that is heard came from one port, from that alone.
        Nothing it holds raises an error."""
        parameters = self.parameters
        if parameters is None or parameters.is_rtcp_mux:
            return
        peer = self._incoming.source
        hosts = {peer[0]} if peer else set()
        if parameters.rtcp is not None:
            hosts.add(parameters.rtcp[0])
        is_right = self._rtcp_source in (None, source) and source[0] in hosts
        if not is_right or not is_within(source[0], self._networks):
            self._incoming.latch.wrong += 1
            return
        is_named = self._is_learning or source == parameters.rtcp
        if self._take_rtcp(data, now) and is_named:
            self._rtcp_source = source

    def _take_rtcp(self, data: bytes, now: float) -> bool:
        """Take reports; whether they are of the stream that is heard."""
        reports, ssrc = self._reports, self._incoming.guard.current
        if reports is None:
            return False
        try:
            if self._srtp is not None:
                data = self._srtp.unprotect_rtcp(data)
            packets = rtcp.parse(data)
        except RtpError:
            self._incoming.malformed += 1
            return False
        was_stopped = reports.is_stopped
        reports.receive(packets, ssrc, now)
        is_theirs = reports.tells_of(packets, ssrc)
        if reports.is_stopped:
            if not was_stopped:
                self._emit(SourceStopped())
        elif is_theirs or ssrc is None:
            self._incoming.note_life(now)
        return is_theirs


def bridge(one: Leg, other: Leg) -> None:
    """Let two legs hear each other. Raises LocalProtocolError if one of them is bridged already."""
    if one is other or one.bridged is not None or other.bridged is not None:
        raise LocalProtocolError("a leg can be bridged with one other only")
    one.join(other)
    other.join(one)


def unbridge(leg: Leg) -> None:
    """Part a leg from the other; nothing happens if it is alone."""
    other = leg.bridged
    leg.part()
    if other is not None:
        other.part()
