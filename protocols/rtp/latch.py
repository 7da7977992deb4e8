"""Who may be heard on a port.

A port is open to the network for as long as a call lasts, and whoever reaches it could speak or
press keys in another's name. So the first fitting source is taken and nobody else after it. The
place that SDP named is taken with its first packet. Another place in the trunk's networks (a
gateway behind address translation) has to send a few packets in a row first: late packets of a
call that had this port before look just like that. And whoever was left by a re-INVITE goes on
sending for a while, before it hears of it: such a place has to be the only one for a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, TypeAlias

from protocols.rtp.parameters import Address

Network: TypeAlias = IPv4Network | IPv6Network

LEARNING_PACKETS: Final = 5
"""In a row, of one SSRC, before a place that SDP did not name is taken."""
RELEARNING_PACKETS: Final = 50
"""The same for a place that was heard before the last re-INVITEs."""
MAX_LEFT: Final = 4
"""So many of those are remembered."""
MAX_CANDIDATES: Final = 4
SSRC_CHANGES: Final = 8
"""How often in a row one source may change its SSRC: a forwarded call does it twice or three times,
an attack without end."""
SSRC_REGAIN_S: Final = 5.0
"""After so long it may do so once more: announcement services have an SSRC for every prompt."""
SSRC_PACKETS: Final = 2
"""Packets in a row of a new SSRC, without one of the old between them."""
SSRC_SILENCE_S: Final = 0.2
"""From the second change on, the old SSRC must have been silent for so long."""


def is_within(host: str, networks: Sequence[Network]) -> bool:
    """Whether an address (no name) lies in one of the networks."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address.version == each.version and address in each for each in networks)


@dataclass(slots=True)
class _Candidate:
    ssrc: int
    sequence: int
    count: int = 1


class SourceLatch:
    """Open until a source is taken, then locked to it; `open` and `reopen` open it again for a
    re-INVITE."""

    __slots__ = (
        "_before", "_candidates", "_is_learning", "_left", "_networks", "expected", "locked",
        "wrong",
    )  # fmt: skip

    def __init__(self, networks: Sequence[Network], *, is_learning: bool = True) -> None:
        self._networks = tuple(networks)
        self._is_learning = is_learning
        self._candidates: dict[Address, _Candidate] = {}
        self._left: deque[Address] = deque(maxlen=MAX_LEFT)
        self._before: Address | None = None
        self.expected: Address | None = None
        """The place that SDP named."""
        self.locked: Address | None = None
        self.wrong = 0
        """Packets ignored for where they came from."""

    def open(self, expected: Address | None) -> None:
        """Wait for a source again, `expected` first."""
        left = self.locked or self._before
        if left is not None and left not in self._left:
            self._left.append(left)
        self.expected = expected
        self.locked = self._before = None
        self._candidates.clear()

    def reopen(self) -> None:
        """Media goes on after a hold. The place that SDP named is kept; another one is taken again
        at once, or a third is learned: address translation may have forgotten it."""
        if self.locked is not None and self.locked != self.expected:
            self._before, self.locked = self.locked, None

    @property
    def source(self) -> Address | None:
        """Where the stream comes from, or is expected from."""
        return self.locked or self._before or self.expected

    def admit(self, source: Address, ssrc: int, sequence: int, *, is_proven: bool = False) -> bool:
        """Whether a packet of that source is to be heard. `is_proven`: it carried a valid SRTP tag,
        so that one is enough."""
        if self.locked is not None:
            if source == self.locked:
                return True
        elif (
            source in (self.expected, self._before)
            or (is_proven and self._is_fresh(source))
            or self._learn(source, ssrc, sequence)
        ):
            self.locked = source
            self._before = None
            self._candidates.clear()
            return True
        self.wrong += 1
        return False

    def _is_fresh(self, source: Address) -> bool:
        return source not in self._left and is_within(source[0], self._networks)

    def _learn(self, source: Address, ssrc: int, sequence: int) -> bool:
        if not self._is_learning or self.expected is None:
            return False
        if not is_within(source[0], self._networks):
            return False
        candidate = self._candidates.get(source)
        if candidate is None:
            if len(self._candidates) >= MAX_CANDIDATES:
                del self._candidates[next(iter(self._candidates))]
            self._candidates[source] = _Candidate(ssrc, sequence)
            return False
        follows = candidate.ssrc == ssrc and sequence == (candidate.sequence + 1) & 0xFFFF
        candidate.count = candidate.count + 1 if follows else 1
        candidate.ssrc, candidate.sequence = ssrc, sequence
        needed = RELEARNING_PACKETS if source in self._left else LEARNING_PACKETS
        return candidate.count >= needed


class SsrcGuard:
    """Which stream of the locked source is heard: one at a time. The first change is taken quickly,
    since early media and the answered call often have different ones."""

    __slots__ = (
        "_changed_at", "_changes", "_has_changed", "_heard_at", "_next", "_run", "current",
        "refused",
    )  # fmt: skip

    def __init__(self) -> None:
        self.current: int | None = None
        self.refused = 0
        """Packets ignored for their SSRC."""
        self._changes = 0.0
        self._changed_at = 0.0
        self._has_changed = False
        self._heard_at = 0.0
        self._next = (0, 0)
        self._run = 0

    def renew(self, *, has_moved: bool = False) -> None:
        """A re-INVITE was agreed on: changes count anew. `has_moved`: whatever comes next from the
        new place is the stream."""
        self._changes = 0.0
        self._has_changed = False
        if has_moved:
            self.current = None

    def admit(self, ssrc: int, sequence: int, now: float) -> bool:
        """Whether a packet is of the stream that is heard. True for the first one of another makes
        that `current`."""
        if ssrc == self.current:
            self._heard_at = now
            self._run = 0
            return True
        if self.current is None:
            self.current = ssrc
            self._heard_at = now
            return True
        self._run = self._run + 1 if self._next == (ssrc, sequence) else 1
        self._next = (ssrc, (sequence + 1) & 0xFFFF)
        is_silent = now - self._heard_at >= SSRC_SILENCE_S
        changes = max(self._changes - (now - self._changed_at) / SSRC_REGAIN_S, 0.0)
        if (
            self._run < SSRC_PACKETS
            or changes > SSRC_CHANGES - 1
            or (self._has_changed and not is_silent)
        ):
            self.refused += 1
            return False
        self.current = ssrc
        self._has_changed = True
        self._changes = changes + 1
        self._changed_at = self._heard_at = now
        self._run = 0
        return True
