"""The transaction layer: copies are absorbed, what is lost is sent again, what belongs to nothing
is dropped (RFC 3261 section 17, RFC 6026)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Protocol

from protocols.errors import LocalProtocolError
from protocols.sip.errors import SipError
from protocols.sip.fields import MAGIC_COOKIE, CSeq, Via
from protocols.sip.flow import Hop, Outgoing, Timer, TimerQueue, Transport
from protocols.sip.headers import Headers
from protocols.sip.limits import Limits, Timers
from protocols.sip.message import Request, Response
from protocols.sip.transaction_tables import (
    FIRST,
    LIVING,
    REPEATING,
    TABLES,
    Do,
    Input,
    Kind,
    State,
    duration,
    next_interval,
)

Key = tuple[str, ...]


class Cause(Enum):
    """Why a client transaction ended without a final response."""

    TIMEOUT = "no answer"
    TRANSPORT = "the transport failed"


class ClientUser(Protocol):
    """Who sent a request."""

    def on_response(self, response: Response, now: float) -> None:
        """A response, copies left out; of an INVITE every 2xx."""

    def on_failure(self, cause: Cause, now: float) -> None:
        """No final response will come."""


class ServerUser(Protocol):
    """Who answers an INVITE."""

    def on_ack(self, ack: Request, now: float) -> None:
        """The ACK of a 2xx that came with the branch of the INVITE."""

    def on_no_ack(self, now: float) -> None:
        """A refusal was never acknowledged."""


class Transaction:
    """One transaction of any kind."""

    __slots__ = (
        "_interval",
        "_last",
        "_layer",
        "_message",
        "_timers",
        "hop",
        "key",
        "kind",
        "request",
        "state",
        "user",
    )

    def __init__(
        self, layer: TransactionLayer, kind: Kind, key: Key, request: Request, hop: Hop
    ) -> None:
        self.kind = kind
        self.key = key
        self.request = request
        self.hop = hop
        self.state = FIRST[kind][0]
        self.user: object = None
        self._layer = layer
        self._last = b""  # what REPEAT sends
        self._message: Request | Response | None = None  # what PASS, SEND and ACK are about
        self._timers: dict[Input, Timer] = {}
        self._interval = 0.0

    @property
    def has_final(self) -> bool:
        """Whether a final response was sent or came."""
        return self.state not in (State.CALLING, State.TRYING, State.PROCEEDING)

    def start(self, now: float, first: bytes = b"") -> None:
        self._last = first
        self._do(FIRST[self.kind][1], now)

    def respond(self, response: Response, now: float) -> None:
        """Server transactions: send a response. Without effect once a final one was sent, further
        2xx of an INVITE aside."""
        self.step(_input_of(response), now, response)

    def abandon(self, now: float) -> None:
        """Nobody waits for the final response of this INVITE any more: one that comes late is
        still passed on, but not awaited for ever."""
        is_waiting = self.kind is Kind.INVITE_CLIENT and not self.has_final
        if is_waiting and Input.TIMER_C not in self._timers:
            self._start_timer(Input.TIMER_C, now)

    def step(self, what: Input, now: float, message: Request | Response | None = None) -> None:
        """One line of the table."""
        row = TABLES[self.kind].get((self.state, what))
        if row is None:
            return
        state, actions = row
        self._message = message
        if state is not self.state:
            self.state = state
            for timer in [t for t in self._timers if t not in LIVING[state]]:
                self._timers.pop(timer).cancel()
            if state is State.TERMINATED:
                self._layer.forget(self)
        self._do(actions, now)

    def _do(self, actions: tuple[Do | Input, ...], now: float) -> None:
        for action in actions:
            if isinstance(action, Input):
                self._start_timer(action, now)
            else:
                _ACTIONS[action](self, now)

    def _start_timer(self, timer: Input, now: float) -> None:
        is_reliable = self.hop.transport.is_reliable
        if timer in REPEATING:
            if is_reliable:
                return
            timers = self._layer.timers
            wait = self._interval = next_interval(timer, self._interval, timers, self.state)
        else:
            wait = duration(timer, self._layer.timers, is_reliable=is_reliable)
        run = partial(self._on_timer, timer)
        self._timers[timer] = self._layer.queue.start(now + wait, run)

    def _on_timer(self, timer: Input, now: float) -> None:
        self._timers.pop(timer, None)
        self.step(timer, now)

    def _send(self, now: float) -> None:
        assert isinstance(self._message, Response)  # noqa: S101 - only respond() gets here
        self._last = self._message.encode()
        self._repeat(now)

    def _repeat(self, now: float) -> None:
        if self._last:
            self._layer.send(self._last, self.hop)

    def _acknowledge(self, now: float) -> None:
        assert isinstance(self._message, Response)  # noqa: S101 - only responses lead here
        self._layer.send(ack_of_failure(self.request, self._message).encode(), self.hop)

    def _pass(self, now: float) -> None:
        if isinstance(self._message, Response):
            self.user.on_response(self._message, now)  # type: ignore[attr-defined]
        elif self._message is not None:
            self.user.on_ack(self._message, now)  # type: ignore[attr-defined]

    def _time_out(self, now: float) -> None:
        if self.kind is Kind.INVITE_SERVER:
            if self.user is not None:
                self.user.on_no_ack(now)  # type: ignore[attr-defined]
        else:
            self.user.on_failure(Cause.TIMEOUT, now)  # type: ignore[attr-defined]

    def _fail(self, now: float) -> None:
        self.user.on_failure(Cause.TRANSPORT, now)  # type: ignore[attr-defined]


_ACTIONS: dict[Do, Callable[[Transaction, float], None]] = {
    Do.SEND: Transaction._send,
    Do.REPEAT: Transaction._repeat,
    Do.ACK: Transaction._acknowledge,
    Do.PASS: Transaction._pass,
    Do.TIMEOUT: Transaction._time_out,
    Do.ERROR: Transaction._fail,
}


class TransactionLayer:
    """All transactions of one user agent."""

    def __init__(self, queue: TimerQueue, limits: Limits, timers: Timers) -> None:
        self.queue = queue
        self.timers = timers
        self.out: list[Outgoing] = []
        self.stray_responses = 0
        """Responses that no transaction waits for; dropped (section 18.1.2 leaves that to us)."""
        self._limits = limits
        self._client: dict[Key, Transaction] = {}
        self._server: dict[Key, Transaction] = {}
        self._origins: dict[Key, Transaction] = {}  # for merged requests, section 8.2.2.2

    def __len__(self) -> int:
        return len(self._client) + len(self._server)

    def send(self, data: bytes, hop: Hop) -> None:
        self.out.append(Outgoing(data, hop))

    def request(self, request: Request, hop: Hop, user: ClientUser, now: float) -> Transaction:
        """Send a request, not an ACK. Raises LocalProtocolError over the limit of transactions;
        what ends a call or belongs to one may use as many again."""
        is_new = request.method == "INVITE" or not request.to.tag and request.method != "CANCEL"
        if len(self._client) >= self._limits.client_transactions * (1 if is_new else 2):
            raise LocalProtocolError("too many requests are under way")
        kind = Kind.INVITE_CLIENT if request.method == "INVITE" else Kind.CLIENT
        data = request.encode()
        transaction = Transaction(self, kind, _client_key(request), request, hop)
        transaction.user = user
        self._client[transaction.key] = transaction
        self.send(data, hop)
        transaction.start(now, data)
        return transaction

    def receive_response(self, response: Response, now: float) -> None:
        transaction = self._client.get((response.via.branch, response.cseq.method))
        if transaction is None:
            self.stray_responses += 1
            return
        transaction.step(_input_of(response), now, response)

    def receive_request(self, request: Request, source: Hop, now: float) -> Transaction | None:
        """The new server transaction of a request, or None when one had it already. An ACK never
        makes one: see `absorb_ack`. Raises SipError with hint 503 over the limit, which is twice
        as high for what belongs to a call (a BYE must not be turned away), with 482 for a request
        that came before another way."""
        key = server_key(request)
        transaction = self._server.get(key)
        if transaction is not None:
            transaction.step(Input.REQUEST, now, request)
            return None
        is_new = not request.to.tag and request.method != "CANCEL"
        if len(self._server) >= self._limits.server_transactions * (1 if is_new else 2):
            raise SipError("too many requests are under way", 503)
        origin = _origin(request)
        if not request.to.tag and origin in self._origins:
            raise SipError("the request came another way before", 482)
        kind = Kind.INVITE_SERVER if request.method == "INVITE" else Kind.SERVER
        transaction = Transaction(self, kind, key, request, response_hop(request.via, source))
        self._server[key] = self._origins[origin] = transaction
        transaction.start(now)
        return transaction

    def absorb_ack(self, ack: Request, now: float) -> bool:
        """Whether an ACK belonged to a transaction: that of a refusal, or of a 2xx if its sender
        used the branch of the INVITE."""
        transaction = self._server.get(server_key(ack))
        if transaction is None:
            return False
        transaction.step(Input.ACK, now, ack)
        return True

    def canceled(self, cancel: Request) -> Transaction | None:
        """The INVITE that a CANCEL means (section 9.2)."""
        return self._server.get(server_key(cancel, "INVITE"))

    def transport_failed(self, hop: Hop, now: float) -> None:
        """Nothing can be sent to `hop`."""
        for transaction in [t for t in self._client.values() if t.hop == hop]:
            transaction.step(Input.TRANSPORT_ERROR, now)

    def forget(self, transaction: Transaction) -> None:
        if transaction.kind in (Kind.INVITE_CLIENT, Kind.CLIENT):
            self._client.pop(transaction.key, None)
            return
        self._server.pop(transaction.key, None)
        origin = _origin(transaction.request)
        if self._origins.get(origin) is transaction:
            del self._origins[origin]


def new_via(transport: Transport, host: str, port: int, token: str) -> Via:
    """The Via of a request of ours; rport asks for the address it is seen to come from (RFC
    3581)."""
    params: dict[str, str | None] = {"branch": f"{MAGIC_COOKIE}{token}"}
    if not transport.is_reliable:
        params["rport"] = None
    return Via(transport.value, host, port, params)


def note_source(request: Request, source: Hop) -> None:
    """Write into the top Via where the request came from (section 18.2.1, RFC 3581 section 4).
    What the sender wrote there itself is not believed."""
    via = request.via
    params = {name: value for name, value in via.params.items() if name != "received"}
    if via.host.strip("[]") != source.host or "rport" in params:
        params["received"] = source.host
    if "rport" in params:
        params["rport"] = str(source.port)
    if params != via.params:
        request.replace_via(Via(via.transport, via.host, via.port, params))


def response_hop(via: Via, source: Hop) -> Hop:
    """Where responses go (section 18.2.2, RFC 3581 section 4): by the connection; without one to
    the source address, at the source port where rport was asked for, else at the port of Via.
    `maddr` is not followed: it would let a stranger aim our responses."""
    if "rport" in via.params and not source.transport.is_reliable:
        return source
    return replace(source, port=via.port or source.transport.default_port)


def ack_of_failure(invite: Request, response: Response) -> Request:
    """The ACK that a transaction sends for a final response of 300 to 699 (section 17.1.1.3)."""
    headers = Headers([("Via", str(invite.via))])
    headers.add_all("Route", invite.headers.get_all("Route"))
    headers.add("From", invite.required("From"))
    headers.add("To", response.required("To"))
    headers.add("Call-ID", invite.call_id)
    headers.add("CSeq", str(CSeq(invite.cseq.number, "ACK")))
    headers.add("Max-Forwards", "70")
    return Request("ACK", invite.uri, headers)


def cancel_of(invite: Request) -> Request:
    """The CANCEL of a request of ours (section 9.1)."""
    headers = Headers([("Via", str(invite.via)), ("Max-Forwards", "70")])
    headers.add_all("Route", invite.headers.get_all("Route"))
    for name in ("From", "To", "Call-ID"):
        headers.add(name, invite.required(name))
    headers.add("CSeq", str(CSeq(invite.cseq.number, "CANCEL")))
    return Request("CANCEL", invite.uri, headers)


def server_key(request: Request, method: str = "") -> Key:
    """What makes two requests the same (section 17.2.3); an ACK is the same as its INVITE. Without
    the magic cookie the sender follows RFC 2543: the fields that it compares take the branch's
    place, the top Via whole and To without its tag, which an ACK has and its INVITE has not."""
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    via = request.via
    if via.is_rfc3261:
        return (via.branch, via.sent_by, method)
    cseq = str(request.cseq.number)
    return (str(via), str(request.uri), request.call_id, request.from_.tag, cseq, method)


def _client_key(request: Request) -> Key:
    return (request.via.branch, request.method)


def _origin(request: Request) -> Key:
    return (request.call_id, request.from_.tag, str(request.cseq.number), request.method)


def _input_of(response: Response) -> Input:
    if response.is_provisional:
        return Input.PROVISIONAL
    return Input.SUCCESS if response.is_success else Input.FAILURE
