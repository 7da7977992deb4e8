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
from protocols.smpp.encoding import MAX_BODY_BYTES, encode, encode_body, pack_header
from protocols.smpp.events import (
    Answered,
    BindRefused,
    BindRequested,
    Bound,
    Closed,
    Event,
    Received,
    Unbound,
)
from protocols.smpp.fields import encode_tlvs
from protocols.smpp.limits import DEFAULT_LIMITS, DEFAULT_TIMERS, Limits, Timers
from protocols.smpp.operations import Pdu
from protocols.smpp.pdu import (
    MAX_SEQUENCE,
    Bare,
    Bind,
    BindResponse,
    Message,
    MessageResponse,
    PduError,
)
from protocols.smpp.refusals import out_of_place, refusal
from protocols.smpp.states import BOUND_STATE, MAY_SEND, MESSAGE_COMMAND, Role, State
from protocols.smpp.tlv import Tag, Tlv
from protocols.smpp.watch import Watch

_BOUND: Final = frozenset(BOUND_STATE.values())
_BIND_COMMANDS: Final = frozenset(c.BindKind)


class Session:
    """The state of one connection between an ESME and an SMSC. `now` is monotonic seconds
    throughout."""

    __slots__ = (
        "_acceptable",
        "_bind",
        "_buffer",
        "_limits",
        "_out",
        "_owed",
        "_peer_unbind",
        "_pending",
        "_role",
        "_send_window",
        "_sequence",
        "_timers",
        "_unbind",
        "_watch",
        "refused",
        "state",
        "stray_responses",
        "window",
    )

    def __init__(
        self,
        role: Role,
        *,
        window: int = 100,
        limits: Limits = DEFAULT_LIMITS,
        timers: Timers = DEFAULT_TIMERS,
    ) -> None:
        self.state = State.OPEN
        self.window = window
        self.refused = 0
        """Requests of the peer answered with an error by the session itself."""
        self.stray_responses = 0
        """Responses that no request of ours waited for; ignored."""
        self._role = role
        self._limits = limits
        self._timers = timers
        self._acceptable = MAY_SEND[role.peer, State.OPEN]
        self._send_window = 0  # the window while the state lets us send messages, else 0
        self._buffer = b""
        self._out: list[bytes] = []
        self._sequence = 0
        # sequence → sent at, context; oldest first
        self._pending: dict[int, tuple[float, object]] = {}
        self._owed: dict[int, Message] = {}  # by identity: a peer may repeat its sequence numbers
        self._bind: tuple[int, Bind] | None = None  # the bind under way, ours or the peer's
        self._unbind: int | None = None  # sequence of our unbind
        self._peer_unbind: int | None = None  # sequence of the peer's, while we owe responses
        self._watch = Watch(timers)

    @property
    def role(self) -> Role:
        return self._role

    @property
    def pending(self) -> int:
        """Messages sent whose response has not come; enquire_link, bind and unbind do not count."""
        return len(self._pending)

    @property
    def room(self) -> int:
        """How many messages `request` takes now: 0 with a full window or in a state that sends
        none."""
        return max(0, self._send_window - len(self._pending))

    @property
    def unanswered(self) -> int:
        """Messages received that `respond` has not answered."""
        return len(self._owed)

    # ------------------------------------------------------------------ what we ask for

    def connected(self, now: float) -> None:
        """The connection stands. Starts the session-init timer in the SMSC role."""
        self._watch.heard = now
        if self._role is Role.SMSC:
            limit = self._timers.session_init_s
            self._watch.expect(now + limit, f"no bind within {limit:g} s")

    def bind(
        self,
        kind: c.BindKind,
        system_id: str,
        password: str,
        now: float,
        *,
        system_type: str = "",
        address_range: str = "",
        interface_version: int = 0x34,
    ) -> None:
        """Ask to be bound (section 4.1). `Bound`, or `BindRefused` and `Closed`, comes of it.

        Raises LocalProtocolError in a wrong state or role, and for a field too long: system_id 15
        octets, password 8, system_type 12, address_range 40.
        """
        if kind not in MAY_SEND[self._role, self.state]:
            raise self._forbidden(kind)
        if self._bind is not None:
            raise LocalProtocolError("a bind is under way already")
        request = Bind(
            command_id=kind,
            system_id=system_id,
            password=password,
            system_type=system_type,
            address_range=address_range,
            interface_version=interface_version,
        )
        body = encode_body(request)
        sequence = self._next_sequence()
        self._bind = (sequence, request)
        limit = self._timers.response_s
        self._watch.expect(now + limit, f"no response to the bind within {limit:g} s")
        self._watch.heard = now
        self._out.append(pack_header(len(body), kind, 0, sequence) + body)

    def request(self, message: Message | bytes, now: float, context: object = None) -> int:
        """Send a message: submit_sm as ESME, deliver_sm as SMSC; returns its sequence number.

        `message` may be a body from `encode_submit_body`; of a `Message` the command_id must fit
        the role, status and sequence are not looked at. `context` comes back in `Answered` or in
        `Closed.unanswered`. Raises LocalProtocolError when `room` is 0 or a field is out of its
        limits; nothing is then registered or sent.
        """
        command = MESSAGE_COMMAND[self._role]
        if len(self._pending) >= self._send_window:
            if self._send_window:
                raise LocalProtocolError(f"the window of {self.window} messages is full")
            raise self._forbidden(command)
        if isinstance(message, bytes):
            body = message
            if len(body) > MAX_BODY_BYTES:
                raise LocalProtocolError(
                    f"the body has {len(body)} octets, the limit is {MAX_BODY_BYTES}"
                )
        else:
            if message.command_id != command:
                name = c.command_name(message.command_id)
                raise LocalProtocolError(f"an {self._role.value} does not send {name}")
            body = encode_body(message)
        # Registered before the bytes exist: no response can come for a request nobody knows.
        sequence = self._sequence = self._sequence % MAX_SEQUENCE + 1
        self._pending[sequence] = (now, context)
        self._out.append(pack_header(len(body), command, 0, sequence) + body)
        return sequence

    def respond(
        self, request: Message, status: int = 0, message_id: str = "", tlvs: Iterable[Tlv] = ()
    ) -> None:
        """Answer a received message; later and in any order. Without effect when it was answered
        before or the session is closed. Raises LocalProtocolError for a message_id over 64 octets.

        The body is left out of a submit_sm_resp with an error (section 4.4.2); message_id is unused
        in a deliver_sm_resp (section 4.6.2).
        """
        if id(request) not in self._owed:
            return
        command = request.command_id | c.RESPONSE
        if command == c.DELIVER_SM_RESP:
            body = b"\0" + encode_tlvs(tlvs)
        elif status:
            body = b""
        else:
            body = encode_body(MessageResponse(message_id=message_id, tlvs=list(tlvs)))
        header = pack_header(len(body), command, status, request.sequence)
        del self._owed[id(request)]
        self._out.append(header + body)
        if self._peer_unbind is not None and not self._owed:
            self._send(c.UNBIND_RESP, 0, self._peer_unbind)
            self._peer_unbind = None

    def accept_bind(self, request: Bind, system_id: str, tlvs: Iterable[Tlv] | None = None) -> None:
        """SMSC role: accept the bind of `BindRequested`; `system_id` is ours. Without `tlvs` the
        response names SMPP v3.4 in sc_interface_version. Without effect when the session is no
        longer waiting for it."""
        if self._bind is None or self._bind[1] is not request or self.state is not State.OPEN:
            return
        version = [(int(Tag.SC_INTERFACE_VERSION), b"\x34")]
        response = BindResponse(
            command_id=request.command_id | c.RESPONSE,
            sequence=request.sequence,
            system_id=system_id,
            tlvs=version if tlvs is None else list(tlvs),
        )
        self._out.append(encode(response))
        self._bind = None
        self._enter_bound(request.kind)

    def refuse_bind(self, request: Bind, status: int) -> None:
        """SMSC role: refuse the bind of `BindRequested`. The peer may try again until the
        session-init timer runs out; call `close` after this to hang up at once."""
        if self._bind is None or self._bind[1] is not request or self.state is not State.OPEN:
            return
        self._bind = None
        self._send(request.command_id | c.RESPONSE, status, request.sequence)

    def unbind(self, now: float) -> None:
        """Ask to end the session (section 4.2); `Unbound` and `Closed` come of it, `Closed` alone
        when the peer does not answer. No message can be sent any more; responses still come. Best
        called with `pending` 0. Raises LocalProtocolError when the session is not bound or is
        unbinding."""
        if self.state not in _BOUND:
            raise LocalProtocolError(f"cannot unbind while {self.state.value}")
        self._unbind = self._next_sequence()
        self._send(c.UNBIND, 0, self._unbind)
        self._start_unbinding(now, "no response to the unbind")

    def close(self, reason: str) -> list[Event]:
        """End the session without ceremony. What `data_to_send` still has should be sent before
        hanging up."""
        if self.state is State.CLOSED:
            return []
        unanswered = [context for _, context in self._pending.values()]
        self._enter(State.CLOSED)
        self._pending.clear()
        self._owed.clear()
        self._buffer = b""
        self._bind = self._unbind = self._peer_unbind = None
        self._watch.stop()
        return [Closed(reason, unanswered)]

    def data_to_send(self) -> bytes:
        """Everything due, in one piece; empties the buffer."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # ------------------------------------------------------------------ time

    def next_timer(self) -> float | None:
        """When `handle_timer` is to be called next; None when nothing is awaited. Every call of
        another method may move it."""
        return self._watch.next_due(self._oldest())

    def handle_timer(self, now: float) -> list[Event]:
        """Do what is due; calling too early or too often does no harm."""
        if self.state is State.CLOSED:
            return []
        reason = self._watch.overdue(now, self._oldest())
        if reason is not None:
            return self.close(reason)
        if self._watch.is_enquiry_due(now):
            sequence = self._next_sequence()
            self._watch.enquire(sequence, now)
            self._send(c.ENQUIRE_LINK, 0, sequence)
        return []

    def _oldest(self) -> float | None:
        """When the oldest message without a response was sent."""
        for sent, _ in self._pending.values():
            return sent
        return None

    # ------------------------------------------------------------------ what comes in

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Take what the connection brought, in any pieces."""
        events: list[Event] = []
        if self.state is State.CLOSED:
            return events
        self._watch.heard = now
        rest = self._buffer + data if self._buffer else data
        try:
            while True:
                batch, rest = frames(rest, self._limits.pdu_bytes)
                if not batch:
                    break
                for frame in batch:
                    self._receive(frame, now, events)
                    if not self._acceptable:  # closed
                        return events
        except PduError as fault:
            self._send(c.GENERIC_NACK, fault.status_hint, 0)
            events += self.close(f"the peer's framing is lost: {fault}")
            return events
        self._buffer = rest
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
        elif command & c.RESPONSE:
            # Never answered, so that two sessions cannot nack each other for ever.
            self.stray_responses += 1
        else:
            self._refuse(out_of_place(pdu, self.state))

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

    def _on_answer(self, pdu: MessageResponse | Bare, now: float, events: list[Event]) -> None:
        entry = self._pending.pop(pdu.sequence, None)
        if entry is None:
            self.stray_responses += 1
        elif isinstance(pdu, MessageResponse):
            events.append(Answered(entry[1], pdu.status, pdu.message_id, pdu))
        else:
            events.append(Answered(entry[1], pdu.status, "", pdu))

    def _on_message(self, message: Message, now: float, events: list[Event]) -> None:
        if len(self._owed) < self._limits.unanswered:
            self._owed[id(message)] = message
            events.append(Received(message))
            return
        is_submit = message.command_id == c.SUBMIT_SM
        status = s.ESME_RTHROTTLED if is_submit else s.ESME_RMSGQFUL
        self._refuse(refusal(message.command_id, status, message.sequence))

    def _on_enquire_link(self, pdu: Bare, now: float, events: list[Event]) -> None:
        self._send(c.ENQUIRE_LINK_RESP, 0, pdu.sequence)

    def _on_enquire_link_resp(self, pdu: Bare, now: float, events: list[Event]) -> None:
        if not self._watch.answered(pdu.sequence):
            self.stray_responses += 1

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

    def _on_bind(self, request: Bind, now: float, events: list[Event]) -> None:
        if self._bind is not None:
            self._refuse(refusal(request.command_id, s.ESME_RALYBND, request.sequence))
            return
        self._bind = (request.sequence, request)
        events.append(BindRequested(request))

    def _on_bind_resp(self, response: BindResponse, now: float, events: list[Event]) -> None:
        if self._bind is None or self._bind[0] != response.sequence:
            self.stray_responses += 1
            return
        if response.status:
            self._bind_refused(response.status, events)
            return
        kind = self._bind[1].kind
        self._bind = None
        self._enter_bound(kind)
        events.append(Bound(kind, response.system_id, response.tlvs))

    def _bind_refused(self, status: int, events: list[Event]) -> None:
        events.append(BindRefused(status))
        events += self.close(f"the bind was refused: {s.describe(status)}")

    def _on_unbind(self, pdu: Bare, now: float, events: list[Event]) -> None:
        """Answered when all messages taken are: a peer that unbinds behind its last message gets
        its responses."""
        events.append(Unbound())
        if self._owed:
            self._peer_unbind = pdu.sequence
            self._start_unbinding(now, "the peer unbound")
            self._acceptable -= {c.UNBIND, c.SUBMIT_SM, c.DELIVER_SM}
        else:
            self._send(c.UNBIND_RESP, 0, pdu.sequence)
            events += self.close("the peer unbound")

    def _on_unbind_resp(self, pdu: Bare, now: float, events: list[Event]) -> None:
        if self._unbind != pdu.sequence:
            self.stray_responses += 1
            return
        if c.UNBIND in self._acceptable:  # else the peer's own came before
            events.append(Unbound())
        events += self.close("unbound")

    # ------------------------------------------------------------------ small steps

    def _enter(self, state: State) -> None:
        self.state = state
        self._acceptable = MAY_SEND[self._role.peer, state]
        may_request = MESSAGE_COMMAND[self._role] in MAY_SEND[self._role, state]
        self._send_window = self.window if may_request and state is not State.UNBINDING else 0

    def _enter_bound(self, kind: c.BindKind) -> None:
        self._enter(BOUND_STATE[kind])
        self._watch.expect_nothing()
        self._watch.is_enquiring = True

    def _start_unbinding(self, now: float, reason: str) -> None:
        self._enter(State.UNBINDING)
        self._watch.is_enquiring = False
        self._watch.expect(now + self._timers.control_response_s, reason)

    def _forbidden(self, command: int) -> LocalProtocolError:
        who, name = self._role.value, c.command_name(command)
        return LocalProtocolError(f"an {who} cannot send {name} while {self.state.value}")

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % MAX_SEQUENCE + 1
        return self._sequence

    def _refuse(self, answer: bytes) -> None:
        self.refused += 1
        self._out.append(answer)

    def _send(self, command: int, status: int, sequence: int) -> None:
        self._out.append(pack_header(0, command, status, sequence))


_HANDLERS: Final[dict[int, Callable[[Session, Any, float, list[Event]], None]]] = {
    c.SUBMIT_SM_RESP: Session._on_answer,
    c.DELIVER_SM_RESP: Session._on_answer,
    c.SUBMIT_SM: Session._on_message,
    c.DELIVER_SM: Session._on_message,
    c.ENQUIRE_LINK: Session._on_enquire_link,
    c.ENQUIRE_LINK_RESP: Session._on_enquire_link_resp,
    c.GENERIC_NACK: Session._on_generic_nack,
    c.UNBIND: Session._on_unbind,
    c.UNBIND_RESP: Session._on_unbind_resp,
    **dict.fromkeys(c.BindKind, Session._on_bind),
    **{kind | c.RESPONSE: Session._on_bind_resp for kind in c.BindKind},
}
"""What to do with a PDU that the state table lets in."""
