"""The timers of a session (SMPP v3.4 section 7.2): when the next is due, and what is overdue."""

from __future__ import annotations

from protocols.smpp.limits import Timers


class Watch:
    """Watches the step under way (bind or unbind), the requests without a response, the peer's
    silence, and the time without messages.

    Its owner says when the oldest request without a response was sent (`oldest`); the rest it is
    told.
    """

    __slots__ = (
        "_deadline",
        "_enquiry",
        "_grace_until",
        "_is_deaf",
        "_timers",
        "active",
        "heard",
        "is_bound",
    )

    def __init__(self, timers: Timers) -> None:
        self.heard: float | None = None
        """When the peer last sent anything."""
        self.active = 0.0
        """When a message, or a response to one, last came."""
        self.is_bound = False
        """Whether silence is to be answered with enquire_link, and long inactivity with unbind."""
        self._timers = timers
        self._deadline: tuple[float, str] | None = None
        self._enquiry: tuple[int, float] | None = None
        self._is_deaf = False
        self._grace_until = 0.0

    def expect(self, due: float, reason: str) -> None:
        """The step under way has to be done by `due`, else the session ends for `reason`."""
        self._deadline = (due, reason)

    def expect_nothing(self) -> None:
        self._deadline = None

    def bound(self, now: float) -> None:
        """The bind is done."""
        self.expect_nothing()
        self.is_bound = True
        self.active = now

    def deafen(self) -> None:
        """We do not read for a while: the peer's silence means nothing."""
        self._is_deaf = True

    def listen(self, now: float) -> None:
        """We read again. What waited in the connection gets time to come in."""
        self._is_deaf = False
        self._grace_until = now + self._timers.control_response_s
        self.heard = now
        if self._enquiry is not None:
            self._enquiry = (self._enquiry[0], self._grace_until)

    def enquire(self, sequence: int, now: float) -> None:
        """An enquire_link goes out."""
        self._enquiry = (sequence, now + self._timers.control_response_s)

    def is_enquiry_due(self, now: float) -> bool:
        if not self.is_bound or self._is_deaf or self._enquiry is not None or self.heard is None:
            return False
        return now >= self.heard + self._timers.enquire_s

    def is_inactive(self, now: float) -> bool:
        """Whether no message came or went for too long."""
        limit = self._timers.inactivity_s
        return self.is_bound and limit is not None and now >= self.active + limit

    def answered(self, sequence: int) -> bool:
        """Whether this was the sequence number of the enquire_link under way, which is then
        over."""
        if self._enquiry is None or self._enquiry[0] != sequence:
            return False
        self._enquiry = None
        return True

    def stop(self) -> None:
        self.is_bound = False
        self._deadline = self._enquiry = None

    def next_due(self, oldest: float | None) -> float | None:
        due: list[float] = []
        if self._deadline is not None:
            due.append(self._deadline[0])
        if self.is_bound and self._timers.inactivity_s is not None:
            due.append(self.active + self._timers.inactivity_s)
        if not self._is_deaf:
            if oldest is not None:
                due.append(self._response_due(oldest))
            if self._enquiry is not None:
                due.append(self._enquiry[1])
            elif self.is_bound and self.heard is not None:
                due.append(self.heard + self._timers.enquire_s)
        return min(due, default=None)

    def overdue(self, now: float, oldest: float | None) -> str | None:
        """Why the session must end now; None while all is in time."""
        if self._deadline is not None and now >= self._deadline[0]:
            return self._deadline[1]
        if self._is_deaf:
            return None
        if self._enquiry is not None and now >= self._enquiry[1]:
            return f"no response to enquire_link within {self._timers.control_response_s:g} s"
        if oldest is not None and now >= self._response_due(oldest):
            return f"no response to a message within {self._timers.response_s:g} s"
        return None

    def _response_due(self, oldest: float) -> float:
        return max(oldest + self._timers.response_s, self._grace_until)
