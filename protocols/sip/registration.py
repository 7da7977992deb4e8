"""A registration that keeps itself alive (RFC 3261 section 10.2, back-off by RFC 5626 section
4.5)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

from protocols.errors import LocalProtocolError
from protocols.sip.core import Core, Exchange
from protocols.sip.digest import Credentials, DigestClient
from protocols.sip.errors import SipError
from protocols.sip.events import Registered, RegistrationFailed, Unregistered
from protocols.sip.fields import NameAddr, parse_addresses, parse_retry_after
from protocols.sip.flow import Hop, Timer
from protocols.sip.grammar import parse_number
from protocols.sip.message import Request, Response
from protocols.sip.transactions import Cause
from protocols.sip.uri import Uri

RETRY_BASE_S: Final = 30.0
RETRY_MAX_S: Final = 1_800.0
REFUSED_RETRY_S: Final = 600.0
"""The least wait after a refusal of who we are: registrars lock accounts out."""

_MAX_INTERVALS: Final = 3
_REFUSED: Final = frozenset({401, 403, 404, 407})


@dataclass(frozen=True, slots=True)
class Account:
    """What is registered where."""

    registrar: Uri
    """The domain: `sip:example.com`."""
    address: NameAddr
    """The address of record."""
    hop: Hop
    credentials: Credentials | None = None
    expires_s: int = 600
    routes: tuple[str, ...] = ()


class State(Enum):
    WORKING = "a REGISTER is under way"
    REGISTERED = "registered"
    WAITING = "to be tried again"
    LEAVING = "the last REGISTER is under way"
    OVER = "over"


class Input(Enum):
    SENT = "a REGISTER was sent"
    ACCEPTED = "2xx"
    FAILED = "refused, or no answer"
    LEAVE = "unregister"


TRANSITIONS: Final[dict[tuple[State, Input], State]] = {
    (State.WORKING, Input.ACCEPTED): State.REGISTERED,
    (State.WORKING, Input.FAILED): State.WAITING,
    (State.WORKING, Input.LEAVE): State.LEAVING,
    (State.REGISTERED, Input.SENT): State.WORKING,
    (State.REGISTERED, Input.LEAVE): State.LEAVING,
    (State.WAITING, Input.SENT): State.WORKING,
    (State.WAITING, Input.LEAVE): State.LEAVING,
    (State.LEAVING, Input.ACCEPTED): State.OVER,
    (State.LEAVING, Input.FAILED): State.OVER,
}


class Registration:
    """One binding of our contact to an address of record, refreshed until `unregister`."""

    def __init__(self, core: Core, account: Account, now: float) -> None:
        self.account = account
        self.state = State.WORKING
        self._core = core
        self._auth = (
            DigestClient(account.credentials, core.rng) if account.credentials is not None else None
        )
        self._call_id = core.rng.token()
        self._from = account.address.bare().with_tag(core.rng.token())
        self._contact = core.contact(account.hop.transport)
        self._cseq = 0
        self._expires_s = account.expires_s
        self._failures = 0
        self._intervals = 0
        self._timer: Timer | None = None
        self._exchange: _Attempt | None = _Attempt(self, now, self._expires_s)

    def refresh(self, now: float) -> None:
        """Register again now, with the contact of now."""
        if self.state in (State.REGISTERED, State.WAITING):
            self._contact = self._core.contact(self.account.hop.transport)
            self._send(now)

    def unregister(self, now: float) -> None:
        """Take the binding back; `Unregistered` follows, whatever the registrar says."""
        if not self._move(Input.LEAVE):
            return
        self._stop_timer()
        try:
            self._exchange = _Attempt(self, now, 0)
        except LocalProtocolError:
            self._timer = self._core.after(0.0, now, self._leave)

    def make(self, expires_s: int) -> tuple[Request, Hop]:
        account = self.account
        self._cseq += 1
        request = self._core.request(
            "REGISTER",
            account.registrar,
            account.hop,
            from_=self._from,
            to=account.address.bare(),
            call_id=self._call_id,
            cseq=self._cseq,
            routes=account.routes,
            headers=[
                ("Contact", str(self._contact)),
                ("Expires", str(expires_s)),
                ("Supported", "outbound, path"),
            ],
        )
        return request, account.hop

    def exchange(
        self, make: Callable[[], tuple[Request, Hop]], user: _Attempt, now: float
    ) -> Exchange:
        return Exchange(self._core, make, user, self._auth, now)

    def on_response(self, attempt: _Attempt, response: Response, now: float) -> None:
        if attempt is not self._exchange or response.is_provisional:
            return
        if self.state is State.LEAVING:
            self._leave(now)
        elif response.is_success:
            self._on_success(response, now)
        elif response.code == 423 and self._learn_interval(response):
            self._send(now)
        else:
            self._fail(response.code, response.phrase, response, now)

    def on_failure(self, attempt: _Attempt, cause: Cause, now: float) -> None:
        if attempt is not self._exchange:
            return
        if self.state is State.LEAVING:
            self._leave(now)
        else:
            self._fail(408 if cause is Cause.TIMEOUT else 503, cause.value, None, now)

    def _on_success(self, response: Response, now: float) -> None:
        expires_s = self._granted(response)
        if not expires_s:
            self._fail(response.code, "registered for no time", response, now)
            return
        if not self._move(Input.ACCEPTED):
            return
        self._failures = self._intervals = 0
        # Early enough for one more try after a timeout of 32 s; at half of a short life.
        wait = max(expires_s - 60 - self._core.rng.below(10), expires_s / 2)
        self._timer = self._core.after(max(wait, 1.0), now, self._send)
        flow_timer_s = parse_retry_after(response.headers.get("Flow-Timer"))
        public = response.via.public_address
        self._core.emit(Registered(self, expires_s, public, flow_timer_s))

    def _granted(self, response: Response) -> float:
        """How long the registrar keeps us: our contact's expires, else Expires, else what we asked
        for (section 10.2.4); never longer than that. A registrar that sees us behind address
        translation may show our contact with another host: then its user tells it, and of several
        the one that ends first counts."""
        own, contacts = self._contact.uri, _readable_contacts(response)
        fitting = [each for each in contacts if each.uri.is_same_contact(own)] or [
            each for each in contacts if each.uri.is_sip and each.uri.user == own.user
        ]
        values = [each.params.get("expires") for each in fitting]
        seconds = [found for each in values if (found := _seconds(each)) is not None]
        if not seconds:
            found = _seconds(response.headers.get("Expires"))
            seconds = [self._expires_s if found is None else found]
        return float(min(*seconds, self._expires_s))

    def _learn_interval(self, response: Response) -> bool:
        try:
            least = response.number("Min-Expires") or 0
        except SipError:
            return False
        self._intervals += 1
        if least <= self._expires_s or least > 86_400 * 7 or self._intervals > _MAX_INTERVALS:
            return False
        self._expires_s = least
        return True

    def _fail(self, code: int, phrase: str, response: Response | None, now: float) -> None:
        if not self._move(Input.FAILED):
            return
        backoff = min(RETRY_BASE_S * 2**self._failures, RETRY_MAX_S)
        self._failures = min(self._failures + 1, 10)
        wait = backoff * (50 + self._core.rng.below(51)) / 100
        if code in _REFUSED:
            wait = max(wait, REFUSED_RETRY_S)
        if response is not None:
            asked = parse_retry_after(response.headers.get("Retry-After")) or 0.0
            wait = max(wait, min(asked, 86_400.0))
        self._timer = self._core.after(wait, now, self._send)
        self._core.emit(RegistrationFailed(self, code, phrase, wait))

    def _leave(self, now: float) -> None:
        if self._move(Input.ACCEPTED):
            self._core.emit(Unregistered(self))

    def _send(self, now: float) -> None:
        self._stop_timer()
        self._move(Input.SENT)
        try:
            self._exchange = _Attempt(self, now, self._expires_s)
        except LocalProtocolError as fault:
            self._fail(503, str(fault), None, now)

    def _move(self, what: Input) -> bool:
        state = TRANSITIONS.get((self.state, what))
        if state is None:
            return False
        self.state = state
        return True

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _readable_contacts(response: Response) -> list[NameAddr]:
    """The bindings that can be read: one of another user agent that cannot hides none of ours."""
    contacts: list[NameAddr] = []
    for value in response.headers.get_all("Contact"):
        with suppress(SipError):
            contacts += parse_addresses([value])
    return contacts


def _seconds(text: str | None) -> int | None:
    """None for what is no number, or is not there."""
    try:
        return parse_number(text) if text is not None else None
    except SipError:
        return None


class _Attempt:
    """One REGISTER; an older one's outcome says nothing any more."""

    def __init__(self, registration: Registration, now: float, expires_s: int) -> None:
        self._registration = registration
        registration.exchange(lambda: registration.make(expires_s), self, now)

    def on_response(self, response: Response, now: float) -> None:
        self._registration.on_response(self, response, now)

    def on_failure(self, cause: Cause, now: float) -> None:
        self._registration.on_failure(self, cause, now)
