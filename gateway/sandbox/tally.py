"""Counting what came without keeping it, for benchmarks and crash tests."""

from __future__ import annotations

import time
from collections import Counter
from hashlib import blake2b
from typing import TextIO

from gateway.sandbox.peer import Peer
from protocols.smpp import Message


def payload_hash(payload: bytes) -> str:
    """Sixteen hexadecimal digits that stand for a short_message, header included."""
    return blake2b(payload, digest_size=8).hexdigest()


class Tally:
    """Counts the submit_sm that were not refused; what was not answered counts, for it came."""

    def __init__(self, *, keep_max: int, log: TextIO | None = None) -> None:
        """`keep_max`: how many different texts are remembered, which destinations and duplicates
        are counted by; 0 counts totals alone. `log` gets a line for each: monotonic nanoseconds,
        session, destination, message_id, hash of the payload."""
        self.taken = 0
        self.refused = 0
        self.duplicates = 0
        """Those that came again with source, destination and payload the same."""
        self.destinations: Counter[str] = Counter()
        self._keep_max = keep_max
        self._seen: set[int] = set()
        self._log = log
        self._lines: list[tuple[int, int, str, str, bytes]] = []

    def record(
        self, peer: Peer, message: Message, message_id: str, status: int | None
    ) -> int | None:
        """Count one."""
        if status:
            self.refused += 1
            return status
        self.taken += 1
        if self._keep_max:
            self._remember(message)
        if self._log is not None:
            self._lines.append(
                (time.monotonic_ns(), peer.number, message.dest, message_id, message.payload)
            )
        return status

    def _remember(self, message: Message) -> None:
        key = hash((message.source, message.dest, message.payload))
        if key in self._seen:
            self.duplicates += 1
        elif len(self._seen) < self._keep_max:
            self._seen.add(key)
        else:
            return
        self.destinations[message.dest] += 1

    def write_log(self) -> None:
        """Write the lines that came since the last call."""
        lines, self._lines = self._lines, []
        if self._log is not None and lines:
            self._log.writelines(
                f"{at} {session} {dest} {message_id} {payload_hash(payload)}\n"
                for at, session, dest, message_id, payload in lines
            )
            self._log.flush()
