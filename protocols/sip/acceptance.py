"""The 2xx to an INVITE of the peer, until its ACK (RFC 3261 section 13.3.1.4)."""

from __future__ import annotations

from collections.abc import Callable

from protocols.sip.core import Core
from protocols.sip.flow import Timer
from protocols.sip.message import Request, Response
from protocols.sip.transactions import Transaction


class Acceptance:
    """A 2xx to an INVITE, sent until its ACK comes, over any transport (section 13.3.1.4)."""

    __slots__ = (
        "_core",
        "_interval_s",
        "_on_ack",
        "_on_lost",
        "_response",
        "_timers",
        "_transaction",
    )

    def __init__(
        self,
        core: Core,
        transaction: Transaction,
        response: Response,
        on_ack: Callable[[Request, float], None],
        on_lost: Callable[[float], None],
        now: float,
    ) -> None:
        self._core = core
        self._transaction = transaction
        self._response = response
        self._on_ack = on_ack
        self._on_lost = on_lost
        self._interval_s = core.timers.t1_s
        transaction.respond(response, now)
        self._timers: list[Timer] = [
            core.after(core.timers.timeout_s, now, self._give_up),
            core.after(self._interval_s, now, self._repeat),
        ]

    def acknowledged(self, ack: Request, now: float) -> None:
        self.stop()
        self._on_ack(ack, now)

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _repeat(self, now: float) -> None:
        self._transaction.respond(self._response, now)
        self._interval_s = min(self._interval_s * 2, self._core.timers.t2_s)
        self._timers[1] = self._core.after(self._interval_s, now, self._repeat)

    def _give_up(self, now: float) -> None:
        self.stop()
        self._on_lost(now)
