"""Offers within a call: re-INVITE and UPDATE both ways, glare, session refreshes (RFC 3261 section
14, RFC 3311, RFC 4028)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from protocols.errors import LocalProtocolError
from protocols.sip.call_tables import CallState
from protocols.sip.core import ALLOW
from protocols.sip.dialog import Dialog, Offer
from protocols.sip.errors import SipError
from protocols.sip.events import OfferAnswered, Offered, OfferRefused, OfferWanted
from protocols.sip.fields import Body, parse_retry_after
from protocols.sip.flow import Timer
from protocols.sip.message import PHRASES, Request, Response
from protocols.sip.offer_request import OfferRequest
from protocols.sip.transactions import Transaction

if TYPE_CHECKING:
    from protocols.sip.call import Call

ANSWER_S: Final = 10.0
"""How long the application may think about an offer: a request other than INVITE fails after
32 s."""

_MAX_GLARES: Final = 5


class _Waiting:
    """An offer of the peer, or its wish for one, that the application has not answered."""

    __slots__ = ("accept", "dialog", "is_owed", "refuse", "timer", "transaction")

    def __init__(
        self,
        dialog: Dialog,
        accept: Callable[[Body | None, float], None],
        refuse: Callable[[int, float], None] | None,
        transaction: Transaction | None,
        is_owed: bool,
    ) -> None:
        self.dialog = dialog
        self.is_owed = is_owed
        self.transaction = transaction
        self.accept = accept
        self.refuse = refuse
        self.timer: Timer | None = None


class Negotiation:
    """The offers of one call after the first, one at a time (RFC 3261 section 14.1)."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._core = call.core
        self._waiting: _Waiting | None = None
        self._request: OfferRequest | None = None
        self._server: Transaction | None = None  # the peer's re-INVITE without final response
        self._retry: Timer | None = None
        self._peer_offers = 0

    @property
    def is_waiting(self) -> bool:
        """Whether an offer of the peer waits for the application."""
        return self._waiting is not None

    # ------------------------------------------------------------------ the application

    def offer(self, now: float, method: str, body: Body | None) -> None:
        """Raises LocalProtocolError while another offer is under way."""
        dialog = self._dialog()
        if self._is_busy(dialog) or self._retry is not None:
            raise LocalProtocolError("another offer is under way")
        if body is not None and method == "UPDATE" and not dialog.is_negotiated:
            raise LocalProtocolError("the first offer has no answer yet")
        self._send(now, method, body, dialog, is_refresh=False)

    def refresh(self, now: float) -> None:
        """Keep the session alive: by UPDATE, or by a re-INVITE with the last description if the
        peer has no UPDATE. An offer under way does the same."""
        dialog = self._dialog()
        if self._is_busy(dialog) or self._retry is not None:
            return
        try:
            if "UPDATE" in self._call.peer_allows:
                self._send(now, "UPDATE", None, dialog, is_refresh=True)
            else:
                self._send(now, "INVITE", self._call.local_body, dialog, is_refresh=True)
        except (LocalProtocolError, SipError):
            return  # the session then ends in time

    def wait(
        self,
        dialog: Dialog,
        accept: Callable[[Body | None, float], None],
        refuse: Callable[[int, float], None] | None,
        transaction: Transaction | None = None,
        *,
        is_owed: bool = False,
    ) -> None:
        """The application is asked; `accept` or `refuse` will be called once. Without `refuse` a
        refusal is an empty answer. `transaction` is the peer's request that waits for it. With
        `is_owed` the ACK of a 2xx or the 200 of a PRACK waits, which must go out in any case."""
        self._waiting = _Waiting(dialog, accept, refuse, transaction, is_owed)

    def chose(self, dialog: Dialog, now: float) -> None:
        """This branch of the call was answered: what waits in others is void. An UPDATE that
        came in this one still gets its answer."""
        if self._waiting is not None:
            is_here = self._waiting.dialog is dialog and self._waiting.transaction is not None
            if not is_here:
                self._withdraw(now)
        request = self._request
        if request is not None and request.dialog is not dialog:
            self._request = None
            request.abandon(now)
            self._core.emit(OfferRefused(self._call, 487, PHRASES[487]))

    def accept(self, now: float, body: Body | None) -> None:
        waiting = self._take()
        if body is None:
            self._waiting = waiting
            raise LocalProtocolError("an answer needs a body")
        self._call.local_body = body
        if waiting.timer is not None:
            waiting.timer.cancel()
        waiting.accept(body, now)

    def refuse(self, now: float, code: int) -> None:
        waiting = self._take()
        if waiting.timer is not None:
            waiting.timer.cancel()
        if waiting.dialog.offer is Offer.REMOTE:
            waiting.dialog.offer = Offer.NONE
        if waiting.refuse is not None:
            waiting.refuse(code, now)
        else:
            waiting.accept(None, now)

    def answered(self, body: Body | None) -> None:
        """The answer to an offer of ours came in a PRACK or ACK."""
        self._core.emit(OfferAnswered(self._call, body))

    # ------------------------------------------------------------------ the peer

    def on_invite(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        """A re-INVITE (section 14.2). Raises SipError with the code of the refusal."""
        request = transaction.request
        if self._server is not None:
            raise SipError("a re-INVITE waits for its answer", 500)
        self._check_timer(request)
        self.check_offer(dialog, request)
        if self._call.acceptances:
            raise SipError("a 2xx waits for its ACK", 491)
        self._server = transaction
        transaction.user = self._call
        dialog.refresh(request)
        self._peer_offers += 1
        accept = partial(self._accept_invite, transaction, dialog)
        self.wait(dialog, accept, partial(self._refuse_request, transaction, dialog), transaction)
        if request.content is not None:
            dialog.offer = Offer.REMOTE
            self._core.emit(Offered(self._call, request.content, "INVITE"))
        else:
            self._core.emit(OfferWanted(self._call))
        self._hurry(now)

    def on_update(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        """An UPDATE (RFC 3311 section 5.2). Raises SipError with the code of the refusal."""
        request = transaction.request
        if request.content is None:
            self._check_timer(request)
            dialog.refresh(request)
            self._accept_update(transaction, dialog, None, now)
            return
        self._check_timer(request)
        self.check_offer(dialog, request)
        if not dialog.is_negotiated:
            raise SipError("the first offer has no answer yet", 491)
        dialog.refresh(request)
        dialog.offer = Offer.REMOTE
        self._peer_offers += 1
        self.wait(
            dialog,
            partial(self._accept_update, transaction, dialog),
            partial(self._refuse_request, transaction, dialog),
            transaction,
        )
        self._core.emit(Offered(self._call, request.content, "UPDATE"))
        self._hurry(now)

    def on_prack(
        self,
        transaction: Transaction,
        dialog: Dialog,
        accept: Callable[[Body | None, float], None],
        now: float,
    ) -> None:
        """A PRACK with a further offer (RFC 3262 section 5): its 200 brings the answer."""
        body = transaction.request.content
        assert body is not None  # noqa: S101 - the caller looked
        dialog.offer = Offer.REMOTE
        self._peer_offers += 1
        self.wait(dialog, accept, None, transaction, is_owed=True)
        self._core.emit(Offered(self._call, body, "PRACK"))
        self._hurry(now)

    def check_offer(self, dialog: Dialog, request: Request) -> None:
        """Glare: two offers at a time are one too many (RFC 3261 section 14.2, RFC 3311 section
        5.2). Raises SipError with the code of the refusal."""
        if self._request is not None or dialog.offer is Offer.LOCAL:
            raise SipError("an offer of ours is under way", 491)
        if self._waiting is not None or dialog.offer is Offer.REMOTE:
            raise SipError("an offer of the peer waits for its answer", 500)

    def on_cancel(self, transaction: Transaction, now: float) -> bool:
        """The peer gives up its re-INVITE; whether it was one that waits."""
        if transaction is not self._server:
            return False
        self._withdraw(now)
        return True

    def stop(self, now: float) -> None:
        """The call ends: a request that waits is refused, nothing is sent again."""
        self._withdraw(now)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        request, self._request = self._request, None
        if request is not None:
            request.abandon(now)

    # ------------------------------------------------------------------ answers of ours

    def _accept_invite(
        self, transaction: Transaction, dialog: Dialog, body: Body | None, now: float
    ) -> None:
        self._server = None
        is_offer = dialog.offer is not Offer.REMOTE
        dialog.offer = Offer.LOCAL if is_offer else Offer.NONE
        response = self._success(transaction, body, now)

        def on_ack(ack: Request, now: float) -> None:
            if is_offer:
                dialog.offer = Offer.NONE
                self.answered(ack.content)

        self._call.accept(transaction, response, on_ack, now)

    def _accept_update(
        self, transaction: Transaction, dialog: Dialog, body: Body | None, now: float
    ) -> None:
        if body is not None:
            dialog.offer = Offer.NONE
        transaction.respond(self._success(transaction, body, now), now)

    def _refuse_request(
        self, transaction: Transaction, dialog: Dialog, code: int, now: float
    ) -> None:
        if transaction is self._server:
            self._server = None
        if dialog.offer is Offer.REMOTE:
            dialog.offer = Offer.NONE
        code = code if 400 <= code < 700 else 488
        transaction.respond(self._core.response(transaction.request, code), now)

    def _success(self, transaction: Transaction, body: Body | None, now: float) -> Response:
        request = transaction.request
        response = self._core.response(request, 200)
        is_secure = request.uri.scheme == "sips"
        contact = self._core.contact(transaction.hop.transport, is_secure=is_secure)
        response.headers.add("Contact", str(contact))
        response.headers.add("Allow", ALLOW)
        response.headers.add("Supported", "100rel, timer")
        if self._call.state in (CallState.ESTABLISHED, CallState.ANSWERED):
            for name, value in self._call.timer.on_request(request, now):
                response.headers.add(name, value)
        response.set_body(body)
        return response

    def _withdraw(self, now: float) -> None:
        """The application need not answer any more; the peer's request ends with 487."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        if waiting.timer is not None:
            waiting.timer.cancel()
        if waiting.is_owed:
            waiting.accept(None, now)
        elif waiting.transaction is not None:
            self._refuse_request(waiting.transaction, waiting.dialog, 487, now)

    def _check_timer(self, request: Request) -> None:
        if self._call.timer.too_small(request):
            raise SipError("the session interval is too small", 422)

    def _hurry(self, now: float) -> None:
        if self._waiting is not None:
            self._waiting.timer = self._core.after(ANSWER_S, now, self._on_no_answer)

    def _on_no_answer(self, now: float) -> None:
        if self._waiting is not None:
            self.refuse(now, 504)

    # ------------------------------------------------------------------ offers of ours

    def _send(
        self, now: float, method: str, body: Body | None, dialog: Dialog, *, is_refresh: bool
    ) -> None:
        self._request = OfferRequest(self, self._call, dialog, method, body, is_refresh)
        try:
            self._request.send(now)
        except (LocalProtocolError, SipError) as fault:
            self._request = None
            raise LocalProtocolError(str(fault)) from fault
        if body is not None:
            dialog.offer = Offer.LOCAL

    def is_current(self, request: OfferRequest) -> bool:
        """Whether anybody still waits for what comes of a request of ours."""
        return self._request is request

    def done(self, request: OfferRequest, now: float) -> None:
        """A request of ours has its final response."""
        if self._request is request:
            self._request = None
        if request.dialog.offer is Offer.LOCAL:
            request.dialog.offer = Offer.NONE

    def glare(self, request: OfferRequest, glares: int, response: Response, now: float) -> None:
        """A 491: try again after the time of section 14.1, unless the peer's own offer came in
        between; ours may not fit any more then."""
        self.done(request, now)
        if glares > _MAX_GLARES:
            self.refused(request, response)
            return
        low, span = (2.1, 190) if self._call.is_outgoing else (0.0, 200)
        wait = low + self._core.rng.below(span + 1) / 100
        run = partial(self._again, request, glares, self._peer_offers, response)
        self._retry = self._core.after(wait, now, run)

    def _again(
        self, old: OfferRequest, glares: int, peer_offers: int, response: Response, now: float
    ) -> None:
        self._retry = None
        is_stale = peer_offers != self._peer_offers and old.body is not None
        if self._call.dialog not in (None, old.dialog) or is_stale or self._is_busy(old.dialog):
            self.refused(old, response)
            return
        try:
            self._send(now, old.method, old.body, old.dialog, is_refresh=old.is_refresh)
        except LocalProtocolError:
            self.refused(old, response)
            return
        if self._request is not None:
            self._request.glares = glares

    def refused(self, request: OfferRequest, response: Response) -> None:
        if not request.is_refresh:
            retry_after_s = parse_retry_after(response.headers.get("Retry-After"))
            self._core.emit(OfferRefused(self._call, response.code, response.phrase, retry_after_s))

    def unsent(self, request: OfferRequest) -> None:
        """An offer of ours could not be sent; a refresh is tried again in time."""
        if not request.is_refresh:
            self._core.emit(OfferRefused(self._call, 503, PHRASES[503]))

    def _dialog(self) -> Dialog:
        call = self._call
        dialog = call.dialog
        if dialog is None and call.outgoing is not None:
            dialog = call.outgoing.early_dialog
        elif dialog is None and call.incoming is not None:
            dialog = call.incoming.dialog
        if dialog is None:
            raise LocalProtocolError("the call has no dialog yet")
        return dialog

    def _is_busy(self, dialog: Dialog) -> bool:
        return (
            self._request is not None
            or self._server is not None
            or self._waiting is not None
            or dialog.offer is not Offer.NONE
            or bool(self._call.acceptances)
        )

    def _take(self) -> _Waiting:
        if self._waiting is None:
            raise LocalProtocolError("no offer waits for an answer")
        waiting, self._waiting = self._waiting, None
        return waiting
