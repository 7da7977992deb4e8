"""One SMPP session, either role, without IO (SMPP v3.4 sections 2 and 7).

Bytes and the time go in by `receive_data` and `handle_timer`, events come back, bytes to send are
fetched with `data_to_send`. Nothing a peer sends makes a method raise; what we do wrong raises
`LocalProtocolError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from protocols.errors import LocalProtocolError
from protocols.smpp import commands as c
from protocols.smpp import status as s
from protocols.smpp.decoding import decode, frames
from protocols.smpp.encoding import MAX_BODY_BYTES, encode_body, pack_header
from protocols.smpp.events import Answered, Event, Notified, Received, Requested
from protocols.smpp.fields import encode_tlvs
from protocols.smpp.lifecycle import Lifecycle
from protocols.smpp.limits import DEFAULT_LIMITS, DEFAULT_TIMERS, Limits, Timers
from protocols.smpp.operations import (
    AlertNotification,
    BroadcastSm,
    Operation,
    Pdu,
    QueryBroadcastSm,
    QuerySm,
    QuerySmResponse,
    SubmitMultiResponse,
    Unsuccess,
)
from protocols.smpp.pdu import (
    MAX_SEQUENCE,
    Bare,
    BindResponse,
    Message,
    MessageResponse,
    PduError,
)
from protocols.smpp.refusals import out_of_place, refusal, too_many
from protocols.smpp.states import (
    MAY_SEND,
    OPTIONAL,
    SINCE_5,
    VERSION_3_4,
    VERSION_5,
    Role,
)
from protocols.smpp.tlv import Tlv

_RESPONSE: Final = c.RESPONSE  # of this module: looked up for every message
_BIND_COMMANDS: Final = frozenset(c.BindKind)
_WITHOUT_RESPONSE: Final = frozenset({c.ALERT_NOTIFICATION, c.OUTBIND})


class Session(Lifecycle):
    """The state of one connection between an ESME and an SMSC. `now` is monotonic seconds
    throughout.

    `takes` are the optional requests that the owner answers, `TAKES` by default; `version` is the
    highest interface_version spoken: 0x34, or 0x50 for broadcasts.
    """

    __slots__ = ()

    def __init__(
        self,
        role: Role,
        *,
        window: int = 100,
        limits: Limits = DEFAULT_LIMITS,
        timers: Timers = DEFAULT_TIMERS,
        takes: frozenset[int] | None = None,
        version: int = VERSION_3_4,
    ) -> None:
        super().__init__(
            role, window=window, limits=limits, timers=timers, takes=takes, version=version
        )

    @property
    def pending(self) -> int:
        """Requests sent whose response has not come; enquire_link, bind and unbind do not count."""
        return len(self._pending)

    @property
    def room(self) -> int:
        """How many messages `request` takes now: 0 with a full window or in a state that sends
        none."""
        return max(0, self._send_window - len(self._pending))

    @property
    def unanswered(self) -> int:
        """Requests received that `respond` or `answer` has not answered."""
        return len(self._owed)

    @property
    def is_full(self) -> bool:
        """Whether so much is unanswered that the connection should stop reading."""
        limit = self.limits.pause_at
        return limit is not None and len(self._owed) >= limit

    @property
    def is_drained(self) -> bool:
        """Whether it should read again."""
        limit = self.limits.pause_at
        return limit is None or len(self._owed) <= limit // 2

    # ------------------------------------------------------------------ what we ask for

    def request(
        self,
        message: Message | Operation | bytes,
        now: float,
        context: object = None,
        *,
        command: int | None = None,
    ) -> int:
        """Send a request: submit_sm and the like as ESME, deliver_sm or data_sm as SMSC; returns
        its sequence number.

        `message` may be a body from `encode_submit_body`, of a submit_sm or deliver_sm if `command`
        does not say otherwise. status and sequence of an object are not looked at. `context` comes
        back in `Answered` or in `Closed.unanswered`. Raises LocalProtocolError when `room` is 0,
        the role, state or version does not send this, or a field is out of its limits; nothing is
        then registered or sent.
        """
        own = self._message_command
        if len(self._pending) >= self._send_window:
            if self._send_window:
                raise LocalProtocolError(f"the window of {self.window} messages is full")
            raise self._forbidden(own)
        if isinstance(message, bytes):
            if len(message) > MAX_BODY_BYTES:
                raise LocalProtocolError(
                    f"the body has {len(message)} octets, the limit is {MAX_BODY_BYTES}"
                )
            if command is None:
                command = own
            else:
                self._check_sendable(command)
            body = message
        else:
            command = message.command_id
            self._check_sendable(command)
            body = encode_body(message)
        # Registered before the bytes exist: no response can come for a request nobody knows.
        sequence = self._sequence = self._sequence % MAX_SEQUENCE + 1
        self._pending[sequence] = (now, context, command | _RESPONSE)
        self._out.append(pack_header(len(body), command, 0, sequence) + body)
        return sequence

    def notify(self, notification: AlertNotification) -> None:
        """SMSC role: tell that a phone can be reached again (section 4.12). Nothing comes back.
        Raises LocalProtocolError in a wrong role or state."""
        if c.ALERT_NOTIFICATION not in MAY_SEND[self._role, self.state]:
            raise self._forbidden(c.ALERT_NOTIFICATION)
        body = encode_body(notification)
        sequence = self._next_sequence()
        self._out.append(pack_header(len(body), c.ALERT_NOTIFICATION, 0, sequence) + body)

    def _check_sendable(self, command: int) -> None:
        is_sendable = command in OPTIONAL - _WITHOUT_RESPONSE
        if not is_sendable or command not in MAY_SEND[self._role, self.state]:
            name = c.command_name(command)
            raise LocalProtocolError(f"an {self._role.value} does not send {name}")
        if command in SINCE_5 and self.version < VERSION_5:
            name = c.command_name(command)
            raise LocalProtocolError(f"{name} needs SMPP v5.0 on both sides")

    # ------------------------------------------------------------------ what we answer

    def respond(
        self,
        request: Message,
        status: int = 0,
        message_id: str = "",
        tlvs: Iterable[Tlv] = (),
        unsuccess: Iterable[Unsuccess] = (),
    ) -> None:
        """Answer a received message; later and in any order. Without effect when it was answered
        before or the session is closed. Raises LocalProtocolError for a message_id over 64 octets.

        The body is left out of a submit_sm_resp with an error (section 4.4.2); message_id is unused
        in a deliver_sm_resp (section 4.6.2). `unsuccess` are the recipients of a submit_multi that
        are refused while others are not.
        """
        if id(request) not in self._owed:
            return
        command = request.command_id | c.RESPONSE
        if command == c.DELIVER_SM_RESP:
            body = b"\0" + encode_tlvs(tlvs)
        elif command == c.SUBMIT_MULTI_RESP and not status:
            body = encode_body(
                SubmitMultiResponse(
                    message_id=message_id, tlvs=list(tlvs), unsuccess=list(unsuccess)
                )
            )
        elif status and command != c.DATA_SM_RESP:
            body = b""
        else:
            body = encode_body(MessageResponse(message_id=message_id, tlvs=list(tlvs)))
        self._settle(request, pack_header(len(body), command, status, request.sequence) + body)

    def answer(
        self,
        request: Operation,
        status: int = 0,
        response: QuerySmResponse | MessageResponse | None = None,
    ) -> None:
        """Answer what `Requested` brought; later and in any order. Without effect when it was
        answered before or the session is closed.

        A query_sm without an error needs a `QuerySmResponse`; broadcast_sm and query_broadcast_sm
        may have a `MessageResponse`; the others have no body. The response's header is filled in
        here. Raises LocalProtocolError for a body missing or out of its limits.
        """
        if id(request) not in self._owed:
            return
        if isinstance(request, QuerySm) and not status and response is None:
            raise LocalProtocolError("query_sm without an error needs a response with a state")
        if isinstance(request, BroadcastSm | QueryBroadcastSm) and not status and response is None:
            response = MessageResponse(message_id=request.message_id)
        body = b"" if response is None or status else encode_body(response)
        command = request.command_id | c.RESPONSE
        self._settle(request, pack_header(len(body), command, status, request.sequence) + body)

    def _settle(self, request: Message | Operation, response: bytes) -> None:
        del self._owed[id(request)]
        self._out.append(response)
        if self._peer_unbind is not None and not self._owed:
            self._send(c.UNBIND_RESP, 0, self._peer_unbind)
            self._peer_unbind = None

    # ------------------------------------------------------------------ what comes in

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Take what the connection brought, in any pieces."""
        events: list[Event] = []
        if not self._acceptable:  # closed
            return events
        self._watch.heard = now
        rest = self._buffer + data if self._buffer else data
        try:
            while True:
                batch, rest = frames(rest, self.limits.pdu_bytes)
                if not batch:
                    break
                for frame in batch:
                    self._receive(frame, now, events)
                    if not self._acceptable:
                        return events
        except PduError as fault:
            self._send(c.GENERIC_NACK, fault.status_hint, 0)
            events += self.close(f"the peer's framing is lost: {fault}")
            return events
        self._buffer = rest
        if events:
            self._watch.active = now
        return events

    def receive_eof(self, now: float) -> list[Event]:
        """The connection is gone."""
        self._out.clear()
        return self.close("the connection was lost")

    def _receive(self, frame: bytes, now: float, events: list[Event]) -> None:
        try:
            pdu = decode(frame)
        except PduError as fault:
            self._on_fault(fault, now, events)
            return
        command = pdu.command_id
        if command in self._acceptable:
            _HANDLERS[command](self, pdu, now, events)
        elif command & _RESPONSE:
            # Never answered, so that two sessions cannot nack each other for ever.
            self.stray_responses += 1
        else:
            self._refuse(out_of_place(pdu, self._role, self.state, self._takes, self.version))

    def _on_fault(self, fault: PduError, now: float, events: list[Event]) -> None:
        """A body that cannot be read. A request is answered with the error; of a response the
        header says enough."""
        if not fault.command_id & c.RESPONSE:
            self._refuse(refusal(fault.command_id, fault.status_hint, fault.sequence))
            return
        if fault.command_id not in self._acceptable:
            self.stray_responses += 1
            return
        pdu: Pdu = Bare(fault.command_id, fault.status, fault.sequence)
        if fault.command_id & ~c.RESPONSE in _BIND_COMMANDS:
            pdu = BindResponse(fault.command_id, fault.status, fault.sequence)
        _HANDLERS[fault.command_id](self, pdu, now, events)

    def _on_answer(
        self, pdu: MessageResponse | QuerySmResponse | Bare, now: float, events: list[Event]
    ) -> None:
        sequence = pdu.sequence
        entry = self._pending.get(sequence)
        if entry is None or entry[2] != pdu.command_id:
            self.stray_responses += 1
            return
        del self._pending[sequence]
        message_id = pdu.message_id if not isinstance(pdu, Bare) else ""
        events.append(Answered(entry[1], pdu.status, message_id, pdu))

    def _on_message(self, message: Message, now: float, events: list[Event]) -> None:
        if len(self._owed) < self.limits.unanswered:
            self._owed[id(message)] = message
            events.append(Received(message))
        else:
            self._refuse(too_many(message.command_id, self._role, message.sequence))

    def _on_operation(self, request: Operation, now: float, events: list[Event]) -> None:
        if len(self._owed) < self.limits.unanswered:
            self._owed[id(request)] = request
            events.append(Requested(request))
        else:
            self._refuse(too_many(request.command_id, self._role, request.sequence))

    def _on_alert(self, alert: AlertNotification, now: float, events: list[Event]) -> None:
        events.append(Notified(alert))

    def _on_generic_nack(self, pdu: Bare, now: float, events: list[Event]) -> None:
        """A refusal of whichever request of ours has its sequence number (section 4.3). A status of
        0, as some peers send, is no acceptance."""
        status = pdu.status or s.ESME_RUNKNOWNERR
        sequence = pdu.sequence
        if sequence in self._pending:
            events.append(Answered(self._pending.pop(sequence)[1], status, "", pdu))
        elif self._watch.answered(sequence):
            return  # refused, but by a living peer
        elif self._role is Role.ESME and self._bind is not None and self._bind[0] == sequence:
            self._bind_refused(status, events)
        elif self._unbind == sequence:
            events += self.close(f"the unbind was refused: {s.describe(status)}")
        else:
            self.stray_responses += 1


_MESSAGES: Final = (c.SUBMIT_SM, c.DELIVER_SM, c.DATA_SM, c.SUBMIT_MULTI)
_OPERATIONS: Final = (
    c.QUERY_SM,
    c.CANCEL_SM,
    c.REPLACE_SM,
    c.BROADCAST_SM,
    c.QUERY_BROADCAST_SM,
    c.CANCEL_BROADCAST_SM,
)

_HANDLERS: Final[dict[int, Callable[[Session, Any, float, list[Event]], None]]] = {
    **{command | c.RESPONSE: Session._on_answer for command in (*_MESSAGES, *_OPERATIONS)},
    **dict.fromkeys(_MESSAGES, Session._on_message),
    **dict.fromkeys(_OPERATIONS, Session._on_operation),
    c.ALERT_NOTIFICATION: Session._on_alert,
    c.ENQUIRE_LINK: Session._on_enquire_link,
    c.ENQUIRE_LINK_RESP: Session._on_enquire_link_resp,
    c.GENERIC_NACK: Session._on_generic_nack,
    c.OUTBIND: Session._on_outbind,
    c.UNBIND: Session._on_unbind,
    c.UNBIND_RESP: Session._on_unbind_resp,
    **dict.fromkeys(c.BindKind, Session._on_bind),
    **{kind | c.RESPONSE: Session._on_bind_resp for kind in c.BindKind},
}
"""What to do with a PDU that the state table lets in."""
