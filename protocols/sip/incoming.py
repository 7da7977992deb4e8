"""The INVITE of an incoming call: ringing, reliable provisional responses, the answer (RFC 3261
section 13.3, RFC 3262 section 3)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from protocols.errors import LocalProtocolError
from protocols.sip.call import Call
from protocols.sip.call_tables import CallInput, CallState
from protocols.sip.core import ALLOW
from protocols.sip.dialog import Dialog, Offer
from protocols.sip.errors import SipError
from protocols.sip.events import EndCause
from protocols.sip.fields import Body, RAck, Reason
from protocols.sip.flow import Hop, Timer
from protocols.sip.message import Request, Response
from protocols.sip.transactions import Transaction

_REMINDER_S = 60.0
"""A provisional response goes out each minute, so that proxies do not give up (13.3.1.1)."""
_MAX_PROVISIONALS = 20


class _Reliable:
    """A provisional response that waits for its PRACK."""

    __slots__ = ("interval_s", "response", "rseq", "timers")

    def __init__(self, response: Response, rseq: int, interval_s: float) -> None:
        self.response = response
        self.rseq = rseq
        self.interval_s = interval_s
        self.timers: list[Timer] = []

    def stop(self) -> None:
        for timer in self.timers:
            timer.cancel()


class IncomingInvite:
    """Answers the INVITE of a call. Raises SipError when the INVITE makes no dialog."""

    def __init__(self, call: Call, transaction: Transaction, source: Hop, now: float) -> None:
        self._call = call
        self._core = core = call.core
        self._transaction = transaction
        request = transaction.request
        self.dialog = Dialog.as_uas(core, request, core.rng.token(), source)
        self.dialog.offer = Offer.REMOTE if request.body else Offer.NONE
        self._requires_100rel = "100rel" in request.tokens("Require")
        self._can_100rel = self._requires_100rel or "100rel" in request.tokens("Supported")
        self._rseq = core.rng.below(2**20) + 1
        self._unacknowledged: _Reliable | None = None
        self._queued: list[tuple[int, Body | None]] = []
        self._answer: tuple[Body | None] | None = None  # waits for a PRACK
        self._count = 0
        self._last: Response | None = None
        self._reminder: Timer | None = None
        self._deadline = core.after(self._patience(request), now, self._on_deadline)
        transaction.user = call
        call.note_allow(request)

    @property
    def request(self) -> Request:
        return self._transaction.request

    def ring(self, now: float, code: int, body: Body | None, *, is_reliable: bool | None) -> None:
        if not 100 < code < 200:
            raise LocalProtocolError("a provisional response has a code of 101 to 199")
        if is_reliable and not self._can_100rel:
            raise LocalProtocolError("the peer knows no reliable provisional responses")
        if self._count >= _MAX_PROVISIONALS or self._answer is not None:
            raise LocalProtocolError("no more provisional responses")
        self._count += 1
        by_default = self._can_100rel and body is not None and self._core.config.is_100rel
        if self._requires_100rel or (by_default if is_reliable is None else is_reliable):
            self._queued.append((code, body))
            self._send_queued(now)
            return
        self._last = self._response(code, body)
        self._transaction.respond(self._last, now)
        self._remind(now)

    def answer(self, now: float, body: Body | None) -> None:
        if self._answer is not None:
            raise LocalProtocolError("the call is being answered")
        if body is None and not self.dialog.is_negotiated:
            raise LocalProtocolError("the answer needs a body")
        self._answer = (body,)
        self._queued.clear()
        if self._unacknowledged is None or not self._unacknowledged.response.body:
            self._send_answer(now)

    def refuse(
        self,
        now: float,
        code: int,
        phrase: str = "",
        fields: Iterable[tuple[str, str]] = (),
        cause: EndCause = EndCause.REFUSED,
        reasons: tuple[Reason, ...] = (),
    ) -> None:
        if not 300 <= code < 700:
            raise LocalProtocolError("a refusal has a code of 300 to 699")
        response = self._core.response(self.request, code, self.dialog.local.tag, phrase)
        for name, value in fields:
            response.headers.add(name, value)
        response.encode()  # raises before the call is touched
        self._transaction.respond(response, now)
        self._call.close(now, cause, reasons=reasons)

    def canceled(self, now: float, reasons: tuple[Reason, ...]) -> None:
        """The caller gave up (section 9.2)."""
        self.refuse(now, 487, cause=EndCause.CANCELED, reasons=reasons)

    def stop(self) -> None:
        self._deadline.cancel()
        if self._reminder is not None:
            self._reminder.cancel()
        if self._unacknowledged is not None:
            self._unacknowledged.stop()

    def on_prack(self, transaction: Transaction, now: float) -> None:
        """Section 3 of RFC 3262. Raises SipError with 481 for one that acknowledges nothing."""
        request, waiting = transaction.request, self._unacknowledged
        ack = RAck.parse(request.required("RAck"))
        if (
            waiting is None
            or ack.rseq != waiting.rseq
            or (ack.cseq, ack.method) != (self.request.cseq.number, "INVITE")
        ):
            raise SipError("nothing to acknowledge", 481)
        negotiation = self._call.negotiation
        has_answered = bool(request.body) and self.dialog.offer is Offer.LOCAL
        has_offer = bool(request.body) and not has_answered and self.dialog.is_negotiated
        if has_offer:
            negotiation.check_offer(self.dialog, request)
        waiting.stop()
        self._unacknowledged = None
        if has_answered:
            self.dialog.offer = Offer.NONE
            self.dialog.is_negotiated = True
        if has_offer:
            accept = partial(self._answer_prack, transaction)
            negotiation.on_prack(transaction, self.dialog, accept, now)
        else:
            self._answer_prack(transaction, None, now)
            if has_answered:
                negotiation.answered(request.content)
        if self._call.state is not CallState.RINGING:
            return
        if self._answer is not None:
            self._send_answer(now)
        else:
            self._send_queued(now)

    # ------------------------------------------------------------------ small steps

    def _answer_prack(self, transaction: Transaction, body: Body | None, now: float) -> None:
        if body is not None:
            self.dialog.offer = Offer.NONE
        response = self._core.response(transaction.request, 200)
        response.set_body(body)
        transaction.respond(response, now)

    def _send_queued(self, now: float) -> None:
        """One reliable response at a time (RFC 3262 section 3)."""
        if not self._queued or self._unacknowledged is not None:
            return
        code, body = self._queued.pop(0)
        response = self._response(code, body)
        self._note_body(body)
        self._rseq += 1
        response.headers.add("Require", "100rel")
        response.headers.add("RSeq", str(self._rseq))
        t1 = self._core.timers.t1_s
        waiting = self._unacknowledged = _Reliable(response, self._rseq, t1)
        self._transaction.respond(response, now)
        waiting.timers = [
            self._core.after(self._core.timers.timeout_s, now, self._on_no_prack),
            self._core.after(t1, now, self._repeat),
        ]

    def _repeat(self, now: float) -> None:
        waiting = self._unacknowledged
        if waiting is not None:
            self._transaction.respond(waiting.response, now)
            waiting.interval_s *= 2
            waiting.timers[1] = self._core.after(waiting.interval_s, now, self._repeat)

    def _on_no_prack(self, now: float) -> None:
        self.refuse(now, 504, "No PRACK", cause=EndCause.NO_ACK)

    def _response(self, code: int, body: Body | None) -> Response:
        """A response that makes or confirms the dialog (section 12.1.1). `body` answers the offer
        or is one."""
        response = self._core.response(self.request, code, self.dialog.local.tag)
        response.headers.add_all("Record-Route", self.request.headers.get_all("Record-Route"))
        hop = self._transaction.hop
        is_secure = self.request.uri.scheme == "sips"
        contact = self._core.contact(hop.transport, is_secure=is_secure)
        response.headers.add("Contact", str(contact))
        response.headers.add("Allow", ALLOW)
        response.set_body(body)
        if body is not None:
            self._call.local_body = body
        return response

    def _note_body(self, body: Body | None) -> None:
        """What a body in a reliable or final response does to offer and answer."""
        if body is None:
            return
        if self.dialog.offer is Offer.REMOTE:
            self.dialog.offer = Offer.NONE
            self.dialog.is_negotiated = True
        elif not self.dialog.is_negotiated:
            self.dialog.offer = Offer.LOCAL

    def _send_answer(self, now: float) -> None:
        assert self._answer is not None  # noqa: S101 - the caller looked
        (body,) = self._answer
        response = self._response(200, body)
        response.headers.add("Supported", "100rel, timer")
        for name, value in self._call.timer.on_request(self.request, now):
            response.headers.add(name, value)
        self._note_body(body)
        is_offer = self.dialog.offer is Offer.LOCAL
        self.stop()
        if self._call.move(CallInput.ANSWER):
            self._call.answered(self.dialog)
            on_ack = partial(self._on_ack, is_offer=is_offer)
            self._call.accept(self._transaction, response, on_ack, now)

    def _on_ack(self, ack: Request, now: float, *, is_offer: bool) -> None:
        self.dialog.offer = Offer.NONE
        self.dialog.is_negotiated = True
        self._call.confirmed(ack, now, is_answer=is_offer)

    def _remind(self, now: float) -> None:
        if self._reminder is not None:
            self._reminder.cancel()
        self._reminder = self._core.after(_REMINDER_S, now, self._on_reminder)

    def _on_reminder(self, now: float) -> None:
        if self._last is not None and self._unacknowledged is None:
            self._transaction.respond(self._last, now)
        self._remind(now)

    def _patience(self, request: Request) -> float:
        """How long the call may ring: our limit, or less if the caller says so (13.3.1)."""
        expires = request.number("Expires")
        limit = self._core.limits.setup_s
        return limit if expires is None else min(limit, max(1.0, float(expires)))

    def _on_deadline(self, now: float) -> None:
        self.refuse(now, 480, cause=EndCause.NO_ANSWER)
