"""Session timers (RFC 4028): whoever was chosen refreshes at half the interval; without a refresh
the call ends before the interval does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocols.sip.core import Core
from protocols.sip.errors import SipError
from protocols.sip.fields import SessionExpires
from protocols.sip.flow import Timer
from protocols.sip.message import Request, Response

MIN_SE_S: Final = 90
"""The least interval that anybody may ask for (section 5)."""
_MAX_RETRIES: Final = 3
_REFRESH_PARTS: Final = 8
"""Refreshes that came to nothing are repeated after this part of the interval."""

Fields = list[tuple[str, str]]


class SessionTimer:
    """The timer of one call."""

    __slots__ = (
        "_core",
        "_min_se_s",
        "_on_expired",
        "_on_refresh",
        "_retries",
        "_seconds",
        "_timers",
        "is_refresher",
    )

    def __init__(
        self,
        core: Core,
        on_refresh: Callable[[float], None],
        on_expired: Callable[[float], None],
    ) -> None:
        self._core = core
        self._on_refresh = on_refresh
        self._on_expired = on_expired
        self._seconds = core.config.session_expires_s
        self._min_se_s = MIN_SE_S
        self._timers: list[Timer] = []
        self._retries = 0
        self.is_refresher: bool | None = None
        """Whether refreshing is ours; None while no timer runs."""

    @property
    def seconds(self) -> int:
        """The interval agreed on; 0 when no timer runs."""
        return self._seconds if self.is_refresher is not None else 0

    def request_fields(self) -> Fields:
        """What a request of ours says about the timer."""
        if not self._core.config.session_expires_s:
            return []
        refresher = ""
        if self.is_refresher is not None:
            refresher = "uac" if self.is_refresher else "uas"
        fields = [("Session-Expires", str(SessionExpires(self._seconds, refresher)))]
        if self._min_se_s > MIN_SE_S:
            fields.append(("Min-SE", str(self._min_se_s)))
        return fields

    def too_small(self, request: Request) -> bool:
        """Whether a request wants an interval under our Min-SE, and understands to be told so.
        Raises SipError for anything malformed that `on_request` would read: when we answer it is
        too late to refuse."""
        value = request.headers.get("Session-Expires")
        understands = "timer" in request.tokens("Supported")
        request.number("Min-SE")
        if value is None:
            return False
        return SessionExpires.parse(value).seconds < self._core.config.min_se_s and understands

    def on_request(self, request: Request, now: float) -> Fields:
        """A request of the peer is accepted: run the timer, and say so in the 2xx (section 9).

        Where the peer leaves the choice we refresh ourselves; we also must when it knows no
        timers.
        """
        value = request.headers.get("Session-Expires")
        ours = self._core.config.session_expires_s
        if value is None and not ours:
            self.stop()
            return []
        wanted = SessionExpires.parse(value) if value is not None else SessionExpires(ours)
        least = max(request.number("Min-SE") or 0, MIN_SE_S)
        seconds = max(min(wanted.seconds, ours or wanted.seconds), least)
        understands = "timer" in request.tokens("Supported")
        refresher = wanted.refresher if wanted.refresher in ("uac", "uas") else "uas"
        if not understands:
            refresher = "uas"
        self._run(seconds, is_refresher=refresher == "uas", now=now)
        fields = [("Session-Expires", str(SessionExpires(seconds, refresher)))]
        if refresher == "uac":
            fields.append(("Require", "timer"))
        return fields

    def on_response(self, response: Response, now: float) -> None:
        """A 2xx to a request of ours: run the timer that it names; ours alone when the peer knows
        none (section 7.2)."""
        value = response.headers.get("Session-Expires")
        try:
            agreed = SessionExpires.parse(value) if value is not None else None
        except SipError:
            agreed = None
        if agreed is not None:
            seconds = max(agreed.seconds, MIN_SE_S)
            self._run(seconds, is_refresher=agreed.refresher != "uas", now=now)
        elif self._core.config.session_expires_s:
            self._run(self._seconds, is_refresher=True, now=now)
        else:
            self.stop()

    def learn(self, response: Response) -> bool:
        """Take the Min-SE of a 422; whether it is worth to ask again."""
        try:
            least = response.number("Min-SE") or 0
        except SipError:
            least = 0
        self._retries += 1
        if least <= self._min_se_s and least <= self._seconds or self._retries > _MAX_RETRIES:
            return False
        self._min_se_s = max(self._min_se_s, least)
        self._seconds = max(self._seconds, least)
        return True

    def stop(self) -> None:
        self.is_refresher = None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _run(self, seconds: int, *, is_refresher: bool, now: float) -> None:
        self.stop()
        self.is_refresher = is_refresher
        self._seconds = seconds
        self._retries = 0
        margin = min(32.0, seconds / 3)
        self._timers = [self._core.after(seconds - margin, now, self._on_expired)]
        if is_refresher:
            self._timers.append(self._core.after(seconds / 2, now, self._refresh))

    def _refresh(self, now: float) -> None:
        """Once more after a while, unless a 2xx starts the timer anew before: a refresh that was
        refused or found an offer in its way does not have to end the call (section 10)."""
        self._timers[-1] = self._core.after(self._seconds / _REFRESH_PARTS, now, self._refresh)
        self._on_refresh(now)
