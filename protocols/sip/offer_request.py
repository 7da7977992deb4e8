"""A re-INVITE or UPDATE of ours (RFC 3261 section 14.1, RFC 3311 section 5.1)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from protocols.errors import LocalProtocolError
from protocols.sip.call_tables import CallState
from protocols.sip.core import Exchange, Unheeded
from protocols.sip.dialog import Dialog, Offer
from protocols.sip.errors import SipError
from protocols.sip.events import EndCause, Offered
from protocols.sip.fields import Body
from protocols.sip.flow import Hop, Timer
from protocols.sip.message import Request, Response
from protocols.sip.transaction_tables import State
from protocols.sip.transactions import Cause, cancel_of

if TYPE_CHECKING:
    from protocols.sip.call import Call
    from protocols.sip.negotiation import Negotiation

REINVITE_S: Final = 60.0
"""How long the peer may think about a re-INVITE of ours before we cancel it: meanwhile nothing else
can be offered, nor the session refreshed."""
_GONE: Final = frozenset({408, 481})


class OfferRequest:
    """A re-INVITE or UPDATE of ours, until its final response; of a re-INVITE, until no copy of
    its 2xx comes any more."""

    def __init__(
        self,
        negotiation: Negotiation,
        call: Call,
        dialog: Dialog,
        method: str,
        body: Body | None,
        is_refresh: bool,
    ) -> None:
        self._negotiation = negotiation
        self._call = call
        self._exchange: Exchange | None = None
        self._ack: tuple[bytes, Hop] | None = None
        self._is_done = False
        self._timer: Timer | None = None
        self.dialog = dialog
        self.method = method
        self.body = body
        self.is_refresh = is_refresh
        self.glares = 0

    def send(self, now: float) -> None:
        self._exchange = self._call.exchange(self._make, self, now)

    def on_response(self, response: Response, now: float) -> None:
        if response.is_provisional:
            self._on_provisional(now)
            return
        if self._is_done:
            if response.is_success and self._ack is not None:
                self._call.core.layer.send(*self._ack)
            return
        self._is_done = True
        self._stop_timer()
        if not self._negotiation.is_current(self):
            if response.is_success and self.method == "INVITE":
                self._acknowledge(None, now)
        elif response.is_success:
            self._on_success(response, now)
        elif response.code == 422 and self._call.timer.learn(response):
            self._is_done = False
            self._repeat(now)
        elif response.code == 491:
            self._negotiation.glare(self, self.glares + 1, response, now)
        elif response.code in _GONE:
            self._negotiation.done(self, now)
            self._call.lost(now)
        else:
            self._negotiation.done(self, now)
            self._negotiation.refused(self, response)

    def on_failure(self, cause: Cause, now: float) -> None:
        is_current = self._negotiation.is_current(self)
        self._stop_timer()
        self._negotiation.done(self, now)
        if not is_current or self._is_done:
            return
        self._is_done = True
        if cause is Cause.TIMEOUT:
            self._call.lost(now, EndCause.TIMEOUT)
        else:  # as if it were a 503 (section 8.1.3.1), which ends no dialog
            self._negotiation.unsent(self)

    def abandon(self, now: float) -> None:
        """Nobody waits for it any more; a 2xx that comes late still gets its ACK."""
        self._stop_timer()
        if self._exchange is not None:
            self._exchange.transaction.abandon(now)

    def _on_provisional(self, now: float) -> None:
        is_reinvite = self.method == "INVITE" and self._negotiation.is_current(self)
        if is_reinvite and self._timer is None and not self._is_done:
            self._timer = self._call.core.after(REINVITE_S, now, self._on_patience_over)

    def _on_patience_over(self, now: float) -> None:
        """Cancel it; a peer that does not even answer the CANCEL is gone."""
        assert self._exchange is not None  # noqa: S101 - a response came
        core, transaction = self._call.core, self._exchange.transaction
        if transaction.state is State.PROCEEDING:
            with suppress(LocalProtocolError):
                core.layer.request(cancel_of(transaction.request), transaction.hop, Unheeded(), now)
        self._timer = core.after(core.timers.timeout_s, now, self._on_cancel_timeout)

    def _on_cancel_timeout(self, now: float) -> None:
        self.abandon(now)
        self._negotiation.done(self, now)
        self._call.lost(now, EndCause.TIMEOUT)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_success(self, response: Response, now: float) -> None:
        call, negotiation = self._call, self._negotiation
        negotiation.done(self, now)
        self.dialog.refresh(response)
        if self.body is not None:
            call.local_body = self.body
        if call.state is CallState.ESTABLISHED:
            call.timer.on_response(response, now)
        if self.method == "INVITE" and self.body is None and response.body:
            negotiation.wait(self.dialog, self._acknowledge, self._refuse, is_owed=True)
            self.dialog.offer = Offer.REMOTE
            if call.state is CallState.ESTABLISHED and response.content is not None:
                call.core.emit(Offered(call, response.content, "ACK"))
            else:
                negotiation.refuse(now, 488)
            return
        if self.method == "INVITE":
            self._acknowledge(None, now)
        is_told = not self.is_refresh or response.body
        if is_told and (self.body or response.body):
            negotiation.answered(response.content)

    def _acknowledge(self, answer: Body | None, now: float) -> None:
        assert self._exchange is not None  # noqa: S101 - a response came
        if answer is not None:
            self.dialog.offer = Offer.NONE
        try:
            self._ack = self.dialog.acknowledge(self._exchange.request, answer)
        except LocalProtocolError:
            return
        self._call.core.layer.send(*self._ack)

    def _refuse(self, code: int, now: float) -> None:
        self._acknowledge(None, now)
        self._call.bye(now, EndCause.REFUSED)

    def _make(self) -> tuple[Request, Hop]:
        fields = [("Supported", "timer"), *self._call.timer.request_fields()]
        request, hop = self.dialog.request(self.method, headers=fields)
        request.set_body(self.body)
        return request, hop

    def _repeat(self, now: float) -> None:
        assert self._exchange is not None  # noqa: S101 - a response came
        try:
            self._exchange.repeat(now)
        except (LocalProtocolError, SipError):
            self.on_failure(Cause.TRANSPORT, now)
