"""What all parts of a user agent share: settings, chance, timers, transactions, and how requests
and responses of ours look."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from protocols.errors import LocalProtocolError
from protocols.sip.digest import DigestClient, DigestTries
from protocols.sip.errors import SipError
from protocols.sip.events import Event
from protocols.sip.fields import CSeq, NameAddr
from protocols.sip.flow import Hop, Randomness, Timer, TimerQueue, Transport
from protocols.sip.headers import Headers
from protocols.sip.limits import Limits, Timers
from protocols.sip.message import Request, Response, respond
from protocols.sip.transactions import Cause, Transaction, TransactionLayer, new_via
from protocols.sip.uri import Uri

if TYPE_CHECKING:
    from protocols.sip.call import Call

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, REFER, NOTIFY, INFO"
METHODS: Final = frozenset(ALLOW.split(", "))
SUPPORTED: Final = frozenset({"100rel", "timer"})
_WITH_CONTACT: Final = frozenset({"INVITE", "UPDATE", "REFER", "NOTIFY"})
_WITH_ALLOW: Final = frozenset({"INVITE", "UPDATE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Config:
    """How the user agent behaves."""

    user: str = "gateway"
    """The user part of Contact."""
    user_agent: str = ""
    """User-Agent and Server; empty: not sent."""
    is_100rel: bool = True
    """Whether provisional responses with a body are sent reliably to peers that can."""
    session_expires_s: int = 1_800
    """How long a session lives without a refresh (RFC 4028); 0: no timer of ours."""
    min_se_s: int = 90
    accepts_refer: bool = False
    is_pinned: bool = False
    """Requests within a call go to where its INVITE went or came from, whatever Contact and
    Record-Route say: for peers behind address translation. The route set is still written."""
    content_types: tuple[str, ...] = ("application/sdp",)


class Core:
    """One user agent's common ground."""

    def __init__(self, config: Config, rng: Randomness, limits: Limits, timers: Timers) -> None:
        self.config = config
        self.rng = rng
        self.limits = limits
        self.timers = timers
        self.queue = TimerQueue()
        self.layer = TransactionLayer(self.queue, limits, timers)
        self.events: list[Event] = []
        self.local: dict[Transport, tuple[str, int]] = {}
        self.calls: dict[str, Call] = {}
        self.dialogs: dict[tuple[str, str, str], Call] = {}
        """By Call-ID, our tag, the peer's tag."""

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def after(self, delay_s: float, now: float, run: Callable[[float], None]) -> Timer:
        return self.queue.start(now + delay_s, run)

    def address(self, transport: Transport) -> tuple[str, int]:
        """Our address on a transport. Raises LocalProtocolError when there is none."""
        try:
            return self.local[transport]
        except KeyError:
            raise LocalProtocolError(f"no local address for {transport.value}") from None

    def contact(self, transport: Transport, *, is_secure: bool = False) -> NameAddr:
        host, port = self.address(transport)
        params: dict[str, str | None] = {}
        if transport is not Transport.UDP and not is_secure:
            params["transport"] = transport.value.lower()
        return NameAddr(Uri.sip(self.config.user, host, port, params, is_secure=is_secure))

    def request(
        self,
        method: str,
        uri: Uri,
        hop: Hop,
        *,
        from_: NameAddr,
        to: NameAddr,
        call_id: str,
        cseq: int,
        routes: Iterable[str] = (),
        headers: Iterable[tuple[str, str]] = (),
    ) -> Request:
        """A request with all that every request has, and what its method asks for. Raises
        LocalProtocolError."""
        host, port = self.address(hop.transport)
        via = new_via(hop.transport, host, port, self.rng.token())
        made = Headers([("Via", str(via))])
        made.add_all("Route", routes)
        made.add("Max-Forwards", "70")
        made.add("From", str(from_))
        made.add("To", str(to))
        made.add("Call-ID", call_id)
        made.add("CSeq", str(CSeq(cseq, method)))
        if method in _WITH_CONTACT:
            is_secure = uri.scheme == "sips"
            made.add("Contact", str(self.contact(hop.transport, is_secure=is_secure)))
        if method in _WITH_ALLOW:
            made.add("Allow", ALLOW)
        if self.config.user_agent:
            made.add("User-Agent", self.config.user_agent)
        for name, value in headers:
            made.add(name, value)
        return Request(method, uri.without_headers(), made)

    def response(self, request: Request, code: int, tag: str = "", phrase: str = "") -> Response:
        response = respond(request, code, tag, phrase)
        if self.config.user_agent:
            response.headers.add("Server", self.config.user_agent)
        return response

    def capabilities(self, request: Request) -> Response:
        """The 200 to an OPTIONS (section 11.2)."""
        response = self.response(request, 200, self.rng.token())
        response.headers.add("Allow", ALLOW)
        response.headers.add("Accept", ", ".join(self.config.content_types))
        response.headers.add("Supported", ", ".join(sorted(SUPPORTED)))
        return response

    def refuse(
        self, transaction: Transaction, code: int, now: float, *headers: tuple[str, str]
    ) -> None:
        """Answer a request that has no dialog of ours, or that its dialog does not take."""
        response = self.response(transaction.request, code, self.rng.token())
        for name, value in headers:
            response.headers.add(name, value)
        transaction.respond(response, now)


class ExchangeUser(Protocol):
    """Who made an exchange."""

    def on_response(self, response: Response, now: float) -> None:
        """Every response but the challenges that were answered."""

    def on_failure(self, cause: Cause, now: float) -> None:
        """No final response will come."""


class Exchange:
    """A request and its repetitions with credentials (section 22.2). `make` builds it anew each
    time, with the next CSeq. Challenges are answered as long as `is_wanted`, else passed on."""

    __slots__ = ("_auth", "_core", "_is_wanted", "_make", "_tries", "_user", "transaction")

    def __init__(
        self,
        core: Core,
        make: Callable[[], tuple[Request, Hop]],
        user: ExchangeUser,
        auth: DigestClient | None,
        now: float,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._core = core
        self._is_wanted = is_wanted
        self._make = make
        self._user = user
        self._auth = auth
        self._tries = DigestTries()
        self.transaction = self._send(now)

    @property
    def request(self) -> Request:
        return self.transaction.request

    def repeat(self, now: float) -> None:
        """Send the request once more, as a new one."""
        self.transaction = self._send(now)

    def on_response(self, response: Response, now: float) -> None:
        if not self._is_to_be_repeated(response):
            self._user.on_response(response, now)
            return
        try:
            self.repeat(now)
        except (LocalProtocolError, SipError):
            self._user.on_failure(Cause.TRANSPORT, now)

    def _is_to_be_repeated(self, response: Response) -> bool:
        if response.code not in (401, 407) or self._auth is None or not self._is_wanted():
            return False
        return self._auth.learn(response, self._tries)

    def on_failure(self, cause: Cause, now: float) -> None:
        self._user.on_failure(cause, now)

    def _send(self, now: float) -> Transaction:
        request, hop = self._make()
        if self._auth is not None:
            uri = str(request.uri)
            for name, value in self._auth.headers(request.method, uri, request.body):
                request.headers.add(name, value)
        return self._core.layer.request(request, hop, self, now)


class Unheeded:
    """The user of an exchange whose outcome changes nothing."""

    def on_response(self, response: Response, now: float) -> None:
        return

    def on_failure(self, cause: Cause, now: float) -> None:
        return
