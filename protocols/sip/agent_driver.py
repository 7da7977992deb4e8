"""Drives one user agent: its input, its output and the one timer that it needs.

Whatever gives it a clock and a way to send will do; the sockets are those of the transport.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from protocols.sip.endpoint import UserAgent
from protocols.sip.events import Event
from protocols.sip.flow import Hop, Outgoing

MAX_ROUNDS: Final = 64
"""Rounds of one flush: beyond it others get their turn first."""


class TimerHandle(Protocol):
    """A call that waits, of an event loop."""

    def when(self) -> float: ...

    def cancel(self) -> None: ...


class Clock(Protocol):
    """An event loop, as far as it is needed."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> TimerHandle: ...


class Endpoint:
    """One user agent on the shared sockets, with the one timer that it needs.

    `on_events` gets events in order, never an empty list; what it raises goes to `on_error`.
    `on_message` is shown every message of this user agent: whether it was sent, and
    where it went or came from. Call `flush` after every command.
    """

    def __init__(
        self,
        clock: Clock,
        agent: UserAgent,
        *,
        send: Callable[[Endpoint, Outgoing], None],
        on_events: Callable[[list[Event]], None],
        on_error: Callable[[Exception], None],
        mark: str,
        user: str,
        tls: Callable[[], object] | None = None,
        server_name: str = "",
        ping_s: float = 0.0,
        is_tcp_for_large: bool = True,
        on_message: Callable[[bool, bytes, Hop], None] | None = None,
    ) -> None:
        """`mark` is that of the agent's MarkedRandomness, `user` the user of its Contact. `tls`
        makes the context of a connection, or raises OSError; certificates of servers have to be
        for `server_name`. `is_tcp_for_large`: whether requests
        that are too large for a datagram go by TCP (RFC 3261 section 18.1.1)."""
        self.agent = agent
        self.mark = mark
        self.user = user
        self.tls = tls
        self.server_name = server_name
        self.ping_s = ping_s
        self.is_tcp_for_large = is_tcp_for_large
        self.on_events = on_events
        self.on_message = on_message
        self.on_disconnected: Callable[[], None] | None = None
        """Called when a connection that we opened is gone: what found us by it does not any more
        (RFC 5626 section 4.4)."""
        self.misdirected = 0
        """Messages that were to go to an address outside our networks, and did not."""
        self.waiting = 0
        self.fault = ""
        """Why the last connection did not come about."""
        self._clock = clock
        self._send = send
        self._on_error = on_error
        self._failed: list[Hop] = []
        self._timer: TimerHandle | None = None
        self._is_flushing = False
        self.is_closed = False
        """Whether it sends and tells nothing any more."""

    @property
    def now(self) -> float:
        """The time that the user agent goes by."""
        return self._clock.time()

    def receive(self, data: bytes, source: Hop) -> None:
        """Called by the transport with one message."""
        if self.on_message is not None:
            self.on_message(False, data, source)
        self._tell(self.agent.receive(data, source, self.now))
        self.flush()

    def failed(self, hop: Hop) -> None:
        """Nothing can be sent there."""
        self._failed.append(hop)
        self.flush()

    def flush(self) -> None:
        """Send what is to be sent, tell what happened, set the timer."""
        if self._is_flushing or self.is_closed:
            return
        self._is_flushing = True
        try:
            for _ in range(MAX_ROUNDS):
                if not self._turn():
                    break
        finally:
            self._is_flushing = False
        self._arm()

    def close(self) -> None:
        """Send and tell nothing any more."""
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self) -> bool:
        """Whether there was anything to do."""
        now, agent = self.now, self.agent
        due = agent.next_timer()
        events = agent.handle_timer(now) if due is not None and due <= now else []
        failed, self._failed = self._failed, []
        for hop in failed:
            events += agent.transport_failed(hop, now)
        out = agent.data_to_send()
        for each in out:
            if self.on_message is not None:
                self.on_message(True, each.data, each.hop)
            self._send(self, each)
        self._tell(events)
        return bool(out or events or self._failed)

    def _tell(self, events: list[Event]) -> None:
        if not events or self.is_closed:
            return
        try:
            self.on_events(events)
        except Exception as error:
            self._on_error(error)

    def _arm(self) -> None:
        """A later moment is left to the next firing: a timer too early does no harm."""
        due = 0.0 if self._failed else self.agent.next_timer()
        if due is None or self.is_closed:
            return
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._clock.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.flush()
