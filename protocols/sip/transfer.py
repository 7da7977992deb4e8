"""Transfers: REFER and the NOTIFYs that tell how it went (RFC 3515, RFC 6665)."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from protocols.errors import LocalProtocolError
from protocols.sip.call_tables import CallState
from protocols.sip.core import Unheeded
from protocols.sip.errors import SipError
from protocols.sip.events import ReferProgress, ReferReceived, ReferRefused
from protocols.sip.fields import Body, NameAddr, clean, parse_subscription_state
from protocols.sip.flow import Hop, Timer
from protocols.sip.message import PHRASES, Request, Response
from protocols.sip.transactions import Cause, Transaction
from protocols.sip.uri import Uri

if TYPE_CHECKING:
    from protocols.sip.call import Call

DECISION_S: Final = 10.0
"""How long the application may think about a REFER of the peer."""
_SIPFRAG: Final = re.compile(rb"\s*SIP/2\.0 ([1-6][0-9]{2})(?: ([^\r\n]{0,200}))?", re.IGNORECASE)


class Transfer:
    """One transfer at a time, asked for by us or by the peer."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._core = call.core
        self._is_asked = False  # our REFER was sent, its end has not come
        self._deadline: Timer | None = None  # of what we asked for
        self._decision: Timer | None = None  # of what the peer asked for, then of its notices
        self._received: Transaction | None = None  # the peer's REFER, not answered
        self._event_id = ""  # of the peer's REFER that we accepted

    # ------------------------------------------------------------------ asked for by us

    def refer(self, now: float, target: Uri, referred_by: NameAddr | None) -> None:
        """Raises LocalProtocolError while a transfer is under way."""
        dialog = self._call.dialog
        if self._is_asked or dialog is None:
            raise LocalProtocolError("a transfer is under way")

        def make() -> tuple[Request, Hop]:
            fields = [("Refer-To", str(NameAddr(target)))]
            if referred_by is not None:
                fields.append(("Referred-By", str(referred_by)))
            return dialog.request("REFER", headers=fields)

        try:
            self._call.exchange(make, self, now)
        except SipError as fault:
            raise LocalProtocolError(str(fault)) from fault
        self._is_asked = True

    def on_response(self, response: Response, now: float) -> None:
        """The response to our REFER; a NOTIFY may have overtaken it."""
        if response.is_provisional or not self._is_asked:
            return
        if response.is_success:
            limit = self._core.limits.refer_s
            self._deadline = self._deadline or self._core.after(limit, now, self._on_silence)
            return
        self._is_asked = False
        self._core.emit(ReferRefused(self._call, response.code, response.phrase))
        if response.code in (408, 481):
            self._call.lost(now)

    def on_failure(self, cause: Cause, now: float) -> None:
        if not self._is_asked:
            return
        self._is_asked = False
        is_timeout = cause is Cause.TIMEOUT
        self._core.emit(ReferRefused(self._call, 408 if is_timeout else 503))
        if is_timeout:
            self._call.lost(now)

    def on_notify(self, transaction: Transaction, now: float) -> None:
        """Raises SipError: 489 for another event, 481 without a REFER of ours, 400 for what cannot
        be read."""
        request = transaction.request
        event, _ = parse_subscription_state(request.required("Event"))
        if event != "refer":
            raise SipError("no such event", 489)
        if not self._is_asked:
            raise SipError("no transfer is under way", 481)
        state, _ = parse_subscription_state(request.required("Subscription-State"))
        found = _SIPFRAG.match(request.body)
        if found is None and request.body:
            raise SipError("no SIP fragment", 400)
        transaction.respond(self._core.response(request, 200), now)
        code = int(found.group(1)) if found else 0
        phrase = clean((found.group(2) or b"").decode("utf-8", "replace")) if found else ""
        is_final = state == "terminated" or code >= 200
        if is_final:
            self._forget()
        self._core.emit(ReferProgress(self._call, code, phrase, is_final))

    # ------------------------------------------------------------------ asked for by the peer

    def on_refer(self, transaction: Transaction, now: float) -> None:
        """Raises SipError with 603 unless transfers are accepted at all, 491 while one waits."""
        request = transaction.request
        if not self._core.config.accepts_refer:
            raise SipError("transfers are not accepted", 603)
        if self._received is not None or self._event_id:
            raise SipError("a transfer is under way", 491)
        target = NameAddr.parse(request.required("Refer-To")).uri
        self._received = transaction
        referred_by = clean(request.headers.get("Referred-By") or "")
        self._decision = self._core.after(DECISION_S, now, self._on_indecision)
        self._core.emit(ReferReceived(self._call, target, referred_by))

    def accept(self, now: float) -> None:
        """Accept the peer's REFER: 202, and the first NOTIFY that RFC 3515 section 2.4.4 wants."""
        transaction = self._take()
        response = self._core.response(transaction.request, 202)
        is_secure = transaction.request.uri.scheme == "sips"
        contact = self._core.contact(transaction.hop.transport, is_secure=is_secure)
        response.headers.add("Contact", str(contact))
        transaction.respond(response, now)
        self._event_id = f"refer;id={transaction.request.cseq.number}"
        self._decision = self._core.after(self._core.limits.refer_s, now, self._on_lapse)
        self.notify(now, 100)

    def refuse(self, now: float, code: int) -> None:
        transaction = self._take()
        transaction.respond(self._core.response(transaction.request, code), now)

    def notify(self, now: float, code: int, phrase: str = "") -> None:
        """Raises LocalProtocolError when no REFER of the peer was accepted."""
        dialog = self._call.dialog
        if not self._event_id or dialog is None or self._call.state is not CallState.ESTABLISHED:
            raise LocalProtocolError("no transfer to tell about")
        is_final = code >= 200
        limit = int(self._core.limits.refer_s)
        state = "terminated;reason=noresource" if is_final else f"active;expires={limit}"
        fields = [("Event", self._event_id), ("Subscription-State", state)]
        line = f"SIP/2.0 {code} {clean(phrase) or PHRASES.get(code, '')}\r\n"
        body = Body("message/sipfrag;version=2.0", line.encode())

        def make() -> tuple[Request, Hop]:
            request, hop = dialog.request("NOTIFY", headers=fields)
            request.set_body(body)
            return request, hop

        try:
            self._call.exchange(make, Unheeded(), now)
        except SipError as fault:
            raise LocalProtocolError(str(fault)) from fault
        if is_final:
            self._end_notices()

    def stop(self, now: float) -> None:
        """The call ends; whoever asked for a transfer learns no more of it."""
        if self._received is not None:
            self.refuse(now, 603)
        if self._is_asked:
            self._core.emit(ReferProgress(self._call, 0, "", is_final=True))
        self._forget()
        self._end_notices()

    # ------------------------------------------------------------------ small steps

    def _forget(self) -> None:
        self._is_asked = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _take(self) -> Transaction:
        transaction, self._received = self._received, None
        if transaction is None:
            raise LocalProtocolError("no transfer waits for an answer")
        self._end_notices()
        return transaction

    def _end_notices(self) -> None:
        self._event_id = ""
        if self._decision is not None:
            self._decision.cancel()
            self._decision = None

    def _on_lapse(self, now: float) -> None:
        """The subscription ends when its `expires` says (RFC 6665 section 4.2.2)."""
        with suppress(LocalProtocolError):
            self.notify(now, 408)
        self._end_notices()

    def _on_silence(self, now: float) -> None:
        if self._is_asked:
            self._forget()
            self._core.emit(ReferProgress(self._call, 0, "", is_final=True))

    def _on_indecision(self, now: float) -> None:
        if self._received is not None:
            self.refuse(now, 603)
