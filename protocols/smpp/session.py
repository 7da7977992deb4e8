"""One SMPP session, either role, without IO (SMPP v3.4 sections 2 and 7).

Bytes and the time go in by `receive_data` and `handle_timer`, events come back, bytes to send are fetched with
`data_to_send`. Nothing a peer sends makes a method raise; what we do wrong raises `LocalProtocolError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from protocols.errors import LocalProtocolError
from protocols.smpp import commands as c
from protocols.smpp import status as s
from protocols.smpp.decoding import decode, frames
from protocols.smpp.encoding import MAX_BODY_BYTES, encode, encode_body, encode_tlvs, pack_header
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
from protocols.smpp.pdu import (
    HEADER_BYTES,
    MAX_PDU_BYTES,
    MAX_SEQUENCE,
    Bare,
    Bind,
    BindResponse,
    Message,
    MessageResponse,
    Pdu,
    PduError,
    RawPdu,
)
from protocols.smpp.states import BOUND_STATE, MAY_SEND, MESSAGE_COMMAND, Role, State
from protocols.smpp.tlv import Tag, Tlv

_BOUND: Final = frozenset(BOUND_STATE.values())
_BIND_COMMANDS: Final = frozenset(c.BindKind)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may make us hold. Greatest length of a PDU; requests taken and not yet answered by `respond`,
    beyond which the peer gets ESME_RTHROTTLED for a submit_sm and ESME_RMSGQFUL for a deliver_sm."""

    pdu_bytes: int = MAX_PDU_BYTES
    unanswered: int = 1_000


@dataclass(frozen=True, slots=True)
class Timers:
    """The timers of section 7.2, in seconds."""

    session_init_s: float = 5.0
    """SMSC role: from the connection to the accepted bind."""
    response_s: float = 30.0
    """From a bind, submit_sm or deliver_sm to its response. When it runs out the session is closed, so that no late
    answer comes on a living session. A shorter time makes doubles of what a slow carrier has in hand: a dead
    one is found by enquire_link."""
    enquire_s: float = 30.0
    """Silence of the peer before we send enquire_link."""
    control_response_s: float = 10.0
    """From an enquire_link or unbind to its response."""


class Session:
    """The state of one connection between an ESME and an SMSC. `now` is monotonic seconds throughout."""

    __slots__ = (
        "_acceptable",
        "_bind",
        "_buffer",
        "_deadline",
        "_enquiry",
        "_handlers",
        "_heard",
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
        limits: Limits = Limits(),
        timers: Timers = Timers(),
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
        self._pending: dict[int, tuple[float, object]] = {}  # sequence → sent at, context; oldest first
        self._owed: dict[int, Message] = {}  # by identity: a peer may repeat its sequence numbers
        self._bind: tuple[int, Bind] | None = None  # the bind under way, ours or the peer's
        self._unbind: int | None = None  # sequence of our unbind
        self._peer_unbind: int | None = None  # sequence of the peer's, while we owe responses
        self._enquiry: tuple[int, float] | None = None  # our enquire_link, its deadline
        self._heard: float | None = None
        self._deadline: tuple[float, str] | None = None  # of the bind or unbind under way, and what it means
        self._handlers: dict[int, Callable[[Any, float, list[Event]], None]] = {
            c.SUBMIT_SM_RESP: self._on_answer,
            c.DELIVER_SM_RESP: self._on_answer,
            c.SUBMIT_SM: self._on_message,
            c.DELIVER_SM: self._on_message,
            c.ENQUIRE_LINK: self._on_enquire_link,
            c.ENQUIRE_LINK_RESP: self._on_enquire_link_resp,
            c.GENERIC_NACK: self._on_generic_nack,
            c.UNBIND: self._on_unbind,
            c.UNBIND_RESP: self._on_unbind_resp,
        }
        for kind in c.BindKind:
            self._handlers[kind] = self._on_bind
            self._handlers[kind | c.RESPONSE] = self._on_bind_resp

    @property
    def role(self) -> Role:
        return self._role

    @property
    def pending(self) -> int:
        """Messages sent whose response has not come; enquire_link, bind and unbind do not count."""
        return len(self._pending)

    @property
    def room(self) -> int:
        """How many messages `request` takes now: 0 with a full window or in a state that sends none."""
        return max(0, self._send_window - len(self._pending))

    @property
    def unanswered(self) -> int:
        """Messages received that `respond` has not answered."""
        return len(self._owed)

    # ------------------------------------------------------------------ what we ask for

    def connected(self, now: float) -> None:
        """The connection stands. Starts the session-init timer in the SMSC role."""
        self._heard = now
        if self._role is Role.SMSC and self._deadline is None:
            limit = self._timers.session_init_s
            self._deadline = (now + limit, f"no bind within {limit:g} s")

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

        Raises LocalProtocolError in a wrong state or role, and for a field too long: system_id 15 octets,
        password 8, system_type 12, address_range 40.
        """
        self._require(kind)
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
        self._deadline = (now + limit, f"no response to the bind within {limit:g} s")
        self._heard = now
        self._out.append(pack_header(len(body), kind, 0, sequence) + body)

    def request(self, message: Message | bytes, now: float, context: object = None) -> int:
        """Send a message: submit_sm as ESME, deliver_sm as SMSC; returns its sequence number.

        `message` may be a body from `encode_submit_body`; of a `Message` the command_id must fit the role, status
        and sequence are not looked at. `context` comes back in `Answered` or in `Closed.unanswered`.
        Raises LocalProtocolError when `room` is 0 or a field is out of its limits; nothing is then registered or sent.
        """
        if len(self._pending) >= self._send_window:
            raise self._no_room()
        command = MESSAGE_COMMAND[self._role]
        if isinstance(message, bytes):
            body = message
            if len(body) > MAX_BODY_BYTES:
                raise LocalProtocolError(f"the body has {len(body)} octets, the limit is {MAX_BODY_BYTES}")
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
        """Answer a received message; later and in any order. Without effect when it was answered before or the
        session is closed. Raises LocalProtocolError for a message_id over 64 octets.

        The body is left out of a submit_sm_resp with an error (section 4.4.2); message_id is unused in a
        deliver_sm_resp (section 4.6.2).
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
        """SMSC role: accept the bind of `BindRequested`; `system_id` is ours. Without `tlvs` the response names
        SMPP v3.4 in sc_interface_version. Without effect when the session is no longer waiting for it."""
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
        self._bind = self._deadline = None
        self._enter(BOUND_STATE[request.kind])

    def refuse_bind(self, request: Bind, status: int) -> None:
        """SMSC role: refuse the bind of `BindRequested`. The peer may try again until the session-init timer
        runs out; call `close` after this to hang up at once."""
        if self._bind is None or self._bind[1] is not request or self.state is not State.OPEN:
            return
        self._bind = None
        self._send(request.command_id | c.RESPONSE, status, request.sequence)

    def unbind(self, now: float) -> None:
        """Ask to end the session (section 4.2); `Unbound` and `Closed` come of it, `Closed` alone when the peer
        does not answer. No message can be sent any more; responses still come. Best called with `pending` 0.
        Raises LocalProtocolError when the session is not bound or is unbinding."""
        if self.state not in _BOUND:
            raise LocalProtocolError(f"cannot unbind while {self.state.value}")
        self._unbind = self._next_sequence()
        self._send(c.UNBIND, 0, self._unbind)
        self._start_unbinding(now, "no response to the unbind")

    def close(self, reason: str) -> list[Event]:
        """End the session without ceremony. What `data_to_send` still has should be sent before hanging up."""
        if self.state is State.CLOSED:
            return []
        unanswered = [context for _, context in self._pending.values()]
        self._enter(State.CLOSED)
        self._pending.clear()
        self._owed.clear()
        self._buffer = b""
        self._bind = self._deadline = self._enquiry = self._unbind = self._peer_unbind = None
        return [Closed(reason, unanswered)]

    def data_to_send(self) -> bytes:
        """Everything due, in one piece; empties the buffer."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # ------------------------------------------------------------------ time

    def next_timer(self) -> float | None:
        """When `handle_timer` is to be called next; None when nothing is awaited. Every call may move it."""
        if self.state is State.CLOSED:
            return None
        due: list[float] = []
        if self._deadline is not None:
            due.append(self._deadline[0])
        if self._pending:
            due.append(next(iter(self._pending.values()))[0] + self._timers.response_s)
        if self._enquiry is not None:
            due.append(self._enquiry[1])
        elif self.state in _BOUND and self._heard is not None:
            due.append(self._heard + self._timers.enquire_s)
        return min(due, default=None)

    def handle_timer(self, now: float) -> list[Event]:
        """Do what is due; calling too early or too often does no harm."""
        reason = self._overdue(now)
        if reason is not None:
            return self.close(reason)
        is_quiet = self._heard is not None and now >= self._heard + self._timers.enquire_s
        if is_quiet and self._enquiry is None and self.state in _BOUND:
            sequence = self._next_sequence()
            self._enquiry = (sequence, now + self._timers.control_response_s)
            self._send(c.ENQUIRE_LINK, 0, sequence)
        return []

    def _overdue(self, now: float) -> str | None:
        """Why the session must be closed now."""
        if self.state is State.CLOSED:
            return None
        if self._deadline is not None and now >= self._deadline[0]:
            return self._deadline[1]
        if self._enquiry is not None and now >= self._enquiry[1]:
            return f"no response to enquire_link within {self._timers.control_response_s:g} s"
        if self._pending:
            sequence, (sent, _) = next(iter(self._pending.items()))
            if now >= sent + self._timers.response_s:
                name = c.command_name(MESSAGE_COMMAND[self._role])
                return f"no response to {name} {sequence} within {self._timers.response_s:g} s"
        return None

    # ------------------------------------------------------------------ what comes in

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Take what the connection brought, in any pieces."""
        events: list[Event] = []
        if self.state is State.CLOSED:
            return events
        self._heard = now
        rest = self._buffer + data if self._buffer else data
        try:
            while True:
                batch, rest = frames(rest, self._limits.pdu_bytes)
                if not batch:
                    break
                for frame in batch:
                    self._receive(frame, now, events)
                    if self.state is State.CLOSED:
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
            self._handlers[command](pdu, now, events)
        else:
            self._refuse(pdu)

    def _on_fault(self, fault: PduError, now: float, events: list[Event]) -> None:
        """A body that cannot be read. A request is answered with the error; of a response the header says enough."""
        if not fault.command_id & c.RESPONSE:
            self._refuse_with(fault.command_id, fault.status_hint, fault.sequence)
            return
        if fault.command_id not in self._acceptable:
            self.stray_responses += 1
            return
        pdu: Pdu = Bare(fault.command_id, fault.status, fault.sequence)
        if fault.command_id & ~c.RESPONSE in _BIND_COMMANDS:
            pdu = BindResponse(fault.command_id, fault.status, fault.sequence)
        self._handlers[fault.command_id](pdu, now, events)

    def _refuse(self, pdu: Pdu) -> None:
        """A command that has no place here; responses are never answered, so that two sessions cannot nack each
        other for ever."""
        command = pdu.command_id
        if command & c.RESPONSE:
            self.stray_responses += 1
        elif isinstance(pdu, RawPdu) or command == c.OUTBIND:
            self.refused += 1
            self._send(c.GENERIC_NACK, s.ESME_RINVCMDID, pdu.sequence)
        elif command in _BIND_COMMANDS and self.state is not State.OPEN:
            self._refuse_with(command, s.ESME_RALYBND, pdu.sequence)
        else:
            self._refuse_with(command, s.ESME_RINVBNDSTS, pdu.sequence)

    def _refuse_with(self, command: int, status: int, sequence: int) -> None:
        self.refused += 1
        if command == c.OUTBIND:  # has no response of its own
            self._send(c.GENERIC_NACK, status, sequence)
        elif command == c.DELIVER_SM:
            self._out.append(pack_header(1, c.DELIVER_SM_RESP, status, sequence) + b"\0")
        else:
            self._send(command | c.RESPONSE, status, sequence)

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
        self._refuse_with(message.command_id, status, message.sequence)

    def _on_enquire_link(self, pdu: Bare, now: float, events: list[Event]) -> None:
        self._send(c.ENQUIRE_LINK_RESP, 0, pdu.sequence)

    def _on_enquire_link_resp(self, pdu: Bare, now: float, events: list[Event]) -> None:
        if self._enquiry is not None and self._enquiry[0] == pdu.sequence:
            self._enquiry = None
        else:
            self.stray_responses += 1

    def _on_generic_nack(self, pdu: Bare, now: float, events: list[Event]) -> None:
        """A refusal of whichever request of ours has its sequence number (section 4.3). A status of 0, as some
        peers send, is no acceptance."""
        status = pdu.status or s.ESME_RUNKNOWNERR
        sequence = pdu.sequence
        if sequence in self._pending:
            events.append(Answered(self._pending.pop(sequence)[1], status, "", pdu))
        elif self._enquiry is not None and self._enquiry[0] == sequence:
            self._enquiry = None  # refused, but by a living peer
        elif self._role is Role.ESME and self._bind is not None and self._bind[0] == sequence:
            self._bind_refused(status, events)
        elif self._unbind == sequence:
            events += self.close(f"the unbind was refused: {s.describe(status)}")
        else:
            self.stray_responses += 1

    def _on_bind(self, request: Bind, now: float, events: list[Event]) -> None:
        if self._bind is not None:
            self._refuse_with(request.command_id, s.ESME_RALYBND, request.sequence)
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
        self._bind = self._deadline = None
        self._enter(BOUND_STATE[kind])
        events.append(Bound(kind, response.system_id, response.tlvs))

    def _bind_refused(self, status: int, events: list[Event]) -> None:
        events.append(BindRefused(status))
        events += self.close(f"the bind was refused: {s.describe(status)}")

    def _on_unbind(self, pdu: Bare, now: float, events: list[Event]) -> None:
        """Answered when all messages taken are: a peer that unbinds behind its last message gets its responses."""
        if self._peer_unbind is not None:
            return
        events.append(Unbound())
        if self._owed:
            self._peer_unbind = pdu.sequence
            self._start_unbinding(now, "the peer unbound")
        else:
            self._send(c.UNBIND_RESP, 0, pdu.sequence)
            events += self.close("the peer unbound")

    def _on_unbind_resp(self, pdu: Bare, now: float, events: list[Event]) -> None:
        if self._unbind != pdu.sequence:
            self.stray_responses += 1
            return
        events.append(Unbound())
        events += self.close("unbound")

    # ------------------------------------------------------------------ small steps

    def _enter(self, state: State) -> None:
        self.state = state
        self._acceptable = MAY_SEND[self._role.peer, state]
        may_request = MESSAGE_COMMAND[self._role] in MAY_SEND[self._role, state]
        self._send_window = self.window if may_request and state is not State.UNBINDING else 0

    def _start_unbinding(self, now: float, reason: str) -> None:
        self._enter(State.UNBINDING)
        self._deadline = (now + self._timers.control_response_s, reason)

    def _require(self, command: int) -> None:
        if command not in MAY_SEND[self._role, self.state]:
            name = c.command_name(command)
            raise LocalProtocolError(f"an {self._role.value} cannot send {name} while {self.state.value}")

    def _no_room(self) -> LocalProtocolError:
        if self._send_window:
            return LocalProtocolError(f"the window of {self.window} messages is full")
        name = c.command_name(MESSAGE_COMMAND[self._role])
        return LocalProtocolError(f"an {self._role.value} cannot send {name} while {self.state.value}")

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % MAX_SEQUENCE + 1
        return self._sequence

    def _send(self, command: int, status: int, sequence: int) -> None:
        self._out.append(pack_header(0, command, status, sequence))


