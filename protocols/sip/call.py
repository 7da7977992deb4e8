"""One call: an INVITE session, in either direction (RFC 3261 sections 13 to 15)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from protocols.errors import LocalProtocolError
from protocols.sip.acceptance import Acceptance
from protocols.sip.call_tables import (
    COMMANDS,
    PEER_METHODS,
    TOO_EARLY,
    TRANSITIONS,
    CallInput,
    CallState,
    Command,
)
from protocols.sip.core import Core, Exchange, ExchangeUser, Unheeded
from protocols.sip.dialog import Dialog
from protocols.sip.digest import Credentials, DigestClient
from protocols.sip.errors import SipError
from protocols.sip.events import Confirmed, EndCause, Ended, Rejected
from protocols.sip.fields import (
    Body,
    NameAddr,
    Reason,
    parse_addresses,
    parse_reasons,
    parse_retry_after,
)
from protocols.sip.flow import Hop
from protocols.sip.grammar import split_tokens
from protocols.sip.message import Request, Response
from protocols.sip.negotiation import Negotiation
from protocols.sip.session_timer import SessionTimer
from protocols.sip.transactions import Cause, Transaction
from protocols.sip.transfer import Transfer
from protocols.sip.uri import Uri

if TYPE_CHECKING:
    from protocols.sip.incoming import IncomingInvite
    from protocols.sip.outgoing import OutgoingInvite


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls, as far as the INVITE says. None of it proves anything."""

    from_: NameAddr
    asserted: tuple[NameAddr, ...] = ()
    """P-Asserted-Identity (RFC 3325): worth what the network that sent it is worth."""
    diversions: tuple[NameAddr, ...] = ()
    """Who diverted the call, last first (RFC 5806)."""


class Call:
    """A call as the application holds it. Commands raise LocalProtocolError in a state that does
    not know them; nothing was then sent."""

    def __init__(
        self, core: Core, *, context: object = None, credentials: Credentials | None = None
    ) -> None:
        self.id = core.rng.token()
        self.context = context
        """Whatever the application wants to find again."""
        self.state = CallState.CALLING
        self.dialog: Dialog | None = None
        """The dialog of the call: of an outgoing one the answered one."""
        self.outgoing: OutgoingInvite | None = None
        self.incoming: IncomingInvite | None = None
        self.local_body: Body | None = None
        """The offer or answer that we sent last."""
        self.core = core
        self.auth = DigestClient(credentials, core.rng) if credentials is not None else None
        self.timer = SessionTimer(core, self._refresh, self._expire)
        self.negotiation = Negotiation(self)
        self.transfer = Transfer(self)
        self.peer_allows: frozenset[str] = frozenset()
        """The methods that the peer named in Allow, as long as it named any."""
        self.acceptances: dict[int, Acceptance] = {}
        self._bye_wanted: tuple[EndCause, tuple[Reason, ...]] | None = None
        self._was_answered = False
        self._keys: list[tuple[str, str, str]] = []
        core.calls[self.id] = self

    # ------------------------------------------------------------------ what the application sees

    @property
    def is_outgoing(self) -> bool:
        return self.outgoing is not None

    @property
    def invite(self) -> Request:
        """The INVITE that began the call, ours or the peer's."""
        begun = self.outgoing or self.incoming
        assert begun is not None  # noqa: S101 - set before anybody sees the call
        return begun.request

    @property
    def caller(self) -> Identity:
        """Who calls, read leniently."""
        request = self.invite
        return Identity(
            request.from_,
            _addresses(request, "P-Asserted-Identity"),
            _addresses(request, "Diversion"),
        )

    def ring(
        self,
        now: float,
        code: int = 180,
        body: Body | None = None,
        *,
        is_reliable: bool | None = None,
    ) -> None:
        """Send a provisional response, 101 to 199. Reliably (RFC 3262) if the peer demands it, and
        by default if it can and there is a body."""
        self._require(Command.RING).ring(now, code, body, is_reliable=is_reliable)

    def answer(self, now: float, body: Body | None) -> None:
        """Take the call. `body` answers the INVITE's offer, or offers when it had none; None when
        a reliable provisional response answered already. `Confirmed` follows, or `Ended`."""
        self._require(Command.ANSWER).answer(now, body)

    def reject(
        self,
        now: float,
        code: int = 603,
        phrase: str = "",
        *,
        reasons: Iterable[Reason] = (),
        retry_after_s: int | None = None,
    ) -> None:
        """Refuse the call with 400 to 699."""
        fields = [("Reason", str(reason)) for reason in reasons]
        if retry_after_s is not None:
            fields.append(("Retry-After", str(retry_after_s)))
        self._require(Command.REJECT).refuse(now, code, phrase, fields)

    def redirect(self, now: float, contacts: Iterable[NameAddr], code: int = 302) -> None:
        """Send the caller elsewhere."""
        fields = [("Contact", str(contact)) for contact in contacts]
        if not fields or not 300 <= code < 400:
            raise LocalProtocolError("a redirection needs a contact and a code of 300 to 399")
        self._require(Command.REJECT).refuse(now, code, "", fields)

    def hang_up(self, now: float, reasons: Iterable[Reason] = ()) -> None:
        """End the call however its state demands: CANCEL, refusal or BYE. Without effect when it
        ends already."""
        if self.state is CallState.RINGING:
            self.reject(now, 480, reasons=reasons)
        elif self.state in (CallState.CALLING, CallState.PROCEEDING) and self.outgoing:
            self.outgoing.cancel(now, EndCause.CANCELED, tuple(reasons))
        elif self.state is CallState.ANSWERED:
            # No BYE before the ACK or before it is given up (section 15).
            self._bye_wanted = self._bye_wanted or (EndCause.LOCAL, tuple(reasons))
        elif self.state is CallState.ESTABLISHED:
            self.bye(now, EndCause.LOCAL, tuple(reasons))

    def offer(self, now: float, body: Body) -> None:
        """Offer something new: by UPDATE while the call rings, else by re-INVITE."""
        method = "INVITE" if self.state is CallState.ESTABLISHED else "UPDATE"
        self._offer(method, now, body)

    def reinvite(self, now: float, body: Body | None = None) -> None:
        """Send a re-INVITE; without a body it asks for the peer's offer."""
        self._offer("INVITE", now, body)

    def update(self, now: float, body: Body | None = None) -> None:
        """Send an UPDATE (RFC 3311); without a body it refreshes the session only."""
        self._offer("UPDATE", now, body)

    def accept_offer(self, now: float, body: Body | None) -> None:
        """Answer what `Offered`, `OfferWanted` or an event with `is_offer` brought."""
        self.negotiation.accept(now, body)

    def refuse_offer(self, now: float, code: int = 488) -> None:
        """Refuse it; the session stays as it was. Where only an ACK could carry the answer the call
        ends."""
        self.negotiation.refuse(now, code)

    def refer(self, now: float, target: Uri, referred_by: NameAddr | None = None) -> None:
        """Ask the peer to call `target` (RFC 3515). `ReferProgress` or `ReferRefused` follows."""
        self._check(Command.REFER)
        self.transfer.refer(now, target, referred_by)

    def accept_refer(self, now: float) -> None:
        self.transfer.accept(now)

    def refuse_refer(self, now: float, code: int = 603) -> None:
        self.transfer.refuse(now, code)

    def notify_refer(self, now: float, code: int, phrase: str = "") -> None:
        """Tell the peer how the transfer it asked for goes; a code of 200 or more is the last."""
        self.transfer.notify(now, code, phrase)

    # ------------------------------------------------------------------ what the parts use

    def move(self, what: CallInput) -> bool:
        """One line of the table; whether there was one."""
        state = TRANSITIONS.get((self.state, what))
        if state is None:
            return False
        self.state = state
        return True

    def note_allow(self, message: Request | Response) -> None:
        """Take the methods of an Allow header, if there is one that can be read."""
        try:
            methods = split_tokens(message.headers.get_all("Allow"))
        except SipError:
            return
        self.peer_allows = frozenset(methods) or self.peer_allows

    def add_dialog(self, dialog: Dialog) -> None:
        """Requests in this dialog come to this call."""
        self.core.dialogs[dialog.key] = self
        self._keys.append(dialog.key)

    def dialog_of(self, remote_tag: str) -> Dialog | None:
        """The dialog with this tag of the peer."""
        if self.dialog is not None:
            return self.dialog if self.dialog.remote.tag == remote_tag else None
        if self.incoming is not None:
            return self.incoming.dialog
        return self.outgoing.dialog_of(remote_tag) if self.outgoing is not None else None

    def exchange(
        self,
        make: Callable[[], tuple[Request, Hop]],
        user: ExchangeUser,
        now: float,
        *,
        is_wanted: Callable[[], bool] | None = None,
    ) -> Exchange:
        """Send a request. `is_wanted`: whether a challenge is worth an answer; by default as long
        as the call has not ended."""
        return Exchange(self.core, make, user, self.auth, now, is_wanted or self._is_alive)

    def answered(self, dialog: Dialog) -> None:
        """The call has its dialog; what else rang belongs to it no more."""
        self.dialog = dialog
        self._was_answered = True

    def bye(self, now: float, cause: EndCause, reasons: tuple[Reason, ...] = ()) -> None:
        """Send a BYE; the call ends when it is answered, or is not."""
        if not self.move(CallInput.BYE):
            return
        self._still(now)
        assert self.dialog is not None  # noqa: S101 - every state with a BYE has one
        try:
            user, make = _ByeUser(self, cause, reasons), _bye_maker(self.dialog, reasons)
            user.exchange = self.exchange(make, user, now, is_wanted=lambda: True)
        except (LocalProtocolError, SipError):
            self.close(now, cause, reasons=reasons)

    def drop(self, dialog: Dialog, now: float) -> None:
        """End a dialog that another one of the same INVITE has overtaken."""
        try:
            self.exchange(_bye_maker(dialog, ()), Unheeded(), now, is_wanted=lambda: True)
        except (LocalProtocolError, SipError):
            return

    def lost(self, now: float, cause: EndCause = EndCause.LOST) -> None:
        """The peer knows no such dialog, or does not answer in it (section 12.2.1.2). While an
        answer waits for its ACK, the ACK decides."""
        if self.state is CallState.ESTABLISHED:
            self.bye(now, cause)
        elif self.state is CallState.PROCEEDING and self.outgoing is not None:
            self.outgoing.cancel(now, cause)
        elif self.state is CallState.RINGING and self.incoming is not None:
            self.incoming.refuse(now, 480, cause=cause)

    def close(
        self,
        now: float,
        cause: EndCause,
        response: Response | None = None,
        *,
        code: int = 0,
        reasons: tuple[Reason, ...] = (),
    ) -> None:
        """The call is over; says so, once."""
        if not self.move(CallInput.CLOSED):
            return
        self._still(now)
        self.core.calls.pop(self.id, None)
        for key in self._keys:
            self.core.dialogs.pop(key, None)
        if not self.is_outgoing or self._was_answered:
            self.core.emit(Ended(self, cause, reasons))
        elif response is None:
            self.core.emit(Rejected(self, cause, code, reasons=reasons))
        else:
            self.core.emit(
                Rejected(
                    self,
                    cause,
                    response.code,
                    response.phrase,
                    _addresses(response, "Contact"),
                    parse_retry_after(response.headers.get("Retry-After")),
                    parse_reasons(response.headers.get_all("Reason")),
                )
            )

    # ------------------------------------------------------------------ what the peer sends

    def on_request(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        """A request in a dialog of the call. Raises SipError with the code to refuse it with."""
        request = transaction.request
        if request.method not in PEER_METHODS[self.state]:
            code = TOO_EARLY.get((self.state, request.method), 481)
            raise SipError("no such request here now", code)
        if not dialog.accepts(request):
            raise SipError("the CSeq is not higher than the last", 500)
        _HANDLERS[request.method](self, transaction, dialog, now)

    def on_ack(self, ack: Request, now: float) -> None:
        """The ACK of a 2xx."""
        acceptance = self.acceptances.pop(ack.cseq.number, None)
        if acceptance is not None:
            acceptance.acknowledged(ack, now)

    def on_no_ack(self, now: float) -> None:
        """A refusal of ours was never acknowledged; nothing depends on it."""

    def accept(
        self,
        transaction: Transaction,
        response: Response,
        on_ack: Callable[[Request, float], None],
        now: float,
    ) -> None:
        """Send a 2xx to an INVITE of the peer, and see to its ACK."""
        number = transaction.request.cseq.number

        def on_lost(now: float) -> None:
            self.acceptances.pop(number, None)
            self.bye(now, EndCause.NO_ACK)

        self.acceptances[number] = Acceptance(
            self.core, transaction, response, on_ack, on_lost, now
        )

    def confirmed(self, ack: Request, now: float, *, is_answer: bool) -> None:
        """The ACK of the first 2xx."""
        if not self.move(CallInput.ACK):
            return
        self.core.emit(Confirmed(self, ack.content if is_answer else None))
        if self._bye_wanted is not None:
            self.bye(now, *self._bye_wanted)

    def _on_bye(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        transaction.respond(self.core.response(transaction.request, 200), now)
        reasons = parse_reasons(transaction.request.headers.get_all("Reason"))
        if self.state is CallState.RINGING and self.incoming is not None:
            self.incoming.canceled(now, reasons)
        elif self.outgoing is not None and self.dialog is None:
            # Its 2xx never reached us, and it has given up to wait for our ACK.
            self.outgoing.cancel(now, EndCause.REMOTE)
        else:
            self.close(now, EndCause.REMOTE, reasons=reasons)

    def _on_invite(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        self.negotiation.on_invite(transaction, dialog, now)

    def _on_update(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        self.negotiation.on_update(transaction, dialog, now)

    def _on_prack(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        if self.incoming is None:
            raise SipError("nothing to acknowledge", 481)
        self.incoming.on_prack(transaction, now)

    def _on_refer(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        self.transfer.on_refer(transaction, now)

    def _on_notify(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        self.transfer.on_notify(transaction, now)

    def _on_info(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        """Digits come as telephone-events (RFC 4733), not in INFO: only an empty one, which asks
        whether we live, is answered with 200."""
        if transaction.request.body:
            self.core.refuse(transaction, 415, now, ("Accept", "application/sdp"))
        else:
            transaction.respond(self.core.response(transaction.request, 200), now)

    def _on_options(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        transaction.respond(self.core.capabilities(transaction.request), now)

    # ------------------------------------------------------------------ small steps

    def _check(self, command: Command) -> None:
        if command not in COMMANDS[self.state]:
            raise LocalProtocolError(f"cannot {command.value}: the call is {self.state.value}")

    def _require(self, command: Command) -> IncomingInvite:
        self._check(command)
        assert self.incoming is not None  # noqa: S101 - RINGING is the state of incoming calls
        return self.incoming

    def _offer(self, method: str, now: float, body: Body | None) -> None:
        self._check(Command.REINVITE if method == "INVITE" else Command.UPDATE)
        self.negotiation.offer(now, method, body)

    def _is_alive(self) -> bool:
        return self.state not in (CallState.ENDING, CallState.ENDED)

    def _refresh(self, now: float) -> None:
        if self.state is CallState.ESTABLISHED:
            self.negotiation.refresh(now)

    def _expire(self, now: float) -> None:
        self.bye(now, EndCause.SESSION_EXPIRED)

    def _still(self, now: float) -> None:
        """Stop whatever would still be sent by itself, and refuse what waits."""
        self.timer.stop()
        self.negotiation.stop(now)
        self.transfer.stop(now)
        for acceptance in self.acceptances.values():
            acceptance.stop()
        self.acceptances.clear()
        if self.incoming is not None:
            self.incoming.stop()
        if self.outgoing is not None:
            self.outgoing.stop()


_HANDLERS: Final[dict[str, Callable[[Call, Transaction, Dialog, float], None]]] = {
    "BYE": Call._on_bye,
    "INVITE": Call._on_invite,
    "UPDATE": Call._on_update,
    "PRACK": Call._on_prack,
    "REFER": Call._on_refer,
    "NOTIFY": Call._on_notify,
    "INFO": Call._on_info,
    "OPTIONS": Call._on_options,
}


class _ByeUser:
    """Whatever comes of a BYE, the call is over (section 15.1.1). One that found its connection
    broken is sent once more, by another: else the call would go on at the peer."""

    def __init__(self, call: Call, cause: EndCause, reasons: tuple[Reason, ...]) -> None:
        self._call = call
        self._cause = cause
        self._reasons = reasons
        self.exchange: Exchange | None = None

    def on_response(self, response: Response, now: float) -> None:
        if not response.is_provisional:
            self._call.close(now, self._cause, reasons=self._reasons)

    def on_failure(self, cause: Cause, now: float) -> None:
        exchange, self.exchange = self.exchange, None
        if cause is Cause.TRANSPORT and exchange is not None:
            with suppress(LocalProtocolError, SipError):
                exchange.repeat(now)
                return
        self._call.close(now, self._cause, reasons=self._reasons)


def _bye_maker(dialog: Dialog, reasons: tuple[Reason, ...]) -> Callable[[], tuple[Request, Hop]]:
    return lambda: dialog.request("BYE", headers=[("Reason", str(r)) for r in reasons])


def _addresses(message: Request | Response, name: str) -> tuple[NameAddr, ...]:
    try:
        return tuple(parse_addresses(message.headers.get_all(name)))
    except SipError:
        return ()
