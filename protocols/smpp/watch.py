"""The timers of a session (SMPP v3.4 section 7.2): when the next is due, and what is overdue."""

from __future__ import annotations

from protocols.smpp.limits import Timers


class Watch:
    """Watches the step under way (bind or unbind), the messages without a response, and the peer's
    silence.

    Its owner says when the oldest message without a response was sent (`oldest`); the rest it is
    told.
    """

    __slots__ = ("_deadline", "_enquiry", "_timers", "heard", "is_enquiring")

    def __init__(self, timers: Timers) -> None:
        self.heard: float | None = None
        """When the peer last sent anything."""
        self.is_enquiring = False
        """Whether silence is to be answered with enquire_link."""
        self._timers = timers
        self._deadline: tuple[float, str] | None = None
        self._enquiry: tuple[int, float] | None = None

    def expect(self, due: float, reason: str) -> None:
        """The step under way has to be done by `due`, else the session ends for `reason`."""
        self._deadline = (due, reason)

    def expect_nothing(self) -> None:
        self._deadline = None

    def enquire(self, sequence: int, now: float) -> None:
        """An enquire_link goes out."""
        self._enquiry = (sequence, now + self._timers.control_response_s)

    def is_enquiry_due(self, now: float) -> bool:
        if not self.is_enquiring or self._enquiry is not None or self.heard is None:
            return False
        return now >= self.heard + self._timers.enquire_s

    def answered(self, sequence: int) -> bool:
        """Whether this was the sequence number of the enquire_link under way, which is then
        over."""
        if self._enquiry is None or self._enquiry[0] != sequence:
            return False
        self._enquiry = None
        return True

    def stop(self) -> None:
        self.is_enquiring = False
        self._deadline = self._enquiry = None

    def next_due(self, oldest: float | None) -> float | None:
        due: list[float] = []
        if self._deadline is not None:
            due.append(self._deadline[0])
        if oldest is not None:
            due.append(oldest + self._timers.response_s)
        if self._enquiry is not None:
            due.append(self._enquiry[1])
        elif self.is_enquiring and self.heard is not None:
            due.append(self.heard + self._timers.enquire_s)
        return min(due, default=None)

    def overdue(self, now: float, oldest: float | None) -> str | None:
        """Why the session must end now; None while all is in time."""
        if self._deadline is not None and now >= self._deadline[0]:
            return self._deadline[1]
        if self._enquiry is not None and now >= self._enquiry[1]:
            return f"no response to enquire_link within {self._timers.control_response_s:g} s"
        if oldest is not None and now >= oldest + self._timers.response_s:
            return f"no response to a message within {self._timers.response_s:g} s"
        return None
