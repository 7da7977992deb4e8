"""What a leg hears: whom, in which order, and what it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from protocols.audio.g711 import Law
from protocols.rtp.clip import ALAW_TO_ULAW
from protocols.rtp.dtmf import DigitReceiver
from protocols.rtp.events import DigitReceived, MediaEvent, MediaLost, MediaResumed, MediaStarted
from protocols.rtp.jitter import JitterBuffer
from protocols.rtp.latch import Network, SourceLatch, SsrcGuard
from protocols.rtp.packet import COMFORT_NOISE, RtpError, RtpPacket, parse
from protocols.rtp.parameters import Address, MediaParameters
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


class Tap(Protocol):
    """Takes a frame every 20 ms: 160 octets of μ-law."""

    def __call__(self, frame: bytes, /) -> object: ...


class PassOn(Protocol):
    """Takes each accepted packet; `law` is None for a key, `begins` true for a stream's first."""

    def __call__(self, packet: RtpPacket, law: Law | None, /, *, begins: bool) -> object: ...


class Incoming:
    """The stream that a leg hears. `pass_on` is set while another leg gets it too."""

    def __init__(
        self,
        networks: Sequence[Network],
        emit: Callable[[MediaEvent], None],
        limits: LegLimits,
    ) -> None:
        self.latch = SourceLatch(networks, is_learning=limits.is_learning)
        self.guard = SsrcGuard()
        self.tracker: SequenceTracker | None = None
        """The numbers of the stream; None before its first packet."""
        self.ssrc = 0
        """Whose numbers those are."""
        self.jitter = self._new_jitter(limits)
        self.malformed = 0
        self.pass_on: PassOn | None = None
        self.is_expected = False
        """Whether the agreement lets the peer send."""
        self._emit = emit
        self._limits = limits
        self._digits = DigitReceiver()
        self._taps: list[Tap] = []
        self._laws: dict[int, Law] = {}
        self._key_types: frozenset[int] = frozenset()
        self._is_lost = False
        self._told: Address | None = None
        self._heard_at = 0.0
        self._begins = True
        self._received_before = self._lost_before = 0
        self._reordered_before = self._duplicates_before = 0

    @staticmethod
    def _new_jitter(limits: LegLimits) -> JitterBuffer:
        return JitterBuffer(start_s=limits.delay_s, limit_s=limits.max_delay_s)

    def agree(self, parameters: MediaParameters, now: float, *, has_moved: bool) -> None:
        """Take what was agreed on; the source is locked anew when the peer has moved. The wait for
        media begins anew."""
        if has_moved:
            self.latch.open(parameters.remote)
            self._told = None
        elif parameters.is_receiving and not self.is_expected:
            self.latch.reopen()
        self.guard.renew(has_moved=has_moved)
        self._laws = dict(parameters.receive_types)
        self._key_types = parameters.dtmf_receive_types
        self.is_expected = parameters.is_receiving
        self.note_life(now)

    @property
    def source(self) -> Address | None:
        """Where the stream comes from, or is expected from."""
        return self.latch.source

    @property
    def received(self) -> int:
        """Packets taken since the start."""
        return self._received_before + (self.tracker.received if self.tracker else 0)

    @property
    def lost(self) -> int:
        """Packets that did not come, since the start."""
        return self._lost_before + (max(self.tracker.lost, 0) if self.tracker else 0)

    @property
    def reordered(self) -> int:
        """Packets that were overtaken, since the start."""
        return self._reordered_before + (self.tracker.reordered if self.tracker else 0)

    @property
    def duplicates(self) -> int:
        """Copies that came, since the start."""
        return self._duplicates_before + (self.tracker.duplicates if self.tracker else 0)

    # ------------------------------------------------------------------ listeners

    def add_tap(self, tap: Tap) -> None:
        """Give a listener all frames from now on."""
        if not self._taps:
            before, self.jitter = self.jitter, self._new_jitter(self._limits)
            self.jitter.late = before.late
            self.jitter.concealed = before.concealed
            self.jitter.discarded = before.discarded
        self._taps = [*self._taps, tap]

    def remove_tap(self, tap: Tap) -> None:
        """End a listener; nothing happens if it is none."""
        self._taps = [each for each in self._taps if each != tap]

    def pull(self) -> None:
        """20 ms have passed: give the listeners their frame. One that raises is removed and the
        others get theirs; then its error is raised."""
        if not self._taps:
            return
        frame = self.jitter.pull()
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
        """Tell, once, when media stays away."""
        silent_s = now - self._heard_at
        if self.is_expected and not self._is_lost and silent_s >= self._limits.silent_s:
            self._is_lost = True
            self._emit(MediaLost(silent_s))

    def note_life(self, now: float) -> None:
        """A packet, a report or a new agreement: media is not lost, or no longer."""
        self._heard_at = now
        if self._is_lost:
            self._is_lost = False
            self._emit(MediaResumed())

    def end(self) -> None:
        """The leg ends."""
        self.is_expected = False
        self.pass_on = None
        self._taps = []

    # ------------------------------------------------------------------ packets

    def receive(self, data: bytes, source: Address, srtp: SrtpContext | None, now: float) -> bool:
        """Take a datagram of RTP. True when it was the first of another stream. Nothing it holds
        raises an error."""
        try:
            return self._receive(data, source, srtp, now)
        except RtpError:
            self.malformed += 1
            return False

    def _receive(self, data: bytes, source: Address, srtp: SrtpContext | None, now: float) -> bool:
        latch, guard = self.latch, self.guard
        locked = latch.locked
        if locked is not None and source != locked:
            latch.wrong += 1
            return False
        if srtp is not None:
            data = srtp.unprotect(data)
        packet = parse(data)
        kind, sequence, ssrc = packet.payload_type, packet.sequence, packet.ssrc
        law = self._laws.get(kind)
        if law is None and kind not in self._key_types and kind != COMFORT_NOISE:
            return False
        if locked is None and not latch.admit(source, ssrc, sequence, is_proven=srtp is not None):
            return False
        is_other = ssrc != guard.current
        if not guard.admit(ssrc, sequence, now):
            return False
        if is_other:
            self._begin_stream(ssrc)
        self._heard(source, now)
        tracker = self.tracker
        if tracker is None:
            tracker = self.tracker = SequenceTracker()
        arrival = tracker.receive(sequence)
        if arrival in _TAKEN:
            self._take(packet, law, arrival, now, tracker)
        return is_other

    def _begin_stream(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self._received_before = self.received
        self._lost_before = self.lost
        self._reordered_before = self.reordered
        self._duplicates_before = self.duplicates
        self.tracker = SequenceTracker()
        self._digits = DigitReceiver()
        self._begins = True

    def _heard(self, source: Address, now: float) -> None:
        if source != self._told:
            self._told = source
            self._emit(MediaStarted(source))
        self.note_life(now)

    def _take(
        self,
        packet: RtpPacket,
        law: Law | None,
        arrival: Arrival,
        now: float,
        tracker: SequenceTracker,
    ) -> None:
        begins = self._begins or arrival is Arrival.RESTARTED
        is_noise = law is None and packet.payload_type == COMFORT_NOISE
        self._begins = begins and is_noise
        if law is not None:
            is_newest = arrival is not Arrival.REORDERED
            if is_newest:
                tracker.measure(packet.timestamp, now)
            if self._taps:
                payload = packet.payload
                if law is Law.ALAW:
                    payload = payload.translate(ALAW_TO_ULAW)
                self.jitter.put(packet.timestamp, payload, is_newest=is_newest)
        else:
            self.jitter.pause()
            if not is_noise:
                self._take_key(packet)
        if self.pass_on is not None and not is_noise:
            self.pass_on(packet, law, begins=begins)

    def _take_key(self, packet: RtpPacket) -> None:
        digit = self._digits.receive(
            packet.payload, packet.timestamp, packet.sequence, is_marked=packet.is_marked
        )
        if digit is not None:
            self._emit(DigitReceived(digit))
