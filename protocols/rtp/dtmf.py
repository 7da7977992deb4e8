"""Telephone events, the keys of a telephone (RFC 4733)."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import Final

from protocols.errors import LocalProtocolError
from protocols.rtp.packet import RtpError
from protocols.rtp.parameters import RATE

DIGITS: Final = "0123456789*#ABCD"
"""Events 0 to 15 (section 3.2)."""
END: Final = 0x80
VOLUME: Final = 10
"""Power of our events: -10 dBm0."""
END_PACKETS: Final = 3
"""The last packet is sent so often (section 2.5.1.4)."""
MAX_DURATION: Final = 0xFFFF
MAX_DIGIT_MS: Final = 8000
"""The longest key of ours: one segment."""
MAX_WAITING: Final = 256

_EVENT: Final = struct.Struct("!BBH")
_REMEMBERED: Final = 16
_OLDEST: Final = RATE * 2
"""An unknown event that began so long before the last one is no late packet but nonsense."""
_CREEP: Final = RATE // 20
"""A timestamp that moves with every packet does so by no more than this."""
_NEAR: Final = 4
"""Packets between two of one press where some are missing. The next press is further away: three
last packets of the one before and its own first would be lost in between."""


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """A report on an event: its number, whether it ended, -dBm0, its duration so far in timestamp
    units."""

    event: int
    is_end: bool
    volume: int
    duration: int


def parse(payload: bytes) -> TelephoneEvent:
    """Read a payload. Only the first of several reports counts (they come with RFC 2833 senders
    that pack old ones behind). Raises RtpError."""
    if len(payload) < 4:
        raise RtpError("the telephone event is cut short")
    event, flags, duration = _EVENT.unpack_from(payload)
    return TelephoneEvent(event, flags >= END, flags & 0x3F, duration)


def build(report: TelephoneEvent) -> bytes:
    """Write a payload. Raises LocalProtocolError for fields out of range."""
    if not 0 <= report.volume < 64:
        raise LocalProtocolError("a volume has 6 bits")
    flags = report.volume | (END if report.is_end else 0)
    try:
        return _EVENT.pack(report.event, flags, report.duration)
    except struct.error as error:
        raise LocalProtocolError(f"a field is out of range: {error}") from None


class DigitReceiver:
    """Each press once, at the first packet of it that comes, whichever that is.

    An event is known by its timestamp and number. A key held for more than 8 s comes as segments,
    each beginning where the one before ended (section 2.5.1.3), and is one press. Some senders move
    the timestamp with every packet; such a packet follows soon on the one before, unmarked, with a
    longer duration and without an end between.
    """

    __slots__ = ("_duration", "_event", "_has_ended", "_known", "_sequence", "_timestamp")

    def __init__(self) -> None:
        self._known: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self._timestamp = 0
        self._event = -1
        self._duration = 0
        self._has_ended = True
        self._sequence = 0

    def receive(
        self, payload: bytes, timestamp: int, sequence: int, *, is_marked: bool = False
    ) -> str | None:
        """The key that this packet begins, if it does. Raises RtpError."""
        report = parse(payload)
        if report.event >= len(DIGITS):
            return None
        event = timestamp, report.event
        if event in self._known:
            if event == (self._timestamp, self._event):
                self._duration = max(self._duration, report.duration)
                self._has_ended = self._has_ended or report.is_end
                self._sequence = sequence
            return None
        step = (timestamp - self._timestamp + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
        if self._known and -_OLDEST <= step < 0:
            self._known.append(event)
            return None if self._precedes(report, step, sequence) else DIGITS[report.event]
        continues = self._continues(report, step, sequence, is_marked)
        self._known.append(event)
        self._timestamp = timestamp
        self._event = report.event
        self._duration = report.duration
        self._has_ended = report.is_end
        self._sequence = sequence
        return None if continues else DIGITS[report.event]

    def _continues(self, report: TelephoneEvent, step: int, sequence: int, is_marked: bool) -> bool:
        if report.event != self._event or self._has_ended or is_marked:
            return False
        if step == MAX_DURATION and self._duration > MAX_DURATION - RATE:
            return True
        distance = sequence - self._sequence & 0xFFFF
        is_near = 0 < distance <= _NEAR and step <= distance * _CREEP
        return is_near and report.duration > self._duration

    def _precedes(self, report: TelephoneEvent, step: int, sequence: int) -> bool:
        """Whether a packet is an overtaken one of a press whose timestamp moves."""
        distance = self._sequence - sequence & 0xFFFF
        is_near = 0 < distance <= _NEAR and -step <= distance * _CREEP
        return is_near and report.event == self._event and report.duration < self._duration


@dataclass(frozen=True, slots=True)
class DigitPacket:
    """One packet of a key: what it says, the timestamp of its event, whether it is the first."""

    payload: bytes
    timestamp: int
    is_marked: bool


class DigitSender:
    """Keys to be sent, one packet a turn. Times are in timestamp units, counted by the caller."""

    __slots__ = ("_digits", "_ends", "_event", "_gap", "_length", "_ready_at", "_since")

    def __init__(self) -> None:
        self._digits: deque[tuple[int, int, int]] = deque()
        self._event = -1
        self._length = 0
        self._gap = 0
        self._since = 0
        self._ends = 0
        self._ready_at = 0

    @property
    def is_busy(self) -> bool:
        """Whether a key is being sent or waits."""
        return self._event >= 0 or bool(self._digits)

    def add(self, digits: str, duration_ms: int, gap_ms: int) -> None:
        """Queue keys. Raises LocalProtocolError for what is no key, too long or too much."""
        if not digits or any(each not in DIGITS for each in digits):
            raise LocalProtocolError("only the keys 0-9, *, #, A-D can be sent")
        if not 40 <= duration_ms <= MAX_DIGIT_MS or not 40 <= gap_ms <= MAX_DIGIT_MS:
            raise LocalProtocolError(f"a key and a gap take 40 to {MAX_DIGIT_MS} ms")
        if len(self._digits) + len(digits) > MAX_WAITING:
            raise LocalProtocolError(f"more than {MAX_WAITING} keys are waiting")
        length, gap = duration_ms * RATE // 1000, gap_ms * RATE // 1000
        self._digits.extend((DIGITS.index(each), length, gap) for each in digits)

    def clear(self) -> None:
        """Forget the keys that wait; the one being sent is ended properly."""
        self._digits.clear()

    def turn(self, time: int, step: int) -> DigitPacket | None:
        """The packet of this turn, `step` being the length of a packet; None in the gap between two
        keys. `time` counts on from call to call without a wrap."""
        if self._event < 0:
            if not self._digits or time < self._ready_at:
                return None
            self._event, self._length, self._gap = self._digits.popleft()
            self._since = time
            self._ends = 0
            return self._packet(min(step, self._length), is_end=False, is_marked=True)
        duration = min(time - self._since + step, self._length)
        if duration < self._length:
            return self._packet(duration, is_end=False)
        self._ends += 1
        packet = self._packet(self._length, is_end=True)
        if self._ends == END_PACKETS:
            self._event = -1
            self._ready_at = time + self._gap
        return packet

    def _packet(self, duration: int, *, is_end: bool, is_marked: bool = False) -> DigitPacket:
        report = TelephoneEvent(self._event, is_end, VOLUME, duration)
        return DigitPacket(build(report), self._since, is_marked)
