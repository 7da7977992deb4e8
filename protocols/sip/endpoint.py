"""The user agent: messages and the time in, events and messages to send out.

Nothing that a peer sends makes a method raise; what we do wrong raises LocalProtocolError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from protocols.errors import LocalProtocolError
from protocols.sip.call import Call
from protocols.sip.call_tables import CallState
from protocols.sip.core import ALLOW, METHODS, SUPPORTED, Config, Core, Exchange
from protocols.sip.digest import Credentials, DigestClient
from protocols.sip.digest_server import DigestServer, Verdict
from protocols.sip.errors import SipError
from protocols.sip.events import EndCause, Event, IncomingCall, Replied
from protocols.sip.fields import Body, NameAddr, parse_reasons, parse_subscription_state
from protocols.sip.flow import Hop, Outgoing, Randomness, Transport, hop_of
from protocols.sip.grammar import split_tokens
from protocols.sip.headers import Headers
from protocols.sip.incoming import IncomingInvite
from protocols.sip.limits import DEFAULT_LIMITS, DEFAULT_TIMERS, Limits, Timers
from protocols.sip.message import PHRASES, Request, Response, respond
from protocols.sip.outgoing import OutgoingInvite
from protocols.sip.parser import Head, split, understand
from protocols.sip.registration import Account, Registration
from protocols.sip.transactions import Cause, Transaction, note_source, response_hop
from protocols.sip.uri import Uri

_BUSY_RETRY_S: Final = 10
_IDENTIFYING: Final = ("From", "To", "Call-ID", "CSeq")
_OUTSIDE: Final = {"INVITE": 0, "OPTIONS": 0, "REFER": 603}
"""Requests that may come without a dialog, and what those get that we never take."""


class UserAgent:
    """A SIP user agent, client and server. `now` is monotonic seconds throughout. Fetch what is to
    be sent with `data_to_send` after every call of another method."""

    def __init__(
        self,
        config: Config,
        rng: Randomness,
        *,
        limits: Limits = DEFAULT_LIMITS,
        timers: Timers = DEFAULT_TIMERS,
        authenticator: DigestServer | None = None,
    ) -> None:
        self._core = Core(config, rng, limits, timers)
        self._authenticator = authenticator
        self.refused = 0
        """Messages that could not be read or were refused without a transaction."""

    @property
    def calls(self) -> Mapping[str, Call]:
        """All calls that have not ended, by id."""
        return self._core.calls

    @property
    def transactions(self) -> int:
        """How many transactions are held, those included that only wait for copies."""
        return len(self._core.layer)

    @property
    def stray_responses(self) -> int:
        """Responses that nothing waited for; dropped."""
        return self._core.layer.stray_responses

    # ------------------------------------------------------------------ what we ask for

    def set_local(self, transport: Transport, host: str, port: int) -> None:
        """Our address on a transport as peers are to see it, in Via and Contact; IPv6 in
        brackets. Raises FieldError."""
        Uri.sip(None, host, port)
        self._core.local[transport] = (host, port)

    def invite(
        self,
        to: Uri,
        *,
        from_: NameAddr,
        now: float,
        body: Body | None = None,
        hop: Hop | None = None,
        routes: Iterable[str] = (),
        headers: Iterable[tuple[str, str]] = (),
        credentials: Credentials | None = None,
        setup_s: float | None = None,
        context: object = None,
    ) -> Call:
        """Call somebody. Without a body the peer makes the offer. `hop`: where the INVITE goes, by
        default where its first route or `to` says. `setup_s`: how long it may take until it is
        answered; then it is canceled.

        `Progress`, then `Answered` or `Rejected` follow. Raises LocalProtocolError over the limit
        of calls, without a local address for the transport and for what cannot be written.
        """
        core = self._core
        if len(core.calls) >= core.limits.calls:
            raise LocalProtocolError("too many calls")
        routes = list(routes)
        hop = hop or _first_hop(to, routes)
        if to.scheme == "sips" and hop.transport is not Transport.TLS:
            raise LocalProtocolError("a SIPS URI is called over TLS only")
        call = Call(core, context=context, credentials=credentials)
        try:
            OutgoingInvite(
                call,
                to=to,
                from_=from_,
                hop=hop,
                body=body,
                headers=headers,
                routes=routes,
                setup_s=core.limits.setup_s if setup_s is None else setup_s,
                now=now,
            )
        except SipError as fault:
            del core.calls[call.id]
            raise LocalProtocolError(str(fault)) from fault
        except LocalProtocolError:
            del core.calls[call.id]
            raise
        return call

    def options(
        self,
        to: Uri,
        *,
        from_: NameAddr,
        hop: Hop,
        now: float,
        credentials: Credentials | None = None,
        context: object = None,
    ) -> None:
        """Ask whether a peer lives; `Replied` follows. Raises LocalProtocolError."""
        core = self._core
        auth = DigestClient(credentials, core.rng) if credentials is not None else None
        sender, call_id, numbers = from_.bare().with_tag(core.rng.token()), core.rng.token(), [0]

        def make() -> tuple[Request, Hop]:
            numbers[0] += 1
            fields = [("Accept", ", ".join(core.config.content_types))]
            request = core.request(
                "OPTIONS",
                to,
                hop,
                from_=sender,
                to=NameAddr(to.without_headers()),
                call_id=call_id,
                cseq=numbers[0],
                headers=fields,
            )
            return request, hop

        Exchange(core, make, _Asked(core, context), auth, now)

    def register(self, account: Account, now: float) -> Registration:
        """Register, and stay registered until `Registration.unregister`. Raises
        LocalProtocolError."""
        return Registration(self._core, account, now)

    # ------------------------------------------------------------------ time and output

    def next_timer(self) -> float | None:
        """When `handle_timer` is to be called next; None when nothing is awaited. Every call of
        another method may move it: to 0.0, long past, when a command left events to fetch."""
        return 0.0 if self._core.events else self._core.queue.next_due()

    def handle_timer(self, now: float) -> list[Event]:
        """Do what is due; calling too early or too often does no harm."""
        self._core.queue.run(now)
        return self._events()

    def data_to_send(self) -> list[Outgoing]:
        """Everything due; empties the buffer."""
        layer = self._core.layer
        out, layer.out = layer.out, []
        return out

    def transport_failed(self, hop: Hop, now: float) -> list[Event]:
        """Nothing can be sent to `hop`: what waits for a response from there has failed."""
        self._core.layer.transport_failed(hop, now)
        return self._events()

    # ------------------------------------------------------------------ what comes in

    def receive(self, data: bytes, source: Hop, now: float) -> list[Event]:
        """Take one message: a datagram, or what the framing cut out of a stream."""
        is_stream = source.transport.is_reliable
        try:
            head = split(data, self._core.limits, is_stream=is_stream)
        except SipError:
            self.refused += 1
            return []
        try:
            message = understand(head)
        except SipError as fault:
            self._refuse_unread(head, fault.status_hint, source)
            return []
        if isinstance(message, Response):
            self._core.layer.receive_response(message, now)
        elif message.method == "ACK":
            note_source(message, source)
            self._on_ack(message, now)
        else:
            note_source(message, source)
            self._on_request(message, source, now)
        return self._events()

    def _on_ack(self, ack: Request, now: float) -> None:
        if not self._core.layer.absorb_ack(ack, now):
            call = self._core.dialogs.get((ack.call_id, ack.to.tag, ack.from_.tag))
            if call is not None:
                call.on_ack(ack, now)

    def _on_request(self, request: Request, source: Hop, now: float) -> None:
        try:
            transaction = self._core.layer.receive_request(request, source, now)
        except SipError as fault:
            self._refuse_stateless(request, fault.status_hint, source)
            return
        if transaction is None:
            return
        if request.method == "INVITE":
            transaction.respond(_trying(request), now)
        try:
            self._dispatch(transaction, source, now)
        except SipError as fault:
            self._refuse(transaction, fault.status_hint or 400, now)
        except LocalProtocolError:
            self._refuse(transaction, 500, now)

    def _dispatch(self, transaction: Transaction, source: Hop, now: float) -> None:
        """The order of RFC 3261 section 8.2. Raises SipError with the code of the refusal."""
        request = transaction.request
        if request.method not in METHODS:
            raise SipError("method not known", 405)
        if not request.uri.is_sip and request.uri.scheme != "tel":
            raise SipError("URI scheme not known", 416)
        if request.method == "CANCEL":
            self._on_cancel(transaction, now)
            return
        if request.tokens("Require") - SUPPORTED:
            raise SipError("extension not known", 420)
        if request.to.tag:
            self._on_dialog_request(transaction, now)
            return
        refusal = _OUTSIDE.get(request.method, 481)
        if refusal:
            raise SipError("not outside of a dialog", refusal)
        if not self._is_welcome(transaction, now):
            return
        if request.method == "OPTIONS":
            transaction.respond(self._core.capabilities(request), now)
        else:
            self._on_invite(transaction, source, now)

    def _on_cancel(self, transaction: Transaction, now: float) -> None:
        """Section 9.2: the CANCEL is answered, and the INVITE if it has no final response yet."""
        request = transaction.request
        invite = self._core.layer.canceled(request)
        if invite is None:
            raise SipError("nothing to cancel", 481)
        call = invite.user
        tag = call.incoming.dialog.local.tag if isinstance(call, Call) and call.incoming else ""
        transaction.respond(self._core.response(request, 200, tag or self._core.rng.token()), now)
        if invite.has_final or not isinstance(call, Call):
            return
        if call.state is CallState.RINGING and call.incoming is not None:
            reasons = parse_reasons(request.headers.get_all("Reason"))
            call.incoming.canceled(now, reasons)
        else:
            call.negotiation.on_cancel(invite, now)

    def _on_dialog_request(self, transaction: Transaction, now: float) -> None:
        request = transaction.request
        tag = request.from_.tag
        call = self._core.dialogs.get((request.call_id, request.to.tag, tag))
        dialog = call.dialog_of(tag) if call is not None else None
        if call is None or dialog is None:
            raise SipError("no such dialog", 481)
        self._check_content(request)
        call.note_allow(request)
        call.on_request(transaction, dialog, now)

    def _on_invite(self, transaction: Transaction, source: Hop, now: float) -> None:
        request, core = transaction.request, self._core
        self._check_replaces(request)
        self._check_content(request)
        self._check_accept(request)
        if len(core.calls) >= core.limits.calls:
            raise SipError("too many calls", 503)
        call = Call(core)
        try:
            if call.timer.too_small(request):
                raise SipError("the session interval is too small", 422)
            is_held_to = core.config.is_pinned and source.transport.is_reliable
            way = transaction.hop if is_held_to else source  # should the connection be gone
            call.incoming = IncomingInvite(call, transaction, way, now)
        except SipError:
            del core.calls[call.id]
            raise
        call.state = CallState.RINGING
        call.add_dialog(call.incoming.dialog)
        core.emit(IncomingCall(call, request.content))

    def _check_replaces(self, request: Request) -> None:
        """Calls are not taken over (RFC 3891 section 3): 603 for one of ours, 481 for none."""
        values = request.headers.get_all("Replaces")
        if not values:
            return
        if len(values) > 1:
            raise SipError("Replaces is there twice")
        call_id, _, params = values[0].partition(";")
        _, fields = parse_subscription_state(f"replaces;{params}")
        key = (call_id.strip(), fields.get("to-tag") or "", fields.get("from-tag") or "")
        raise SipError("calls are not replaced", 603 if key in self._core.dialogs else 481)

    def _check_content(self, request: Request) -> None:
        """Bodies that we would not understand are refused before anything happens (section
        8.2.3)."""
        if not request.body or request.method not in ("INVITE", "UPDATE", "PRACK"):
            return
        content_type = (request.headers.get("Content-Type") or "").partition(";")[0]
        if content_type.strip().lower() not in self._core.config.content_types:
            raise SipError("content type not known", 415)
        if request.tokens("Content-Encoding") - {"identity"}:
            raise SipError("content encoding not known", 415)

    def _check_accept(self, request: Request) -> None:
        """A caller that could not read our answer is told so (section 20.1)."""
        values = ",".join(request.headers.get_all("Accept"))
        if not values.strip():
            return
        ranges = {item.partition(";")[0].strip().lower() for item in values.split(",")}
        for known in self._core.config.content_types:
            if ranges & {known, f"{known.partition('/')[0]}/*", "*/*"}:
                return
        raise SipError("the caller accepts no session description", 406)

    def _is_welcome(self, transaction: Transaction, now: float) -> bool:
        """Whether the sender need not or did prove who it is; challenges it if not. An unknown
        user is challenged as a wrong password is."""
        if self._authenticator is None:
            return True
        verdict = self._authenticator.verify(transaction.request, now).verdict
        if verdict is Verdict.OK:
            return True
        is_stale = verdict is Verdict.STALE
        challenges = self._authenticator.challenges(now, is_stale=is_stale)
        self._core.refuse(
            transaction, 401, now, *(("WWW-Authenticate", value) for value in challenges)
        )
        return False

    # ------------------------------------------------------------------ refusals

    def _refuse(self, transaction: Transaction, code: int, now: float) -> None:
        self._core.refuse(transaction, code, now, *self._explain(transaction.request, code))

    def _explain(self, request: Request, code: int) -> list[tuple[str, str]]:
        """The headers that a refusal is of no use without."""
        config = self._core.config
        if code == 405:
            return [("Allow", ALLOW)]
        if code == 415:
            accept = ", ".join(config.content_types)
            return [("Accept", accept), ("Accept-Encoding", "identity")]
        if code == 420:
            required = split_tokens(request.headers.get_all("Require"))
            unknown = [token for token in required if token.lower() not in SUPPORTED]
            return [("Unsupported", ", ".join(unknown))]
        if code == 422:
            return [("Min-SE", str(config.min_se_s))]
        if code == 500:
            return [("Retry-After", str(self._core.rng.below(10)))]
        if code == 503:
            return [("Retry-After", str(_BUSY_RETRY_S))]
        return []

    def _refuse_stateless(self, request: Request, code: int, source: Hop) -> None:
        self.refused += 1
        response = respond(request, code, self._core.rng.token())
        for name, value in self._explain(request, code):
            response.headers.add(name, value)
        self._core.layer.send(response.encode(), response_hop(request.via, source))

    def _refuse_unread(self, head: Head, code: int, source: Hop) -> None:
        """Say what is wrong with a request that could be cut into lines, if it says whom to
        answer."""
        self.refused += 1
        if not code or head.is_response or head.start.startswith("ACK "):
            return
        fields = [item for item in head.headers if item[0] == "Via"]
        for name in _IDENTIFYING:
            value = head.headers.get(name)
            if value is None:
                return
            fields.append((name, value))
        request = Request("", Uri("sip"), Headers.received(fields))
        try:
            note_source(request, source)
            hop = response_hop(request.via, source)
        except SipError:
            return
        response = Response(code, PHRASES.get(code, ""), request.headers)
        self._core.layer.send(response.encode(), hop)

    def _events(self) -> list[Event]:
        core = self._core
        events, core.events = core.events, []
        return events


def _trying(request: Request) -> Response:
    """With the Timestamp of the request (section 8.2.6.1)."""
    response = respond(request, 100)
    response.headers.add_all("Timestamp", request.headers.get_all("Timestamp"))
    return response


def _first_hop(to: Uri, routes: list[str]) -> Hop:
    """Where a request goes that has no dialog yet (section 8.1.2). Raises LocalProtocolError."""
    try:
        return hop_of(NameAddr.parse(routes[0]).uri if routes else to, Transport.UDP)
    except SipError as fault:
        raise LocalProtocolError(str(fault)) from fault


class _Asked:
    """The user of an OPTIONS of ours."""

    def __init__(self, core: Core, context: object) -> None:
        self._core = core
        self._context = context

    def on_response(self, response: Response, now: float) -> None:
        if not response.is_provisional:
            self._core.emit(
                Replied(self._context, response.code, response.phrase, EndCause.RESPONSE)
            )

    def on_failure(self, cause: Cause, now: float) -> None:
        if cause is Cause.TIMEOUT:
            self._core.emit(Replied(self._context, 408, cause.value, EndCause.TIMEOUT))
        else:
            self._core.emit(Replied(self._context, 503, cause.value, EndCause.TRANSPORT))
