"""The INVITE that begins an outgoing call: forks, reliable provisional responses, CANCEL (RFC 3261
sections 9, 13.2 and 16.7, RFC 3262)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from protocols.errors import LocalProtocolError
from protocols.sip.call import Call
from protocols.sip.call_tables import CallInput, CallState
from protocols.sip.core import Unheeded
from protocols.sip.dialog import Dialog, Offer
from protocols.sip.errors import SipError
from protocols.sip.events import Answered, EndCause, Progress
from protocols.sip.fields import Body, NameAddr, RAck, Reason
from protocols.sip.flow import Hop, Timer
from protocols.sip.message import Request, Response
from protocols.sip.transaction_tables import State
from protocols.sip.transactions import Cause, cancel_of
from protocols.sip.uri import Uri

_FAILURES = {Cause.TIMEOUT: (EndCause.TIMEOUT, 408), Cause.TRANSPORT: (EndCause.TRANSPORT, 503)}


class _Fork:
    """One branch of the call: its dialog and the last RSeq it sent."""

    __slots__ = ("dialog", "has_offered", "rseq")

    def __init__(self, dialog: Dialog) -> None:
        self.dialog = dialog
        self.rseq: int | None = None
        self.has_offered = False


class OutgoingInvite:
    """Sends the INVITE and follows it to its final response, and all its 2xx beyond that."""

    def __init__(
        self,
        call: Call,
        *,
        to: Uri,
        from_: NameAddr,
        hop: Hop,
        body: Body | None,
        headers: Iterable[tuple[str, str]],
        routes: Iterable[str],
        setup_s: float,
        now: float,
    ) -> None:
        self._call = call
        self._core = core = call.core
        self._to = NameAddr(to)
        self._from = from_.bare().with_tag(core.rng.token())
        self.hop = hop
        """Where the INVITE went."""
        self._body = body
        self._headers = list(headers)
        self._routes = list(routes)
        self._call_id = core.rng.token()
        self._cseq = 0
        self._forks: dict[str, _Fork] = {}
        self._acks: dict[str, tuple[bytes, Hop]] = {}  # by the peer's tag
        self._waiting_ack: str | None = None  # the tag whose ACK waits for our answer
        self._cause = EndCause.RESPONSE
        self._reasons: tuple[Reason, ...] = ()
        self._is_cancel_sent = False
        self._timer: Timer | None = None
        call.outgoing = self
        call.local_body = body
        self._exchange = call.exchange(self._make, self, now, is_wanted=self._may_repeat)
        self._timer = core.after(setup_s, now, self._on_setup_timeout)

    @property
    def request(self) -> Request:
        return self._exchange.request

    def dialog_of(self, remote_tag: str) -> Dialog | None:
        fork = self._forks.get(remote_tag)
        return fork.dialog if fork is not None else None

    @property
    def early_dialog(self) -> Dialog | None:
        """The branch that made itself known last."""
        return list(self._forks.values())[-1].dialog if self._forks else None

    def cancel(self, now: float, cause: EndCause, reasons: tuple[Reason, ...] = ()) -> None:
        """Give the call up. The CANCEL waits for a provisional response (section 9.1)."""
        if not self._call.move(CallInput.CANCEL):
            return
        self._cause, self._reasons = cause, reasons
        # Of this INVITE: one that was repeated with credentials starts anew.
        if self._exchange.transaction.state is State.PROCEEDING:
            self._send_cancel(now)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def on_response(self, response: Response, now: float) -> None:
        if response.is_provisional:
            self._on_provisional(response, now)
        elif response.is_success:
            self._on_success(response, now)
        elif response.code == 422 and self._may_repeat() and self._call.timer.learn(response):
            self._repeat(now)
        else:
            is_canceled = self._call.state is CallState.CANCELING
            cause = self._cause if is_canceled else EndCause.RESPONSE
            self._call.close(now, cause, response)

    def on_failure(self, cause: Cause, now: float) -> None:
        is_our_wish = self._cause is not EndCause.NO_ANSWER  # else not even a 100 came in time
        if self._call.state is CallState.CANCELING and is_our_wish:
            self._call.close(now, self._cause, code=487)
        else:
            end, code = _FAILURES[cause]
            self._call.close(now, end, code=code)

    # ------------------------------------------------------------------ provisional responses

    def _on_provisional(self, response: Response, now: float) -> None:
        call = self._call
        if not call.move(CallInput.PROVISIONAL):
            return
        if call.state is CallState.CANCELING:
            self._send_cancel(now)
            return
        if response.code == 100:
            return
        fork = self._fork_of(response)
        if fork is None:
            return
        is_reliable = _is_reliable(response)
        if is_reliable:
            rseq = _rseq(response)
            if rseq is None or fork.rseq is not None and rseq != fork.rseq + 1:
                return  # a copy, or one whose predecessor is on its way (RFC 3262 section 4)
            fork.rseq = rseq
        is_offer = self._note_body(response, fork, is_reliable=is_reliable)
        if is_reliable:
            ack = RAck(fork.rseq or 0, response.cseq.number, "INVITE")
            acknowledge = partial(self._send_prack, fork, ack)
            if is_offer:
                call.negotiation.wait(fork.dialog, acknowledge, None)
            else:
                acknowledge(None, now)
        call.core.emit(
            Progress(
                call,
                response.code,
                response.phrase,
                response.content,
                fork.dialog.remote.tag,
                is_offer,
            )
        )

    def _fork_of(self, response: Response) -> _Fork | None:
        """The early dialog of a provisional response; None beyond the limit of forks."""
        tag = response.to.tag
        fork = self._forks.get(tag)
        if fork is None:
            if len(self._forks) >= self._core.limits.forks:
                return None
            dialog = Dialog.as_uac(self._core, self.request, response, self.hop)
            dialog.offer = Offer.LOCAL if self._body is not None else Offer.NONE
            fork = self._forks[tag] = _Fork(dialog)
            if tag:
                self._call.add_dialog(dialog)
        elif response.headers.get("Contact"):
            fork.dialog.refresh(response)
        return fork

    def _note_body(self, response: Response, fork: _Fork, *, is_reliable: bool) -> bool:
        """Whether a body is an offer that waits for us. Only reliable responses take part in
        offer and answer; what others bring is a look at what the 2xx will say."""
        if not is_reliable or not response.body:
            return False
        if fork.dialog.offer is Offer.LOCAL:
            fork.dialog.offer = Offer.NONE
            fork.dialog.is_negotiated = True
            return False
        if self._body is None and not fork.has_offered and not self._call.negotiation.is_waiting:
            fork.has_offered = True
            fork.dialog.offer = Offer.REMOTE
            return True
        return False

    def _send_prack(
        self, fork: _Fork, ack: RAck, answer: Body | None, now: float, *, may_repeat: bool = True
    ) -> None:
        if answer is not None:
            fork.dialog.offer = Offer.NONE
            fork.dialog.is_negotiated = True

        def make() -> tuple[Request, Hop]:
            request, hop = fork.dialog.request("PRACK", headers=[("RAck", str(ack))])
            request.set_body(answer)
            return request, hop

        def again(now: float) -> None:
            if self._may_repeat():
                self._send_prack(fork, ack, answer, now, may_repeat=False)

        user = _PrackUser(again if may_repeat else None)
        with suppress(LocalProtocolError):
            self._call.exchange(make, user, now)

    # ------------------------------------------------------------------ final responses

    def _on_success(self, response: Response, now: float) -> None:
        """Section 13.2.2.4; each 2xx wants its ACK, each branch but the first then a BYE."""
        tag, call = response.to.tag, self._call
        if tag in self._acks:
            self._core.layer.send(*self._acks[tag])
            return
        if tag == self._waiting_ack:
            return
        fork = self._forks.get(tag)
        if fork is None:
            fork = _Fork(Dialog.as_uac(self._core, self.request, response, self.hop))
            fork.dialog.offer = Offer.LOCAL if self._body is not None else Offer.NONE
        else:
            fork.dialog.confirm(response)
        dialog = fork.dialog
        if call.state is CallState.CANCELING:
            call.answered(dialog)
            call.add_dialog(dialog)
            self._acknowledge(dialog, None, now)
            call.bye(now, self._cause, self._reasons)
        elif call.move(CallInput.ACCEPTED):
            self._establish(dialog, response, now)
        elif len(self._acks) <= self._core.limits.forks:
            self._acknowledge(dialog, None, now)
            call.drop(dialog, now)

    def _establish(self, dialog: Dialog, response: Response, now: float) -> None:
        call = self._call
        self.stop()
        call.negotiation.chose(dialog, now)
        call.answered(dialog)
        call.add_dialog(dialog)
        is_offer = dialog.offer is Offer.NONE and not dialog.is_negotiated and bool(response.body)
        if is_offer:
            dialog.offer = Offer.REMOTE
            self._waiting_ack = dialog.remote.tag
            call.negotiation.wait(
                dialog,
                partial(self._acknowledge, dialog),
                partial(self._refuse, dialog),
                is_owed=True,
            )
        else:
            dialog.offer = Offer.NONE
            dialog.is_negotiated = True
            self._acknowledge(dialog, None, now)
        call.note_allow(response)
        call.timer.on_response(response, now)
        call.core.emit(Answered(call, response.content, is_offer))

    def _acknowledge(self, dialog: Dialog, answer: Body | None, now: float) -> None:
        """Send the ACK of a 2xx and keep it for the copies of the 2xx (section 13.2.2.4)."""
        if answer is not None:
            dialog.offer = Offer.NONE
            dialog.is_negotiated = True
        self._waiting_ack = None
        try:
            ack = dialog.acknowledge(self.request, answer)
        except LocalProtocolError:
            return  # nothing reaches the peer; it will give up by itself
        self._acks[dialog.remote.tag] = ack
        self._core.layer.send(*ack)

    def _refuse(self, dialog: Dialog, code: int, now: float) -> None:
        """The offer of a 2xx is not for us: an ACK must go out all the same."""
        self._acknowledge(dialog, None, now)
        self._call.bye(now, EndCause.REFUSED)

    # ------------------------------------------------------------------ small steps

    def _make(self) -> tuple[Request, Hop]:
        self._cseq += 1
        self._forks.clear()  # they count on from the INVITE before
        fields = [("Supported", "100rel, timer"), *self._call.timer.request_fields()]
        request = self._core.request(
            "INVITE",
            self._to.uri,
            self.hop,
            from_=self._from,
            to=NameAddr(self._to.uri.without_headers()),
            call_id=self._call_id,
            cseq=self._cseq,
            routes=self._routes,
            headers=[*fields, *self._headers],
        )
        request.set_body(self._body)
        return request, self.hop

    def _repeat(self, now: float) -> None:
        try:
            self._exchange.repeat(now)
        except (LocalProtocolError, SipError):
            self.on_failure(Cause.TRANSPORT, now)

    def _may_repeat(self) -> bool:
        return self._call.state in (CallState.CALLING, CallState.PROCEEDING)

    def _send_cancel(self, now: float) -> None:
        if self._is_cancel_sent:
            return
        self._is_cancel_sent = True
        cancel = cancel_of(self.request)
        cancel.headers.add_all("Reason", [str(reason) for reason in self._reasons])
        with suppress(LocalProtocolError):  # else the 64*T1 below end the call
            self._core.layer.request(cancel, self._exchange.transaction.hop, Unheeded(), now)
        self.stop()
        # Peers of RFC 2543 never send the 487 (section 9.1).
        self._timer = self._core.after(self._core.timers.timeout_s, now, self._on_cancel_timeout)

    def _on_setup_timeout(self, now: float) -> None:
        self.cancel(now, EndCause.NO_ANSWER)

    def _on_cancel_timeout(self, now: float) -> None:
        self._exchange.transaction.abandon(now)
        if self._call.state is CallState.CANCELING:
            self._call.close(now, self._cause, code=487)


class _PrackUser:
    """A PRACK that another request of ours overtook is refused with 500 for its number (RFC 3261
    section 12.2.2), and sent once more with a new one: without it the peer gives the call up."""

    def __init__(self, again: Callable[[float], None] | None) -> None:
        self._again = again

    def on_response(self, response: Response, now: float) -> None:
        if response.code == 500 and self._again is not None:
            self._again(now)

    def on_failure(self, cause: Cause, now: float) -> None:
        """The peer then refuses the call itself."""


def _is_reliable(response: Response) -> bool:
    try:
        return "100rel" in response.tokens("Require")
    except SipError:
        return False


def _rseq(response: Response) -> int | None:
    try:
        return response.number("RSeq")
    except SipError:
        return None
