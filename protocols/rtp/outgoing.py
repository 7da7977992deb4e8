"""What a leg sends: clips from memory, keys, another leg's packets, or silence."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from protocols.audio.g711 import Law
from protocols.errors import LocalProtocolError
from protocols.rtp.clip import Clip
from protocols.rtp.dtmf import DigitSender
from protocols.rtp.events import DigitsSent, MediaEvent, PlaybackEnded
from protocols.rtp.packet import HEADER
from protocols.rtp.parameters import RATE
from protocols.rtp.reports import Sent
from protocols.rtp.wheel import PERIODS, TICK_SAMPLES

MAX_CLIPS: Final = 64
"""Clips that may wait on one leg."""
_MARKED: Final = 0x80
_HALF: Final = 1 << 31


@dataclass(slots=True)
class _Playback:
    clip: Clip
    token: object
    is_looped: bool
    position: int = 0
    before: int = 0
    """Octets of the rounds before this one."""

    @property
    def seconds(self) -> float:
        length = len(self.clip.octets(Law.ULAW))
        return (self.before + min(self.position, length)) / RATE


class Outgoing:
    """The stream of one leg. `turn` is called once a packet time with the number of the tick; ticks
    that were left out become a step of the timestamp, never a burst.

    Priority: keys, then clips, then what is relayed, then silence. Numbers begin in the lower half:
    who misses the first packets of SRTP must not miss a wrap (RFC 3711 section 3.3.1).
    """

    __slots__ = (
        "_base", "_data", "_digits", "_emit", "_expected_tick", "_has_gap", "_last_length",
        "_last_timestamp", "_law", "_period", "_playback", "_queue", "_relay_first",
        "_relay_sequence", "_relay_timestamp", "_relayed_at", "_sequence", "_silence", "_step",
        "dtmf_payload_type", "fills_silence", "payload_type", "sent",
    )  # fmt: skip

    def __init__(self, emit: Callable[[MediaEvent], None], random: Random) -> None:
        self.sent = Sent(random.getrandbits(32))
        self.payload_type = 0
        self.dtmf_payload_type: int | None = None
        self.fills_silence = True
        """Whether silence is sent when there is nothing else: without it many trunks hang up."""
        self._emit = emit
        self._law = Law.ULAW
        self._period = 4
        self._step = 160
        self._silence = b""
        self._sequence = random.getrandbits(15)
        self._base = random.getrandbits(32)
        self._last_timestamp = self._base
        self._last_length = 0
        self._expected_tick = -1
        self._has_gap = True
        self._queue: deque[_Playback] = deque()
        self._playback: _Playback | None = None
        self._data = b""
        self._digits = DigitSender()
        self._relay_first: int | None = None
        self._relay_sequence = 0
        self._relay_timestamp = 0
        self._relayed_at = -1
        self.configure(Law.ULAW, 0, None, 20)

    def configure(
        self, law: Law, payload_type: int, dtmf_payload_type: int | None, ptime_ms: int
    ) -> None:
        """Take what was agreed; a clip that is playing goes on."""
        self._law = law
        self.payload_type = payload_type
        self.dtmf_payload_type = dtmf_payload_type
        self._period = PERIODS[ptime_ms]
        self._step = ptime_ms * RATE // 1000
        self._silence = bytes([law.silence]) * self._step
        if dtmf_payload_type is None:
            was_busy = self._digits.is_busy
            self._digits.clear()
            if was_busy and not self._digits.is_busy:
                self._emit(DigitsSent())
        if self._playback is not None:
            self._data = self._playback.clip.octets(law)

    @property
    def law(self) -> Law:
        return self._law

    @property
    def is_busy(self) -> bool:
        """Whether clips or keys are being sent: nothing is relayed meanwhile."""
        return self._playback is not None or self._digits.is_busy

    def timestamp_at(self, tick: int) -> int:
        """What a packet of ours carries at a tick."""
        return self._base + tick * TICK_SAMPLES & 0xFFFFFFFF

    def clock_at(self, tick: int) -> int:
        """The time of the stream at a tick: that of what is relayed, while something is."""
        if self._relayed_at < 0:
            return self.timestamp_at(tick)
        return self._last_timestamp + (tick - self._relayed_at) * TICK_SAMPLES & 0xFFFFFFFF

    # ------------------------------------------------------------------ what to send

    def play(self, clip: Clip, *, token: object = None, is_looped: bool = False) -> None:
        """Queue a clip. Raises LocalProtocolError when MAX_CLIPS wait, or for an empty one to
        loop."""
        if len(self._queue) >= MAX_CLIPS:
            raise LocalProtocolError(f"{MAX_CLIPS} clips are waiting already")
        if is_looped and not clip.octets(self._law):
            raise LocalProtocolError("an empty clip cannot be repeated")
        self._queue.append(_Playback(clip, token, is_looped))
        if self._playback is None:
            self._next_clip()

    def stop_playing(self) -> float:
        """Drop all clips; returns the seconds that the current one was heard."""
        current = self._playback
        stopped = [current, *self._queue] if current is not None else []
        self._queue.clear()
        self._playback = None
        self._data = b""
        for each in stopped:
            self._emit(PlaybackEnded(each.token, False, each.seconds))
        return current.seconds if current is not None else 0.0

    def send_digits(self, digits: str, duration_ms: int, gap_ms: int) -> None:
        """Queue keys. Raises LocalProtocolError, also where the peer takes none."""
        if self.dtmf_payload_type is None:
            raise LocalProtocolError("the peer takes no telephone events")
        self._digits.add(digits, duration_ms, gap_ms)

    # ------------------------------------------------------------------ a turn

    def turn(self, tick: int) -> bytes | None:
        """The packet of this tick, if there is one. None while the last one still sounds: packets
        became shorter since."""
        if tick < self._expected_tick:
            return None
        timestamp = self._base + tick * TICK_SAMPLES & 0xFFFFFFFF
        if self._relayed_at >= 0:
            if not self.is_busy and tick - self._relayed_at < 3 * self._period:
                return None
            timestamp = self._end_relay(timestamp)
        if tick != self._expected_tick:
            self._has_gap = True
        self._expected_tick = tick + self._period
        if self._digits.is_busy:
            return self._digit(tick)
        if self._playback is not None:
            playback = self._playback
            start = playback.position
            end = start + self._step
            playback.position = end
            payload = self._data[start:end]
            if end >= len(self._data):
                payload = self._end_clip(payload)
        elif self.fills_silence:
            payload = self._silence
        else:
            self._has_gap = True
            return None
        return self._packet(self.payload_type, timestamp, payload)

    def skip(self) -> None:
        """A turn in which nothing may be sent (hold)."""
        self._has_gap = True

    def _packet(self, payload_type: int, timestamp: int, payload: bytes) -> bytes:
        if self._has_gap:
            payload_type |= _MARKED
            self._has_gap = False
        sequence = self._sequence
        self._sequence = sequence + 1 & 0xFFFF
        self._last_timestamp = timestamp
        self._last_length = self._step
        sent = self.sent
        sent.packets += 1
        sent.octets += len(payload)
        return HEADER.pack(0x80, payload_type, sequence, timestamp, sent.ssrc) + payload

    def _end_clip(self, payload: bytes) -> bytes:
        """Fill up the last packet of a clip, from the next one if there is one."""
        step = self._step
        while (current := self._playback) is not None and current.position >= len(self._data):
            if current.is_looped:
                current.before += len(self._data)
                current.position = 0
            else:
                self._playback = None
                self._emit(PlaybackEnded(current.token, True, current.seconds))
                self._next_clip()
            if self._playback is not None and len(payload) < step:
                more = self._data[: step - len(payload)]
                self._playback.position = len(more)
                payload += more
        return payload + self._silence[len(payload) :]

    def _next_clip(self) -> None:
        if self._queue:
            self._playback = self._queue.popleft()
            self._data = self._playback.clip.octets(self._law)

    def _digit(self, tick: int) -> bytes | None:
        packet = self._digits.turn(tick * TICK_SAMPLES, self._step)
        timestamp = self.timestamp_at(tick)
        if packet is None:
            if not self.fills_silence:
                return None
            return self._packet(self.payload_type, timestamp, self._silence)
        if not self._digits.is_busy:
            self._emit(DigitsSent())
        self._has_gap = packet.is_marked
        payload_type = self.dtmf_payload_type
        if payload_type is None:
            return None
        began = self._base + packet.timestamp & 0xFFFFFFFF
        data = self._packet(payload_type, began, packet.payload)
        self._last_timestamp = timestamp
        return data

    # ------------------------------------------------------------------ relaying

    def relay(
        self, payload_type: int, sequence: int, timestamp: int, payload: bytes, tick: int,
        *, is_marked: bool,
    ) -> bytes | None:  # fmt: skip
        """Another leg's packet as one of ours: gaps and order of its numbers are kept, so that the
        peer can tell loss from silence. None while this leg plays, or for a packet older than the
        stream's beginning here."""
        if self.is_busy:
            return None
        if self._relay_first is None:
            self._begin_relay(sequence, timestamp, tick)
            is_marked = True
        own_sequence = sequence + self._relay_sequence & 0xFFFF
        first = self._relay_first if self._relay_first is not None else own_sequence
        if own_sequence - first & 0x8000:
            return None
        own_timestamp = timestamp + self._relay_timestamp & 0xFFFFFFFF
        if not own_sequence - self._sequence & 0x8000:
            self._sequence = own_sequence + 1 & 0xFFFF
            self._last_timestamp = own_timestamp
            self._last_length = max(len(payload), self._step)
            if own_sequence - first & 0xFFFF > 0x4000:
                self._relay_first = own_sequence - 0x2000 & 0xFFFF
        self._relayed_at = tick
        sent = self.sent
        sent.packets += 1
        sent.octets += len(payload)
        second = payload_type | _MARKED if is_marked else payload_type
        return HEADER.pack(0x80, second, own_sequence, own_timestamp, sent.ssrc) + payload

    def forget_relay(self) -> None:
        """What is relayed next has other numbers."""
        self._relay_first = None

    def _begin_relay(self, sequence: int, timestamp: int, tick: int) -> None:
        self._relay_first = self._sequence
        self._relay_sequence = self._sequence - sequence
        start = self._following(self.timestamp_at(tick))
        self._relay_timestamp = start - timestamp

    def _end_relay(self, timestamp: int) -> int:
        """Back to our own counting, which must not run behind what was relayed."""
        self._relay_first = None
        self._relayed_at = -1
        self._has_gap = True
        following = self._following(timestamp)
        self._base = self._base + following - timestamp & 0xFFFFFFFF
        return following

    def _following(self, timestamp: int) -> int:
        """`timestamp`, or later if the last packet needs it."""
        earliest = self._last_timestamp + self._last_length & 0xFFFFFFFF
        is_behind = timestamp - earliest & 0xFFFFFFFF >= _HALF
        return earliest if is_behind and self.sent.packets else timestamp
