"""The jitter buffer: packets as they come in, a frame every 20 ms out.

Audio lies in a ring at the place its timestamp says, so that order, copies and packets of any
length need no thought. How far the place of a new packet is ahead of what is played next (its
lead) is the delay; it is bounded. It grows when a packet comes too late, by just so much that the
packet is still heard, and shrinks by a frame when for a second all came earlier than needed, at a
quiet moment if there is one.
"""

from __future__ import annotations

from typing import Final

from protocols.rtp.clip import FADES, LOUD, SILENT_FRAME
from protocols.rtp.parameters import FRAME_BYTES, RATE

_CAPACITY: Final = FRAME_BYTES * 50
_ABSENT: Final = bytes(FRAME_BYTES)
_PRESENT: Final = b"\1" * _CAPACITY
_WINDOW: Final = 50
"""Packets that are looked at before the delay shrinks, and frames that a quiet one is waited
for."""
_SPARE: Final = FRAME_BYTES * 3 // 2
"""A lead that no packet of a window falls below lets the delay shrink by a frame."""
_HALF: Final = 1 << 31
_NEVER: Final = 1 << 62


class JitterBuffer:
    """One stream of μ-law. `start_s` is the delay at first, `limit_s` the bound, at most 0.5 s."""

    __slots__ = (
        "_anchor", "_anchor_place", "_cursor", "_end", "_floor", "_is_shrinking", "_is_started",
        "_last", "_least_lead", "_limit", "_marks", "_misses", "_patience", "_quiet_from", "_ring",
        "_seen", "_start", "concealed", "discarded", "late", "resets",
    )  # fmt: skip

    def __init__(self, *, start_s: float = 0.04, limit_s: float = 0.2) -> None:
        self._start = int(start_s * RATE)
        self._limit = int(min(max(limit_s, start_s + 0.02), 0.5) * RATE)
        self._ring = bytearray(SILENT_FRAME * 50)
        self._marks = bytearray(_CAPACITY)
        self._cursor = 0
        self._is_started = False
        self._anchor = 0
        self._anchor_place = 0
        self._end = 0
        self._floor = 0
        self._last = SILENT_FRAME
        self._misses = len(FADES)
        self._quiet_from = _NEVER
        self._least_lead = _HALF
        self._seen = 0
        self._is_shrinking = False
        self._patience = 0
        self.concealed = 0
        """Frames that stood in for missing ones; silence between talk spurts is not counted."""
        self.late = 0
        """Packets that came after their turn."""
        self.discarded = 0
        """Frames dropped to keep the delay within its bound."""
        self.resets = 0
        """Steps of the peer's clock."""

    @property
    def depth_s(self) -> float:
        """How much is waiting."""
        return max(self._end - self._cursor, 0) / RATE

    def put(self, timestamp: int, payload: bytes, *, is_newest: bool) -> None:
        """Take a packet that is no copy; `is_newest`: none with a higher number came before."""
        size = len(payload)
        if not size:
            return
        if not self._is_started:
            self._is_started = True
            place = self._rebase(timestamp, self._cursor + self._start)
        else:
            step = (timestamp - self._anchor + _HALF & 0xFFFFFFFF) - _HALF
            place = self._anchor_place + step
            if is_newest:
                self._quiet_from = _NEVER
                place = self._settle(timestamp, place, size)
            elif place < self._floor or place < self._cursor or self._is_filled(place):
                self.late += 1
                return
            elif place + size > self._end:
                return
        self._write(place, payload)

    def _settle(self, timestamp: int, place: int, size: int) -> int:
        """Where the newest packet goes."""
        cursor, end = self._cursor, self._end
        if place < cursor or place < end:
            if place < cursor - self._limit:
                self.resets += 1
            place = self._rebase(timestamp, max(cursor, end))
        elif place + size > cursor + self._limit and place > end + FRAME_BYTES:
            self.resets += 1
            place = self._rebase(timestamp, max(cursor + self._start, end))
        else:
            self._anchor = timestamp
            self._anchor_place = place
        if place + size > self._cursor + self._limit:
            self._skip_to(place + size - self._limit)
        self._watch(place - self._cursor)
        return place

    def _rebase(self, timestamp: int, place: int) -> int:
        self._anchor = timestamp
        self._anchor_place = self._floor = place
        return place

    def _watch(self, lead: int) -> None:
        if lead < self._least_lead:
            self._least_lead = lead
        self._seen += 1
        if self._seen >= _WINDOW:
            if self._least_lead >= _SPARE and not self._is_shrinking:
                self._is_shrinking = True
                self._patience = _WINDOW
            self._least_lead = _HALF
            self._seen = 0

    def _is_filled(self, place: int) -> bool:
        return self._marks[place % _CAPACITY] == 1

    def _write(self, place: int, payload: bytes) -> None:
        if place < self._cursor:
            payload = payload[self._cursor - place :]
            place = self._cursor
        size = len(payload)
        start = place % _CAPACITY
        room = _CAPACITY - start
        if size <= room:
            self._ring[start : start + size] = payload
            self._marks[start : start + size] = _PRESENT[:size]
        else:
            self._ring[start:] = payload[:room]
            self._ring[: size - room] = payload[room:]
            self._marks[start:] = _PRESENT[:room]
            self._marks[: size - room] = _PRESENT[: size - room]
        if place + size > self._end:
            self._end = place + size

    def _skip_to(self, place: int) -> None:
        while self._cursor < place:
            self._drop_frame()

    def _drop_frame(self) -> None:
        start = self._cursor % _CAPACITY
        if self._take(start) is not None:
            self.discarded += 1
        self._cursor += FRAME_BYTES

    def pause(self) -> None:
        """The peer said that it is silent (comfort noise, a key): what is missing behind what came
        so far is no loss."""
        self._quiet_from = self._end

    def pull(self) -> bytes:
        """The next frame; call it every 20 ms. Silence before the first packet."""
        if not self._is_started:
            return SILENT_FRAME
        start = self._cursor % _CAPACITY
        frame = self._take(start)
        self._cursor += FRAME_BYTES
        if self._is_shrinking:
            frame = self._shrink(frame)
        if frame is None:
            return self._conceal()
        self._last = frame
        self._misses = 0
        return frame

    def _take(self, start: int) -> bytes | None:
        end = start + FRAME_BYTES
        if self._marks.find(1, start, end) < 0:
            return None
        frame = bytes(self._ring[start:end])
        self._ring[start:end] = SILENT_FRAME
        self._marks[start:end] = _ABSENT
        return frame

    def _shrink(self, frame: bytes | None) -> bytes | None:
        """Leave a frame out: a missing one, a quiet one, or after a while any."""
        self._patience -= 1
        is_quiet = frame is None or len(frame.translate(None, LOUD)) == FRAME_BYTES
        if not is_quiet and self._patience > 0:
            return frame
        self._is_shrinking = False
        self._seen = 0
        self._least_lead = _HALF
        if frame is not None:
            self.discarded += 1
        following = self._take(self._cursor % _CAPACITY)
        self._cursor += FRAME_BYTES
        return following

    def _conceal(self) -> bytes:
        """Repeat what was heard last, fading, then silence."""
        misses = self._misses
        if self._cursor > self._quiet_from:
            misses = self._misses = len(FADES)
        if misses >= len(FADES):
            return SILENT_FRAME
        self._misses = misses + 1
        self.concealed += 1
        return self._last.translate(FADES[misses])
