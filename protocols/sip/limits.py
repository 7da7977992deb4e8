"""What the core takes at most, and its timers, with the defaults.

The timers are those of RFC 3261 table 4, RFC 6026 and RFC 3262; T1, T2 and T4 are settings, the
others follow from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a peer can make us hold. 16 KiB and 64 header lines are several times the
    largest INVITE of real trunks; 8 KiB is what a UDP datagram may bring."""

    datagram_bytes: int = 8_192
    message_bytes: int = 16_384
    """A message on a stream, head and body together."""
    headers: int = 64
    header_bytes: int = 4_096
    """One header line, folded lines joined."""
    client_transactions: int = 4_096
    server_transactions: int = 4_096
    """Twice as many for requests within calls: overload must not keep calls from ending."""
    calls: int = 1_024
    forks: int = 12
    """Early dialogs of one INVITE; further ones are ignored, their 2xx acknowledged and ended."""
    setup_s: float = 180.0
    """How long a call may ring: an outgoing one is then canceled, an incoming one refused."""
    refer_s: float = 180.0
    """How long a REFER may stay without its last NOTIFY."""


@dataclass(frozen=True, slots=True)
class Timers:
    """Base values in seconds (RFC 3261 section 17.1.1.1)."""

    t1_s: float = 0.5
    t2_s: float = 4.0
    t4_s: float = 5.0
    d_s: float = 32.0

    @property
    def timeout_s(self) -> float:
        """64*T1: timers B, F, H, J, L and M, and the wait for an ACK, a PRACK or a 487."""
        return 64 * self.t1_s


DEFAULT_LIMITS: Final = Limits()
DEFAULT_TIMERS: Final = Timers()
